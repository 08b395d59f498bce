"""Felzenszwalb's graph segmentation: large regions where the image is even, small ones where it has detail."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from skimage.segmentation import felzenszwalb

from hsmix_gen.stages.superpixels.label_maps import region_count, renumbered
from hsmix_gen.stages.superpixels.slic_regions import stretched_channels

_LEAST_PIXELS = 20
"""Smaller regions are joined to a neighbour."""
_STEP = 2**0.25
"""Between two scales that are tried."""
_STEPS = 64
"""Scales from 1 to 65,536, by which whole images become one region."""


def segment(
    image: npt.NDArray[np.generic],
    counts: Sequence[int],
    *,
    sigma: float = 1.0,
    mask: npt.NDArray[np.bool_] | None = None,
    **_: object,
) -> list[npt.NDArray[np.uint16]]:
    """Cut an image by the graph-based method [1]_, once for each number of regions.

    The method knows a scale and no number: the scale is searched whose number comes nearest. Fewer regions are
    returned where the image has no more at the finest scale. Arguments, result and errors are those of
    `slic_regions.segment`; a mask cuts the regions of the whole image.

    References
    ----------
    .. [1] Felzenszwalb, Huttenlocher, "Efficient graph-based image segmentation", IJCV 2004,
       doi:10.1023/B:VISI.0000022288.19776.77.
    """
    values = stretched_channels(image, mask).astype(np.float64)
    values = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
    made: dict[int, npt.NDArray[np.uint16]] = {}

    def cut(step: int) -> npt.NDArray[np.uint16]:
        if step not in made:
            with warnings.catch_warnings():
                # It wonders about images of four modalities.
                warnings.filterwarnings("ignore", message="Got image with third dimension", category=RuntimeWarning)
                found = felzenszwalb(values, scale=_STEP**step, sigma=sigma, min_size=_LEAST_PIXELS, channel_axis=-1)
            made[step] = renumbered(found if mask is None else np.where(mask, found + 1, 0))
        return made[step]

    return [cut(_nearest(cut, wanted)) for wanted in counts]


def _nearest(cut: Callable[[int], npt.NDArray[np.uint16]], wanted: int) -> int:
    """Return the step of the scale at which the number of regions is nearest to a number; the finer one in a tie."""
    fine, coarse = 0, _STEPS
    while coarse - fine > 1:
        middle = (fine + coarse) // 2
        if region_count(cut(middle)) >= wanted:
            fine = middle
        else:
            coarse = middle
    return min((fine, coarse), key=lambda step: abs(region_count(cut(step)) - wanted))
