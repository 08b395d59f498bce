"""Values of mask files are counted, described and translated, whatever their type."""

from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from hsmix_gen.stages.labels.mask_values import (
    describe,
    to_channels,
    to_class_ids,
    value_counts,
)

WHOLE = ["uint8", "int16", "uint16", "int32", "int64", "uint64"]
LARGE = 2**62


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_large_values_are_distinguished_to_the_last_digit(dtype: str) -> None:
    """As floats 2**62 and 2**62 + 1 are one."""
    mask = np.array([[LARGE + 1, 0], [LARGE, LARGE - 1]], dtype)

    assert to_class_ids(mask, {0: 0, LARGE - 1: 1, LARGE: 2, LARGE + 1: 3}).tolist() == [[3, 0], [2, 1]]


@pytest.mark.parametrize(
    ("mask", "unknown"),
    [
        (np.array([[0, 7]], np.uint8), "7"),
        (np.array([[0, 3, 9]], np.int32), "3, 9"),
        (np.array([[0, -1]], np.int16), "-1"),
        (np.array([[LARGE + 1, 1]], np.int64), str(LARGE + 1)),
        (np.array([[2**63 + 5, 1]], np.uint64), str(2**63 + 5)),
    ],
)
def test_a_value_that_is_not_in_the_map_is_never_background(mask: Any, unknown: str) -> None:
    mapping = {0: 0, 1: 1, 5: 2, LARGE: 3}

    for translate in (to_class_ids, lambda mask, mapping: to_channels(mask, mapping, 2)):
        with pytest.raises(ValueError, match=rf"mask values must be keys of the map, got {unknown}$"):
            translate(mask, mapping)


@hypothesis.settings(max_examples=80, deadline=None, derandomize=True)
@hypothesis.given(st.data(), st.sampled_from(WHOLE), st.sampled_from([12, 255, 70000, LARGE]))
def test_a_translation_is_that_of_each_pixel(data: st.DataObject, dtype: str, top: int) -> None:
    value = st.integers(0, min(top, int(np.iinfo(dtype).max)))
    mask = data.draw(st_numpy.arrays(dtype, (3, 4), elements=value))
    values = sorted({*mask.ravel().tolist(), data.draw(value)})
    mapping = {value: number * 11 % 256 for number, value in enumerate(values)}

    ids = to_class_ids(mask, mapping)
    assert ids.dtype == np.uint8
    assert ids.tolist() == [[mapping[value] for value in row] for row in mask.tolist()]


@pytest.mark.parametrize("dtype", WHOLE)
def test_nested_labels_become_channels(dtype: str) -> None:
    """BraTS: the whole tumour is 1, 2 and 4, its core 1 and 4, the enhancing part 4; 9 is ignored."""
    mask = np.array([[0, 1, 2], [4, 9, 0]], dtype)

    channels = to_channels(mask, {0: 0, 1: 0b011, 2: 0b001, 4: 0b111, 9: -1}, 3)

    assert channels.dtype == np.uint8
    assert channels.tolist() == [[[0, 0, 0], [1, 1, 0], [1, 0, 0]], [[1, 1, 1], [255, 255, 255], [0, 0, 0]]]


def test_sums_of_many_labels_become_channels() -> None:
    mask = np.array([[0, 2**61 + 1]], np.int64)

    channels = to_channels(mask, {0: 0, 2**61 + 1: 2**61 + 1}, 62)

    assert [np.flatnonzero(pixel).tolist() for pixel in channels[0]] == [[], [0, 61]]


@pytest.mark.parametrize("dtype", WHOLE)
def test_values_are_counted_in_order(dtype: str) -> None:
    counts = value_counts(np.array([[3, 0, 3], [1, 0, 3]], dtype))

    assert counts == ((0, 2), (1, 1), (3, 3))
    assert {type(number) for pair in counts for number in pair} == {int}


@pytest.mark.parametrize("values", [[-4, 7, 7], [70000, 5, 5], [LARGE + 1, LARGE, LARGE]])
def test_values_of_any_size_are_counted(values: list[int]) -> None:
    assert dict(value_counts(np.array([values], np.int64))) == {values[0]: 1, values[1]: 2}


def test_a_map_is_described_as_it_is_typed() -> None:
    assert describe({255: 1, 0: 0, 77: 255}) == "0=0,77=255,255=1"
    assert describe({0: 0, 1: 1, 2: 2}) == "0=0,1=1,2=2"


def test_a_map_of_ranges_is_described_in_ranges() -> None:
    assert describe({0: 0, 1: 0, 2: 0, 3: 1, 5: 1, 6: 1}) == "0-2=0,3=1,5-6=1"
