"""Colours as SLIC compares them: stretched to [0, 1], RGB as CIELab; equal to scikit-image's to the last bit."""

from typing import Any

import numpy as np
import numpy.typing as npt

_XYZ_OF_RGB = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65, 2 degrees
# Rows of an image that are turned into Lab at a time, so that all steps find them in the processor's cache.
_ROWS = 16
_LINE = 16  # pixels to whose multiples rows are padded


def colour_planes(
    image: npt.NDArray[np.generic], mask: npt.NDArray[np.bool_] | None, *, lab: bool
) -> npt.NDArray[np.float64]:
    """Return the planes of an (H, W, C) image, stretched to [0, 1] by the range of all its channels.

    Parameters
    ----------
    image : (H, W, C) uint8, uint16, float32 or float64
    mask : (H, W) bool or None
        The range is that of the pixels inside; values outside may leave [0, 1].
    lab : bool
        Whether the three channels are RGB and become CIELab.

    Returns
    -------
    (C, H, S) float64
        The first W of S columns are the image; the others are 0.

    Raises
    ------
    ValueError
        If a value inside is not finite.
    """
    inside = image if mask is None else image[mask]
    low, high = float(inside.min()), float(inside.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("image must be finite, got NaN or infinity; replace them")
    height, width, channels = image.shape
    # An odd number of lines: with a power of 2 all rows of a tile would compete for one place in the processor's cache.
    padded = np.zeros((channels, height, (-(-width // _LINE) | 1) * _LINE))
    planes = padded[..., :width]
    if not lab:
        planes[:] = np.moveaxis(_stretched(image, low, high), -1, 0)
    elif not np.issubdtype(image.dtype, np.unsignedinteger):
        _fill_lab(planes, _linear(_stretched(image, low, high)))
    else:  # whole numbers have so few values that their light is looked up
        _fill_lab(planes, image, _linear(_stretched(np.arange(256**image.itemsize), low, high)))
    return padded


def gaussian_weights(sigma: float) -> npt.NDArray[np.float64]:
    """Return the weights of a Gaussian of `sigma` pixels, above 0, cut off at four of these; their sum is 1."""
    radius = int(4.0 * sigma + 0.5)
    weights: npt.NDArray[np.float64] = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    weights /= weights.sum()
    return weights


def _stretched(values: npt.NDArray[np.generic], low: float, high: float) -> npt.NDArray[np.float64]:
    moved = values.astype(np.float64)
    moved -= low
    if low != high:
        moved /= high - low
    return moved


def _fill_lab(
    planes: npt.NDArray[np.float64], light: npt.NDArray[Any], table: npt.NDArray[np.float64] | None = None
) -> None:
    """Write (3, H, W) planes of CIELab of linear (H, W, 3) light, or of indices into a table of it."""
    white = np.tile(_WHITE, (light.shape[1], 1))
    for start in range(0, light.shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        # One product for each row of pixels, as scikit-image has it: libraries of matrix products round by shape.
        xyz = (light[rows] if table is None else table.take(light[rows], mode="clip")) @ _XYZ_OF_RGB.T
        xyz /= white
        dark = ~(xyz > 0.008856)
        roots = np.cbrt(xyz)
        roots[dark] = 7.787 * xyz[dark] + 16.0 / 116.0
        x, y, z = np.moveaxis(roots, -1, 0)
        lightness, green_red, blue_yellow = planes[:, rows]
        np.multiply(y, 116.0, out=lightness)
        lightness -= 16.0
        np.subtract(x, y, out=green_red)
        green_red *= 500.0
        np.subtract(y, z, out=blue_yellow)
        blue_yellow *= 200.0


def _linear(rgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return linear light of sRGB values."""
    light = rgb / 12.92
    bright = rgb > 0.04045
    light[bright] = np.power((rgb[bright] + 0.055) / 1.055, 2.4)
    return light
