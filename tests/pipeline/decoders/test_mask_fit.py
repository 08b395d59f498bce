"""Masks come onto their images where a user allows it: turned alike, or resized by a pixel; else the way is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hsmix_gen.pipeline.decoders.mask_fit import is_close
from hsmix_gen.pipeline.decoders.registry import open_pair
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions, Stack
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, SourceItem, picture
from tests.written import tiff

Array = npt.NDArray[Any]

HOW = ReadOptions()
TURNED = replace(HOW, turn_masks=True)
RESIZED = replace(HOW, resize_masks=True)
STORED = np.arange(6, dtype=np.uint8).reshape(2, 3)
# What each orientation of the EXIF standard shows of it.
SHOWN: dict[int, Array] = {
    1: STORED,
    2: np.fliplr(STORED),
    3: np.rot90(STORED, 2),
    4: np.flipud(STORED),
    5: STORED.T,
    6: np.rot90(STORED, -1),
    7: np.rot90(STORED.T, 2),
    8: np.rot90(STORED),
}


def write(path: Path, values: Array, orientation: int = 1) -> Content:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.ascontiguousarray(values)).save(path, exif=exif if orientation != 1 else None)
    return picture(str(path))


def pair(folder: Path, image: Array, mask: Array, *, orientation: int = 1, of_mask: int = 1) -> SourceItem:
    one, other = write(folder / "a.png", image, orientation), write(folder / "m.png", mask, of_mask)
    return SourceItem("a", one, other)


def opened(item: SourceItem, how: ReadOptions) -> tuple[Array, Array]:
    image, mask = open_pair(item, how)
    return image.plane(0)[..., 0], mask.plane(0)


@pytest.mark.parametrize("number", SHOWN)
def test_masks_drawn_on_stored_pixels_are_turned_as_their_images(tmp_path: Path, number: int) -> None:
    image, mask = opened(pair(tmp_path, STORED, STORED, orientation=number), TURNED)

    np.testing.assert_array_equal(image, SHOWN[number])
    np.testing.assert_array_equal(mask, SHOWN[number])


def test_masks_of_an_oriented_tiff_are_turned_too(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(STORED, extratags=[(274, "H", 1, 6, True)]))

    _, mask = opened(SourceItem("a", picture(str(tmp_path / "a.tif")), write(tmp_path / "m.png", STORED)), TURNED)

    np.testing.assert_array_equal(mask, SHOWN[6])


def test_a_mask_that_says_how_it_lies_is_not_turned_twice(tmp_path: Path) -> None:
    _, mask = opened(pair(tmp_path, STORED, STORED, orientation=6, of_mask=6), TURNED)

    np.testing.assert_array_equal(mask, SHOWN[6])


def test_masks_are_not_turned_unless_asked_for(tmp_path: Path) -> None:
    _, mask = opened(pair(tmp_path, STORED, STORED, orientation=3), HOW)

    np.testing.assert_array_equal(mask, STORED)


def test_an_oblong_mask_that_was_not_turned_is_refused_by_that(tmp_path: Path) -> None:
    item = pair(tmp_path, STORED, STORED, orientation=6)

    with pytest.raises(SourceError) as refused:
        open_pair(item, HOW)

    assert str(refused.value) == (
        f"{tmp_path / 'm.png'} is 3 x 2, its image 2 x 3, turned by its EXIF orientation 6, which the mask lacks; "
        "turn masks alike with --turn-masks"
    )


def test_a_change_gives_the_content_another_digest(tmp_path: Path) -> None:
    """The cache goes by contents."""
    item = pair(tmp_path, np.zeros((4, 4), np.uint8), np.ones((4, 5), np.uint8), orientation=3)

    digests = [open_pair(item, replace(RESIZED, turn_masks=turn))[1].digest(0) for turn in (True, False)]

    assert len({*digests, open_pair(pair(tmp_path, STORED, STORED), HOW)[1].digest(0)}) == 3


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (np.array([[1, 2], [3, 4]]), [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]),
        (np.arange(20).reshape(5, 4), [[0, 1, 2, 3], [4, 5, 6, 7], [12, 13, 14, 15], [16, 17, 18, 19]]),
        (np.arange(64).reshape(8, 8), [[9, 11, 13, 15], [25, 27, 29, 31], [41, 43, 45, 47], [57, 59, 61, 63]]),
    ],
    ids=["half the size", "one row more", "twice the size"],
)
def test_a_mask_of_almost_the_size_is_brought_to_it(tmp_path: Path, mask: Array, expected: Any) -> None:
    item = pair(tmp_path, np.zeros((4, 4), np.uint8), mask.astype(np.uint8))

    assert opened(item, RESIZED)[1].tolist() == expected


def test_a_mask_off_by_a_pixel_is_refused_with_the_option(tmp_path: Path) -> None:
    item = pair(tmp_path, np.zeros((40, 60), np.uint8), np.zeros((40, 61), np.uint8))

    with pytest.raises(SourceError, match=r"61 x 40, its image 60 x 40; .*, or have masks fitted with --resize-masks"):
        open_pair(item, HOW)


@pytest.mark.parametrize("size", [(60, 40), (40, 80), (10, 10)])
def test_a_mask_of_another_picture_stays_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    item = pair(tmp_path, np.zeros((40, 60), np.uint8), np.zeros(size, np.uint8))

    with pytest.raises(SourceError, match=r"export the mask at the size of the image$"):
        open_pair(item, RESIZED)


def test_what_lies_in_space_is_resampled_by_its_owner() -> None:
    flat: Stack = ArrayStack(np.zeros((2, 40, 61), np.uint8))
    image: Stack = ArrayStack(np.zeros((2, 40, 60, 1), np.uint8))

    assert is_close(flat, image)
    assert not is_close(ArrayStack(np.zeros((2, 40, 61), np.uint8), frame=np.eye(4)), image)
    assert not is_close(ArrayStack(np.zeros((3, 40, 61), np.uint8)), image)
