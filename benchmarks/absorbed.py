"""How much superpixels absorb wrongly, if each takes the class that most of its pixels have.

A mask is (H, W) class ids, or (H, W, K) channels, which `labels.collapse` turns into ids; ignored pixels count nowhere.
What is undefined is NaN.
"""

import math

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.labels.labels import collapse

_Integers = npt.NDArray[np.integer]


def achievable_accuracy(labels: _Integers, mask: _Integers) -> float:
    """Return the share in [0, 1] of pixels that have the most frequent class of their superpixel (ASA)."""
    wrong, valid = _absorbed(labels, collapse(mask))
    return 1 - wrong / valid if valid else math.nan


def leak(labels: _Integers, mask: _Integers) -> float:
    """Return the pixels that the most frequent class of a superpixel absorbs wrongly, per foreground pixel, 0 or more.

    Unlike `achievable_accuracy` it does not flatter small objects: 1 if all of the foreground is swallowed. Both
    directions count, foreground taken as background and the reverse.
    """
    ids = collapse(mask)
    foreground = np.count_nonzero((ids != 0) & (ids != IGNORE))
    return _absorbed(labels, ids)[0] / foreground if foreground else math.nan


def _absorbed(labels: _Integers, ids: _Integers) -> tuple[int, int]:
    """Return how many pixels lack their superpixel's most frequent class, and how many count at all."""
    valid = ids != IGNORE
    classes = ids[valid].astype(np.int64)
    n_classes = int(classes.max(initial=0)) + 1
    pairs = labels[valid].astype(np.int64) * n_classes + classes
    # Padding makes whole rows, one a superpixel, also when the last ones lack the last classes.
    n_rows = int(labels.max()) + 1
    histogram = np.bincount(pairs, minlength=n_rows * n_classes).reshape(n_rows, n_classes)
    return pairs.size - int(histogram.max(axis=1).sum()), pairs.size
