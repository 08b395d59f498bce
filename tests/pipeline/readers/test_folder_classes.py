"""Several masks for an image of a plain folder are classes, objects or a doubt, and colours of masks are classes."""

from pathlib import Path

import pytest

from hsmix_gen.schemas.records import Labelling
from tests.pipeline.readers.layouts import masks, reasons
from tests.pipeline.readers.plain_folders import find, picture


def test_two_masks_for_one_image_are_refused(tmp_path: Path) -> None:
    """One object a file: taking either would lose the other in silence."""
    found = find(tmp_path, "images/a.png", "masks/a_mask.png", "masks/a_label.png")

    assert found.items == ()
    assert reasons(found) == {"a": "several masks belong to one image: masks/a_label.png, masks/a_mask.png; keep one"}


def test_a_folder_for_each_class_gives_one_mask_of_several_files(tmp_path: Path) -> None:
    found = find(
        tmp_path, "images/a.png", "images/b.png", "masks/vein/a.png", "masks/artery/a.png", "masks/vein/b.png"
    )  # fmt: skip

    assert masks(tmp_path, found) == {
        "a": ("classes", ("masks/artery/a.png", "masks/vein/a.png")), "b": ("classes", ("", "masks/vein/b.png")),
    }  # fmt: skip
    assert found.labelling == Labelling(classes=("background", "artery", "vein"), bits=True)
    assert found.notes == ("masks lie in a folder for each class: artery, vein",)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("train/images/{}.png", "train/masks/{}/{}.png"),
        ("images/train/{}.png", "masks/train/{}/{}.png"),
        ("images/train/{}.png", "masks/{}/train/{}.png"),
        ("train_images/{}.png", "train_masks/{}/{}.png"),
    ],
)
def test_folders_of_splits_are_no_classes(tmp_path: Path, image: str, mask: str) -> None:
    paths = [image.format("a"), mask.format("vein", "a"), mask.format("artery", "a")]
    validation = [path.replace("train", "val") for path in paths]

    found = find(tmp_path, *paths, *validation)

    assert masks(tmp_path, found) == {
        "train-a": ("classes", (paths[2], paths[1])), "val-a": ("classes", (validation[2], validation[1])),
    }  # fmt: skip
    assert found.labelling.classes == ("background", "artery", "vein")


def test_folders_of_patients_are_no_classes(tmp_path: Path) -> None:
    found = find(tmp_path, "images/p/a.png", "images/q/a.png", "masks/p/a.png", "masks/q/a.png")

    assert masks(tmp_path, found) == {
        "p-a": ("picture", ("masks/p/a.png",)), "q-a": ("picture", ("masks/q/a.png",)),
    }  # fmt: skip
    assert found.labelling == Labelling()


def test_folders_that_part_the_images_are_no_classes(tmp_path: Path) -> None:
    found = find(tmp_path, "images/a.png", "images/b.png", "masks/benign/a.png", "masks/malignant/b.png")

    assert masks(tmp_path, found) == {
        "a": ("picture", ("masks/benign/a.png",)), "b": ("picture", ("masks/malignant/b.png",)),
    }  # fmt: skip
    assert found.notes == (
        "masks lie in the folders benign, malignant, one for each image; they were not taken as classes",
    )


def test_opinions_of_several_people_are_no_classes(tmp_path: Path) -> None:
    found = find(tmp_path, "images/a.png", "masks/rater1/a.png", "masks/rater2/a.png")

    assert reasons(found) == {
        "a": "several masks belong to one image: masks/rater1/a.png, masks/rater2/a.png; keep one"
    }


def test_masks_of_classes_may_name_the_class_in_a_suffix(tmp_path: Path) -> None:
    """IDRiD does, and puts numbers before its folders."""
    found = find(tmp_path, "images/x_1.jpg", "masks/1. Exudates/x_1_EX.tif", "masks/2. Optic Disc/x_1_OD.tif")

    assert masks(tmp_path, found) == {
        "x_1": ("classes", ("masks/1. Exudates/x_1_EX.tif", "masks/2. Optic Disc/x_1_OD.tif"))
    }
    assert found.labelling.classes == ("background", "Exudates", "Optic Disc")


def test_a_mask_beside_those_of_classes_is_refused(tmp_path: Path) -> None:
    found = find(
        tmp_path, "images/a.png", "images/b.png", "masks/p/a.png", "masks/q/a.png", "masks/q/b.png", "masks/a.png"
    )

    assert list(masks(tmp_path, found)) == ["b"]
    assert "several masks of one class belong to one image: masks/a.png, masks/p/a.png" in reasons(found)["a"]


