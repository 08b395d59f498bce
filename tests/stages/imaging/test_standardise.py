"""Images are resized antialiased and masks by area, in 8 and 16 bit, grey and colour."""

from typing import Any

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from hsmix_gen.stages.imaging.standardise import (
    Fit,
    fit_image,
    fit_mask,
    resize_channels,
    resize_image,
    resize_mask,
    resize_plane,
    set_channels,
    set_dtype,
    stored_spacing,
)

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


def test_8_bit_survives_16_bit() -> None:
    """Black is black and white is white in either depth."""
    every = np.arange(256, dtype=np.uint8)

    wide = set_dtype(every, "uint16")
    back = set_dtype(wide, "uint8")

    np.testing.assert_array_equal(wide, every * np.uint16(257))
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, every)


def test_16_bit_is_rounded_to_the_nearest_byte() -> None:
    every = np.arange(65536, dtype=np.uint16)

    found = set_dtype(every, "uint8")

    # v / 257 has no ties: 257 is odd.
    np.testing.assert_array_equal(found, np.rint(every / 257))


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


@hypothesis.settings(max_examples=80, deadline=None, derandomize=True)
@hypothesis.given(
    st.tuples(st.integers(1, 7), st.integers(1, 7)), st.tuples(st.integers(1, 7), st.integers(1, 7)), st.integers(0, 99)
)
def test_a_resized_mask_is_the_exact_majority_of_areas(
    size: tuple[int, int], target: tuple[int, int], seed: int
) -> None:
    """A pixel that an object covers to one half is foreground: in a tie the higher class wins."""
    ids = np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), size)

    resized = resize_mask(ids, target)

    assert resized.dtype == np.uint8
    assert resized.tolist() == majority(ids, target)


@pytest.mark.parametrize("channels", [2, 4, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_modalities_are_left_as_they_are(channels: int, dtype: npt.DTypeLike) -> None:
    """Four modalities are no RGB with alpha."""
    image = np.arange(6 * channels).reshape(2, 3, channels).astype(dtype)

    np.testing.assert_array_equal(set_channels(image, channels), image)


@pytest.mark.parametrize(("held", "asked"), [(4, 5), (5, 3), (3, 4), (5, 1), (1, 2)])
def test_modalities_are_not_made_up(held: int, asked: int) -> None:
    with pytest.raises(ValueError, match=f"an image of {held} channels cannot get {asked}"):
        set_channels(np.zeros((2, 3, held), np.uint8), asked)


def test_the_grey_of_floats_is_not_rounded() -> None:
    found = set_channels(np.array([[[1, 0, 0]]], np.float32), 1)

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[[0.299]]])


def test_floats_keep_their_units_in_any_depth() -> None:
    image = np.array([[[-2.5, 300]]], np.float32)

    for dtype in ("uint8", "uint16", "float32"):
        np.testing.assert_array_equal(set_dtype(image, dtype), image)


def test_white_is_1_in_floats() -> None:
    assert set_dtype(np.array([0, 51, 255], np.uint8), "float32").tolist() == [0, np.float32(0.2), 1]
    assert set_dtype(np.array([0, 65535], np.uint16), "float32").tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float64])
def test_types_without_a_white_get_no_other_depth(dtype: npt.DTypeLike) -> None:
    with pytest.raises(ValueError, match="an image must be uint8, uint16 or float32 to change its depth, got"):
        set_dtype(np.zeros((1, 2, 1), dtype), "float32")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_floats_are_resized_without_limits(channels: int) -> None:
    ramp = np.broadcast_to(np.array([[[-4.0], [700.0]]], np.float32), (1, 2, channels))

    found = resize_image(ramp, (1, 4))

    assert (found.shape, found.dtype.name) == ((1, 4, channels), "float32")
    np.testing.assert_allclose(found[0, :, -1], [-4, 172, 524, 700])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_stretched_is_resized(dtype: npt.DTypeLike) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 14, 3)).astype(dtype)
    ids = image[..., 0].astype(np.uint8) % 3

    np.testing.assert_array_equal(fit_image(image, (16, 5), "stretch"), resize_image(image, (16, 5)))
    np.testing.assert_array_equal(fit_mask(ids, (16, 5), "stretch"), resize_mask(ids, (16, 5)))


def test_padded_is_scaled_to_fit_inside_and_centred() -> None:
    """2 x 4 doubled is 4 x 8; of the 3 rows that are left 1 stands above and 2 below."""
    ids = mask([1, 2, 3, 4], [5, 6, 7, 8])

    found = fit_mask(ids, (7, 8), "pad")

    assert found.tolist() == [
        [0] * 8,
        [1, 1, 2, 2, 3, 3, 4, 4],
        [1, 1, 2, 2, 3, 3, 4, 4],
        [5, 5, 6, 6, 7, 7, 8, 8],
        [5, 5, 6, 6, 7, 7, 8, 8],
        [0] * 8,
        [0] * 8,
    ]


