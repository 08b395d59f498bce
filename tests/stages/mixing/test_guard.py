"""The guard cuts no small object: it is taken whole, covered whole, or left alone."""

from typing import Any

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st
from scipy import ndimage

from hsmix_gen.stages.mixing.guard import guard_selection

Mask = npt.NDArray[np.uint8]

# Six superpixels of one column and two rows each.
COLUMNS = np.tile(np.arange(6, dtype=np.uint16), (2, 1))
EMPTY = np.zeros((2, 6), np.uint8)


def guarded(
    taken: list[int], *, a: Mask = EMPTY, b: Mask = EMPTY, ratio: float = 3.0, labels: npt.NDArray[np.uint16] = COLUMNS
) -> list[int]:
    selected = np.zeros(int(labels.max()) + 1, bool)
    selected[taken] = True
    return np.flatnonzero(guard_selection(selected, labels, a, b, ratio=ratio)).tolist()


def columns(*numbers: int, value: int = 1) -> Mask:
    """Return a mask with an object in the upper row of some columns."""
    mask = EMPTY.copy()
    mask[0, list(numbers)] = value
    return mask


NESTED = np.stack([columns(1, 2, 3), columns(2)], axis=2)
NESTED[:, 4] = 255


@pytest.mark.parametrize(
    ("taken", "objects", "expected"),
    [
        pytest.param([1, 4], {}, [1, 4], id="without objects the selection stays"),
        pytest.param([1], {"b": columns(1, 2, 3)}, [1, 2, 3], id="what is touched of B is taken whole"),
        pytest.param([0], {"b": columns(2, 3)}, [0], id="what is not touched of B is left"),
        pytest.param([1, 2], {"a": columns(1, 2, 3)}, [1, 2, 3], id="what is mostly hit of A is covered"),
        pytest.param([1], {"a": columns(1, 2)}, [1, 2], id="what is half hit of A is covered"),
        pytest.param([1, 5], {"a": columns(1, 2, 3)}, [5], id="what is hardly hit of A is spared"),
        pytest.param([1], {"a": columns(1, 2, 3)}, [], id="though nothing is left to be taken"),
        pytest.param([1], {"a": columns(1, 2, 3), "b": columns(1)}, [1, 2, 3], id="no object of B is given up for A"),
        pytest.param([0], {"a": columns(1, 2), "b": columns(0, 1)}, [0, 1, 2], id="one object leads to the next"),
        # The mean area of a superpixel is 2 pixels, the object has 3.
        pytest.param([1], {"b": columns(1, 2, 3), "ratio": 1.5}, [1], id="a large object may be cut"),
        pytest.param([1], {"b": columns(1, 2, 3), "ratio": 1.51}, [1, 2, 3], id="one that is just small may not"),
        pytest.param([1], {"b": columns(1, 2, value=255)}, [1], id="ignored pixels are no object"),
        pytest.param([1], {"b": columns(1) + columns(2, value=2)}, [1, 2], id="touching classes are one object"),
        pytest.param([1], {"b": NESTED}, [1, 2, 3], id="regions of a multilabel mask are one object"),
        pytest.param([4], {"b": NESTED}, [4], id="its ignored pixels are none"),
        pytest.param([1], {"a": NESTED}, [], id="regions of A are spared together"),
    ],
)
def test_small_objects_are_taken_or_covered_whole_or_left(
    taken: list[int], objects: dict[str, Any], expected: list[int]
) -> None:
    assert guarded(taken, **objects) == expected


def test_the_drawn_selection_is_not_changed() -> None:
    selected = np.array([False, True, False, False, False, False])

    guard_selection(selected, COLUMNS, EMPTY, columns(1, 2), ratio=3.0)

    assert selected.tolist() == [False, True, False, False, False, False]


masks = st.lists(st.sampled_from([0, 0, 0, 1, 2, 255]), min_size=24, max_size=24).map(
    lambda values: np.array(values, np.uint8).reshape(4, 6)
)
label_maps = st.lists(st.integers(0, 7), min_size=24, max_size=24).map(
    lambda values: np.unique(values, return_inverse=True)[1].astype(np.uint16).reshape(4, 6)
)


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(label_maps, masks, masks, st.lists(st.booleans(), min_size=8, max_size=8), st.floats(0.5, 4))
def test_no_small_object_is_ever_cut(
    labels: npt.NDArray[np.uint16], a: Mask, b: Mask, drawn: list[bool], ratio: float
) -> None:
    selected = np.array(drawn[: int(labels.max()) + 1])

    taken = guard_selection(selected, labels, a, b, ratio=ratio)[labels]

    for mask in (a, b):
        objects, count = ndimage.label((mask > 0) & (mask != 255))
        for number in range(1, count + 1):
            inside = objects == number
            if inside.sum() < ratio * labels.size / len(selected):
                assert taken[inside].all() or not taken[inside].any()
