"""Images and masks find each other however their folders and names are laid out; what has no partner is told."""

import re
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from hsmix_gen.pipeline.folder_reader import MASK_SUFFIXES, FolderReader
from hsmix_gen.pipeline.found import MAX_ID, Found, safe_id
from hsmix_gen.schemas.config import SourceConfig


def find(source: Path, *paths: str, **config: str) -> Found:
    """Lay out empty files and return what the reader makes of them."""
    for path in paths:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).touch()
    return FolderReader().find(source, SourceConfig.model_validate(config))


def pairs(source: Path, found: Found) -> dict[str, tuple[str, str]]:
    return {
        item.id: (Path(item.image).relative_to(source).as_posix(), Path(item.mask).relative_to(source).as_posix())
        for item in found.items
    }


def reasons(found: Found) -> dict[str, str]:
    return {refusal.id: refusal.reason for refusal in found.refusals}


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
    ],
)
def test_an_image_and_its_mask_are_a_pair(tmp_path: Path, image: str, mask: str) -> None:
    found = find(tmp_path, image, mask)

    assert pairs(tmp_path, found) == {"a": (image, mask)}
    assert found.refusals == ()


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


def test_suffixes_may_be_given(tmp_path: Path) -> None:
    found = find(tmp_path, "a_img.png", "a_lesion.png", image_suffix="_img", mask_suffix="_lesion")

    assert pairs(tmp_path, found) == {"a": ("a_img.png", "a_lesion.png")}


def test_a_given_suffix_takes_the_place_of_the_usual_ones(tmp_path: Path) -> None:
    found = find(tmp_path, "a_mask.png", "a_mask_x.png", mask_suffix="_x")

    assert pairs(tmp_path, found) == {"a_mask": ("a_mask.png", "a_mask_x.png")}


def test_a_stem_that_is_nothing_but_a_suffix_is_an_image(tmp_path: Path) -> None:
    found = find(tmp_path, "images/_mask.png", "masks/_mask.png")

    assert list(pairs(tmp_path, found).values()) == [("images/_mask.png", "masks/_mask.png")]


def picture(path: Path, mode: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (4, 4)).save(path)


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
def test_endings_that_tell_nothing_make_no_masks(tmp_path: Path, modes: tuple[str, str]) -> None:
    picture(tmp_path / "a.bmp", modes[0])
    picture(tmp_path / "a.png", modes[1])

    found = find(tmp_path)

    assert (found.items, found.notes) == ((), ())


def test_superpixel_maps_beside_the_images_are_left_aside(tmp_path: Path) -> None:
    """ISIC ships one with each image."""
    found = find(tmp_path, "data/a.jpg", "data/a_superpixels.png", "gt/a_segmentation.png")

    assert pairs(tmp_path, found) == {"a": ("data/a.jpg", "gt/a_segmentation.png")}
    assert found.refusals == ()


def test_an_image_without_a_mask_is_refused_by_name(tmp_path: Path) -> None:
    found = find(tmp_path, "images/a.png", "images/b.png", "masks/a.png")

    assert list(pairs(tmp_path, found)) == ["a"]
    assert [(r.id, r.path, r.stage) for r in found.refusals] == [("b", str(tmp_path / "images/b.png"), "discover")]
    assert "image has no mask" in reasons(found)["b"]


def test_a_mask_without_an_image_is_refused_by_name(tmp_path: Path) -> None:
    found = find(tmp_path, "images/a.png", "masks/a.png", "masks/b.png")

    assert [(r.id, r.path) for r in found.refusals] == [("b", str(tmp_path / "masks/b.png"))]
    assert "mask has no image" in reasons(found)["b"]


def test_two_images_of_one_stem_are_refused(tmp_path: Path) -> None:
    found = find(tmp_path, "images/a.png", "images/a.jpg", "masks/a.png")

    assert found.items == ()
    assert reasons(found) == {
        "a": "several images have one stem: images/a.jpg, images/a.png; rename or remove all but one"
    }


def test_two_masks_for_one_image_are_refused(tmp_path: Path) -> None:
    """One object a file: taking either would lose the other in silence."""
    found = find(tmp_path, "images/a.png", "masks/a_mask.png", "masks/a_label.png")

    assert found.items == ()
    assert reasons(found) == {"a": "several masks belong to one image: masks/a_label.png, masks/a_mask.png; keep one"}


