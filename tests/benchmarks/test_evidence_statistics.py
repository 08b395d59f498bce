"""Intervals, p values and pairs of the evidence."""

import numpy as np
import pytest
from scipy import stats
from training.statistics import gain, holm, paired


def test_holm_multiplies_by_what_is_left() -> None:
    """Hand values: 4 x 0.01, 3 x 0.02, then the larger of 2 x 0.03 and what came before, and 0.5."""
    assert holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])


def test_corrected_p_stay_in_order_and_below_one() -> None:
    assert holm([0.4, 0.9, 0.5]) == pytest.approx([1.0, 1.0, 1.0])
    assert holm([]) == []


def test_the_interval_of_one_seed_is_the_bootstrap_of_images() -> None:
    values = np.random.default_rng(0).normal(1, 2, 60)
    ours = gain(values[:, None])
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=9999, rng=1).confidence_interval

    assert ours.mean == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.06)


def test_a_clear_gain_survives_the_correction_for_hundreds_of_others() -> None:
    """With 10,000 draws alone no p was below 0.0002, and none of more than 250 comparisons below 0.05 after it."""
    rng = np.random.default_rng(5)
    clear = gain(3 + rng.normal(0, 1.5, (36, 1)) + rng.normal(0, 0.5, (1, 10)) + rng.normal(0, 2, (36, 10)))

    assert clear.p < 3e-5
    assert holm([clear.p, *[0.5] * 600])[0] < 0.05


def test_one_seed_decides_nothing() -> None:
    """However sure the images are, other seeds may differ by a point."""
    assert not gain(np.full((30, 1), 2.0)).is_decided
    assert gain(np.full((30, 2), 2.0)).is_decided


def test_seeds_that_disagree_widen_the_interval() -> None:
    """Every image agrees within a seed, so that the spread of seeds alone is left: 2 x 2 draws of +3 and -1."""
    found = gain(np.tile([3.0, -1.0], (40, 1)))

    assert found.mean == pytest.approx(1.0)
    # The means of two drawn seeds are 3, 1 or -1; their deviations are stretched by the root of 2.
    assert (found.low, found.high) == pytest.approx((1 - 2 * 2**0.5, 1 + 2 * 2**0.5))
    assert found.spread == pytest.approx(8**0.5)
    assert found.p == pytest.approx(0.5, abs=0.05)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Effects of images, of five seeds and of both, as in the evidence; 95 % is what five seeds come near to."""
    rng = np.random.default_rng(3)
    held = 0
    for number in range(150):
        differences = rng.normal(0, 1.5, (36, 1)) + rng.normal(0, 1, (1, 5)) + rng.normal(0, 4, (36, 5))
        found = gain(differences, seed=number, draws=400)
        held += found.low <= 0 <= found.high

    assert 0.88 <= held / 150 <= 1.0


def test_images_without_a_score_are_left_out() -> None:
    found = gain(np.array([[1.0, 1.0], [np.nan, np.nan], [3.0, np.nan]]))

    assert found.mean == pytest.approx(5 / 3)
    assert (found.images, found.seeds) == (2, 2)


def test_runs_are_paired_by_image_and_seed() -> None:
    arm = {("a", 0): 2.0, ("b", 0): 3.0, ("a", 1): 9.0, ("b", 1): 9.0}
    reference = {("b", 0): 1.0, ("a", 0): 1.5, ("a", 2): 0.0, ("b", 2): 0.0}

    differences, seeds = paired(arm, reference)

    assert differences.tolist() == [[0.5], [2.0]] and seeds == [0]


def test_runs_on_other_images_are_no_pair() -> None:
    with pytest.raises(ValueError, match="must be measured on the same images"):
        paired({("a", 0): 1.0}, {("b", 0): 1.0})
