"""Pixels are taken or blended exactly as the formulas say, at the stored precision."""

from fractions import Fraction
from typing import Any

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from hsmix_gen.stages.mixing.mixing import blend, mix, paste_weights, unmixed

WEIGHTS = np.arange(256, dtype=np.uint8)[None, :]


def rounded(value: Fraction) -> int:
    """Return the nearest integer; no sum of 255ths lies half way."""
    assert value % 1 != Fraction(1, 2)
    return int(value + Fraction(1, 2))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@hypothesis.settings(max_examples=30, deadline=None, derandomize=True)
@hypothesis.given(st.data())
def test_a_blend_is_the_rounded_exact_sum(dtype: type[np.integer[Any]], data: st.DataObject) -> None:
    a, b = (data.draw(st.integers(0, np.iinfo(dtype).max)) for _ in range(2))

    found = blend(np.full((1, 256, 1), a, dtype), np.full((1, 256, 1), b, dtype), WEIGHTS)

    exact = [rounded((1 - Fraction(k, 255)) * a + Fraction(k, 255) * b) for k in range(256)]
    assert found.dtype == dtype
    assert found[0, :, 0].tolist() == exact


def test_a_blend_of_floats_keeps_their_range() -> None:
    a, b = np.full((1, 3, 1), -9.0, np.float32), np.full((1, 3, 1), 1.0, np.float32)
    found = blend(a, b, np.array([[0, 51, 255]], np.uint8))
    assert found.dtype == np.float32
    assert found[0, :, 0].tolist() == [-9.0, pytest.approx(-7.0), 1.0]


def test_every_channel_of_a_pixel_has_its_weight() -> None:
    a = np.array([[[0, 0, 0], [0, 0, 0]]], np.uint8)
    b = np.array([[[255, 100, 0], [255, 100, 0]]], np.uint8)

    found = blend(a, b, np.array([[51, 255]], np.uint8))

    assert found.tolist() == [[[51, 20, 0], [255, 100, 0]]]


def test_the_parents_are_not_changed() -> None:
    a, b = np.full((1, 2, 1), 3, np.uint8), np.full((1, 2, 1), 9, np.uint8)

    blend(a, b, np.array([[0, 255]], np.uint8))

    assert (a.tolist(), b.tolist()) == ([[[3], [3]]], [[[9], [9]]])


@pytest.mark.parametrize(
    "other", [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3, 1), np.uint8), np.zeros((2, 2, 1), np.uint16)]
)
def test_images_of_two_forms_are_refused(other: npt.NDArray[Any]) -> None:
    """Arrays of (2, 2, 1) and (2, 2, 3) would otherwise be broadcast."""
    with pytest.raises(ValueError, match="one shape and dtype"):
        blend(np.zeros((2, 2, 1), np.uint8), other, np.zeros((2, 2), np.uint8))


@hypothesis.settings(max_examples=50, deadline=None, derandomize=True)
@hypothesis.given(st.integers(0, 2**32))
def test_hard_mixing_makes_one_choice_for_image_and_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image_a, image_b = (rng.integers(0, 256, (4, 5, 3), dtype=np.uint8) for _ in range(2))
    mask_a, mask_b = (rng.choice(np.array([0, 1, 2, 255], np.uint8), (4, 5)) for _ in range(2))
    from_b = rng.random((4, 5)) < 0.5

    mixed = mix(image_a, mask_a, image_b, mask_b, paste_weights(from_b), n_classes=3)

    np.testing.assert_array_equal(mixed.image, np.where(from_b[..., None], image_b, image_a))
    np.testing.assert_array_equal(mixed.mask, np.where(from_b, mask_b, mask_a))
    assert set(np.unique(mixed.soft).tolist()) <= {0.0, 1.0}


def test_soft_mixing_weighs_image_and_label_alike() -> None:
    black, white = np.zeros((1, 3, 1), np.uint8), np.full((1, 3, 1), 255, np.uint8)
    mask_a, mask_b = np.zeros((1, 3), np.uint8), np.ones((1, 3), np.uint8)

    mixed = mix(black, mask_a, white, mask_b, np.array([[51, 102, 204]], np.uint8), n_classes=2)

    assert mixed.image[0, :, 0].tolist() == [51, 102, 204]
    np.testing.assert_allclose(mixed.soft[:, 0], [[0.8, 0.6, 0.2], [0.2, 0.4, 0.8]], atol=5e-4)
    assert mixed.mask.tolist() == [[0, 0, 1]]


