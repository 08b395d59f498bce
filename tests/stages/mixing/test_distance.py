"""Distances are exact, compiled or not."""

import numpy as np
import pytest

from hsmix_gen.stages.kernels.compiled import native
from hsmix_gen.stages.mixing.distance import by_scipy, squared_distance


def test_the_distance_is_that_to_the_nearest_pixel_of_the_area() -> None:
    area = np.zeros((3, 5), dtype=bool)
    area[0, 0] = area[2, 4] = True

    assert squared_distance(area).tolist() == [[0, 1, 4, 5, 4], [1, 2, 5, 2, 1], [4, 5, 4, 1, 0]]


@pytest.mark.skipif(not hasattr(native, "distance"), reason="the loop is not compiled here")
@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 0.99])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (37, 61), (120, 20)])
def test_the_compiled_loop_gives_the_numbers_of_scipy(size: tuple[int, int], share: float) -> None:
    for seed in range(10):
        rng = np.random.default_rng([seed, *size])
        area = rng.random(size) < share
        area.flat[int(rng.random() * area.size)] = True

        np.testing.assert_array_equal(squared_distance(area), by_scipy(area))


def test_an_area_that_is_turned_is_no_other() -> None:
    """Buffers are read row by row."""
    area = np.random.default_rng(0).random((9, 14)) < 0.1
    area[0, 0] = True

    np.testing.assert_array_equal(squared_distance(area.T), squared_distance(area).T)
