"""MoNuSeg: slides find their outlines, patients are read from barcodes, masks that others drew are second choice."""

from pathlib import Path

import pytest

from hsmix_gen.pipeline.readers import monuseg_reader
from hsmix_gen.pipeline.readers.monuseg_reader import patient_of
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Content, Labelling, picture
from tests.pipeline.readers.layouts import MONUSEG as OFFICIAL
from tests.pipeline.readers.layouts import MONUSEG_TEST as TEST
from tests.pipeline.readers.layouts import MONUSEG_TRAIN as TRAIN
from tests.pipeline.readers.layouts import SECOND_SLIDE as B
from tests.pipeline.readers.layouts import SLIDE as A
from tests.pipeline.readers.layouts import TEST_SLIDE as C
from tests.pipeline.readers.layouts import lay

POLYGONS = Labelling(classes=("background", "nucleus"), values=((0, 0), (1, 1)))
ANY_MASK = Labelling(classes=("background", "nucleus"), instances=True)


def find(source: Path, *paths: str, **config: str) -> Found:
    return monuseg_reader.find(lay(source, *paths), SourceConfig.model_validate(config))


def test_slides_find_their_outlines_in_both_forms_of_folder(tmp_path: Path) -> None:
    found = find(tmp_path, *OFFICIAL)

    assert [(item.id, item.image, item.mask) for item in found.items] == [
        (
            name,
            picture(str(tmp_path / OFFICIAL[2 * number])),
            Content("polygons", (str(tmp_path / OFFICIAL[2 * number + 1]),)),
        )
        for number, name in enumerate((A, B, C))
    ]
    assert (found.refusals, found.notes, found.labelling) == ((), (), POLYGONS)


@pytest.mark.parametrize(
    ("paths", "expected"), [(OFFICIAL, ["train", "train", "test"]), (OFFICIAL[:4], [None, None])], ids=["all", "train"]
)
def test_folders_state_the_official_split(tmp_path: Path, paths: list[str], expected: list[str | None]) -> None:
    """Training slides alone have none yet."""
    assert [item.split for item in find(tmp_path, *paths).items] == expected


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("TCGA-18-5592-01Z-00-DX1", "TCGA-18-5592"),
        ("TCGA-E2-A1B5-01Z-00-DX1_3_4", "TCGA-E2-A1B5"),
        ("TCGA-E2-A1B5", "TCGA-E2-A1B5"),
        ("TCGA-E2-A1B50", "TCGA-E2-A1B50"),
        ("slide_7", "slide_7"),
    ],
)
def test_the_patient_is_in_the_barcode(name: str, patient: str) -> None:
    assert patient_of(name) == patient


def test_slides_of_a_patient_are_one_group(tmp_path: Path) -> None:
    second = "TCGA-18-5592-01A-02-TSB"

    found = find(tmp_path, *OFFICIAL[:4], f"{TRAIN}/Tissue Images/{second}.tif", f"{TRAIN}/Annotations/{second}.xml")

    assert [item.group for item in found.items] == ["TCGA-18-5592", "TCGA-18-5592", "TCGA-E2-A1B5"]


SECOND = "TCGA-18-5592-01A-02-TSB"
TORN = (*OFFICIAL, f"{TEST}/{SECOND}.tif", f"{TEST}/{SECOND}.xml")


def test_a_patient_on_both_sides_of_the_official_split_is_parted_and_reported(tmp_path: Path) -> None:
    found = find(tmp_path, *TORN)

    assert {item.id: item.group for item in found.items} == {
        A: "TCGA-18-5592-train", SECOND: "TCGA-18-5592-test", B: "TCGA-E2-A1B5", C: "TCGA-ZF-A9R5",
    }  # fmt: skip
    assert [note[:19] for note in found.notes] == ["1 of 3 patients hav"]


def test_a_patient_stays_whole_where_the_split_is_the_users(tmp_path: Path) -> None:
    found = find(tmp_path, *TORN, split="0.5/0.2/0.3")

    assert {item.group for item in found.items if item.id in (A, SECOND)} == {"TCGA-18-5592"}
    assert found.notes == ()


def test_masks_that_others_drew_are_left_aside_where_there_are_outlines(tmp_path: Path) -> None:
    others = (f"{TRAIN}/Binary_masks/{A}.png", f"third_party_binary_masks/{B}.png")

    found = find(tmp_path, *OFFICIAL, *others)

    assert {item.mask.format for item in found.items} == {"polygons"}
    assert found.refusals == ()
    assert found.notes == ("2 masks were left aside, as their slides have outlines",)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        (f"Tissue_Images/{A}.tif", f"Binary_masks/{A}.png"),
        (f"img/{A}.png", f"labelcol/{A}.png"),
        (f"img/{A}.tif", f"labelcol/{A}_anno.png"),
        (f"{A}.tif", f"{A}_mask.png"),
    ],
)
def test_masks_that_others_drew_are_taken_where_there_are_no_outlines(tmp_path: Path, image: str, mask: str) -> None:
    """Their values may be 0 and 1, 0 and 255, or numbers of nuclei."""
    found = find(tmp_path, image, mask)

    assert [(item.id, item.image, item.mask) for item in found.items] == [
        (A, picture(str(tmp_path / image)), picture(str(tmp_path / mask)))
    ]
    assert (found.refusals, found.labelling) == ((), ANY_MASK)


def test_outlines_and_drawn_masks_may_stand_side_by_side(tmp_path: Path) -> None:
    found = find(tmp_path, *OFFICIAL[:2], f"{TRAIN}/Tissue Images/{B}.tif", f"{TRAIN}/Binary_masks/{B}.png")

    assert [item.mask.format for item in found.items] == ["polygons", "picture"]
    assert found.labelling == ANY_MASK


def test_what_has_no_partner_is_refused_by_name(tmp_path: Path) -> None:
    found = find(tmp_path, f"{TEST}/{A}.tif", f"{TEST}/{B}.xml", f"{TRAIN}/Binary_masks/{C}.png")

    assert found.items == ()
    assert [(r.id, r.path, r.stage, r.reason.split(";")[0]) for r in found.refusals] == [
        (A, str(tmp_path / TEST / f"{A}.tif"), "discover", "image has no mask"),
        (B, str(tmp_path / TEST / f"{B}.xml"), "discover", "mask has no image"),
        (C, str(tmp_path / TRAIN / "Binary_masks" / f"{C}.png"), "discover", "mask has no image"),
    ]


def test_two_images_of_one_slide_are_refused(tmp_path: Path) -> None:
    found = find(tmp_path, *OFFICIAL, f"{TRAIN}/normalised/{A}.png")

    assert [item.id for item in found.items] == [B, C]
    assert [refusal.reason.split(";")[0] for refusal in found.refusals] == [
        f"2 images have one name: {TRAIN}/Tissue Images/{A}.tif, {TRAIN}/normalised/{A}.png"
    ]


def test_a_users_tree_of_44_slides_is_understood(tmp_path: Path, shared_data: Path) -> None:
    paths = (shared_data / "layouts/listings/monuseg_ykrmm_tree.txt").read_text().split()

    found = find(tmp_path, *paths)

    assert monuseg_reader.recognises(tmp_path)
    assert [sum(item.split == split for item in found.items) for split in ("train", "test")] == [30, 14]
    assert (len({item.group for item in found.items}), found.refusals) == (44, ())
    assert found.notes == ("30 masks were left aside, as their slides have outlines",)
