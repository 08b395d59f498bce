"""Squared distances to the nearest pixel of an area, in whole numbers."""

import math

import numpy as np
import numpy.typing as npt
import scipy

from hsmix_gen.stages.kernels.compiled import has, native

_Bools = npt.NDArray[np.bool_]


def within(area: _Bools, most: float) -> _Bools:
    """Return the pixels whose squared distance to the nearest one of an area is at most `most`, (H, W) bool.

    Parameters
    ----------
    area : (H, W) bool
        At least one pixel is True; there the distance is 0.
    most : float
        In squared pixels, 0 or more.
    """
    if not has("within"):
        return squared_distance(area) <= most
    marks: _Bools = np.empty(area.shape, dtype=bool)
    native.within(np.ascontiguousarray(area), (area.shape[0], area.shape[1]), math.floor(most), marks)
    return marks


def deepest(area: _Bools) -> int:
    """Return the greatest squared distance of a pixel to the nearest one of an area; see `within`."""
    if not has("deepest"):
        return int(squared_distance(area).max())
    return native.deepest(np.ascontiguousarray(area), (area.shape[0], area.shape[1]))


def squared_distance(area: _Bools) -> npt.NDArray[np.int64]:
    """Return the squared distance in pixels of each pixel to the nearest one of an area, (H, W) int64.

    Parameters
    ----------
    area : (H, W) bool
        At least one pixel is True; there the distance is 0.
    """
    nearest = scipy.ndimage.distance_transform_edt(~area, return_distances=False, return_indices=True)
    rows, columns = np.ogrid[: area.shape[0], : area.shape[1]]
    squared: npt.NDArray[np.int64] = (nearest[0] - rows).astype(np.int64) ** 2 + (nearest[1] - columns) ** 2
    return squared
