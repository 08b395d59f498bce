"""The eight right-angle turns and flips, applied alike to everything that belongs to a parent."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

_Array = TypeVar("_Array", bound=npt.NDArray[np.generic])

N_TRANSFORMS = 8


def allowed(size: tuple[int, int]) -> tuple[int, ...]:
    """Return the transforms that keep an (H, W) size: all eight for squares, else 0 and 180 degrees with flips."""
    turns = (0, 1, 2, 3) if size[0] == size[1] else (0, 2)
    return tuple(turn + 4 * flip for flip in (0, 1) for turn in turns)


def transform(array: _Array, number: int) -> _Array:
    """Apply transform r + 4f: ``numpy.rot90`` r times on the first two axes, then a left-right flip if f = 1.

    The channels of an image lie one after the other in memory afterwards: gathering pixels of three bytes is slow.
    """
    if not 0 <= number < N_TRANSFORMS:
        raise ValueError(f"a transform must be 0 to 7, got {number}")
    turned = np.rot90(array, number % 4)
    flipped = turned[:, ::-1] if number >= 4 else turned
    if array.ndim == 2:
        return np.ascontiguousarray(flipped)  # type: ignore[return-value]
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(flipped, -1, 0)), 0, -1)  # type: ignore[return-value]
