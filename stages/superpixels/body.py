"""The body in an image, where superpixels of volumes lie."""

import numpy as np
import numpy.typing as npt
import scipy


def body_of(image: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_] | None:
    """Return the body in an image whose background is 0, or None where there is none to separate.

    Parameters
    ----------
    image : (H, W, C) uint8, uint16 or float32
        Channels last.

    Returns
    -------
    (H, W) bool or None
        True where any channel is not 0, and in the holes of that; None if it is everything or nothing.
    """
    body: npt.NDArray[np.bool_] = scipy.ndimage.binary_fill_holes((image != 0).any(axis=2))
    return body if body.any() and not body.all() else None
