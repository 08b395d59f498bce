"""Fine-grained: pixels that are brighter or darker than their surroundings at six scales."""

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.saliency.backend import Backend
from hsmix_gen.stages.saliency.grey_maps import mean_map

# Half widths, in pixels, of the surrounds that a pixel is compared with.
_SURROUNDS = (12, 24, 28, 48, 56, 112)


def fine_grained(image: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Mark pixels that are brighter or darker than their surroundings at six scales (Montabone & Soto [1]_).

    The definition is that of OpenCV's ``StaticSaliencyFineGrained``, which the published HSMix uses. The
    grey image is smoothed twice; each pixel is compared with the mean of the others in squares of 24 to 224
    pixels; positive (on-centre) and negative (off-centre) differences are cut to integers, summed over the
    scales, stretched to 255 each and added. Sums above 255 are clipped; in OpenCV the byte overflows.

    Argument and errors are those of `mean_map`. Returns (H, W) float32 in [0, 1], 0 without contrast; multiples of
    1/255, or means of them.

    References
    ----------
    .. [1] Montabone & Soto, "Human detection using a mobile platform and novel features derived from a visual
       saliency mechanism", Image and Vision Computing 2010, doi:10.1016/j.imavis.2009.06.004.
    """
    return mean_map(image, _fine_grained_of_grey)


def _fine_grained_of_grey(values: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return the (H, W) map of grey values 0 to 255."""
    grey = _binomial_blur(_binomial_blur(values))
    if grey.min() == grey.max():
        return np.zeros(grey.shape, np.float32)
    brighter = np.zeros(grey.shape, np.int64)
    darker = np.zeros(grey.shape, np.int64)
    integral = np.pad(grey.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    for half_width in _SURROUNDS:
        contrast = _contrast(grey, integral, half_width=half_width)
        brighter += np.maximum(contrast, 0)
        darker += np.maximum(-contrast, 0)
    both = _stretch(brighter) + _stretch(darker)
    saliency: npt.NDArray[np.float32] = (np.minimum(both, 255) / 255).astype(np.float32)
    return saliency


def _binomial_blur(grey: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return (H, W) integers smoothed by [1, 2, 1] / 4 along both axes, halves rounded up."""
    padded = np.pad(grey, 1, mode="reflect")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    blurred: npt.NDArray[np.int64] = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:] + 8) // 16
    return blurred


def _contrast(
    grey: npt.NDArray[np.int64], integral: npt.NDArray[np.int64], *, half_width: int
) -> npt.NDArray[np.int64]:
    """Return how much each pixel exceeds the mean of the others in its window, cut towards zero.

    The window spans ``half_width - 1`` pixels up and left, `half_width` down and right, within the image.

    Parameters
    ----------
    grey : (H, W) int64
        Not constant, so that a window never holds its pixel alone.
    integral : (H + 1, W + 1) int64
        Sum of all pixels above and left.
    half_width : int
        Pixels.

    Returns
    -------
    (H, W) int64
        -255 to 255.
    """
    places = [np.arange(length) for length in grey.shape]
    top, left = (np.maximum(place - half_width + 1, 0) for place in places)
    bottom, right = (np.minimum(place + half_width + 1, len(place)) for place in places)
    lines = integral.take(bottom, axis=0) - integral.take(top, axis=0)
    total = lines.take(right, axis=1) - lines.take(left, axis=1)
    count = np.outer(bottom - top, right - left)
    # grey - (total - grey) / (count - 1), on one denominator: exact, and the quotient cuts towards zero.
    contrast: npt.NDArray[np.int64] = ((grey * count - total) / (count - 1)).astype(np.int64)
    return contrast


def _stretch(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return integers from 0 scaled so that the largest is 255, cut to integers; zeros stay zeros."""
    return 255 * values // max(int(values.max()), 1)


BACKEND = Backend(lambda subject: fine_grained(subject.image()))
