"""Scores of segmentations, against values by hand."""

import numpy as np
import pytest
from training.metrics import scores_of


def square(top: int, left: int, side: int = 10, value: int = 1) -> np.ndarray:
    mask = np.zeros((32, 32), dtype=np.uint8)
    mask[top : top + side, left : left + side] = value
    return mask


def test_a_perfect_prediction() -> None:
    found = scores_of(square(8, 8), square(8, 8), 2)

    assert (found.dice, found.boundary_f, found.hd95) == (1.0, 1.0, 0.0)


def test_a_shift_by_two_pixels_is_within_the_tolerance_and_one_by_four_is_not() -> None:
    near, far = scores_of(square(8, 10), square(8, 8), 2), scores_of(square(8, 12), square(8, 8), 2)

    assert near.dice == pytest.approx(80 / 100) and far.dice == pytest.approx(60 / 100)
    assert near.boundary_f == 1.0 and near.hd95 == 2.0
    assert far.boundary_f < 1.0 and far.hd95 == 4.0


def test_an_empty_prediction_is_as_far_off_as_can_be() -> None:
    found = scores_of(np.zeros((32, 32), np.uint8), square(8, 8), 2)

    assert (found.dice, found.boundary_f) == (0.0, 0.0)
    assert found.hd95 == pytest.approx(32 * 2**0.5)


def test_classes_count_alike_where_truth_or_prediction_shows_them() -> None:
    """Class 1 is right, class 2 is invented, class 3 is nowhere: (1 + 0) / 2."""
    found = scores_of(square(2, 2) + square(20, 20, value=2), square(2, 2), 4)

    assert found.dice == 0.5


def test_nothing_to_find_and_nothing_found_has_no_score() -> None:
    assert np.isnan(scores_of(np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8), 2).dice)


def test_ignored_pixels_are_left_out() -> None:
    truth = square(8, 8)
    truth[0:4] = 255
    prediction = square(8, 8)
    prediction[0:4] = 1

    assert scores_of(prediction, truth, 2).dice == 1.0
