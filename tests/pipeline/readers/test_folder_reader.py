"""Images and masks find each other however their folders and names are laid out; what has no partner is reported."""

import os
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from hsmix_gen.pipeline.readers.paths.ids import Found, safe_id
from hsmix_gen.pipeline.readers.paths.kind_words import MASK_SUFFIXES
from hsmix_gen.pipeline.readers.paths.name_pairing import name_files, pair
from hsmix_gen.schemas.config import SourceConfig
from tests.pipeline.readers.layouts import lay, pairs, reasons, splits
from tests.pipeline.readers.plain_folders import find, picture


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/a.png", "masks/a.png"),
        ("images/a.jpg", "masks/a.png"),
        ("images/a.JPG", "masks/a.PNG"),
        ("Images/a.png", "Ground Truth/a.png"),
        ("imgs/a.png", "gt/a.png"),
        ("ISIC-2017_Training_Data/a.jpg", "ISIC-2017_Training_Part1_GroundTruth/a_segmentation.png"),
        ("img/a.png", "labelcol/a.png"),
        ("Tissue Images/a.tif", "Annotations/a.png"),
        ("set/images/a.png", "set/masks/a.png"),
        ("images/p1/a.png", "masks/p1/a.png"),
        ("Kvasir-SEG/images/a.jpg", "Kvasir-SEG/masks/a.jpg"),
        ("a.png", "masks/a.png"),
        ("a.png", "a_mask.png"),
        ("a.jpg", "a_Segmentation.png"),
        ("images/a.png", "images/a_seg.png"),
        ("images/a.png", "masks/a_mask.png"),
        ("benign/a.png", "benign/a_mask.png"),
        ("a.bmp", "a_anno.bmp"),
        ("data/a.png", "data/masks/a.png"),
        ("Original/a.tif", "Ground Truth/a.tif"),
        ("polyps/a.png", "masks/a.png"),
        ("train/a.png", "train_masks/a_mask.gif"),
        ("TrainDataset/image/a.png", "TrainDataset/masks/a.png"),
        ("1. Original Images/a. Training Set/a.jpg", "2. All Segmentation Groundtruths/a. Training Set/a_OD.tif"),
        ("MoNuSegTestData/a.tif", "masks/a.png"),
        ("images/a.png", "masks/train/a.png"),
        ("images/a.png", "masks/lesion/a.png"),
        ("images/a.png", "masks/a_lesion.png"),
        ("X_segmentation/a.png", "X_segmentation/a_mask.png"),
    ],
)
def test_an_image_and_its_mask_are_a_pair(tmp_path: Path, image: str, mask: str) -> None:
    found = find(tmp_path, image, mask)

    assert pairs(tmp_path, found) == {"a": (image, mask)}
    assert found.refusals == ()


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("img/img0001.png", "label/label0001.png"),
        ("all/image1.png", "all/mask1.png"),
        ("batch/volume-0.png", "batch/segmentation-0.png"),
        ("volumes/volume-0.png", "labels/label-0.png"),
        ("case_0/imaging.png", "case_0/segmentation.png"),
    ],
)
def test_words_for_image_and_mask_in_names_find_each_other(tmp_path: Path, image: str, mask: str) -> None:
    """BTCV, LiTS and KiTS call their files so."""
    assert list(pairs(tmp_path, find(tmp_path, image, mask)).values()) == [(image, mask)]


@pytest.mark.parametrize(("image", "mask"), [("{}1", "gt_{}1"), ("p1_{}", "mask_p1_{}")])
def test_names_are_told_apart_by_words_that_others_have_for_images(tmp_path: Path, image: str, mask: str) -> None:
    names = [(f"images/{image.format(kind)}.png", f"masks/{mask.format(kind)}.png") for kind in ("ct", "mri")]

    assert sorted(pairs(tmp_path, find(tmp_path, *sum(names, ()))).values()) == names


