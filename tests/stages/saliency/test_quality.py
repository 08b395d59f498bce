"""Quality measures against numbers worked out by hand."""

import numpy as np
import pytest

from hsmix_gen.stages.saliency.quality import boundary_recall, dice, saliency_auc

NAN = float("nan")
HALVES, STEP = [0] * 5 + [1] * 5, [0] * 8 + [1] * 2
"""The contour of the halves is at columns 4 and 5, the boundary of the step at 7 and 8: only column 5 is two away."""


def row(*values: int) -> list[list[int]]:
    """Return a plane of one row."""
    return [list(values)]


def square(side: int, rows: slice, columns: slice) -> list[list[int]]:
    """Return a plane with a block of ones."""
    plane = np.zeros((side, side), int)
    plane[rows, columns] = 1
    values: list[list[int]] = plane.tolist()
    return values


@pytest.mark.parametrize(
    ("labels", "mask", "tolerance", "expected"),
    [
        pytest.param([STEP], [HALVES], 0, 0.0, id="boundaries beside the contour"),
        pytest.param([STEP], [HALVES], 1, 0.0, id="tolerance 1"),
        pytest.param([STEP], [HALVES], 2, 0.5, id="tolerance 2"),
        pytest.param([STEP], [HALVES], 3, 1.0, id="tolerance 3"),
        # The closest boundary pixels are two down and two right, 2.83 px away.
        pytest.param(square(4, slice(3, 4), slice(3, 4)), square(4, slice(1), slice(1)), 2, 0.0, id="euclidean"),
        # The square has 4 corner pixels and 8 around them; regions follow its upper side alone.
        pytest.param(square(6, slice(2, 6), slice(6)), square(6, slice(2, 4), slice(2, 4)), 0, 0.5, id="both axes"),
        pytest.param(row(0, 1, 3, 3, 2), row(0, 1, 3, 3, 2), 0, 1.0, id="regions that are the classes"),
        pytest.param(row(0, 0, 0, 1, 1, 1), row(0, 0, 255, 255, 1, 1), 2, NAN, id="no contour beside ignored pixels"),
        pytest.param(row(0, 1), row(1, 1), 2, NAN, id="no contour at all"),
    ],
)
def test_boundary_recall_is_the_share_of_contour_pixels_near_a_region_boundary(
    labels: list[list[int]], mask: list[list[int]], tolerance: int, expected: float
) -> None:
    found = boundary_recall(np.array(labels, np.uint16), np.array(mask, np.uint8), tolerance=tolerance)

    assert found == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("saliency", "mask", "expected"),
    [
        # Of the four pairs, only 0.35 (foreground) against 0.4 (background) is in the wrong order; ties count half.
        pytest.param([[0.1, 0.4, 0.35, 0.8]], row(0, 0, 1, 1), 3 / 4, id="auc"),
        pytest.param([[0.2, 0.5, 0.5, 0.9]], row(0, 0, 1, 1), 3.5 / 4, id="auc-ties"),
        pytest.param(row(1, 1, 1, 1), row(0, 1, 2, 0), 0.5, id="auc-flat"),
        pytest.param([[0.1, 0.0, 0.2, 0.3]], row(0, 255, 2, 1), 1.0, id="auc-classes-and-ignored"),
        pytest.param(row(1, 1), row(0, 0), NAN, id="auc-without-foreground"),
        pytest.param(row(1, 1), row(1, 1), NAN, id="auc-without-background"),
    ],
)
def test_saliency_auc_is_that_worked_out_by_hand(
    saliency: list[list[float]], mask: list[list[int]], expected: float
) -> None:
    found = saliency_auc(np.array(saliency, np.float32), np.array(mask, np.uint8))

    assert found == pytest.approx(expected, nan_ok=True)


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

    assert saliency_auc(saliency, mask) == pytest.approx(right / ((mask == 1).sum() * (mask == 0).sum()))


@pytest.mark.parametrize(
    ("prediction", "mask", "n_classes", "expected"),
    [
        # Class 1: 2 x 2 / (3 + 2). Class 2: 2 x 1 / (1 + 2).
        pytest.param(row(0, 1, 1, 1, 2), row(0, 1, 1, 2, 2), 3, (4 / 5 + 2 / 3) / 2, id="mean over foreground classes"),
        # Class 1: 0.8. Class 2 is missed: 0. Class 3 occurs nowhere.
        pytest.param(row(1, 1, 1, 0), row(1, 1, 0, 2), 4, 0.4, id="absent classes skipped, missed ones not"),
        pytest.param(row(1, 1, 0), row(1, 255, 0), 2, 1.0, id="ignored pixels left out"),
        pytest.param(row(0, 0), row(0, 255), 2, NAN, id="undefined without foreground"),
    ],
)
def test_dice_is_the_mean_over_foreground_classes(
    prediction: list[list[int]], mask: list[list[int]], n_classes: int, expected: float
) -> None:
    assert dice(np.array(prediction), np.array(mask), n_classes) == pytest.approx(expected, nan_ok=True)


def test_arrays_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape, got \(2, 2\) and \(2, 3\)"):
        boundary_recall(np.zeros((2, 2), np.uint16), np.zeros((2, 3), np.uint8))


def test_a_multilabel_mask_is_measured_by_its_innermost_regions() -> None:
    """The channels hold the ids 0, 0, 1, 1, 2, 2, 255."""
    ids = np.array([[0, 0, 1, 1, 2, 2, 255]], np.uint8)
    mask = np.stack([ids >= 1, ids >= 2], axis=2).astype(np.uint8)
    mask[ids == 255] = 255
    labels = np.array([[0, 0, 0, 1, 1, 2, 2]], np.uint16)
    saliency = np.array([[0.3, 0.0, 0.2, 0.4, 0.9, 0.8, 1.0]], np.float32)
    prediction = np.array([[0, 1, 1, 1, 2, 1, 0]], np.uint8)

    assert boundary_recall(labels, mask, tolerance=0) == boundary_recall(labels, ids, tolerance=0)
    assert saliency_auc(saliency, mask) == pytest.approx(7 / 8)
    assert dice(prediction, mask, 3) == pytest.approx((4 / 6 + 2 / 3) / 2)
