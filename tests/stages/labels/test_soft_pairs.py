"""A soft label of exclusive classes is two classes and a weight, without any loss."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from hsmix_gen.stages.labels.labels import class_shares, hard_mask, soft_label
from hsmix_gen.stages.labels.soft_pairs import label_pair, pair_shares, shares_of


def shares_by_pixel(*pixels: list[int]) -> np.ndarray:
    """Return (C, 1, N) shares of pixels given one after the other."""
    return np.array(pixels, dtype=np.uint8).T[:, None, :]


def test_the_first_class_has_the_larger_share_and_the_second_the_rest() -> None:
    share = shares_by_pixel([255, 0, 0], [0, 155, 100], [100, 0, 155], [127, 128, 0], [0, 0, 0])

    class_a, class_b, weight_b = label_pair(share)

    assert class_a.tolist() == [[0, 1, 2, 1, 255]]
    assert class_b.tolist() == [[0, 2, 0, 0, 255]]
    assert weight_b.tolist() == [[0, 100, 100, 127, 0]]


def test_pairs_become_shares_by_the_documented_rule() -> None:
    planes = (np.array([row], dtype=np.uint8) for row in ([0, 1, 2, 255], [0, 2, 0, 255], [0, 100, 127, 0]))

    share = pair_shares(*planes, n_classes=3)

    np.testing.assert_array_equal(share, shares_by_pixel([255, 0, 0], [0, 155, 100], [127, 0, 128], [0, 0, 0]))


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(st.integers(0, 2**32), st.integers(1, 254))
def test_whatever_two_parents_give_comes_back(seed: int, n_classes: int) -> None:
    """With ignored pixels in both parents, weights of 0 and 255, and equal classes."""
    rng = np.random.default_rng(seed)
    masks = [rng.integers(0, n_classes, (5, 7)).astype(np.uint8) for _ in "ab"]
    for mask in masks:
        mask[rng.random((5, 7)) < 0.2] = 255
    weight = rng.choice(np.array([0, 1, 100, 127, 128, 254, 255], dtype=np.uint8), (5, 7))
    share = class_shares(masks[0], masks[1], weight, n_classes=n_classes)

    pair = label_pair(share)

    np.testing.assert_array_equal(pair_shares(*pair, n_classes=n_classes), share)
    np.testing.assert_array_equal(pair[0], hard_mask(share))
    assert pair[2].max() < 128


@pytest.mark.parametrize("pixel", [[100, 100, 55], [55, 100, 100], [255, 255, 0], [100, 0, 0]])
def test_other_than_two_classes_that_sum_to_one_are_refused(pixel: list[int]) -> None:
    with pytest.raises(ValueError, match="two classes a pixel, whose shares sum to 1; the soft label has others"):
        label_pair(shares_by_pixel([255, 0, 0], pixel))


def test_every_share_comes_back_from_float16() -> None:
    share = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)

    np.testing.assert_array_equal(shares_of(soft_label(share)), share)