NO_MASK, NO_IMAGE = "image has no mask", "mask has no image"
TABLE: dict[str, tuple[list[str], dict[str, str], dict[str, str]]] = {
    "an image without a mask": (
        ["images/a.png", "images/b.png", "masks/a.png"], {"a": "images/a.png masks/a.png"}, {"images/b.png": NO_MASK},
    ),
    "a mask without an image": (
        ["images/a.png", "masks/a.png", "masks/b.png"], {"a": "images/a.png masks/a.png"}, {"masks/b.png": NO_IMAGE},
    ),
    "two images of one stem": (
        ["images/a.png", "images/a.jpg", "masks/a.png"], {},
        {"images/a.jpg": "several images have one stem: images/a.jpg, images/a.png; rename or remove all but one"},
    ),
    "other names, though they are the only ones": (
        ["train/images/a.png", "train/masks/b.png"], {},
        {"train/images/a.png": NO_MASK, "train/masks/b.png": NO_IMAGE},
    ),
    "hidden and other files": (
        ["images/a.png", "masks/a.png", "images/._a.png", "images/.DS_Store", ".cache/images/c.png",
         "images/notes.txt", "images/a.png.bak"], {"a": "images/a.png masks/a.png"}, {},
    ),
    "maps of superpixels, of which ISIC ships one with each image": (
        ["data/a.jpg", "data/a_superpixels.png", "gt/a_mask.png"], {"a": "data/a.jpg gt/a_mask.png"}, {},
    ),
    "words for image and mask before the name": (
        ["image_1.png", "mask_1.png", "b/2.png", "b/label-2.png", "b/gt_2.png"],
        {"image_1": "image_1.png mask_1.png"},
        {"b/2.png": "several masks"},
    ),
    "a word for a mask before a name of which there is no image": (
        ["images/mask_1.png", "masks/mask_1.png"], {"mask_1": "images/mask_1.png masks/mask_1.png"}, {},
    ),
    "inputs and targets": (
        ["inputs/a.png", "targets/a.png"], {"a": "inputs/a.png targets/a.png"}, {},
    ),
    "a stem that is nothing but a suffix": (
        ["images/_mask.png", "masks/_mask.png"], {"_mask": "images/_mask.png masks/_mask.png"}, {},
    ),
    "a training image and the mask of a validation image": (
        ["train_images/a.png", "val_images/b.png", "val_masks/a.png"], {},
        {"train_images/a.png": NO_MASK, "val_images/b.png": NO_MASK, "val_masks/a.png": NO_IMAGE},
    ),
    "folders that share a word": (
        [f"{site}_{kind}/a.png" for site in ("north", "south") for kind in ("images", "binary_masks")],
        {"north-a": "north_images/a.png north_binary_masks/a.png",
         "south-a": "south_images/a.png south_binary_masks/a.png"}, {},
    ),
    "masks in a folder beside, and beside": (
        ["data/a.png", "data/masks/a.png", "more/b.png", "more/b_mask.png"],
        {"a": "data/a.png data/masks/a.png", "b": "more/b.png more/b_mask.png"}, {},
    ),
    "masks of a patient without images": (
        ["images/p1/a.png", "masks/p1/a.png", "masks/p2/a.png"], {"p1-a": "images/p1/a.png masks/p1/a.png"},
        {"masks/p2/a.png": NO_IMAGE},
    ),
    "a suffix and a number that are the name of an image": (
        ["images/soft_label_3.png", "masks/soft_label_3.png"],
        {"soft_label_3": "images/soft_label_3.png masks/soft_label_3.png"}, {},
    ),
    "a suffix and a number without a mask beside": (
        ["soft_label_3.png", "masks/soft_label_3.png"], {"soft_label_3": "soft_label_3.png masks/soft_label_3.png"}, {},
    ),
    "a number alone, as the mask may be that of a missing image": (
        ["images/a.png", "masks/a_2.png"], {}, {"images/a.png": NO_MASK, "masks/a_2.png": NO_IMAGE},
    ),
    "an image that ends like a mask": (
        ["images/x_label.png", "masks/x_label.png"], {"x_label": "images/x_label.png masks/x_label.png"}, {},
    ),
    "words before a number": (
        ["images/img_1.png", "images/img_2.png", "masks/mask_1.png", "masks/mask_2.png"],
        {"img_1": "images/img_1.png masks/mask_1.png", "img_2": "images/img_2.png masks/mask_2.png"}, {},
    ),
    "a folder for each case": (
        ["p/image.png", "p/mask.png", "q/image.png", "q/mask.png"],
        {"p-image": "p/image.png p/mask.png", "q-image": "q/image.png q/mask.png"}, {},
    ),
    "capitals that leave no doubt": (
        ["images/SCAN_1.JPG", "images/b.png", "masks/scan_1.png", "masks/b.png"],
        {"SCAN_1": "images/SCAN_1.JPG masks/scan_1.png", "b": "images/b.png masks/b.png"}, {},
    ),
    "images that differ in capitals alone": (
        ["images/A.png", "images/a.png", "masks/a.png"], {"a": "images/a.png masks/a.png"},
        {"images/A.png": NO_MASK},
    ),
    "masks that differ in capitals alone": (
        ["images/A.png", "masks/A.png", "masks/a.png"], {"images-A": "images/A.png masks/A.png"},
        {"masks/a.png": NO_IMAGE},
    ),
    "any order": (
        [f"{kind}/{name}.png" for name in "cab" for kind in ("images", "masks")],
        {name: f"images/{name}.png masks/{name}.png" for name in "abc"}, {},
    ),
    "nothing": ([], {}, {}),
}  # fmt: skip


