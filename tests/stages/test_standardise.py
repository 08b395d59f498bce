"""Images are resized antialiased and masks by area, in 8 and 16 bit, grey and colour."""

from typing import Any

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from hsmix_gen.stages.standardise import class_counts, resize_image, resize_mask, resize_plane, set_channels, set_dtype

Mask = npt.NDArray[np.uint8]


def mask(*rows: list[int]) -> Mask:
    return np.array(rows, np.uint8)


def majority(source: Mask, size: tuple[int, int]) -> list[list[int]]:
    """Return the class with the largest area in each target pixel, in exact integers; the higher id in a tie."""
    height, width = source.shape
    result = []
    for i in range(size[0]):
        line = []
        for j in range(size[1]):
            area: dict[int, int] = {}
            for y in range(height):
                for x in range(width):
                    # In units of 1 / (target size): source pixel y spans [y h, (y + 1) h), target i spans [i H, ...).
                    tall = min((y + 1) * size[0], (i + 1) * height) - max(y * size[0], i * height)
                    wide = min((x + 1) * size[1], (j + 1) * width) - max(x * size[1], j * width)
                    if tall > 0 and wide > 0:
                        area[int(source[y, x])] = area.get(int(source[y, x]), 0) + tall * wide
            line.append(max(area, key=lambda value: (area[value], value)))
        result.append(line)
    return result


@pytest.mark.parametrize(("channels", "expected"), [(1, [[[10]]]), (3, [[[10, 10, 10]]])])
@pytest.mark.parametrize("alpha", [[], [77]])
def test_grey_becomes_grey_or_three_equal_channels(channels: int, expected: list[Any], alpha: list[int]) -> None:
    assert set_channels(np.array([[[10, *alpha]]], np.uint8), channels).tolist() == expected


@pytest.mark.parametrize("alpha", [[], [77]])
def test_colour_stays_colour_and_loses_alpha(alpha: list[int]) -> None:
    assert set_channels(np.array([[[1, 2, 3, *alpha]]], np.uint8), 3).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize(
    ("colour", "grey"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29), ((255,) * 3, 255), ((7, 7, 7), 7)]
)
def test_colour_becomes_grey_by_its_luma(colour: tuple[int, int, int], grey: int) -> None:
    found = set_channels(np.array([[colour]], np.uint8), 1)

    assert found.dtype == np.uint8
    assert found.tolist() == [[[grey]]]


def test_16_bit_colour_becomes_16_bit_grey() -> None:
    found = set_channels(np.array([[[65535, 65535, 65535], [10000, 0, 0]]], np.uint16), 1)

    assert found.dtype == np.uint16
    assert found.tolist() == [[[65535], [2990]]]


def test_white_is_white_in_either_depth() -> None:
    assert set_dtype(np.array([0, 1, 255], np.uint8), "uint16").tolist() == [0, 257, 65535]
    assert set_dtype(np.array([0, 128, 129, 257, 65535], np.uint16), "uint8").tolist() == [0, 0, 1, 1, 255]


def test_8_bit_survives_16_bit() -> None:
    every = np.arange(256, dtype=np.uint8)

    back = set_dtype(set_dtype(every, "uint16"), "uint8")

    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, every)


