"""Distances are exact, compiled or not."""

import numpy as np
import pytest

from hsmix_gen.stages.kernels.compiled import native
from hsmix_gen.stages.mixing import distance
from hsmix_gen.stages.mixing.distance import deepest, squared_distance, within

EXPECTED = np.array([[0, 1, 4, 5, 4], [1, 2, 5, 2, 1], [4, 5, 4, 1, 0]])


@pytest.mark.parametrize("compiled", [True, False])
def test_the_distance_is_that_to_the_nearest_pixel_of_the_area(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    area = EXPECTED == 0
    monkeypatch.setattr(distance, "has", lambda name: compiled and hasattr(native, name))

    assert squared_distance(area).tolist() == EXPECTED.tolist()
    assert deepest(area) == 5
    for most in (0, 0.5, 1, 3.99, 4, 5, 1e9):
        np.testing.assert_array_equal(within(area, most), most >= EXPECTED)


@pytest.mark.skipif(not hasattr(native, "within"), reason="the loops are not compiled here")
@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 0.99])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (37, 61), (120, 20)])
def test_the_compiled_loops_give_the_numbers_of_scipy(size: tuple[int, int], share: float) -> None:
    for seed in range(10):
        rng = np.random.default_rng([seed, *size])
        area = rng.random(size) < share
        area.flat[int(rng.random() * area.size)] = True
        expected = squared_distance(area)

        assert deepest(area) == expected.max()
        for most in {0, 1, *rng.choice(expected.ravel(), 5).tolist(), int(expected.max()) - 1}:
            np.testing.assert_array_equal(within(area, most), expected <= most)


@pytest.mark.parametrize("solid", [np.s_[:, :1], np.s_[:1], np.s_[4:6, 7:9]])
def test_areas_that_leave_columns_or_rows_empty_are_measured(solid: tuple[slice, ...]) -> None:
    area = np.zeros((50, 70), dtype=bool)
    area[solid] = True

    assert deepest(area) == squared_distance(area).max()
    np.testing.assert_array_equal(within(area, 300), squared_distance(area) <= 300)


def test_an_area_that_is_turned_is_no_other() -> None:
    """Buffers are read row by row."""
    area = np.random.default_rng(0).random((9, 14)) < 0.1
    area[0, 0] = True

    assert deepest(area.T) == deepest(area)
    np.testing.assert_array_equal(within(area.T, 5), within(area, 5).T)
