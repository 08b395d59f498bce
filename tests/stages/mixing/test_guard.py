"""The guard cuts no small object: it is taken whole, covered whole, or left alone."""

import hypothesis
import numpy as np
import numpy.typing as npt
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


def test_without_objects_the_selection_stays() -> None:
    assert guarded([1, 4]) == [1, 4]


def test_a_small_object_of_b_that_is_touched_is_taken_whole() -> None:
    assert guarded([1], b=columns(1, 2, 3)) == [1, 2, 3]


def test_an_object_of_b_that_is_not_touched_is_left() -> None:
    assert guarded([0], b=columns(2, 3)) == [0]


def test_a_small_object_of_a_that_is_mostly_hit_is_covered_whole() -> None:
    assert guarded([1, 2], a=columns(1, 2, 3)) == [1, 2, 3]


def test_a_small_object_of_a_that_is_hardly_hit_is_spared() -> None:
    assert guarded([1, 5], a=columns(1, 2, 3)) == [5]


def test_a_small_object_of_a_that_is_half_hit_is_covered() -> None:
    assert guarded([1], a=columns(1, 2)) == [1, 2]


def test_no_object_of_b_is_given_up_to_spare_one_of_a() -> None:
    assert guarded([1], a=columns(1, 2, 3), b=columns(1)) == [1, 2, 3]


def test_taking_one_object_whole_may_lead_to_the_next() -> None:
    assert guarded([0], a=columns(1, 2), b=columns(0, 1)) == [0, 1, 2]


def test_a_large_object_may_be_cut() -> None:
    assert guarded([1], b=columns(1, 2, 3), ratio=1.5) == [1]


def test_small_is_below_so_many_mean_areas_of_a_superpixel() -> None:
    """The mean area is 2 pixels, the object has 3."""
    assert guarded([1], b=columns(1, 2, 3), ratio=1.5) == [1]
    assert guarded([1], b=columns(1, 2, 3), ratio=1.51) == [1, 2, 3]


def test_ignored_pixels_are_no_object() -> None:
    assert guarded([1], b=columns(1, 2, value=255)) == [1]


def test_touching_classes_are_one_object() -> None:
    mask = columns(1) + columns(2, value=2)

    assert guarded([1], b=mask) == [1, 2]


def test_nothing_is_taken_where_all_that_was_selected_is_spared() -> None:
    assert guarded([1], a=columns(1, 2, 3)) == []


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


def test_the_regions_of_a_multilabel_mask_are_one_object_and_ignored_pixels_none() -> None:
    nested = np.stack([columns(1, 2, 3), columns(2)], axis=2)
    nested[:, 4] = 255

    assert guarded([1], b=nested) == [1, 2, 3]
    assert guarded([4], b=nested) == [4]
    assert guarded([1], a=nested) == []
