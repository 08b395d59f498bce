"""Squared distances to the nearest pixel of an area, in whole numbers."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage


def squared_distance(area: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the squared distance in pixels of each pixel to the nearest one of an area, (H, W) int64.

    Parameters
    ----------
    area : (H, W) bool
        At least one pixel is True; there the distance is 0.
    """
    nearest = ndimage.distance_transform_edt(~area, return_distances=False, return_indices=True)
    rows, columns = np.ogrid[: area.shape[0], : area.shape[1]]
    squared: npt.NDArray[np.int64] = (nearest[0] - rows).astype(np.int64) ** 2 + (nearest[1] - columns) ** 2
    return squared
