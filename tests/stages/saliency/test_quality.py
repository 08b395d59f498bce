"""Quality measures against numbers worked out by hand."""

import math

import numpy as np
import pytest

from hsmix_gen.stages.saliency import quality


def test_boundary_recall_is_the_share_of_contour_pixels_near_a_region_boundary() -> None:
    """The contour is at columns 4 and 5, the region boundary at 7 and 8: only column 5 is two away."""
    mask = np.array([[0, 0, 0, 0, 0, 1, 1, 1, 1, 1]], np.uint8)
    labels = np.array([[0, 0, 0, 0, 0, 0, 0, 0, 1, 1]], np.uint16)

    assert quality.boundary_recall(labels, mask) == 0.5


@pytest.mark.parametrize(("tolerance", "expected"), [(0, 0.0), (1, 0.0), (2, 0.5), (3, 1.0)])
def test_boundary_recall_grows_with_the_tolerance(tolerance: int, expected: float) -> None:
    mask = np.array([[0, 0, 0, 0, 0, 1, 1, 1, 1, 1]], np.uint8)
    labels = np.array([[0, 0, 0, 0, 0, 0, 0, 0, 1, 1]], np.uint16)

    assert quality.boundary_recall(labels, mask, tolerance=tolerance) == expected


def test_boundary_recall_measures_euclidean_distance() -> None:
    """The closest boundary pixels are two down and two right, 2.83 px away."""
    mask = np.zeros((4, 4), np.uint8)
    mask[0, 0] = 1
    labels = np.zeros((4, 4), np.uint16)
    labels[3, 3] = 1

    assert quality.boundary_recall(labels, mask, tolerance=2) == 0.0


def test_boundary_recall_counts_contours_in_both_directions() -> None:
    """The square has 4 corner pixels and 8 pixels around them; regions follow its upper side alone."""
    mask = np.zeros((6, 6), np.uint8)
    mask[2:4, 2:4] = 1
    labels = np.zeros((6, 6), np.uint16)
    labels[2:] = 1

    assert quality.boundary_recall(labels, mask, tolerance=0) == pytest.approx(6 / 12)


def test_boundary_recall_is_one_if_regions_are_the_classes() -> None:
    mask = np.random.default_rng(0).integers(0, 4, (9, 7), dtype=np.uint8)

    assert quality.boundary_recall(mask.astype(np.uint16), mask, tolerance=0) == 1.0


def test_boundary_recall_sees_no_contour_beside_ignored_pixels() -> None:
    mask = np.array([[0, 0, 255, 255, 1, 1]], np.uint8)
    labels = np.array([[0, 0, 0, 1, 1, 1]], np.uint16)

    assert math.isnan(quality.boundary_recall(labels, mask))


def test_boundary_recall_is_undefined_without_contour() -> None:
    assert math.isnan(quality.boundary_recall(np.array([[0, 1]]), np.array([[1, 1]])))


def test_achievable_accuracy_gives_each_region_its_most_frequent_class() -> None:
    labels = np.array([[0, 0, 0, 1, 1]], np.uint16)
    mask = np.array([[0, 0, 1, 1, 1]], np.uint8)

    assert quality.achievable_accuracy(labels, mask) == pytest.approx(4 / 5)


def test_achievable_accuracy_leaves_out_ignored_pixels() -> None:
    labels = np.array([[0, 0, 0, 1, 1]], np.uint16)
    mask = np.array([[0, 255, 1, 1, 1]], np.uint8)

    assert quality.achievable_accuracy(labels, mask) == pytest.approx(3 / 4)


def test_achievable_accuracy_is_undefined_if_all_pixels_are_ignored() -> None:
    assert math.isnan(quality.achievable_accuracy(np.array([[0, 1]]), np.array([[255, 255]])))


def test_achievable_accuracy_holds_regions_of_ignored_pixels_only() -> None:
    """The last region has no class at all, and must not shift the others."""
    labels = np.array([[0, 0, 1, 2]], np.uint16)
    mask = np.array([[0, 0, 1, 255]], np.uint8)

    assert quality.achievable_accuracy(labels, mask) == 1.0


def test_leak_counts_wrong_pixels_per_foreground_pixel() -> None:
    """One foreground pixel of three goes to the background."""
    labels = np.array([[0, 0, 0, 1, 1]], np.uint16)
    mask = np.array([[0, 0, 1, 1, 1]], np.uint8)

    assert quality.leak(labels, mask) == pytest.approx(1 / 3)


def test_leak_counts_background_taken_as_foreground_too() -> None:
    labels = np.array([[0, 0, 0, 0]], np.uint16)
    mask = np.array([[0, 1, 1, 1]], np.uint8)

    assert quality.leak(labels, mask) == pytest.approx(1 / 3)


def test_leak_is_one_if_the_foreground_is_swallowed() -> None:
    assert quality.leak(np.array([[0, 0, 0, 0]]), np.array([[0, 0, 0, 1]])) == 1.0


def test_leak_tells_foreground_classes_apart() -> None:
    assert quality.leak(np.array([[0, 0, 0, 0]]), np.array([[1, 2, 2, 2]])) == pytest.approx(1 / 4)


