"""Pixel values of mask files counted, described, and translated into class ids or channels."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.records import IGNORE

MAX_CLASSES = 255
# Values below are looked up in a table, greater ones (numbers of objects, sums of many labels) are searched.
_TABLE_VALUES = 65536

_Whole = npt.NDArray[np.integer[Any]]


def unknown_values(values: Iterable[int], mapping: Mapping[int, int]) -> list[int]:
    """Return the values that a map does not know, in rising order."""
    return sorted(set(values) - mapping.keys())


def value_counts(mask: _Whole) -> tuple[tuple[int, int], ...]:
    """Return (value, pixels) of each value of a mask of any shape and integer type, in rising order of value."""
    if _fits_table(mask):
        counts = np.bincount(mask.ravel().astype(np.intp, copy=False))
        values = np.flatnonzero(counts)
        return tuple(zip(values.tolist(), counts[values].tolist(), strict=True))
    values, counts = np.unique(mask, return_counts=True)
    return tuple(zip(values.tolist(), counts.tolist(), strict=True))


def to_class_ids(mask: _Whole, mapping: Mapping[int, int]) -> arrays.Mask:
    """Return a uint8 mask of class ids.

    Parameters
    ----------
    mask : (H, W) of any integer type, up to 2**62
    mapping : mapping of int to int
        Class id, 0 to 255, of each value.

    Raises
    ------
    ValueError
        If the mask holds a value that the map does not know.
    """
    return _translated(mask, mapping, np.array([mapping[value] for value in sorted(mapping)], np.uint8))


def to_channels(mask: _Whole, mapping: Mapping[int, int], n_channels: int) -> arrays.Mask:
    """Return an (H, W, `n_channels`) uint8 multi-label mask of 0 and 1; ignored pixels are 255 in all channels.

    Parameters
    ----------
    mask : (H, W) of any integer type, up to 2**62
    mapping : mapping of int to int
        For each value the sum of 2**channel over the channels that hold it, or -1 for ignore.
    n_channels : int

    Raises
    ------
    ValueError
        If the mask holds a value that the map does not know.
    """
    members = [
        [IGNORE if mapping[value] < 0 else mapping[value] >> channel & 1 for channel in range(n_channels)]
        for value in sorted(mapping)
    ]
    return _translated(mask, mapping, np.array(members, np.uint8).reshape(-1, n_channels))


def describe(mapping: Mapping[int, int]) -> str:
    """Return a map as it is written on the command line: ``0=0,255=1``, or ``0-127=0,128-255=1`` for ranges."""
    parts: list[tuple[int, int, int]] = []
    for value in sorted(mapping):
        if parts and parts[-1][1:] == (value - 1, mapping[value]):
            parts[-1] = (parts[-1][0], value, mapping[value])
        else:
            parts.append((value, value, mapping[value]))
    return ",".join(f"{first if first == last else f'{first}-{last}'}={class_id}" for first, last, class_id in parts)


def listed(values: Sequence[int]) -> str:
    """Return some values as text, the first twelve and how many there are."""
    shown = ", ".join(str(value) for value in values[:12])
    return f"{shown}, … ({len(values)} in all)" if len(values) > 12 else shown


def _fits_table(mask: _Whole) -> bool:
    return mask.size == 0 or (int(mask.max()) < _TABLE_VALUES and int(mask.min()) >= 0)


def _translated(mask: _Whole, mapping: Mapping[int, int], results: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return for each pixel the entry of `results` that belongs to its value; entries follow the sorted map."""
    keys = np.array(sorted(mapping), np.int64)
    if _fits_table(mask):
        within = (keys >= 0) & (keys < _TABLE_VALUES)
        length = int(max(mask.max(initial=0), keys[within].max(initial=0))) + 1
        table = np.zeros((length, *results.shape[1:]), np.uint8)
        table[keys[within]] = results[within]
        known = np.zeros(length, np.bool_)
        known[keys[within]] = True
        if not known[mask].all():
            raise _unknown(mask, mapping)
        return table[mask]
    # Comparing uint64 with int64 would go through float64, which has no room for 2**62 + 1.
    values = mask.astype(np.int64)
    places = np.minimum(np.searchsorted(keys, values), len(keys) - 1)
    if not (keys[places] == values).all():
        raise _unknown(mask, mapping)
    return results[places]


def _unknown(mask: _Whole, mapping: Mapping[int, int]) -> ValueError:
    unknown = unknown_values((value for value, _ in value_counts(mask)), mapping)
    return ValueError(f"mask values must be keys of the map, got {listed(unknown)}")
