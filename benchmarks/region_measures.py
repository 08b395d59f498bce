"""How much superpixels blur classes: what is lost if each takes its most frequent class.

Masks are as in `hsmix_gen.stages.saliency.quality`; a measure without pixels to count is NaN.
"""

import math

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.labels.labels import collapse

Labels = npt.NDArray[np.integer]


def achievable_accuracy(labels: Labels, mask: npt.NDArray[np.integer]) -> float:
    """Measure how many pixels are right if each superpixel takes its most frequent class (ASA).

    Returns the share in [0, 1] of the pixels that are not ignored.
    """
    wrong, valid = _wrongly_absorbed(labels, mask)
    return (valid - wrong) / valid if valid else math.nan


def leak(labels: Labels, mask: npt.NDArray[np.integer]) -> float:
    """Measure the pixels that a superpixel's most frequent class absorbs wrongly, per foreground pixel.

    Unlike `achievable_accuracy` it does not flatter small objects: 1 if all of the foreground is swallowed. Both
    directions count, foreground taken as background and the reverse. Returns 0 or more.
    """
    ids = collapse(mask)
    n_foreground = np.count_nonzero((ids != 0) & (ids != IGNORE))
    return _wrongly_absorbed(labels, mask)[0] / n_foreground if n_foreground else math.nan


def _wrongly_absorbed(labels: Labels, mask: npt.NDArray[np.integer]) -> tuple[int, int]:
    """Return how many pixels lack their superpixel's most frequent class, and how many count at all."""
    ids = collapse(mask)
    valid = ids != IGNORE
    classes = ids[valid].astype(np.int64)
    n_classes = int(classes.max(initial=0)) + 1
    pairs = labels[valid].astype(np.int64) * n_classes + classes
    # Padding makes whole rows, one a superpixel, also when the last ones lack the last classes.
    n_rows = int(labels.max()) + 1
    histogram = np.bincount(pairs, minlength=n_rows * n_classes).reshape(n_rows, n_classes)
    return pairs.size - int(histogram.max(axis=1).sum()), pairs.size
