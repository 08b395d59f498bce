"""The eight turns and flips, written out on six pixels."""

import numpy as np
import pytest

from hsmix_gen.stages.mixing.geometry import allowed, transform

PICTURE = np.array([[1, 2, 3], [4, 5, 6]])
TURNED = {
    0: [[1, 2, 3], [4, 5, 6]],
    1: [[3, 6], [2, 5], [1, 4]],
    2: [[6, 5, 4], [3, 2, 1]],
    3: [[4, 1], [5, 2], [6, 3]],
    4: [[3, 2, 1], [6, 5, 4]],
    5: [[6, 3], [5, 2], [4, 1]],
    6: [[4, 5, 6], [1, 2, 3]],
    7: [[1, 4], [2, 5], [3, 6]],
}


@pytest.mark.parametrize("number", range(8))
def test_a_transform_turns_and_then_flips(number: int) -> None:
    assert transform(PICTURE, number).tolist() == TURNED[number]


@pytest.mark.parametrize("number", range(8))
def test_every_transform_has_an_inverse_among_the_eight(number: int) -> None:
    inverses = [back for back in range(8) if np.array_equal(transform(transform(PICTURE, number), back), PICTURE)]

    assert inverses == [number if number in (0, 2) or number >= 4 else 4 - number]


@pytest.mark.parametrize("size", [(2, 3), (3, 2)])
def test_what_is_allowed_keeps_the_size(size: tuple[int, int]) -> None:
    assert allowed(size) == (0, 2, 4, 6)
    assert {transform(np.zeros(size), number).shape for number in allowed(size)} == {size}


def test_all_eight_are_allowed_for_squares() -> None:
    assert allowed((4, 4)) == tuple(range(8))


@pytest.mark.parametrize("number", [-1, 8])
def test_a_ninth_transform_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"0 to 7, got {number}"):
        transform(PICTURE, number)
