"""Masks that a lossy format has blurred get their grey levels back, however small the third one is."""

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.stages.labels.lossy_levels import restore_levels

Grey = npt.NDArray[np.uint8]
Y, X = np.mgrid[:96, :96]


def disc(radius: float, row: int = 48, column: int = 48) -> npt.NDArray[np.bool_]:
    return np.asarray(np.hypot(Y - row, X - column) < radius)


def drawn(*discs: tuple[npt.NDArray[np.bool_], int]) -> Grey:
    mask = np.zeros((96, 96), np.uint8)
    for inside, value in discs:
        mask[inside] = value
    return mask


def as_jpeg(mask: Grey, quality: int) -> Grey:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("quality", [30, 60, 75, 95])
@pytest.mark.parametrize(
    "mask",
    [
        drawn((disc(20), 255)),
        drawn((disc(20), 255), (disc(8, 14, 14), 128)),
        drawn((disc(20), 255), (disc(8), 128)),
        drawn((disc(20), 128), (disc(8), 255)),
        drawn((disc(20), 128)),
        drawn((disc(20), 255), (disc(12, 14, 14), 85), (disc(12, 80, 80), 170)),
    ],
    ids=["two", "third-of-2%", "hole-of-2%", "ring", "no-white", "four"],
)
def test_levels_are_put_back(mask: Grey, quality: int) -> None:
    """A class of 2 % of the pixels used to be cut away at 128."""
    blurred = as_jpeg(mask, quality)

    restored = restore_levels(blurred)

    assert len(np.unique(blurred)) > 4
    assert np.unique(restored).tolist() == np.unique(mask).tolist()
    assert (restored != mask).mean() < 0.005


@pytest.mark.parametrize("radius", [0.7, 1.0, 1.5])
def test_soft_edges_are_no_level(radius: float) -> None:
    soft = np.asarray(Image.fromarray(drawn((disc(20), 255))).filter(ImageFilter.GaussianBlur(radius)))

    assert np.unique(restore_levels(as_jpeg(soft, 80))).tolist() == [0, 255]


@pytest.mark.parametrize("width", [1, 2])
def test_a_class_drawn_as_a_line_is_refused(width: int) -> None:
    """It cannot be distinguished from an edge pixel by pixel, and would be cut away."""
    mask = drawn((disc(17 + width), 128), (disc(17), 255))

    with pytest.raises(SourceError, match=r"thin areas of about 1\d\d between others.*--threshold 128"):
        restore_levels(as_jpeg(mask, 90))


def test_a_level_of_which_little_is_flat_is_refused_and_not_joined_to_another() -> None:
    mask = drawn((disc(20), 255), (disc(8, 14, 14), 85), (disc(8, 80, 80), 170))

    with pytest.raises(SourceError, match=r"thin areas of about 1[67]\d"):
        restore_levels(as_jpeg(mask, 60))


def test_two_levels_are_cut_at_128_to_the_pixel() -> None:
    """Datasets that were made of such masks stay as they are, byte by byte."""
    blurred = as_jpeg(drawn((disc(20), 255), (disc(4, 10, 10), 255)), 50)

    assert (restore_levels(blurred) == np.where(blurred < 128, 0, 255)).all()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_mask_of_one_level_keeps_it(value: int) -> None:
    assert np.unique(restore_levels(np.full((16, 24), value, np.uint8))).tolist() == [value]
