"""Regions of the mixed image and their lambda follow the published formulas."""

from typing import Any

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from hsmix_gen.stages.mixing.regions import RegionWeights, mixed_regions, quantise, region_weights, relative_saliency

# The worked example: two images of 2 x 4 pixels, two superpixels each, the first of B taken.
LABELS_A = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], np.uint16)
LABELS_B = np.array([[0, 1, 1, 1], [0, 0, 1, 1]], np.uint16)
FROM_B = np.array([[1, 0, 0, 0], [1, 1, 0, 0]], bool)
# In 255ths: 0.2 is 51, 0.4 is 102, 0.6 is 153.
SALIENCY_A = np.array([[51, 51, 153, 153], [51, 102, 153, 153]], np.uint8)
SALIENCY_B = np.array([[51, 153, 51, 153], [153, 102, 51, 51]], np.uint8)
RATIO = [[0.4999, 0.7499, 0.25, 0.5], [0.7499, 0.4999, 0.25, 0.25]]
REGIONS = [[0, 1, 2, 2], [0, 0, 2, 2]]


def u8(*rows: list[int]) -> npt.NDArray[np.uint8]:
    return np.array(rows, np.uint8)


def labelled(*rows: list[int]) -> npt.NDArray[np.uint16]:
    return np.array(rows, np.uint16)


def weights_of(
    ratio: npt.NDArray[np.float64], regions: npt.NDArray[np.int64], n_regions: int, **how: Any
) -> RegionWeights:
    """Return the weights of regions of an image whose pixels have a relative saliency."""
    totals = np.bincount(regions.ravel(), ratio.ravel(), n_regions).astype(np.float64)
    return region_weights(totals, np.bincount(regions.ravel(), minlength=n_regions), lambda: ratio, **how)


def test_the_worked_example_has_three_regions() -> None:
    regions, n_regions = mixed_regions(LABELS_A, LABELS_B, FROM_B)

    assert (regions.tolist(), n_regions) == (REGIONS, 3)


def test_large_labels_do_not_overflow() -> None:
    regions, n_regions = mixed_regions(labelled([65534, 0]), labelled([0, 65534]), np.array([[False, True]]))

    assert (regions.tolist(), n_regions) == ([[1, 0]], 2)


def test_the_worked_example_has_its_relative_saliency() -> None:
    ratio = relative_saliency(SALIENCY_A, SALIENCY_B, zero_ratio="half")

    np.testing.assert_allclose(ratio, RATIO, atol=1e-4)


@pytest.mark.parametrize(
    ("aggregate", "digits", "in_255ths"),
    [("sum", [0.9999, 0, 0.5], [255, 0, 128]), ("mean", [0.6190, 1.0, 0], [158, 255, 0])],
)
def test_the_worked_example_has_its_lambda(aggregate: str, digits: list[float], in_255ths: list[int]) -> None:
    ratio = relative_saliency(SALIENCY_A, SALIENCY_B, zero_ratio="half")

    found = weights_of(ratio, np.array(REGIONS), 3, aggregate=aggregate)

    assert found.weight.tolist() == in_255ths
    assert found.flags == ()
    np.testing.assert_allclose(found.weight / 255, digits, atol=0.5 / 255 + 1e-4)


labels_of_six = st.lists(st.integers(0, 4), min_size=6, max_size=6)


@hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
@hypothesis.given(labels_of_six, labels_of_six, st.lists(st.booleans(), min_size=6, max_size=6))
def test_two_pixels_share_a_region_if_parent_and_label_agree(a: list[int], b: list[int], taken: list[bool]) -> None:
    regions, n_regions = mixed_regions(labelled(a), labelled(b), np.array([taken]))

    origin = [("b", label_b) if t else ("a", label_a) for label_a, label_b, t in zip(a, b, taken, strict=True)]
    numbers = regions[0].tolist()
    assert [[p == q for q in numbers] for p in numbers] == [[p == q for q in origin] for p in origin]
    assert sorted(set(numbers)) == list(range(n_regions))
    from_b = [number for number, t in zip(numbers, taken, strict=True) if t]
    assert not from_b or max(from_b) < min((n for n, t in zip(numbers, taken, strict=True) if not t), default=99)


def test_relative_saliency_is_that_of_b() -> None:
    ratio = relative_saliency(u8([255, 0, 255]), u8([0, 255, 255]), zero_ratio="half")

    np.testing.assert_allclose(ratio, [[0, 1 / 1.0001, 1 / 2.0001]])


