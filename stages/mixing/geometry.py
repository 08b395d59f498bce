"""The eight right-angle turns and flips, applied alike to everything that belongs to a parent."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.kernels.compiled import has, native

_Array = TypeVar("_Array", bound=npt.NDArray[np.generic])

N_TRANSFORMS = 8
_ROWS_FLIP, _COLUMNS_FLIP = {1, 2, 5, 6}, {2, 3, 4, 5}
"""Transforms after which rows or columns run backwards; odd ones exchange both before."""
_WIDEST = 4
"""Bytes of a value that the compiled loop lays out."""


def allowed(size: tuple[int, int]) -> tuple[int, ...]:
    """Return the transforms that keep an (H, W) size: all eight for squares, else 0 and 180 degrees with flips."""
    turns = (0, 1, 2, 3) if size[0] == size[1] else (0, 2)
    return tuple(turn + 4 * flip for flip in (0, 1) for turn in turns)


def transform(array: _Array, number: int) -> _Array:
    """Apply transform r + 4f: ``numpy.rot90`` r times on the first two axes, then a left-right flip if f = 1.

    The channels of an image lie one after the other in memory afterwards, under 0 too: gathering pixels of three bytes
    is slow.
    """
    if not 0 <= number < N_TRANSFORMS:
        raise ValueError(f"a transform must be 0 to 7, got {number}")
    planes = laid_out(array if array.ndim == 2 else array.transpose(2, 0, 1))
    turned = planes.swapaxes(-1, -2) if number % 2 else planes
    turned = turned[..., :: -1 if number in _ROWS_FLIP else 1, :: -1 if number in _COLUMNS_FLIP else 1]
    result: Any = laid_out(turned)
    return result if array.ndim == 2 else result.transpose(1, 2, 0)  # type: ignore[no-any-return]


def laid_out(planes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an (H, W) or (C, H, W) array that is C-contiguous; itself if it is."""
    flags = planes.flags
    if flags.c_contiguous or not flags.aligned or planes.dtype.itemsize > _WIDEST or not has("lay_out"):
        return np.ascontiguousarray(planes)
    found = np.empty_like(planes, order="C")
    native.lay_out(planes if planes.ndim == 3 else planes[None], found)
    return found