def test_16_bit_is_rounded_to_the_nearest_byte() -> None:
    every = np.arange(65536, dtype=np.uint16)

    found = set_dtype(every, "uint8")

    # v / 257 has no ties: 257 is odd.
    np.testing.assert_array_equal(found, np.rint(every / 257))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_depth_that_fits_is_kept(dtype: str) -> None:
    image = np.arange(6, dtype=dtype).reshape(1, 2, 3)

    np.testing.assert_array_equal(set_dtype(image, dtype), image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_of_the_right_size_is_kept(dtype: npt.DTypeLike, channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels)).astype(dtype)

    np.testing.assert_array_equal(resize_image(image, (5, 7)), image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_size_is_height_and_width_in_this_order(dtype: npt.DTypeLike, channels: int) -> None:
    resized = resize_image(np.zeros((40, 20, channels), dtype), (16, 32))

    assert (resized.shape, resized.dtype) == ((16, 32, channels), dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(8, 8), (100, 90)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_constant_image_stays_constant(dtype: npt.DTypeLike, size: tuple[int, int], channels: int) -> None:
    white = np.full((30, 40, channels), np.iinfo(np.dtype(dtype)).max, dtype)

    assert (resize_image(white, size) == white[0, 0, 0]).all()


@pytest.mark.parametrize(("dtype", "low", "high"), [(np.uint8, 0, 255), (np.uint16, 0, 65535)])
def test_reduction_is_antialiased(dtype: npt.DTypeLike, low: int, high: int) -> None:
    """Without a filter a fine checkerboard turns into large black and white patches."""
    fine = np.where(np.indices((64, 64)).sum(axis=0) % 2, high, low).astype(dtype)[..., None]

    resized = resize_image(fine, (7, 7)).astype(float)

    assert np.abs(resized - high / 2).max() < 0.06 * high


def test_enlargement_interpolates_between_pixel_centres() -> None:
    found = resize_image(np.array([[[0], [200]]], np.uint8), (1, 4))

    assert found[0, :, 0].tolist() == [0, 50, 150, 200]


@pytest.mark.parametrize("size", [(10, 10), (50, 60)])
def test_both_depths_are_resized_alike(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 24, 3), dtype=np.uint8)

    narrow = resize_image(image, size).astype(float)
    wide = resize_image(set_dtype(image, "uint16"), size) / 257

    assert np.abs(narrow - wide).max() <= 1


def test_channels_are_resized_apart() -> None:
    image = np.zeros((4, 4, 3), np.uint16)
    image[..., 1] = 65535

    assert resize_image(image, (2, 2))[0, 0].tolist() == [0, 65535, 0]


def test_a_plane_of_floats_is_resized_like_an_image() -> None:
    fine = (np.indices((64, 64)).sum(axis=0) % 2).astype(np.float32)

    reduced = resize_plane(fine, (7, 9))
    enlarged = resize_plane(np.array([[0.0, 2.0]], np.float32), (1, 4))

    assert (reduced.shape, reduced.dtype.name) == ((7, 9), "float32")
    assert np.abs(reduced - 0.5).max() < 0.06
    np.testing.assert_allclose(enlarged, [[0, 0.5, 1.5, 2]])


def test_a_mask_of_the_right_size_is_kept() -> None:
    ids = mask([0, 2], [255, 1])

    np.testing.assert_array_equal(resize_mask(ids, (2, 2)), ids)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ([[0, 0], [0, 1]], 0),
        ([[0, 1], [0, 1]], 1),
        ([[1, 1], [0, 1]], 1),
        ([[2, 1], [1, 2]], 2),
        ([[0, 0], [1, 2]], 0),
        ([[0, 1], [2, 3]], 3),
        ([[0, 0], [255, 1]], 0),
        ([[255, 255], [1, 1]], 255),
    ],
)
def test_a_pixel_takes_the_class_of_most_of_its_area_and_the_higher_in_a_tie(
    block: list[list[int]], expected: int
) -> None:
    """A pixel that an object covers to one half is foreground."""
    assert resize_mask(np.array(block, np.uint8), (1, 1)).tolist() == [[expected]]


def test_three_pixels_become_two_by_area() -> None:
    """The left target pixel is covered to two thirds by the first and to one third by the second."""
    assert resize_mask(mask([0, 1, 0], [0, 1, 0], [0, 1, 0]), (3, 2)).tolist() == [[0, 0]] * 3


def test_a_pixel_on_the_border_of_two_is_a_tie() -> None:
    assert resize_mask(mask([1, 0], [1, 0]), (2, 3)).tolist() == [[1, 1, 0], [1, 1, 0]]


@hypothesis.settings(max_examples=80, deadline=None, derandomize=True)
@hypothesis.given(
    st.tuples(st.integers(1, 7), st.integers(1, 7)), st.tuples(st.integers(1, 7), st.integers(1, 7)), st.integers(0, 99)
)
def test_a_resized_mask_is_the_exact_majority_of_areas(
    size: tuple[int, int], target: tuple[int, int], seed: int
) -> None:
    ids = np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), size)

    assert resize_mask(ids, target).tolist() == majority(ids, target)


@pytest.mark.parametrize("factor", [2, 3, 7])
def test_a_whole_factor_is_the_exact_majority_of_areas(factor: int) -> None:
    ids = np.random.default_rng(factor).choice(np.array([0, 1, 2], np.uint8), (4 * factor, 5 * factor))

    assert resize_mask(ids, (4, 5)).tolist() == majority(ids, (4, 5))


@pytest.mark.parametrize("factor", [2, 5])
def test_an_enlarged_mask_repeats_its_pixels(factor: int) -> None:
    ids = mask([0, 3, 1], [2, 255, 0])

    enlarged = resize_mask(ids, (2 * factor, 3 * factor))

    np.testing.assert_array_equal(enlarged, ids.repeat(factor, axis=0).repeat(factor, axis=1))


def test_a_resized_mask_holds_no_class_that_was_not_there() -> None:
    ids = np.random.default_rng(0).choice(np.array([0, 4, 9], np.uint8), (50, 37))

    resized = resize_mask(ids, (16, 23))

    assert resized.dtype == np.uint8
    assert set(np.unique(resized).tolist()) <= {0, 4, 9}


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_mask_of_one_class_stays_so(value: int) -> None:
    assert (resize_mask(np.full((5, 7), value, np.uint8), (3, 11)) == value).all()


def test_classes_are_counted_and_ignored_pixels_are_not() -> None:
    assert class_counts(mask([0, 1, 1], [255, 0, 0]), 3).tolist() == [3, 2, 0]