@pytest.mark.parametrize(("rule", "expected"), [("half", 0.5), ("zero", 0.0)])
def test_a_pixel_that_neither_map_marks_follows_the_configuration(rule: str, expected: float) -> None:
    ratio = relative_saliency(u8([0, 0]), u8([0, 9]), zero_ratio=rule)

    assert ratio[0, 0] == expected
    assert ratio[0, 1] > 0.99


def test_sums_grow_with_area_and_means_do_not() -> None:
    """Four pixels at 0.5 outweigh one at 0.9 in the published sum."""
    ratio = np.array([[0.5, 0.5, 0.5, 0.5, 0.9]])
    regions = np.array([[0, 0, 0, 0, 1]])

    by_sum, by_mean = (weights_of(ratio, regions, 2, aggregate=how).weight for how in ("sum", "mean"))

    assert by_sum.tolist() == [255, 0]
    assert by_mean.tolist() == [0, 255]


def test_the_published_sum_is_divided_by_the_whole_image() -> None:
    """So eps = 1e-5 lowers the greatest lambda where the image is large and its regions are small."""
    regions = np.zeros((200, 200), np.int64)
    regions[0, 0], regions[0, 1] = 1, 2
    regions[0, 2:] = 3
    ratio = np.zeros((200, 200))
    ratio[0, 1], ratio[0, 0] = 1.0, 0.5

    found = weights_of(ratio, regions, 4, aggregate="sum")

    # v = 1 / 40 000 at most: s = 2.5e-5 / (2.5e-5 + 1e-5) = 0.714.
    assert found.weight.tolist() == [0, 91, 182, 0]


def test_a_single_region_gets_one_half() -> None:
    found = weights_of(np.full((2, 2), 0.1), np.zeros((2, 2), np.int64), 1, aggregate="sum")

    assert (found.weight.tolist(), found.flags) == ([128], ("single_region",))


@pytest.mark.parametrize("aggregate", ["sum", "mean"])
def test_equal_saliency_gives_every_region_its_mean(aggregate: str) -> None:
    """Differences of rounding would otherwise be stretched over the whole of [0, 1]."""
    ratio = np.array([[0.4, 0.401], [0.4, 0.399]])

    found = weights_of(ratio, np.array([[0, 1], [2, 3]]), 4, aggregate=aggregate)

    assert (found.weight.tolist(), found.flags) == ([102] * 4, ("even_saliency",))


@pytest.mark.parametrize(("spread", "flags"), [(0.0079, ("even_saliency",)), (0.0081, ())])
def test_saliency_is_even_below_two_hundredths_of_its_mean(spread: float, flags: tuple[str, ...]) -> None:
    ratio = np.array([[0.4 - spread / 2, 0.4 + spread / 2]])

    assert weights_of(ratio, np.array([[0, 1]]), 2, aggregate="mean").flags == flags


def test_lambda_is_kept_inside_its_range() -> None:
    ratio = np.array([[0.1, 0.5, 0.9]])

    found = weights_of(ratio, np.array([[0, 1, 2]]), 3, aggregate="mean", lambda_range=(0.2, 0.6))

    assert found.weight.tolist() == [51, 127, 153]


def test_the_cap_also_holds_for_the_special_cases() -> None:
    single = weights_of(np.ones((1, 2)), np.zeros((1, 2), np.int64), 1, aggregate="sum", lambda_range=(0, 0.2))
    even = weights_of(np.ones((1, 2)), np.array([[0, 1]]), 2, aggregate="sum", lambda_range=(0, 0.2))

    assert (single.weight.tolist(), even.weight.tolist()) == ([51], [51, 51])


@hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
@hypothesis.given(st.floats(0, 1), st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted))
def test_quantised_weights_stay_inside_the_range(weight: float, bounds: list[float]) -> None:
    low, high = bounds
    hypothesis.assume(high - low >= 1 / 255)

    found = int(quantise(np.array([weight]), (low, high))[0])

    assert low - 1e-9 <= found / 255 <= high + 1e-9
    assert abs(found / 255 - min(max(weight, low), high)) <= 1 / 255


@pytest.mark.parametrize(("weight", "expected"), [(0.0, 0), (1.0, 255), (0.2, 51), (0.4981, 127), (0.4999, 127)])
def test_weights_are_rounded_to_whole_255ths(weight: float, expected: int) -> None:
    assert quantise(np.array([weight]), (0.0, 1.0)).tolist() == [expected]


def test_a_range_that_holds_no_255th_takes_the_nearest_above() -> None:
    assert quantise(np.array([0.0, 1.0]), (0.501, 0.501)).tolist() == [128, 128]
