"""ISIC 2016 to 2018: lesions find their masks, superpixel maps and attributes are none, the challenge's splits hold."""

from pathlib import Path

import pytest

from hsmix_gen.pipeline.readers import isic_reader
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Labelling, picture
from tests.pipeline.readers.layouts import ISIC_RELEASES, lay, pairs, release

DATA_2017, TRUTH_2017 = "ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"


def find(source: Path, *paths: str, **config: str) -> Found:
    return isic_reader.find(lay(source, *paths), SourceConfig.model_validate(config))


@pytest.mark.parametrize("year", ISIC_RELEASES)
def test_each_release_pairs_photographs_with_masks(tmp_path: Path, year: str) -> None:
    data, truth, suffix = (name.format("Training") for name in ISIC_RELEASES[year])

    found = find(tmp_path, *release(year, "Training", "ISIC_0000003", "ISIC_0000001"))

    assert pairs(tmp_path, found) == {
        "ISIC_0000001": (f"{data}/ISIC_0000001.jpg", f"{truth}/ISIC_0000001{suffix}.png"),
        "ISIC_0000003": (f"{data}/ISIC_0000003.jpg", f"{truth}/ISIC_0000003{suffix}.png"),
    }
    assert (found.refusals, found.notes) == ((), ())
    assert found.items[0].image == picture(str(tmp_path / data / "ISIC_0000001.jpg"))
    assert found.labelling == Labelling(classes=("background", "lesion"), values=((0, 0), (255, 1)))


@pytest.mark.parametrize(
    ("image", "mask", "config"),
    [
        ("ISIC_0000001.JPG", "ISIC_0000001_segmentation.PNG", {}),
        (f"{DATA_2017}/ISIC_0000001.jpg", f"{TRUTH_2017}/ISIC_0000001.png", {}),
        ("ISIC_0000001.jpg", "ISIC_0000001_lesion.png", {"mask_suffix": "_lesion"}),
    ],
    ids=["flat", "bare-name-among-the-truth", "given-suffix"],
)
def test_other_forms_are_paired_too(tmp_path: Path, image: str, mask: str, config: dict[str, str]) -> None:
    assert pairs(tmp_path, find(tmp_path, image, mask, **config)) == {"ISIC_0000001": (image, mask)}


@pytest.mark.parametrize("year", ISIC_RELEASES)
@pytest.mark.parametrize("test", ["Test", "Test_v2"])
def test_folders_state_the_official_splits(tmp_path: Path, year: str, test: str) -> None:
    paths = (
        *release(year, "Training", "ISIC_0000001"),
        *release(year, "Validation", "ISIC_0000002"),
        *release(year, test, "ISIC_0000003"),
    )

    assert [item.split for item in find(tmp_path, *paths).items] == ["train", "val", "test"]


@pytest.mark.parametrize(("part", "split"), [("Training", None), ("Test_v2", "test")])
def test_training_images_alone_have_no_split_yet(tmp_path: Path, part: str, split: str | None) -> None:
    """It is drawn, or read from lists; all for training would leave nothing to test on."""
    assert [item.split for item in find(tmp_path, *release("2017", part, "ISIC_0000001")).items] == [split]


def test_maps_tables_and_lists_beside_the_photographs_are_passed_over(tmp_path: Path) -> None:
    """Each photograph of 2017 and 2018 comes with a map of superpixels."""
    maps = (f"{DATA_2017}/ISIC_0000001_superpixels.png", f"{DATA_2017}/ISIC_0000002_superpixels.png")
    others = ("ISIC-2017_Training_Part3_GroundTruth.csv", "splits/train.txt", "ATTRIBUTION.txt", "README.md")

    found = find(tmp_path, *release("2017", "Training", "ISIC_0000001"), *maps, *others)

    assert list(pairs(tmp_path, found)) == ["ISIC_0000001"]
    assert (found.refusals, found.notes) == ((), ())


def test_masks_of_attributes_are_left_aside_and_reported(tmp_path: Path) -> None:
    """Taken for the lesion's, they would train a network on its streaks."""
    folder = "ISIC2018_Task2_Training_GroundTruth_v3"
    attributes = [f"{folder}/ISIC_0000001_attribute_{kind}.png" for kind in ("globules", "streaks")]

    found = find(tmp_path, *release("2018", "Training", "ISIC_0000001"), *attributes)

    assert pairs(tmp_path, found)["ISIC_0000001"][1].endswith("ISIC_0000001_segmentation.png")
    assert found.refusals == ()
    assert found.notes == ("2 masks of attributes (task 2) are no masks of lesions and were left aside",)


def test_pictures_of_other_names_are_reported(tmp_path: Path) -> None:
    others = ("figure.png", f"{DATA_2017}/ISIC_0000001_thumbnail.jpg", f"{TRUTH_2017}/ISIC_0000001_globules.png")

    found = find(tmp_path, *release("2017", "Training", "ISIC_0000001"), *others)

    assert (len(found.items), found.refusals) == (1, ())
    assert found.notes == ("3 pictures have no name of a photograph or mask of ISIC and were left aside",)


def test_what_has_no_partner_is_refused_by_name(tmp_path: Path) -> None:
    lonely = (f"{DATA_2017}/ISIC_0000002.jpg", f"{TRUTH_2017}/ISIC_0000004_segmentation.png")

    found = find(tmp_path, *release("2017", "Training", "ISIC_0000001"), *lonely)

    assert [(r.id, r.path, r.stage, r.reason) for r in found.refusals] == [
        ("ISIC_0000002", str(tmp_path / lonely[0]), "discover",
         "image has no mask; add the mask or remove the image"),
        ("ISIC_0000004", str(tmp_path / lonely[1]), "discover",
         "mask has no image; add the image or remove the mask"),
    ]  # fmt: skip


def test_one_name_in_two_releases_is_refused(tmp_path: Path) -> None:
    """Releases share images: one that trains in 2018 was tested on in 2017."""
    found = find(
        tmp_path, *release("2018", "Training", "ISIC_0000001", "ISIC_0000002"), *release("2017", "Test", "ISIC_0000001")
    )

    assert list(pairs(tmp_path, found)) == ["ISIC_0000002"]
    assert [refusal.reason for refusal in found.refusals] == [
        "2 images have one name: ISIC-2017_Test_Data/ISIC_0000001.jpg, "
        "ISIC2018_Task1-2_Training_Input/ISIC_0000001.jpg; keep one, or give a folder with one of them"
    ]


def test_a_mask_of_another_split_is_refused(tmp_path: Path) -> None:
    found = find(tmp_path, f"{DATA_2017}/ISIC_0000001.jpg", "ISIC-2017_Test_GroundTruth/ISIC_0000001_segmentation.png")

    assert found.items == ()
    assert [refusal.reason for refusal in found.refusals] == [
        "image lies with train, its mask ISIC-2017_Test_GroundTruth/ISIC_0000001_segmentation.png with test; "
        "move one of them"
    ]


def test_the_whole_list_of_2017_makes_2000_pairs(tmp_path: Path, shared_data: Path) -> None:
    names = (shared_data / "layouts/listings/isic2017_Training_Part1_GroundTruth.txt").read_text().split()
    stems = [name.removesuffix("_segmentation.png") for name in names]
    photographs = [f"{DATA_2017}/{stem}{end}" for stem in stems for end in (".jpg", "_superpixels.png")]

    found = find(tmp_path, *photographs, *(f"{TRUTH_2017}/{name}" for name in names))

    assert len({item.id for item in found.items}) == 2000
    assert (found.refusals, found.notes) == ((), ())
    assert isic_reader.recognises(tmp_path)
