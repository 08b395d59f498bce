"""Neighbours are joined by Ward's criterion, the cheapest first, alike with and without compiled loops."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmix_gen.stages.kernels.compiled import COMPILED
from hsmix_gen.stages.superpixels import ward
from tests.stages.loops import both_ways, without_loops

ways = pytest.mark.parametrize("way", [nullcontext, without_loops])
Way = Callable[[], AbstractContextManager[None]]


@ways
def test_the_cheapest_neighbours_are_joined_first(way: Way) -> None:
    """Of four columns with the values 0, 10, 13 and 40 the middle ones are joined, then the left, then the right."""
    labels = np.arange(4, dtype=np.int32)[None].repeat(2, axis=0)
    values = np.array([0, 10, 13, 40], np.int32)[labels][None]

    with way():
        pairs = ward.joins(labels, values)

    assert pairs.tolist() == [[1, 2], [0, 1], [0, 3]]


@ways
def test_sizes_count(way: Way) -> None:
    """1 and 3 pixels that differ by 11 cost 3/4 x 121, 3 and 12 that differ by 8 cost 12/5 x 64: more."""
    labels = np.array([0] + [1] * 3 + [2] * 12, np.int32)[None]
    values = np.array([0, 11, 19], np.int32)[labels][None]

    with way():
        assert ward.joins(labels, values)[0].tolist() == [0, 1]


@ways
def test_only_neighbours_are_joined(way: Way) -> None:
    """Regions 0 and 2 are alike, but 1 lies between them; beyond the gap no join leads to 3."""
    labels = np.array([[0, 1, 2, -1, 3]], np.int32)
    values = np.array([[[5, 900, 6, 0, 5]]], np.int32)

    with way():
        pairs = ward.joins(labels, values)

    assert pairs.tolist() == [[1, 2], [0, 1]]


@ways
def test_equal_costs_are_taken_by_number(way: Way) -> None:
    labels = np.arange(6, dtype=np.int32).reshape(2, 3)

    with way():
        pairs = ward.joins(labels, np.full((3, 2, 3), 9, np.int32))

    assert pairs.tolist() == [[0, 1], [0, 2], [0, 3], [0, 4], [0, 5]]


@pytest.mark.skipif(not COMPILED, reason="the loops could not be compiled here")
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    side=st.integers(2, 40),
    channels=st.integers(1, 5),
    n_values=st.sampled_from([1, 3, ward.LARGEST_VALUE + 1]),
)
def test_compiled_joins_are_the_same(seed: int, side: int, channels: int, n_values: int) -> None:
    """Few values give many equal costs, the largest ones the greatest costs."""
    rng = np.random.default_rng(seed)
    labels = (
        np.unique(rng.integers(-1, 60, (side, side)), return_inverse=True)[1].reshape(side, side).astype(np.int32) - 1
    )
    labels = np.maximum(labels, -1)
    values = rng.integers(0, n_values, (channels, side, side)).astype(np.int32) * (
        ward.LARGEST_VALUE // max(1, n_values - 1)
    )

    assert np.array_equal(*both_ways(lambda: ward.joins(labels, values)))


def test_the_greatest_costs_fit() -> None:
    """The bound on numbers of values keeps costs below 2 ** 63: two halves of 2 ** 29 pixels, black and white."""
    squares = (ward.LARGEST_VALUE * ward._SCALE) ** 2
    weight = (ward._MOST_VALUES // 2) ** 2 * ward._SCALE // ward._MOST_VALUES

    assert squares * weight < 2**63
    assert ward.LARGEST_VALUE * ward._MOST_VALUES * ward._SCALE < 2**63


def test_too_many_values_are_refused() -> None:
    wide = np.broadcast_to(np.zeros((1, 1, 1), np.int32), (1, 2**15, 2**14 + 1))

    with pytest.raises(ValueError, match="at most 536870912"):
        ward.joins(np.zeros((1, 1), np.int32), wide)


def test_a_cut_leaves_the_number_wanted() -> None:
    pairs = np.array([[1, 2], [0, 1], [0, 3]], np.int32)

    assert ward.cut(4, pairs, 4).tolist() == [0, 1, 2, 3]
    assert ward.cut(4, pairs, 3).tolist() == [0, 1, 1, 3]
    assert ward.cut(4, pairs, 2).tolist() == [0, 0, 0, 3]
    assert ward.cut(4, pairs, 1).tolist() == [0, 0, 0, 0]
    assert ward.cut(4, pairs, 9).tolist() == [0, 1, 2, 3]