@pytest.mark.parametrize(("paths", "expected", "refused"), TABLE.values(), ids=TABLE)
def test_each_file_is_of_a_pair_or_refused_by_name(
    tmp_path: Path, paths: list[str], expected: dict[str, str], refused: dict[str, str]
) -> None:
    found = find(tmp_path, *paths)

    assert [(name, " ".join(pair)) for name, pair in pairs(tmp_path, found).items()] == [*expected.items()]
    assert {r.stage for r in found.refusals} <= {"discover"}
    stated = {Path(r.path).relative_to(tmp_path).as_posix(): r.reason for r in found.refusals}
    assert stated.keys() == refused.keys()
    assert [path for path, reason in refused.items() if not stated[path].startswith(reason)] == []


@pytest.mark.parametrize(
    ("paths", "config", "expected"),
    [
        (["a_img.png", "a_lesion.png"], {"image_suffix": "_img", "mask_suffix": "_lesion"}, "a"),
        # A given suffix takes the place of the usual ones.
        (["a_mask.png", "a_mask_x.png"], {"mask_suffix": "_x"}, "a_mask"),
    ],
)
def test_suffixes_may_be_given(tmp_path: Path, paths: list[str], config: dict[str, str], expected: str) -> None:
    assert pairs(tmp_path, find(tmp_path, *paths, **config)) == {expected: tuple(paths)}


@pytest.mark.parametrize("suffix", MASK_SUFFIXES)
def test_a_usual_suffix_makes_a_mask(tmp_path: Path, suffix: str) -> None:
    assert pairs(tmp_path, find(tmp_path, "x.png", f"x{suffix}.png")) == {"x": ("x.png", f"x{suffix}.png")}


def test_a_source_may_lie_in_a_folder_that_says_mask(tmp_path: Path) -> None:
    source = tmp_path / "masks" / "Kvasir-SEG"

    found = find(source, "images/a.jpg", "masks/a.jpg")

    assert pairs(source, found) == {"a": ("images/a.jpg", "masks/a.jpg")}