def test_one_stem_in_two_folders_is_two_images(tmp_path: Path) -> None:
    found = find(tmp_path, "images/p/a.png", "images/q/a.png", "masks/p/a.png", "masks/q/a.png")

    assert pairs(tmp_path, found) == {
        "p-a": ("images/p/a.png", "masks/p/a.png"), "q-a": ("images/q/a.png", "masks/q/a.png"),
    }  # fmt: skip


def test_unique_stems_in_many_folders_are_the_ids(tmp_path: Path) -> None:
    found = find(tmp_path, "images/p/a.png", "images/q/b.png", "masks/p/a.png", "masks/q/b.png")

    assert sorted(pairs(tmp_path, found)) == ["a", "b"]


def test_hidden_files_and_other_files_are_no_images(tmp_path: Path) -> None:
    hidden = ("images/._a.png", "images/.DS_Store", ".cache/images/c.png", "images/notes.txt", "images/a.png.bak")

    found = find(tmp_path, "images/a.png", "masks/a.png", *hidden)

    assert list(pairs(tmp_path, found)) == ["a"]
    assert found.refusals == ()


def test_links_that_lead_back_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "loop").symlink_to(tmp_path)

    found = find(tmp_path, "images/a.png", "masks/a.png")

    assert list(pairs(tmp_path, found)) == ["a"]


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    find(tmp_path / "elsewhere", "x.png")
    (tmp_path / "source" / "images").mkdir(parents=True)
    (tmp_path / "source" / "images" / "a.png").symlink_to(tmp_path / "elsewhere" / "x.png")

    found = find(tmp_path / "source", "masks/a.png")

    assert list(pairs(tmp_path / "source", found)) == ["a"]


@pytest.mark.parametrize(
    ("folder", "split"),
    [("train", "train"), ("Training", "train"), ("val", "val"), ("validation", "val"), ("TEST", "test"),
     ("Train_Folder", "train"), ("other", None)],
)  # fmt: skip
def test_a_folder_may_name_the_split(tmp_path: Path, folder: str, split: str | None) -> None:
    found = find(tmp_path, f"{folder}/images/a.png", f"{folder}/masks/a.png")

    assert [item.split for item in found.items] == [split]


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    assert find(tmp_path) == Found((), (), ())


def test_items_come_in_the_same_order_whatever_the_file_system_says(tmp_path: Path) -> None:
    found = find(tmp_path, *(f"{kind}/{name}.png" for name in "cab" for kind in ("images", "masks")))

    assert [item.id for item in found.items] == ["a", "b", "c"]


def test_a_folder_is_recognised_and_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "list.csv").touch()

    assert FolderReader().recognises(tmp_path)
    assert not FolderReader().recognises(tmp_path / "list.csv")


NAMES = ["Übersicht", "two words", "scan.01", "scan.02", "scan_01", "図", "a+b", "x" * 90, "x" * 91, "l'été"]


def test_any_names_give_safe_unique_ids(tmp_path: Path) -> None:
    found = find(tmp_path, *(f"{kind}/{name}.png" for name in NAMES for kind in ("images", "masks")))

    ids = [item.id for item in found.items]
    assert len(set(ids)) == len(NAMES)
    assert all(re.fullmatch("[A-Za-z0-9_-]+", item_id) and len(item_id) <= MAX_ID for item_id in ids)


def test_a_name_that_is_safe_is_its_own_id() -> None:
    assert safe_id("ISIC_0012345-b") == "ISIC_0012345-b"


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(st.lists(st.text("ab .é_-", min_size=1, max_size=70), min_size=2, max_size=5, unique=True))
def test_two_names_never_become_one_id(names: list[str]) -> None:
    ids = [safe_id(name) for name in names]

    assert len(set(ids)) == len(names)
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", item_id) for item_id in ids)


def test_the_id_of_a_name_that_is_no_text_is_safe() -> None:
    """File systems allow bytes that are no UTF-8."""
    assert re.fullmatch("[A-Za-z0-9_-]+", safe_id(b"caf\xe9".decode("utf-8", "surrogateescape")))


def test_ids_do_not_depend_on_where_the_source_lies(tmp_path: Path) -> None:
    names = [f"{kind}/{name}.png" for name in NAMES for kind in ("images", "masks")]

    here, there = find(tmp_path / "here", *names), find(tmp_path / "there" / "deep", *names)

    assert [item.id for item in here.items] == [item.id for item in there.items]


def test_an_image_that_cannot_be_opened_is_not_taken_for_a_mask(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", "RGB")
    (tmp_path / "a.png").write_bytes(np.zeros(9, np.uint8).tobytes())

    assert find(tmp_path).items == ()
