"""Several masks for an image of a plain folder are classes, objects or a doubt, and colours of masks are classes."""

from pathlib import Path

import pytest

from hsmix_gen.schemas.records import Labelling
from tests.pipeline.readers.layouts import masks, reasons
from tests.pipeline.readers.plain_folders import find, picture

TABLE: dict[str, tuple[str, dict[str, str], str, tuple[str, ...]]] = {
    "a folder for each class": (
        "images/a.png, images/b.png, masks/vein/a.png, masks/artery/a.png, masks/vein/b.png",
        {"a": "classes masks/artery/a.png masks/vein/a.png", "b": "classes  masks/vein/b.png"},
        "masks lie in a folder for each class: artery, vein", ("background", "artery", "vein"),
    ),
    "classes in folders and suffixes, as IDRiD has them": (
        "images/x_1.jpg, masks/1. Exudates/x_1_EX.tif, masks/2. Disc/x_1_OD.tif",
        {"x_1": "classes masks/1. Exudates/x_1_EX.tif masks/2. Disc/x_1_OD.tif"},
        "masks lie in a folder for each class: 1. Exudates, 2. Disc", ("background", "Exudates", "Disc"),
    ),
    "folders of patients": (
        "images/p/a.png, images/q/a.png, masks/p/a.png, masks/q/a.png",
        {"p-a": "picture masks/p/a.png", "q-a": "picture masks/q/a.png"}, "", (),
    ),
    "folders that part the images": (
        "images/a.png, images/b.png, masks/benign/a.png, masks/malignant/b.png",
        {"a": "picture masks/benign/a.png", "b": "picture masks/malignant/b.png"},
        "masks lie in the folders benign, malignant, one for each image; they were not taken as classes", (),
    ),
    "a folder for each image, in it a mask for each object: Data Science Bowl 2018": (
        "c1/images/c1.png, c1/masks/f0.png, c1/masks/9e.png, c2/images/c2.png, c2/masks/d4.png",
        {"c1": "union c1/masks/9e.png c1/masks/f0.png", "c2": "union c2/masks/d4.png"},
        "1 of 2 images have several masks, joined: in all masks, what is not 0 is one class", (),
    ),
    "a folder of masks named like its image": (
        "images/a.png, images/b.png, masks/a/1.png, masks/a/2.png, masks/b/1.png",
        {"a": "union masks/a/1.png masks/a/2.png", "b": "union masks/b/1.png"},
        "1 of 2 images have several masks, joined: in all masks, what is not 0 is one class", (),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("paths", "expected", "note", "classes"), TABLE.values(), ids=TABLE)
def test_several_masks_of_an_image_are_classes_or_objects(
    tmp_path: Path, paths: str, expected: dict[str, str], note: str, classes: tuple[str, ...]
) -> None:
    found = find(tmp_path, *paths.split(", "))

    assert {name: " ".join((form, *files)) for name, (form, files) in masks(tmp_path, found).items()} == expected
    assert found.labelling == Labelling(classes=classes, bits=bool(classes))
    assert found.notes == ((note,) if note else ())
    assert found.refusals == ()


SEVERAL = "several masks belong to one image: "
COLOURS = {"colours": "#000000=background,#FF0000=polyp"}
DOUBTS: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "one of two masks would be lost": (
        "images/a.png, masks/a_mask.png, masks/a_label.png",
        {"a": f"{SEVERAL}masks/a_label.png, masks/a_mask.png; keep one"}, {},
    ),
    "opinions of several people": (
        "images/a.png, masks/rater1/a.png, masks/rater2/a.png",
        {"a": f"{SEVERAL}masks/rater1/a.png, masks/rater2/a.png; keep one"}, {},
    ),
    "a mask beside those of classes": (
        "images/a.png, images/b.png, masks/p/a.png, masks/q/a.png, masks/q/b.png, masks/a.png",
        {"a": "several masks of one class belong to one image: masks/a.png, masks/p/a.png"}, {},
    ),
    "a mask outside of the folders of classes": (
        "images/a.png, images/b.png, masks/p/a.png, masks/q/a.png, masks/b.png",
        {"b": "mask lies in no class's folder; move it into one"}, {},
    ),
    "given colours are never dropped for folders of classes": (
        "images/a.png, masks/p/a.png, masks/q/a.png",
        {"a": f"{SEVERAL}masks/p/a.png, masks/q/a.png; keep one"}, COLOURS,
    ),
    "several coloured masks": (
        "a.png, a_mask.png, a_mask_1.png", {"a": f"{SEVERAL}a_mask.png, a_mask_1.png; keep one"}, COLOURS,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("paths", "refused", "config"), DOUBTS.values(), ids=DOUBTS)
def test_masks_that_leave_a_doubt_are_refused(
    tmp_path: Path, paths: str, refused: dict[str, str], config: dict[str, str]
) -> None:
    """Taking either would lose the other in silence; images that are beyond doubt stay."""
    found = find(tmp_path, *paths.split(", "), **config)

    stated = reasons(found)
    assert stated.keys() == refused.keys()
    assert [name for name, reason in refused.items() if not stated[name].startswith(reason)] == []
    assert {item.id for item in found.items} == {"a", "b"} - stated.keys() if "b.png" in paths else not found.items


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


@pytest.mark.parametrize("folder", ["", "benign/", "masks/"])
def test_numbered_masks_of_one_image_are_joined(tmp_path: Path, folder: str) -> None:
    """BUSI; where one image has several, single masks are read in the same way."""
    of_x = (f"{folder}x (1)_mask.png", f"{folder}x (1)_mask_1.png")
    beside = "" if folder == "masks/" else folder

    found = find(tmp_path, f"{beside}x (1).png", f"{beside}y (1).png", *of_x, f"{folder}y (1)_mask.png")

    assert list(masks(tmp_path, found).values()) == [("union", of_x), ("union", (f"{folder}y (1)_mask.png",))]


COLOUR_TABLE = "name,r,g,b\nbackground,0,0,0\npolyp,255,0,0\n"


def test_given_colours_make_masks_coloured(tmp_path: Path) -> None:
    found = find(tmp_path, "images/a.png", "masks/a.png", colours="#000000=background,#FF0000=polyp")

    assert masks(tmp_path, found) == {"a": ("colours", ("masks/a.png",))}
    assert found.labelling == Labelling(classes=("background", "polyp"), values=((0, 0), (0xFF0000, 1)))


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_a_colour_table_in_the_source_is_taken_where_masks_have_colours(tmp_path: Path, mode: str) -> None:
    picture(tmp_path / "masks/a.png", mode)
    (tmp_path / "class_dict.csv").write_text(COLOUR_TABLE)

    found = find(tmp_path, "images/a.png")

    assert masks(tmp_path, found) == {"a": ("colours", ("masks/a.png",))}
    assert found.labelling == Labelling(classes=("background", "polyp"), values=((0, 0), (0xFF0000, 1)))
    assert found.notes == ("colours of masks are those of class_dict.csv",)


def test_a_colour_table_beside_grey_masks_is_left_alone(tmp_path: Path) -> None:
    picture(tmp_path / "masks/a.png", "L")
    (tmp_path / "class_dict.csv").write_text(COLOUR_TABLE)

    found = find(tmp_path, "images/a.png")

    assert masks(tmp_path, found) == {"a": ("picture", ("masks/a.png",))}
    assert found.notes == ("colour table class_dict.csv was left alone: the masks have no colours",)
