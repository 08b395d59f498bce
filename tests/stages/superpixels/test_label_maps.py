"""Numbers of regions: how many a map has, and how many are asked for."""

import numpy as np
import pytest

from hsmix_gen.stages.randomness import generator_for
from hsmix_gen.stages.superpixels.label_maps import region_count, stratified_counts


def test_region_count_is_the_number_of_labels() -> None:
    assert region_count(np.array([[0, 2], [1, 2]], np.uint16)) == 3


@pytest.mark.parametrize("seed", range(20))
def test_stratified_counts_draw_one_number_from_each_part_of_the_range(seed: int) -> None:
    counts = stratified_counts(30, 80, 4, generator_for(seed, "counts"))

    assert len(counts) == 4
    for count, low, high in zip(counts, (30, 42, 55, 68), (41, 54, 67, 80), strict=True):
        assert low <= count <= high


def test_stratified_counts_reach_every_number_of_the_range() -> None:
    draws = {n for seed in range(60) for n in stratified_counts(5, 11, 3, generator_for(seed, "counts"))}

    assert draws == set(range(5, 12))


@pytest.mark.parametrize(
    ("low", "high", "variants", "expected"), [(7, 9, 6, (7, 7, 8, 8, 9, 9)), (50, 50, 3, (50, 50, 50))]
)
def test_more_variants_than_numbers_share_numbers(
    low: int, high: int, variants: int, expected: tuple[int, ...]
) -> None:
    assert stratified_counts(low, high, variants, generator_for(0, "counts")) == expected
