"""CutMix draws one rectangle of the shape of the image, and pastes it."""

import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.stages.mixing.methods import cutmix
from hsmix_gen.stages.randomness import generator_for


def rectangle(seed: int, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    return cutmix.draw_rectangle(generator_for(seed, "rectangle"), size)


def test_the_rectangle_of_one_key_is_pinned() -> None:
    """If this fails, datasets change for an equal seed: say so in the subject of the commit."""
    assert np.argwhere(rectangle(3, (16, 16)))[[0, -1]].tolist() == [[0, 4], [7, 15]]


@pytest.mark.parametrize("size", [(16, 16), (20, 50)])
def test_a_rectangle_is_one_rectangle(size: tuple[int, int]) -> None:
    for seed in range(50):
        inside = rectangle(seed, size)
        rows, columns = inside.any(axis=1), inside.any(axis=0)

        assert inside.shape == size
        np.testing.assert_array_equal(inside, np.outer(rows, columns))
        assert all(np.abs(np.diff(line.astype(int))).sum() <= 2 for line in (rows, columns))


def test_a_rectangle_has_the_shape_of_the_image_where_no_border_cuts_it() -> None:
    size = (100, 200)
    uncut = [
        (inside.any(axis=1).sum(), inside.any(axis=0).sum())
        for inside in (rectangle(seed, size) for seed in range(200))
        if inside.any() and not (inside[0].any() or inside[-1].any() or inside[:, 0].any() or inside[:, -1].any())
    ]

    assert len(uncut) > 10
    assert all(abs(2 * height - width) <= 3 for height, width in uncut)


def test_the_area_of_rectangles_before_the_cut_is_uniform() -> None:
    """The side is the root of a uniform number; the border takes its part, so the mean is less than one half."""
    shares = [rectangle(seed, (40, 40)).mean() for seed in range(400)]

    assert 0.25 < float(np.mean(shares)) < 0.4
    assert max(shares) > 0.85
