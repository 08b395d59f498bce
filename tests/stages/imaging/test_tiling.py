"""Tiles cover an image, lie inside of it, and have one size."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from hsmix_gen.stages.imaging.tiling import tiles

sides = st.integers(1, 40)


def test_tiles_come_in_reading_order() -> None:
    assert tiles(4, 9, (2, 3), 0) == [
        (0, 0, 2, 3), (0, 3, 2, 3), (0, 6, 2, 3),
        (2, 0, 2, 3), (2, 3, 2, 3), (2, 6, 2, 3),
    ]  # fmt: skip


def test_neighbours_share_the_overlap() -> None:
    assert tiles(5, 9, (5, 5), 1) == [(0, 0, 5, 5), (0, 4, 5, 5)]


def test_the_last_tile_is_shifted_back_to_the_border() -> None:
    """1000 pixels of MoNuSeg in tiles of 256 with 64 shared."""
    assert [left for _, left, _, _ in tiles(256, 1000, (256, 256), 64)] == [0, 192, 384, 576, 744]


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (7, 5, [(0, 0, 7, 5)]),
        (8, 6, [(0, 0, 8, 6)]),
        (9, 5, [(0, 0, 8, 5), (1, 0, 8, 5)]),
    ],
)
def test_a_side_shorter_than_the_tile_gives_one_of_its_own_length(
    height: int, width: int, expected: list[tuple[int, int, int, int]]
) -> None:
    assert tiles(height, width, (8, 6), 2) == expected


@hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
@hypothesis.given(sides, sides, st.tuples(st.integers(1, 20), st.integers(1, 20)), st.integers(0, 19))
def test_every_pixel_is_covered_by_distinct_tiles_of_one_size(
    height: int, width: int, tile: tuple[int, int], overlap: int
) -> None:
    hypothesis.assume(overlap < min(tile))

    found = tiles(height, width, tile, overlap)

    covered = np.zeros((height, width), bool)
    for top, left, tall, wide in found:
        assert (tall, wide) == (min(tile[0], height), min(tile[1], width))
        assert top >= 0 and left >= 0 and top + tall <= height and left + wide <= width
        covered[top : top + tall, left : left + wide] = True
    assert covered.all()
    assert len(set(found)) == len(found)
    assert found == sorted(found)