def test_classes_one_and_three_never_give_two() -> None:
    """The published code for nine organs averages ids and invents organs that neither image shows."""
    image = np.zeros((1, 256, 1), np.uint8)
    ones, threes = np.full((1, 256), 1, np.uint8), np.full((1, 256), 3, np.uint8)

    mixed = mix(image, ones, image, threes, WEIGHTS, n_classes=4)

    assert mixed.mask[0].tolist() == [1] * 128 + [3] * 128
    assert not mixed.soft[[0, 2]].any()


def test_mixing_a_picture_with_itself_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (1, 256, 3), dtype=np.uint8), rng.integers(0, 3, (1, 256), dtype=np.uint8)

    mixed = mix(image, mask, image, mask, WEIGHTS, n_classes=3)

    np.testing.assert_array_equal(mixed.image, image)
    np.testing.assert_array_equal(mixed.mask, mask)


def test_exchanging_the_parents_and_the_weights_gives_the_same_picture() -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (4, 4, 3), dtype=np.uint8) for _ in range(2)]
    masks = [rng.choice(np.array([0, 1, 2, 255], np.uint8), (4, 4)) for _ in range(2)]
    weight = rng.integers(0, 256, (4, 4), dtype=np.uint8)

    one = mix(images[0], masks[0], images[1], masks[1], weight, n_classes=3)
    other = mix(images[1], masks[1], images[0], masks[0], 255 - weight, n_classes=3)

    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.soft, other.soft)


def test_an_unmixed_picture_is_its_parent_with_a_label_of_ones_and_zeros() -> None:
    image, mask = np.array([[[1], [2], [3]]], np.uint8), np.array([[0, 2, 255]], np.uint8)

    mixed = unmixed(image, mask, n_classes=3)

    np.testing.assert_array_equal(mixed.image, image)
    assert mixed.mask.tolist() == [[0, 2, 255]]
    assert mixed.soft[:, 0].tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_a_multilabel_mix_has_channels_of_its_own_and_the_innermost_region_as_its_mask() -> None:
    """A is the outer region, B both; their shares of it add up to one."""
    black, white = np.zeros((1, 3, 1), np.uint8), np.full((1, 3, 1), 255, np.uint8)
    mask_a, mask_b = np.array([[[1, 0]] * 3], np.uint8), np.array([[[1, 1]] * 3], np.uint8)

    mixed = mix(black, mask_a, white, mask_b, np.array([[51, 127, 128]], np.uint8), n_classes=2)

    assert mixed.image[0, :, 0].tolist() == [51, 127, 128]
    np.testing.assert_allclose(mixed.soft[:, 0], [[1.0, 1.0, 1.0], [51 / 255, 127 / 255, 128 / 255]], atol=5e-4)
    assert mixed.soft.dtype == np.float16
    assert mixed.mask.tolist() == [[1, 1, 2]]
    assert mixed.mask.dtype == np.uint8


def test_multilabel_background_is_not_ignored_and_ignored_pixels_are_no_background() -> None:
    """Both are 0 in all channels of the soft label; the mask distinguishes them."""
    image = np.zeros((1, 2, 1), np.uint8)
    nothing, ignored = np.array([[[0, 0], [0, 0]]], np.uint8), np.array([[[0, 0], [255, 255]]], np.uint8)

    mixed = mix(image, nothing, image, ignored, np.array([[9, 9]], np.uint8), n_classes=2)

    assert mixed.mask.tolist() == [[0, 255]]
    assert not mixed.soft.any()


@hypothesis.settings(max_examples=50, deadline=None, derandomize=True)
@hypothesis.given(st.integers(0, 2**32))
def test_hard_mixing_takes_all_channels_of_a_pixel_from_one_parent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image_a, image_b = (rng.normal(size=(4, 5, 4)).astype(np.float32) for _ in range(2))
    mask_a, mask_b = (rng.integers(0, 2, (4, 5, 3), dtype=np.uint8) for _ in range(2))
    from_b = rng.random((4, 5)) < 0.5

    mixed = mix(image_a, mask_a, image_b, mask_b, paste_weights(from_b), n_classes=3)

    chosen = np.where(from_b[..., None], mask_b, mask_a)
    np.testing.assert_array_equal(mixed.image, np.where(from_b[..., None], image_b, image_a))
    np.testing.assert_array_equal(mixed.soft, np.moveaxis(chosen, 2, 0))


def test_an_unmixed_multilabel_picture_is_its_parent() -> None:
    image, mask = np.zeros((1, 4, 2), np.uint16), np.array([[[0, 0], [1, 0], [1, 1], [255, 255]]], np.uint8)

    mixed = unmixed(image, mask, n_classes=2)

    assert mixed.mask.tolist() == [[0, 1, 2, 255]]
    assert mixed.soft[:, 0].tolist() == [[0, 1, 1, 0], [0, 0, 1, 0]]