def test_cropped_is_the_middle_unscaled() -> None:
    ids = np.arange(7 * 6, dtype=np.uint8).reshape(7, 6)

    assert fit_mask(ids, (2, 3), "crop").tolist() == [[13, 14, 15], [19, 20, 21]]


def test_cropped_pads_the_side_that_is_too_short() -> None:
    assert fit_mask(mask([1, 2, 3, 4, 5]), (4, 3), "crop").tolist() == [[0, 0, 0], [2, 3, 4], [0, 0, 0], [0, 0, 0]]


def test_a_very_long_image_keeps_a_pixel_of_width() -> None:
    assert fit_mask(np.ones((1, 900), np.uint8), (16, 16), "pad").sum() == 16
    assert stored_spacing((1.0, 1.0), (1, 900), (16, 16), "pad") == (1.0, 56.25)


sides = st.integers(1, 23)


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(st.tuples(sides, sides), st.tuples(sides, sides), st.sampled_from(["stretch", "pad", "crop"]))
def test_image_and_masks_lie_at_the_same_place(size: tuple[int, int], target: tuple[int, int], fit: Fit) -> None:
    everywhere = np.ones(size, np.uint8)

    image = fit_image(np.full((*size, 4), 7, np.float32), target, fit)
    ids = fit_mask(everywhere, target, fit)
    channels = fit_mask(np.stack([everywhere] * 2, axis=-1), target, fit)

    assert image.shape == (*target, 4)
    np.testing.assert_allclose(image, np.broadcast_to(ids[..., None], image.shape) * 7.0, rtol=1e-6)
    np.testing.assert_array_equal(channels, np.stack([ids] * 2, axis=-1))


@hypothesis.settings(max_examples=80, deadline=None, derandomize=True)
@hypothesis.given(st.tuples(sides, sides), st.tuples(sides, sides))
def test_cropped_images_and_masks_hold_the_same_pixels(size: tuple[int, int], target: tuple[int, int]) -> None:
    ids = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)

    np.testing.assert_array_equal(fit_image(ids[..., None], target, "crop")[..., 0], fit_mask(ids, target, "crop"))


@hypothesis.settings(max_examples=80, deadline=None, derandomize=True)
@hypothesis.given(st.tuples(sides, sides), st.tuples(sides, sides))
def test_padded_images_keep_their_aspect(size: tuple[int, int], target: tuple[int, int]) -> None:
    """Each side is off by half a pixel at most, and one fills the target."""
    rows, columns = np.nonzero(fit_mask(np.ones(size, np.uint8), target, "pad"))
    tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1

    factor = min(target[0] / size[0], target[1] / size[1])
    assert tall == target[0] or wide == target[1]
    assert abs(tall - max(size[0] * factor, 1)) <= 0.5 + 1e-9
    assert abs(wide - max(size[1] * factor, 1)) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ([0, 0, 0, 1], 0),
        ([0, 0, 1, 1], 1),
        ([255, 0, 0, 1], 0),
        ([255, 0, 1, 1], 1),
        ([255, 1, 1, 1], 1),
        ([255, 255, 1, 1], 255),
        ([255, 255, 255, 0], 255),
        ([255, 255, 255, 255], 255),
    ],
)
def test_a_channel_holds_a_pixel_that_it_covers_to_one_half_of_what_is_not_ignored(
    block: list[int], expected: int
) -> None:
    assert resize_channels(np.array(block, np.uint8).reshape(2, 2, 1), (1, 1)).tolist() == [[[expected]]]


def test_ignored_pixels_are_ignored_in_all_channels() -> None:
    block = np.array([[[255, 0], [255, 1]], [[0, 0], [1, 1]]], np.uint8)

    assert resize_channels(block, (1, 1)).tolist() == [[[255, 255]]]


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(st.tuples(sides, sides), st.tuples(sides, sides), st.integers(0, 99))
def test_nested_regions_stay_nested(size: tuple[int, int], target: tuple[int, int], seed: int) -> None:
    """The enhancing core of a tumour lies inside its core, the core inside the whole."""
    depth = np.random.default_rng(seed).integers(0, 5, size)
    regions = np.stack([depth >= 1, depth >= 2, depth >= 3], axis=-1).astype(np.uint8)
    regions[depth == 4] = 255

    whole, core, enhancing = np.moveaxis(fit_mask(regions, target, "pad"), -1, 0)

    assert (whole >= core).all()
    assert (core >= enhancing).all()


@pytest.mark.parametrize(("fit", "expected"), [("stretch", (1.0, 4.5)), ("pad", (1.5, 4.5)), ("crop", (0.5, 1.5))])
def test_the_spacing_follows_the_scale(fit: Fit, expected: tuple[float, float]) -> None:
    assert stored_spacing((0.5, 1.5, 9.0), (20, 30), (10, 10), fit) == pytest.approx(expected, rel=0.06)


def test_the_spacing_follows_rounded_sides() -> None:
    """20 x 30 fits into 10 x 10 as 7 x 10."""
    assert stored_spacing((0.5, 1.5), (20, 30), (10, 10), "pad") == (0.5 * 20 / 7, 4.5)
