"""ISIC 2016 to 2018: lesions find their masks, superpixel maps and attributes are none, the challenge's splits hold."""

from pathlib import Path

import pytest

from hsmix_gen.pipeline.readers.isic_reader import IsicReader
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Labelling, picture
from tests.pipeline.readers.layouts import lay, pairs

DATA_2017, TRUTH_2017 = "ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"
RELEASES = {
    "2016": ("ISBI2016_ISIC_Part1_{}_Data", "ISBI2016_ISIC_Part1_{}_GroundTruth", "_Segmentation"),
    "2017": ("ISIC-2017_{}_Data", "ISIC-2017_{}_Part1_GroundTruth", "_segmentation"),
    "2018": ("ISIC2018_Task1-2_{}_Input", "ISIC2018_Task1_{}_GroundTruth", "_segmentation"),
}


def find(source: Path, *paths: str, **config: str) -> Found:
    return IsicReader().find(lay(source, *paths), SourceConfig.model_validate(config))


def release(year: str, part: str, *ids: str) -> list[str]:
    data, truth, suffix = (name.format(part) for name in RELEASES[year])
    return [path for name in ids for path in (f"{data}/{name}.jpg", f"{truth}/{name}{suffix}.png")]


@pytest.mark.parametrize("year", RELEASES)
def test_each_release_pairs_photographs_with_masks(tmp_path: Path, year: str) -> None:
    data, truth, suffix = (name.format("Training") for name in RELEASES[year])

    found = find(tmp_path, *release(year, "Training", "ISIC_0000003", "ISIC_0000001"))

    assert pairs(tmp_path, found) == {
        "ISIC_0000001": (f"{data}/ISIC_0000001.jpg", f"{truth}/ISIC_0000001{suffix}.png"),
        "ISIC_0000003": (f"{data}/ISIC_0000003.jpg", f"{truth}/ISIC_0000003{suffix}.png"),
    }
    assert (found.refusals, found.notes) == ((), ())
    assert found.items[0].image == picture(str(tmp_path / data / "ISIC_0000001.jpg"))


@pytest.mark.parametrize("year", RELEASES)
@pytest.mark.parametrize("test", ["Test", "Test_v2"])
def test_folders_tell_the_official_splits(tmp_path: Path, year: str, test: str) -> None:
    paths = (
        *release(year, "Training", "ISIC_0000001"),
        *release(year, "Validation", "ISIC_0000002"),
        *release(year, test, "ISIC_0000003"),
    )

    assert [item.split for item in find(tmp_path, *paths).items] == ["train", "val", "test"]


def test_training_images_alone_have_no_split_yet(tmp_path: Path) -> None:
    """It is drawn, or read from lists; all for training would leave nothing to test on."""
    assert [item.split for item in find(tmp_path, *release("2017", "Training", "ISIC_0000001")).items] == [None]


def test_test_images_alone_stay_test_images(tmp_path: Path) -> None:
    assert [item.split for item in find(tmp_path, *release("2017", "Test_v2", "ISIC_0000001")).items] == ["test"]


@pytest.mark.parametrize(
    ("folder", "split"), [("train", "train"), ("val", "val"), ("Valid", "val"), ("testing", "test"), ("latest", None)]
)
def test_folders_of_networks_tell_the_splits(tmp_path: Path, folder: str, split: str | None) -> None:
    other = ("x/images/ISIC_0000009.jpg", "x/masks/ISIC_0000009_segmentation.png")

    found = find(tmp_path, f"{folder}/images/ISIC_0000001.jpg", f"{folder}/masks/ISIC_0000001_segmentation.png", *other)

    # With the other image, whose folder tells nothing, training is never alone.
    assert [item.split for item in found.items] == [split, None]


def test_a_flat_folder_is_read(tmp_path: Path) -> None:
    found = find(tmp_path, "ISIC_0000001.JPG", "ISIC_0000001_segmentation.PNG")

    assert pairs(tmp_path, found) == {"ISIC_0000001": ("ISIC_0000001.JPG", "ISIC_0000001_segmentation.PNG")}


def test_superpixel_maps_beside_the_photographs_are_no_images(tmp_path: Path) -> None:
    """Each photograph of 2017 and 2018 comes with one."""
    maps = (f"{DATA_2017}/ISIC_0000001_superpixels.png", f"{DATA_2017}/ISIC_0000002_superpixels.png")

    found = find(tmp_path, *release("2017", "Training", "ISIC_0000001"), *maps)

    assert list(pairs(tmp_path, found)) == ["ISIC_0000001"]
    assert (found.refusals, found.notes) == ((), ())


def test_masks_of_attributes_are_left_aside_and_told(tmp_path: Path) -> None:
    """Taken for the lesion's, they would train a network on its streaks."""
    folder = "ISIC2018_Task2_Training_GroundTruth_v3"
    attributes = [f"{folder}/ISIC_0000001_attribute_{kind}.png" for kind in ("globules", "streaks")]

    found = find(tmp_path, *release("2018", "Training", "ISIC_0000001"), *attributes)

    assert pairs(tmp_path, found)["ISIC_0000001"][1].endswith("ISIC_0000001_segmentation.png")
    assert found.refusals == ()
    assert found.notes == ("2 masks of attributes (task 2) are no masks of lesions and were left aside",)


