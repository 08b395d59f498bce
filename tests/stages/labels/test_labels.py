"""Classes are mixed as one-hot vectors; ignored pixels belong to no class."""

from fractions import Fraction

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from hsmix_gen.stages.labels.labels import (
    class_shares,
    collapse,
    collapse_batch,
    hard_mask,
    ignored,
    innermost,
    soft_label,
)

WEIGHTS = np.arange(256, dtype=np.uint8)[None, :]


def u8(*rows: list[int]) -> npt.NDArray[np.uint8]:
    return np.array(rows, np.uint8)


def filled(class_id: int) -> npt.NDArray[np.uint8]:
    return np.full((1, 256), class_id, np.uint8)


def test_a_soft_label_holds_the_share_of_each_class() -> None:
    share = class_shares(u8([1, 1, 0]), u8([2, 1, 0]), u8([51, 51, 51]), n_classes=3)
    soft = soft_label(share)

    assert soft.dtype == np.float16
    np.testing.assert_allclose(soft[:, 0], np.array([[0, 0, 1], [0.8, 1, 0], [0.2, 0, 0]]), atol=2.5e-4)


def test_every_share_is_the_float16_nearest_to_the_exact_quotient() -> None:
    share = class_shares(filled(0), filled(1), WEIGHTS, n_classes=2)
    soft = soft_label(share)

    for plane, numerators in ((soft[1, 0], range(256)), (soft[0, 0], range(255, -1, -1))):
        for stored, numerator in zip(plane, numerators, strict=True):
            error = abs(Fraction(float(stored)) - Fraction(numerator, 255))
            for side in (np.float16(-np.inf), np.float16(np.inf)):
                assert error <= abs(Fraction(float(np.nextafter(stored, side))) - Fraction(numerator, 255))


classes = st.lists(st.sampled_from([0, 1, 2, 3]), min_size=8, max_size=8)


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(classes, classes, st.lists(st.integers(0, 255), min_size=8, max_size=8))
def test_channels_sum_to_one(a: list[int], b: list[int], weight: list[int]) -> None:
    share = class_shares(u8(a), u8(b), u8(weight), n_classes=4)
    soft = soft_label(share)

    np.testing.assert_allclose(soft.astype(np.float64).sum(axis=0), 1, atol=2**-11)
    assert (soft >= 0).all()


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(classes, classes, st.lists(st.integers(0, 255), min_size=8, max_size=8))
def test_the_mask_is_the_class_of_the_heavier_parent(a: list[int], b: list[int], weight: list[int]) -> None:
    """255 is odd, so no two parents weigh the same and no third class can win."""
    mask = hard_mask(class_shares(u8(a), u8(b), u8(weight), n_classes=4))

    assert mask[0].tolist() == [q if w > 127 else p for p, q, w in zip(a, b, weight, strict=True)]


@pytest.mark.parametrize(
    ("a", "b", "weight", "expected"),
    [
        (255, 1, 0, True), (255, 1, 254, True), (255, 1, 255, False),
        (1, 255, 255, True), (1, 255, 1, True), (1, 255, 0, False), (255, 255, 9, True), (1, 1, 9, False),
    ],
)  # fmt: skip
def test_a_pixel_is_ignored_if_an_ignored_parent_weighs_there(a: int, b: int, weight: int, expected: bool) -> None:
    assert ignored(u8([a]), u8([b]), u8([weight])).item() is expected


def test_an_ignored_pixel_is_zero_in_all_channels_and_255_in_the_mask() -> None:
    share = class_shares(u8([255, 1, 255]), u8([1, 255, 255]), u8([100, 100, 100]), n_classes=2)
    soft = soft_label(share)

    assert not soft.any()
    assert hard_mask(share).tolist() == [[255, 255, 255]]


def test_a_tie_goes_to_the_lower_class() -> None:
    assert hard_mask(np.full((3, 1, 1), 85, np.uint8)).item() == 0


def test_254_classes_fit() -> None:
    share = class_shares(u8([253]), u8([0]), u8([51]), n_classes=254)
    soft = soft_label(share)

    assert np.flatnonzero(soft).tolist() == [0, 253]
    assert hard_mask(share).item() == 253