def test_leak_leaves_out_ignored_pixels() -> None:
    labels = np.array([[0, 0, 0, 1, 1]], np.uint16)
    mask = np.array([[0, 0, 1, 1, 255]], np.uint8)

    assert quality.leak(labels, mask) == pytest.approx(1 / 2)


def test_leak_is_undefined_without_foreground() -> None:
    assert math.isnan(quality.leak(np.array([[0, 1]]), np.array([[0, 255]])))


def test_saliency_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    """Of the four pairs, only 0.35 (foreground) against 0.4 (background) is in the wrong order."""
    saliency = np.array([[0.1, 0.4, 0.35, 0.8]], np.float32)
    mask = np.array([[0, 0, 1, 1]], np.uint8)

    assert quality.saliency_auc(saliency, mask) == pytest.approx(3 / 4)


def test_saliency_auc_counts_ties_half() -> None:
    saliency = np.array([[0.2, 0.5, 0.5, 0.9]], np.float32)
    mask = np.array([[0, 0, 1, 1]], np.uint8)

    assert quality.saliency_auc(saliency, mask) == pytest.approx(3.5 / 4)


def test_saliency_auc_of_a_flat_map_is_a_half() -> None:
    assert quality.saliency_auc(np.ones((2, 2), np.float32), np.array([[0, 1], [2, 0]])) == 0.5


def test_saliency_auc_takes_every_class_but_0_as_foreground_and_leaves_out_ignored_pixels() -> None:
    saliency = np.array([[0.1, 0.0, 0.2, 0.3]], np.float32)
    mask = np.array([[0, 255, 2, 1]], np.uint8)

    assert quality.saliency_auc(saliency, mask) == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_saliency_auc_equals_the_count_over_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    saliency = rng.integers(0, 6, (8, 9)).astype(np.float32)  # few values, many ties
    mask = rng.integers(0, 2, (8, 9), dtype=np.uint8)
    right = sum(
        1.0 if front > back else 0.5 if front == back else 0.0
        for front in saliency[mask == 1]
        for back in saliency[mask == 0]
    )

    assert quality.saliency_auc(saliency, mask) == pytest.approx(right / ((mask == 1).sum() * (mask == 0).sum()))


@pytest.mark.parametrize("value", [0, 1])
def test_saliency_auc_is_undefined_with_one_class(value: int) -> None:
    mask = np.full((2, 2), value, np.uint8)

    assert math.isnan(quality.saliency_auc(np.ones((2, 2), np.float32), mask))


def test_dice_is_the_mean_over_foreground_classes() -> None:
    """Class 1: 2 x 2 / (3 + 2). Class 2: 2 x 1 / (1 + 2)."""
    prediction = np.array([[0, 1, 1, 1, 2]], np.uint8)
    mask = np.array([[0, 1, 1, 2, 2]], np.uint8)

    assert quality.dice(prediction, mask, 3) == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_dice_skips_classes_absent_in_both_but_not_missed_ones() -> None:
    """Class 1: 0.8. Class 2 is missed: 0. Class 3 occurs nowhere."""
    prediction = np.array([[1, 1, 1, 0]], np.uint8)
    mask = np.array([[1, 1, 0, 2]], np.uint8)

    assert quality.dice(prediction, mask, 4) == pytest.approx(0.4)


def test_dice_leaves_out_ignored_pixels() -> None:
    assert quality.dice(np.array([[1, 1, 0]]), np.array([[1, 255, 0]]), 2) == 1.0


def test_dice_is_undefined_without_foreground() -> None:
    assert math.isnan(quality.dice(np.array([[0, 0]]), np.array([[0, 255]]), 2))


def test_arrays_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape, got \(2, 2\) and \(2, 3\)"):
        quality.leak(np.zeros((2, 2), np.uint16), np.zeros((2, 3), np.uint8))


def test_a_multilabel_mask_is_measured_by_its_innermost_regions() -> None:
    """The channels hold the ids 0, 0, 1, 1, 2, 2, 255."""
    ids = np.array([[0, 0, 1, 1, 2, 2, 255]], np.uint8)
    mask = np.stack([ids >= 1, ids >= 2], axis=2).astype(np.uint8)
    mask[ids == 255] = 255
    labels = np.array([[0, 0, 0, 1, 1, 2, 2]], np.uint16)
    saliency = np.array([[0.3, 0.0, 0.2, 0.4, 0.9, 0.8, 1.0]], np.float32)
    prediction = np.array([[0, 1, 1, 1, 2, 1, 0]], np.uint8)

    assert quality.boundary_recall(labels, mask, tolerance=0) == quality.boundary_recall(labels, ids, tolerance=0)
    assert quality.achievable_accuracy(labels, mask) == pytest.approx(4 / 6)
    assert quality.leak(labels, mask) == pytest.approx(2 / 4)
    assert quality.saliency_auc(saliency, mask) == pytest.approx(7 / 8)
    assert quality.dice(prediction, mask, 3) == pytest.approx((4 / 6 + 2 / 3) / 2)