def test_tables_and_lists_are_no_business_of_the_layout(tmp_path: Path) -> None:
    others = ("ISIC-2017_Training_Part3_GroundTruth.csv", "splits/train.txt", "ATTRIBUTION.txt", "README.md")

    found = find(tmp_path, *release("2017", "Training", "ISIC_0000001"), *others)

    assert (len(found.items), found.refusals, found.notes) == (1, (), ())


def test_pictures_of_other_names_are_told(tmp_path: Path) -> None:
    others = ("figure.png", f"{DATA_2017}/ISIC_0000001_thumbnail.jpg", f"{TRUTH_2017}/ISIC_0000001_globules.png")

    found = find(tmp_path, *release("2017", "Training", "ISIC_0000001"), *others)

    assert (len(found.items), found.refusals) == (1, ())
    assert found.notes == ("3 pictures have no name of a photograph or mask of ISIC and were left aside",)


def test_a_bare_name_among_the_ground_truth_is_a_mask(tmp_path: Path) -> None:
    found = find(tmp_path, f"{DATA_2017}/ISIC_0000001.jpg", f"{TRUTH_2017}/ISIC_0000001.png")

    assert list(pairs(tmp_path, found).values()) == [
        (f"{DATA_2017}/ISIC_0000001.jpg", f"{TRUTH_2017}/ISIC_0000001.png")
    ]


def test_another_suffix_may_be_given(tmp_path: Path) -> None:
    found = find(tmp_path, "ISIC_0000001.jpg", "ISIC_0000001_lesion.png", mask_suffix="_lesion")

    assert pairs(tmp_path, found) == {"ISIC_0000001": ("ISIC_0000001.jpg", "ISIC_0000001_lesion.png")}


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


def test_masks_are_0_and_255(tmp_path: Path) -> None:
    found = find(tmp_path, *release("2017", "Training", "ISIC_0000001"))

    assert found.labelling == Labelling(classes=("background", "lesion"), values=((0, 0), (255, 1)))


@pytest.mark.parametrize(
    "paths",
    [
        release("2016", "Training", "ISIC_0000001"),
        release("2017", "Training", "ISIC_0000001"),
        release("2018", "Training", "ISIC_0000001"),
        ["ISIC_0000001.jpg", "ISIC_0000001_segmentation.png"],
        [f"challenge/{path}" for path in release("2017", "Training", "ISIC_0000001")],
        [*release("2017", "Training", "ISIC_0000001"), "splits/train.txt", "papers/a.pdf"],
        ["train/images/ISIC_0000001.jpg", "train/masks/ISIC_0000001_segmentation.png", "test/images/ISIC_0000002.jpg"],
    ],
)
def test_the_layout_is_recognised(tmp_path: Path, paths: list[str]) -> None:
    assert IsicReader().recognises(lay(tmp_path, *paths))


@pytest.mark.parametrize(
    "paths",
    [
        [],
        ["images/a.jpg", "masks/a_segmentation.png"],
        ["ISIC_0000001.jpg"],
        ["ISIC_0000001.jpg", "ISIC_0000001_superpixels.png"],
        ["ISIC2018_Task2_Training_GroundTruth_v3/ISIC_0000001_attribute_globules.png"],
        [*(f"isic/{path}" for path in release("2017", "Training", "ISIC_0000001")), "polyps/images/a.png"],
    ],
)
def test_other_folders_are_not_recognised(tmp_path: Path, paths: list[str]) -> None:
    """The last is a folder of several data sets, of which one would be read and the others lost in silence."""
    assert not IsicReader().recognises(lay(tmp_path, *paths))


def test_neither_a_file_nor_nothing_is_recognised(tmp_path: Path) -> None:
    lay(tmp_path, "ISIC_0000001_segmentation.png")

    assert not IsicReader().recognises(tmp_path / "ISIC_0000001_segmentation.png")
    assert not IsicReader().recognises(tmp_path / "none")


def test_links_that_lead_back_are_not_followed(tmp_path: Path) -> None:
    lay(tmp_path, *release("2017", "Training", "ISIC_0000001"))
    (tmp_path / "ISIC-2017_Test_Data").symlink_to(tmp_path)

    assert IsicReader().recognises(tmp_path)
    assert (len(find(tmp_path).items), find(tmp_path).refusals) == (1, ())


def test_the_whole_list_of_2017_makes_2000_pairs(tmp_path: Path, shared_data: Path) -> None:
    names = (shared_data / "layouts/listings/isic2017_Training_Part1_GroundTruth.txt").read_text().split()
    stems = [name.removesuffix("_segmentation.png") for name in names]
    photographs = [f"{DATA_2017}/{stem}{end}" for stem in stems for end in (".jpg", "_superpixels.png")]

    found = find(tmp_path, *photographs, *(f"{TRUTH_2017}/{name}" for name in names))

    assert len({item.id for item in found.items}) == 2000
    assert (found.refusals, found.notes) == ((), ())
    assert IsicReader().recognises(tmp_path)


def test_the_real_folder_has_120_pairs(shared_data: Path) -> None:
    source = shared_data / "isic2017"

    found = IsicReader().find(source, SourceConfig())

    assert IsicReader().recognises(source)
    assert (len(found.items), found.refusals, found.notes) == (120, (), ())
    assert all(Path(path).is_file() for item in found.items for path in (*item.image.paths, *item.mask.paths))
    assert {item.split for item in found.items} == {None}
