"""Whether the seam of a mix lies on contours of B: then something whole was moved, and not a patch of something."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.arrays import AnyMask, Image
from hsmix_gen.stages.kernels.compiled import has, native
from hsmix_gen.stages.labels.labels import collapse

SEAM_STEP = 13
"""Least difference of neighbouring weights, in 255ths, that is a seam: a twentieth of the whole."""
STRONG_SHARE = 0.1
"""The share of B's pixels with the steepest slopes that count as contours of its image."""
_STEP = 2
"""Rows and columns from one pixel that is seen to the next: a quarter of the time, and the same share of the seam."""
_THIN = 4

_Bools = npt.NDArray[np.bool_]


def seam_agreement(image_b: Image, mask_b: AnyMask, weight_b: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Measure which share of the seam lies on a contour of B's mask or image, within two pixels.

    Parameters
    ----------
    image_b : (H, W, C)
        Its middle channel counts.
    mask_b : (H, W) or (H, W, K) uint8
    weight_b : (H, W) uint8
        Lambda in 255ths.

    Returns
    -------
    agreement : float
        In [0, 1]; NaN where there is no seam.
    chance : float
        Share of all pixels that lie on such contours: what a seam that follows nothing has.
    """
    plane: npt.NDArray[Any] = image_b[..., image_b.shape[-1] // 2]
    ids = collapse(mask_b)
    if has("count_seam") and plane.dtype == np.uint8:
        found = native.count_seam(plane, ids, weight_b, _STEP, SEAM_STEP, _THIN, 1 - STRONG_SHARE)
    else:
        found = by_numpy(plane[::_STEP, ::_STEP], ids[::_STEP, ::_STEP], weight_b[::_STEP, ::_STEP])
    length, agreeing, near = found
    return agreeing / length if length else math.nan, near / weight_b[::_STEP, ::_STEP].size


def by_numpy(
    plane: npt.NDArray[Any], ids: npt.NDArray[np.uint8], weights: npt.NDArray[np.uint8]
) -> tuple[int, int, int]:
    """Return the pixels of the seam, those of them that lie on or beside a contour, and all pixels there."""
    seam = _steps(weights, SEAM_STEP)
    contours = _widened(_steep(plane) | _steps(ids, 1))
    return int(np.count_nonzero(seam)), int(np.count_nonzero(seam & contours)), int(np.count_nonzero(contours))


def _steps(values: npt.NDArray[np.uint8], least: int) -> _Bools:
    """Return where the next pixel below or to the right differs by `least` or more, (H, W) bool."""
    found, wide = np.zeros(values.shape, np.bool_), values.astype(np.int16)
    found[:-1] = np.abs(wide[1:] - wide[:-1]) >= least
    found[:, :-1] |= np.abs(wide[:, 1:] - wide[:, :-1]) >= least
    return found


def _steep(plane: npt.NDArray[np.generic]) -> _Bools:
    """Return the pixels of a channel with the steepest slopes, (H, W) bool; none of a flat one."""
    wide = plane.astype(np.int32 if np.issubdtype(plane.dtype, np.integer) else np.float32)
    slope = np.zeros_like(wide)
    slope[:-1] = np.abs(wide[1:] - wide[:-1])
    slope[:, :-1] += np.abs(wide[:, 1:] - wide[:, :-1])
    some = np.sort(slope[::_THIN, ::_THIN], axis=None)
    found: _Bools = slope > some[int(len(some) * (1 - STRONG_SHARE))]
    return found


def _widened(found: _Bools) -> _Bools:
    """Return a map with all eight neighbours of its pixels."""
    rows = found.copy()
    rows[1:] |= found[:-1]
    rows[:-1] |= found[1:]
    wide = rows.copy()
    wide[:, 1:] |= rows[:, :-1]
    wide[:, :-1] |= rows[:, 1:]
    return wide
