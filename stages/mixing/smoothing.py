"""Gaussian blur of 8-bit maps in whole numbers, the same to the last bit on every machine.

The weights of the kernel are whole 255ths, and both passes give whole numbers below 2**24, which single precision
holds exactly: no order of the sums changes a bit, neither in the compiled loop nor in products with matrices.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.kernels.compiled import has, native

SCALE = 255 * 255
"""What a map of ones becomes; one of 255 stays below 2**24."""
_REACH = 4.0
"""Standard deviations after which the kernel ends."""
_ROWS = 32
"""Rows or columns that are multiplied at once: only neighbours within the reach of the kernel are read."""


def blurred(
    levels: npt.NDArray[np.uint8] | npt.NDArray[np.bool_], sigma: float, radius: int | None = None
) -> npt.NDArray[np.float32]:
    """Return a map blurred by a Gaussian, mirrored at the rim, times `SCALE`.

    Parameters
    ----------
    levels : (H, W) uint8 or bool
    sigma : float
        Standard deviation in pixels.
    radius : int, optional
        Pixels to either side of the middle after which the kernel ends; four standard deviations by default.

    Returns
    -------
    (H, W) float32
        Whole numbers.
    """
    reach = int(_REACH * sigma + 0.5) if radius is None else radius
    if has("blur"):
        found: npt.NDArray[np.float32] = np.empty(levels.shape, dtype=np.float32)
        weights = kernel(sigma, reach).astype(np.uint8)
        native.blur(np.ascontiguousarray(levels).view(np.uint8), (levels.shape[0], levels.shape[1]), weights, found)
        return found
    return _multiplied(levels, sigma, reach)


def _multiplied(
    levels: npt.NDArray[np.uint8] | npt.NDArray[np.bool_], sigma: float, reach: int
) -> npt.NDArray[np.float32]:
    """Do what native/smooth.c does."""
    down, both = np.zeros(levels.shape, dtype=np.float32), np.zeros(levels.shape, dtype=np.float32)
    values = levels.astype(np.float32)
    # Where all that is near is 0, nothing is multiplied.
    for start, near, weights in _blocks(len(values), sigma, reach):
        if levels[near].any():
            np.matmul(weights, values[near], out=down[start : start + len(weights)])
    for start, near, weights in _blocks(values.shape[1], sigma, reach):
        if levels[:, near].any():
            both[:, start : start + len(weights)] = down[:, near] @ weights.T
    return both


def in_255ths(ones: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return a blurred map of zeros and ones in whole 255ths, rounded to nearest; there are no ties, 255 is odd."""
    levels: npt.NDArray[np.float32] = ones + np.float32(127)
    levels /= np.float32(255)
    np.floor(levels, out=levels)
    return levels


@lru_cache(maxsize=16)
def kernel(sigma: float, radius: int) -> npt.NDArray[np.int64]:
    """Return the weights of a Gaussian in whole numbers whose sum is 255; the middle takes what rounding leaves."""
    plain = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(-radius, radius + 1)]
    weights = np.array([math.floor(255 * value / math.fsum(plain) + 0.5) for value in plain], dtype=np.int64)
    weights[radius] += 255 - weights.sum()
    return weights


@lru_cache(maxsize=16)
def _blocks(length: int, sigma: float, radius: int) -> list[tuple[int, slice, npt.NDArray[np.float32]]]:
    """Return the first row or column, those that are read, and the weights of each block."""
    weights = kernel(sigma, radius)
    matrix = np.zeros((length, length), dtype=np.float32)
    rows = np.arange(length)
    for step, weight in zip(range(-radius, radius + 1), weights, strict=True):
        np.add.at(matrix, (rows, _mirrored(rows + step, length)), np.float32(weight))
    blocks = []
    for start in range(0, length, _ROWS):
        stop = min(start + _ROWS, length)
        near = slice(max(0, start - radius), min(length, stop + radius))
        blocks.append((start, near, np.ascontiguousarray(matrix[start:stop, near])))
    return blocks


def _mirrored(index: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
    """Return the index that stands for one beyond the ends: c b a | a b c | c b a."""
    folded = index % (2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded)