@pytest.mark.parametrize("folder", ["maskedball", "segway", "gtx", "labelled"])
def test_a_word_that_only_begins_like_mask_says_nothing(tmp_path: Path, folder: str) -> None:
    found = find(tmp_path, f"{folder}/a.png", f"{folder}/a_mask.png")

    assert list(pairs(tmp_path, found).values()) == [(f"{folder}/a.png", f"{folder}/a_mask.png")]


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_single_channel_files_of_another_ending_are_the_masks_where_nothing_is_named_so(
    tmp_path: Path, mode: str
) -> None:
    picture(tmp_path / "a.jpg", "RGB")
    picture(tmp_path / "a.png", mode)

    found = find(tmp_path)

    assert pairs(tmp_path, found) == {"a": ("a.jpg", "a.png")}
    assert found.notes == ("nothing is named as a mask; single-channel .png files were taken as masks",)


@pytest.mark.parametrize("modes", [("RGB", "RGB"), ("L", "L")])
def test_endings_that_say_nothing_make_no_masks(tmp_path: Path, modes: tuple[str, str]) -> None:
    picture(tmp_path / "a.bmp", modes[0])
    picture(tmp_path / "a.png", modes[1])

    found = find(tmp_path)

    assert (found.items, found.notes) == ((), ())


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    find(tmp_path / "elsewhere", "x.png")
    (tmp_path / "source" / "images").mkdir(parents=True)
    (tmp_path / "source" / "images" / "a.png").symlink_to(tmp_path / "elsewhere" / "x.png")

    found = find(tmp_path / "source", "masks/a.png")

    assert list(pairs(tmp_path / "source", found)) == ["a"]


@pytest.mark.parametrize(
    ("folder", "split"),
    [("train", "train"), ("Training", "train"), ("val", "val"), ("validation", "val"), ("TEST", "test"),
     ("Train_Folder", "train"), ("TrainDataset", "train"), ("train_set", "train"), ("train2017", "train"),
     ("ISIC-2017_Training_Data", "train"), ("a. Training Set", "train"), ("stage1_train", "train"),
     ("MoNuSegTestData", "test"), ("testA", "test"), ("trainval", None), ("train_val", None), ("trained", None),
     ("contest", None), ("other", None)],
)  # fmt: skip
def test_a_folder_may_name_the_split(tmp_path: Path, folder: str, split: str | None) -> None:
    lay(tmp_path, f"{folder}/images/a.png", f"{folder}/masks/a.png")

    found = find(tmp_path, "validation/images/b.png", "validation/masks/b.png")

    assert splits(found) == {"a": split, "b": "val"}


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        # People hand over the training part of a challenge alone; it is still to be divided.
        (["Training/images/a.png", "Training/masks/a.png"], {"a": None}),
        (["images/a.png", "images/b.png", "masks/train/a.png", "masks/val/b.png"], {"a": "train", "b": "val"}),
    ],
    ids=["training-alone", "of-masks"],
)
def test_splits_are_those_of_all_images_or_of_their_masks(
    tmp_path: Path, paths: list[str], expected: dict[str, str | None]
) -> None:
    assert splits(find(tmp_path, *paths)) == expected


@pytest.mark.parametrize(
    "form", ["{split}_{kind}/a.png", "{kind}_{split}/a.png", "{split}/{kind}/a.png", "{kind}/{split}/a.png"]
)
def test_equal_names_in_training_and_validation_are_two_pairs(tmp_path: Path, form: str) -> None:
    paths = [form.format(split=split, kind=kind) for split in ("train", "val") for kind in ("images", "masks")]

    found = find(tmp_path, *paths)

    assert pairs(tmp_path, found) == {"train-a": (paths[0], paths[1]), "val-a": (paths[2], paths[3])}
    assert splits(found) == {"train-a": "train", "val-a": "val"}