def test_a_mask_outside_of_the_folders_of_classes_is_refused(tmp_path: Path) -> None:
    found = find(tmp_path, "images/a.png", "images/b.png", "masks/p/a.png", "masks/q/a.png", "masks/b.png")

    assert list(masks(tmp_path, found)) == ["a"]
    assert reasons(found) == {"b": "mask lies in no class's folder; move it into one"}


def test_a_folder_for_each_image_may_hold_a_mask_for_each_object(tmp_path: Path) -> None:
    """Data Science Bowl 2018; names of objects say nothing."""
    found = find(
        tmp_path, "c1/images/c1.png", "c1/masks/f0.png", "c1/masks/9e.png", "c2/images/c2.png", "c2/masks/d4.png"
    )

    assert masks(tmp_path, found) == {
        "c1": ("union", ("c1/masks/9e.png", "c1/masks/f0.png")), "c2": ("union", ("c2/masks/d4.png",)),
    }  # fmt: skip
    assert found.notes == ("1 of 2 images have several masks, joined: in all masks, what is not 0 is one class",)


def test_a_folder_of_masks_may_be_named_like_its_image(tmp_path: Path) -> None:
    found = find(tmp_path, "images/a.png", "images/b.png", "masks/a/1.png", "masks/a/2.png", "masks/b/1.png")

    assert masks(tmp_path, found) == {
        "a": ("union", ("masks/a/1.png", "masks/a/2.png")), "b": ("union", ("masks/b/1.png",)),
    }  # fmt: skip


@pytest.mark.parametrize("folder", ["", "benign/", "masks/"])
def test_numbered_masks_of_one_image_are_joined(tmp_path: Path, folder: str) -> None:
    """BUSI; where one image has several, single masks are read in the same way."""
    of_x = (f"{folder}x (1)_mask.png", f"{folder}x (1)_mask_1.png")
    beside = "" if folder == "masks/" else folder

    found = find(tmp_path, f"{beside}x (1).png", f"{beside}y (1).png", *of_x, f"{folder}y (1)_mask.png")

    assert list(masks(tmp_path, found).values()) == [("union", of_x), ("union", (f"{folder}y (1)_mask.png",))]


TABLE = "name,r,g,b\nbackground,0,0,0\npolyp,255,0,0\n"


def test_given_colours_make_masks_coloured(tmp_path: Path) -> None:
    found = find(tmp_path, "images/a.png", "masks/a.png", colours="#000000=background,#FF0000=polyp")

    assert masks(tmp_path, found) == {"a": ("colours", ("masks/a.png",))}
    assert found.labelling == Labelling(classes=("background", "polyp"), values=((0, 0), (0xFF0000, 1)))


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_a_colour_table_in_the_source_is_taken_where_masks_have_colours(tmp_path: Path, mode: str) -> None:
    picture(tmp_path / "masks/a.png", mode)
    (tmp_path / "class_dict.csv").write_text(TABLE)

    found = find(tmp_path, "images/a.png")

    assert masks(tmp_path, found) == {"a": ("colours", ("masks/a.png",))}
    assert found.labelling == Labelling(classes=("background", "polyp"), values=((0, 0), (0xFF0000, 1)))
    assert found.notes == ("colours of masks are those of class_dict.csv",)


def test_a_colour_table_beside_grey_masks_is_left_alone(tmp_path: Path) -> None:
    picture(tmp_path / "masks/a.png", "L")
    (tmp_path / "class_dict.csv").write_text(TABLE)

    found = find(tmp_path, "images/a.png")

    assert masks(tmp_path, found) == {"a": ("picture", ("masks/a.png",))}
    assert found.notes == ("colour table class_dict.csv was left alone: the masks have no colours",)


def test_given_colours_are_never_dropped_for_folders_of_classes(tmp_path: Path) -> None:
    found = find(tmp_path, "images/a.png", "masks/p/a.png", "masks/q/a.png", colours="#000000=x,#FF0000=y")

    assert reasons(found) == {"a": "several masks belong to one image: masks/p/a.png, masks/q/a.png; keep one"}


def test_several_coloured_masks_of_one_image_are_refused(tmp_path: Path) -> None:
    found = find(tmp_path, "a.png", "a_mask.png", "a_mask_1.png", colours="#000000=background,#FF0000=polyp")

    assert reasons(found) == {"a": "several masks belong to one image: a_mask.png, a_mask_1.png; keep one"}
