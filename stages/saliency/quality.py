"""Measures of superpixels, saliency maps and predictions against a ground-truth mask.

A mask is an (H, W) array of class ids, or (H, W, K) channels of 0 and 1, which `labels.collapse` turns into ids; what
it is compared with is (H, W), superpixels and predicted classes are 0 or more. Pixels with the value `IGNORE` belong to
no class and count nowhere; every class but 0 is foreground. A measure that is undefined, for want of a boundary or of a
class, is NaN.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.labels.labels import collapse


def boundary_recall(labels: npt.NDArray[np.integer], mask: npt.NDArray[np.integer], *, tolerance: int = 2) -> float:
    """Measure which share of the true contours the superpixels follow.

    A pixel lies on a boundary if one of its four neighbours differs, so that both sides of a contour count; a contour
    is where two classes meet, not where a class meets an ignored pixel. Returns the share in [0, 1] of the mask's
    boundary pixels within `tolerance` pixels, 0 or more, of a superpixel boundary. Distance is Euclidean, between pixel
    centres.
    """
    mask = _ids(labels, mask)
    contour = _boundaries(mask, valid=mask != IGNORE)
    offset = np.arange(-tolerance, tolerance + 1)
    disk = offset[:, None] ** 2 + offset**2 <= tolerance**2
    from scipy import ndimage  # imported here, so that networks are fitted with torch and numpy alone

    near = ndimage.binary_dilation(_boundaries(labels, valid=np.ones_like(contour)), disk)
    return _ratio(np.count_nonzero(contour & near), np.count_nonzero(contour))


def saliency_auc(saliency: npt.NDArray[np.floating], mask: npt.NDArray[np.integer]) -> float:
    """Measure how well a saliency map ranks foreground above background (area under the ROC curve).

    Any scale will do, as only the order matters. Returns the chance in [0, 1] that a random foreground pixel is more
    salient than a random background pixel, ties counted half; 0.5 for a map that shows nothing.
    """
    mask = _ids(saliency, mask)
    # Sorted as well, so that each search begins where the one before ended.
    foreground = np.sort(saliency[(mask != 0) & (mask != IGNORE)])
    background = np.sort(saliency[mask == 0])
    # An equal background pixel is counted on one side only, hence half.
    below = np.searchsorted(background, foreground, side="left").sum()
    not_above = np.searchsorted(background, foreground, side="right").sum()
    return _ratio(below + not_above, 2 * foreground.size * background.size)


def dice(prediction: npt.NDArray[np.integer], mask: npt.NDArray[np.integer], n_classes: int) -> float:
    """Measure the overlap of predicted and true classes: the mean Dice coefficient of the foreground.

    The background 0 is one of the `n_classes`; channels of a mask are one fewer. Returns the mean in [0, 1] over the
    classes above 0 that occur in either array.
    """
    mask = _ids(prediction, mask)
    valid = mask != IGNORE
    predicted = np.bincount(prediction[valid], minlength=n_classes)[1:n_classes]
    true = np.bincount(mask[valid], minlength=n_classes)[1:n_classes]
    both = np.bincount(mask[valid & (prediction == mask)], minlength=n_classes)[1:n_classes]
    present = predicted + true > 0
    return _ratio(float((2 * both[present] / (predicted + true)[present]).sum()), np.count_nonzero(present))


def _boundaries(regions: npt.NDArray[np.integer], *, valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the (H, W) pixels that have a valid neighbour of another region and are valid themselves."""
    on_boundary = np.zeros(regions.shape, np.bool_)
    vertical = (regions[1:] != regions[:-1]) & valid[1:] & valid[:-1]
    on_boundary[1:] |= vertical
    on_boundary[:-1] |= vertical
    horizontal = (regions[:, 1:] != regions[:, :-1]) & valid[:, 1:] & valid[:, :-1]
    on_boundary[:, 1:] |= horizontal
    on_boundary[:, :-1] |= horizontal
    return on_boundary


def _ids(first: npt.NDArray[np.generic], mask: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Return the (H, W) class ids of a mask, which must have the shape of the array it is compared with."""
    ids = collapse(mask)
    if first.shape != ids.shape:
        raise ValueError(f"array and mask must have one shape, got {first.shape} and {ids.shape}")
    return ids


def mean_of_defined(values: Sequence[float]) -> float:
    """Return the mean of the values that are defined, NaN if none is."""
    defined = [value for value in values if not math.isnan(value)]
    return float(np.mean(defined)) if defined else math.nan


def _ratio(part: float | np.integer, whole: float | np.integer) -> float:
    """Return ``part / whole``, NaN if nothing is there to be measured."""
    return float(part) / float(whole) if whole else math.nan
