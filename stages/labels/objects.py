"""How large objects are against superpixels: what is smaller than two of them is cut by most mixes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

SMALL_RATIO = 2.0
"""Mean superpixel areas below which an object is small."""
# Enough to see objects of a few pixels in slices, and quick on photographs.
_MOST_PIXELS = 2_000_000


def median_object_share(foreground: npt.NDArray[np.bool_]) -> float | None:
    """Return the median area of connected objects as a share of the image, or None without any.

    Parameters
    ----------
    foreground : (H, W) bool
        Large ones are thinned to every n-th pixel first.
    """
    step = int(np.ceil(np.sqrt(foreground.size / _MOST_PIXELS)))
    thin = foreground[::step, ::step]
    objects, count = scipy.ndimage.label(thin)
    if not count:
        return None
    return float(np.median(np.bincount(objects.ravel())[1:])) / thin.size


def object_report(shares: Sequence[float], regions: tuple[int, int]) -> dict[str, Any]:
    """Return how objects compare with superpixels.

    Parameters
    ----------
    shares : sequence of float
        Median object of each image that has any, as a share of the image.
    regions : (int, int)
        Least and greatest number of superpixels.

    Returns
    -------
    dict
        ``median_superpixels``: the median object in mean superpixel areas, None without objects; ``images``:
        images with objects; ``images_small``: those whose median object covers less than `SMALL_RATIO`.
    """
    ratios = np.array(shares, dtype=np.float64) * (sum(regions) / 2)
    return {
        "median_superpixels": float(np.median(ratios)) if len(ratios) else None,
        "images": len(ratios),
        "images_small": int((ratios < SMALL_RATIO).sum()),
    }