def test_drive_takes_vessels_as_masks_and_leaves_the_field_of_view(tmp_path: Path) -> None:
    found = find(
        tmp_path,
        *("training/images/21_training.tif", "training/1st_manual/21_manual1.gif"),
        *("training/mask/21_training_mask.gif", "test/mask/01_test_mask.gif", "test/2nd_manual/01_manual2.gif"),
        *("test/images/01_test.tif", "test/1st_manual/01_manual1.gif"),
    )

    assert pairs(tmp_path, found) == {
        "01": ("test/images/01_test.tif", "test/1st_manual/01_manual1.gif"),
        "21": ("training/images/21_training.tif", "training/1st_manual/21_manual1.gif"),
    }
    assert (splits(found), found.refusals) == ({"01": "test", "21": "train"}, ())
    assert found.notes == ("1st_manual holds the masks; 3 files in mask and 2nd_manual were left alone",)


@pytest.mark.parametrize(
    ("name", "ending"), [("a.npy.h5", ".h5"), ("a.DCM", ".dcm"), ("a.nrrd", ".nrrd"), ("a.svs", ".svs")]
)
def test_files_of_other_layouts_are_counted(tmp_path: Path, name: str, ending: str) -> None:
    assert find(tmp_path, name, f"deep/{name}") == Found((), left=((ending, 2),))


def test_volumes_beside_pictures_are_counted(tmp_path: Path) -> None:
    assert find(tmp_path, "images/a.png", "masks/a.png", "v.nii.gz").left == ((".nii.gz", 1),)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/p0.nii.gz", "masks/p0_mask.nii.gz"),
        ("images/p0.nii.gz", "masks/p0.nii"),
        ("patient001/patient001_frame01.nii.gz", "patient001/patient001_frame01_gt.nii.gz"),
        ("p0/image.nii.gz", "p0/label.nii.gz"),
        ("sub-01/anat/sub-01_T1w.nii", "sub-01/anat/sub-01_T1w_seg.nii"),
    ],
)
def test_volumes_are_paired_where_there_are_no_pictures(tmp_path: Path, image: str, mask: str) -> None:
    found = find(tmp_path, image, mask)

    (item,) = found.items
    assert (item.image.format, item.mask.format) == ("nifti", "nifti")
    assert list(pairs(tmp_path, found).values()) == [(image, mask)]
    assert (found.refusals, found.left) == ((), ())


def test_names_of_volumes_have_no_ending_of_two_parts(tmp_path: Path) -> None:
    assert list(pairs(tmp_path, find(tmp_path, "images/p.0.nii.gz", "masks/p.0.nii.gz"))) == [safe_id("p.0")]


@pytest.mark.parametrize("ending", [".ome.tif", ".OME.TIFF"])
def test_pictures_with_an_ending_of_two_parts_find_their_masks(tmp_path: Path, ending: str) -> None:
    found = find(tmp_path, f"images/a{ending}", "masks/a.png")

    assert pairs(tmp_path, found) == {"a": (f"images/a{ending}", "masks/a.png")}


def test_a_folder_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.png", "masks/a.png", "closed/images/b.png")
    (tmp_path / "closed").chmod(0)
    try:
        if os.access(tmp_path / "closed", os.R_OK):
            pytest.skip("this user may read everything")
        found = find(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o755)

    assert list(pairs(tmp_path, found)) == ["a"]
    assert "folder cannot be read (Permission denied)" in reasons(found)["closed"]


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "images/", "masks/", "train/images/", "val/masks/", "masks/p/", "p/", "data/"]),
            st.sampled_from(["a", "b", "a_mask", "a_mask_1", "p", "img_a", "mask_a", "1", "A"]),
            st.sampled_from([".png", ".jpg", ".PNG"]),
        ),
        unique=True,
        max_size=12,
    )
)
def test_whatever_the_names_no_file_is_lost_or_used_twice(names: list[tuple[str, str, str]]) -> None:
    paths = ["".join(name) for name in names]

    found = pair(name_files(paths, SourceConfig()))

    assert sorted(file.path for one in found for file in (*one.images, *one.masks)) == sorted(paths)


def test_an_image_that_cannot_be_opened_is_not_taken_for_a_mask(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", "RGB")
    (tmp_path / "a.png").write_bytes(np.zeros(9, np.uint8).tobytes())

    assert find(tmp_path).items == ()
