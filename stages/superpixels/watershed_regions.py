"""Compact watershed: basins of the gradient around a grid of seeds; quick, with borders on the strongest edges."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import scipy
from skimage.segmentation import watershed

from hsmix_gen.stages.superpixels.label_maps import renumbered
from hsmix_gen.stages.superpixels.slic_regions import default_compactness, stretched_channels

_flood: Callable[..., npt.NDArray[np.integer]] = watershed
_WEIGHT = 1e-4
"""Of distance against the gradient of an image in [0, 1], where compactness is not given."""


def segment(
    image: npt.NDArray[np.generic],
    counts: Sequence[int],
    *,
    compactness: float | None = None,
    sigma: float = 1.0,
    mask: npt.NDArray[np.bool_] | None = None,
    **_: object,
) -> list[npt.NDArray[np.uint16]]:
    """Cut an image by the compact watershed [1]_, once for each number of regions.

    Arguments, result and errors are those of `slic_regions.segment`. `counts` are seeds on a regular grid, and about
    as many regions are returned. `compactness` is relative to the default of SLIC: twice as much weighs distance twice
    as strongly. `sigma` is that of the Gaussian whose derivative is the gradient; 0 takes differences of neighbours.

    References
    ----------
    .. [1] Neubert, Protzel, "Compact watershed and preemptive SLIC: on improving trade-offs of superpixel
       segmentation algorithms", ICPR 2014, doi:10.1109/ICPR.2014.181.
    """
    slope = _steepest(stretched_channels(image, mask), sigma)
    usual = default_compactness(image)
    weight = _WEIGHT * (compactness or usual) / usual
    inside = slope.size if mask is None else int(mask.sum())
    return [
        # Seeds on whole pixels are at most as many as pixels.
        renumbered(_flood(slope, markers=min(wanted, inside), mask=mask, compactness=weight))
        for wanted in counts
    ]


def _steepest(image: npt.NDArray[np.generic], sigma: float) -> npt.NDArray[np.float64]:
    """Return the greatest gradient over the channels of an image, whose values are stretched to [0, 1], (H, W)."""
    values = image.astype(np.float64)
    values = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
    slopes = [
        scipy.ndimage.gaussian_gradient_magnitude(plane, sigma) if sigma > 0 else _differences(plane)
        for plane in np.moveaxis(values, -1, 0)
    ]
    steepest: npt.NDArray[np.float64] = np.max(slopes, axis=0)
    return steepest


def _differences(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the magnitude of the differences of neighbours, none along an axis of one pixel."""
    along = [np.gradient(plane, axis=axis) if n > 1 else np.zeros_like(plane) for axis, n in enumerate(plane.shape)]
    magnitude: npt.NDArray[np.float64] = np.hypot(*along)
    return magnitude
