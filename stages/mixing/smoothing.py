"""Gaussian blur of 8-bit maps in whole numbers, the same to the last bit on every machine.

The weights of the kernel are whole 255ths, and both passes give whole numbers below 2**24, which single precision
holds exactly: no order of the sums changes a bit, neither in the compiled loop nor in SciPy.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy

from hsmix_gen.stages.kernels.compiled import has, native

SCALE = 255 * 255
"""What a map of ones becomes; one of 255 stays below 2**24."""
_REACH = 4.0
"""Standard deviations after which the kernel ends."""


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
    blurred = levels.astype(np.float32)
    for axis in (0, 1):
        blurred = scipy.ndimage.correlate1d(blurred, kernel(sigma, reach), axis=axis, mode="reflect")
    return blurred


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