def channels(*pixels: list[int]) -> npt.NDArray[np.uint8]:
    """Return a (1, W, K) multi-label mask of one row."""
    return np.array([pixels], np.uint8)


def test_the_channels_of_a_multilabel_mask_are_mixed_each_on_its_own() -> None:
    """A shows regions 0 and 1, B regions 0 and 2; the shares sum to more than one."""
    share = class_shares(channels([1, 1, 0]), channels([1, 0, 1]), u8([51]), n_classes=3)

    assert share[:, 0, 0].tolist() == [255, 204, 51]
    np.testing.assert_allclose(soft_label(share)[:, 0, 0], [1, 0.8, 0.2], atol=2.5e-4)


def test_a_pixel_without_region_has_no_share_and_is_background() -> None:
    nothing = channels([0, 0])

    share = class_shares(nothing, nothing, u8([77]), n_classes=2)

    assert not share.any()
    assert innermost(share, np.zeros((1, 1), np.bool_)).tolist() == [[0]]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([0, 0, 0], 0), ([127, 127, 127], 0), ([128, 0, 0], 1), ([255, 128, 127], 2), ([255, 255, 255], 3),
        ([0, 0, 128], 3), ([128, 0, 128], 3),
    ],
)  # fmt: skip
def test_the_innermost_region_is_the_last_that_reaches_one_half(shares: list[int], expected: int) -> None:
    share = np.array(shares, np.uint8)[:, None, None]

    assert innermost(share, np.zeros((1, 1), np.bool_)).item() == expected


nested = st.lists(st.sampled_from([0, 1, 2, 3, 255]), min_size=8, max_size=8)


def regions_of(ids: list[int]) -> npt.NDArray[np.uint8]:
    """Return nested channels, outer first: id k lies in the first k of three."""
    return channels(*([255] * 3 if i == 255 else [int(i > k) for k in range(3)] for i in ids))


@hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
@hypothesis.given(nested, nested, st.lists(st.integers(0, 255), min_size=8, max_size=8))
def test_the_mask_of_nested_regions_is_that_of_the_heavier_parent(
    a: list[int], b: list[int], weight: list[int]
) -> None:
    mask_a, mask_b, weight_b = regions_of(a), regions_of(b), u8(weight)
    out_of_use = ignored(mask_a, mask_b, weight_b)

    mask = innermost(class_shares(mask_a, mask_b, weight_b, n_classes=3), out_of_use)

    dropped = [(p == 255 and w < 255) or (q == 255 and w > 0) for p, q, w in zip(a, b, weight, strict=True)]
    heavier = [q if w > 127 else p for p, q, w in zip(a, b, weight, strict=True)]
    assert out_of_use[0].tolist() == dropped
    assert mask[0].tolist() == [255 if out else i for out, i in zip(dropped, heavier, strict=True)]


def test_an_ignored_pixel_is_zero_in_all_multilabel_channels() -> None:
    away, here = channels([255, 255], [255, 255], [1, 0]), channels([1, 1], [1, 1], [255, 255])

    share = class_shares(away, here, u8([254, 255, 1]), n_classes=2)

    assert share[:, 0].T.tolist() == [[0, 0], [255, 255], [0, 0]]


def test_masks_of_two_forms_or_of_other_channels_are_refused() -> None:
    for a, b in ((u8([1]), channels([1, 0])), (channels([1]), channels([1])), (channels([1, 0]), channels([1]))):
        with pytest.raises(ValueError, match=r"masks must both be \(H, W\) or both \(H, W, 2\)"):
            class_shares(a, b, u8([0]), n_classes=2)


def test_a_multilabel_mask_collapses_to_its_last_region() -> None:
    """Class ids stay the array that they are, of one mask and of a batch."""
    mask, ids = channels([0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 1], [255, 255, 255]), u8([0, 2, 255])
    assert collapse(mask).tolist() == [[0, 1, 2, 3, 3, 255]]
    assert collapse(mask).dtype == np.uint8
    assert collapse_batch(np.stack([mask, mask])).tolist() == [[[0, 1, 2, 3, 3, 255]]] * 2
    assert collapse(ids) is ids
    assert collapse_batch(batch := ids[None]) is batch
