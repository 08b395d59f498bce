"""A parent scaled about its middle, in whole numbers, the same to the last bit on every machine."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas import arrays
from hsmix_gen.stages.mixing.method import Parent
from hsmix_gen.stages.randomness import integer

STEPS = 256
"""Factors are whole numbers of 256ths, and so are places between pixels."""


def draw_scale(rng: np.random.Generator, bounds: tuple[float, float]) -> float | None:
    """Draw a factor, a whole number of 256ths, evenly from a range; None for exactly 1, which scales nothing."""
    low, high = (round(bound * STEPS) for bound in bounds)
    drawn = integer(rng, low, high)
    return None if drawn == STEPS else drawn / STEPS


def scaled(parent: Parent, factor: float) -> Parent:
    """Return a parent scaled about its middle; beyond its rim there is background, and the rim of the image.

    Pixels are interpolated between their four neighbours, masks take the nearest one. Pixel i shows the place
    ``(i + 1/2 - L/2) / factor + L/2 - 1/2`` of an axis of L pixels.

    Parameters
    ----------
    parent : Parent
    factor : float
        A whole number of 256ths.
    """
    height, width = parent.mask.shape[:2]
    rows, columns = places(height, factor), places(width, factor)
    return replace(parent, image=_interpolated(parent.image, rows, columns), mask=_nearest(parent.mask, rows, columns))


def places(length: int, factor: float) -> npt.NDArray[np.int64]:
    """Return the place in 256ths that each of `length` pixels shows, rounded down; it may lie beyond the axis."""
    steps = round(factor * STEPS)
    twice = 2 * np.arange(length, dtype=np.int64) + 1 - length
    return twice * STEPS * STEPS // (2 * steps) + (length - 1) * STEPS // 2


def _nearest(mask: arrays.AnyMask, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> arrays.AnyMask:
    row, column = ((place + STEPS // 2) // STEPS for place in (rows, columns))
    height, width = mask.shape[:2]
    result: arrays.AnyMask = mask[np.clip(row, 0, height - 1)][:, np.clip(column, 0, width - 1)]
    result[(row < 0) | (row >= height)] = 0
    result[:, (column < 0) | (column >= width)] = 0
    return result


def _interpolated(image: arrays.Image, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> arrays.Image:
    is_real = image.dtype == np.float32
    between = _between(image.astype(np.float64 if is_real else np.int64), rows)
    value = np.swapaxes(_between(np.swapaxes(between, 0, 1), columns), 0, 1)
    scaled_down = value / STEPS**2 if is_real else (value + STEPS**2 // 2) // STEPS**2
    return scaled_down.astype(image.dtype)  # type: ignore[return-value]


def _between(values: npt.NDArray[Any], place: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Return 256 times the values at places of the first axis; places beyond it have the value of its end."""
    inside = np.clip(place, 0, (len(values) - 1) * STEPS)
    first, part = inside // STEPS, (inside % STEPS).reshape(-1, *(1,) * (values.ndim - 1))
    second = np.minimum(first + 1, len(values) - 1)
    return values[first] * (STEPS - part) + values[second] * part
