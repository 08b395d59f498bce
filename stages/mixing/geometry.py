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
    """Apply transform r + 4f: ``numpy.rot90`` r times on the first two axes, then a left-right flip if f = 1."""
    if not 0 <= number < N_TRANSFORMS:
        raise ValueError(f"a transform must be 0 to 7, got {number}")
    pixels = _pixels(array)
    turned = np.rot90(pixels, number % 4)
    moved = np.ascontiguousarray(turned[:, ::-1] if number >= 4 else turned)
    result: _Array = moved.view(array.dtype).reshape(*moved.shape, *array.shape[2:])  # type: ignore[assignment]
    return result


def _pixels(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return an (H, W, C) array as (H, W), so that a pixel is moved at once and not channel by channel."""
    if array.ndim == 2:
        return array
    whole = np.ascontiguousarray(array)
    pixel_bytes = array.itemsize * array.shape[2]
    return whole.view(f"V{pixel_bytes}").reshape(array.shape[:2])
