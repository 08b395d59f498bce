"""How well a segmentation of one image meets its truth: overlap, contour within two pixels, farthest error."""

from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

TOLERANCE = 2.0
"""Pixels within which a contour counts as met."""
_Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """Scores of an image, each the mean over the foreground classes that truth or prediction show.

    Attributes
    ----------
    dice : float
        Dice's coefficient in [0, 1].
    boundary_f : float
        Harmonic mean of the shares of both contours within 2 px of the other, in [0, 1].
    hd95 : float
        The greater of both 95th percentiles of distances between contours, in pixels; where one side is empty the
        diagonal of the image.
    """

    dice: float
    boundary_f: float
    hd95: float


def scores_of(prediction: npt.NDArray[np.integer], truth: npt.NDArray[np.integer], n_classes: int) -> Scores:
    """Return the scores of (H, W) class ids; 255 in the truth is left out. All NaN where neither shows foreground."""
    known = truth != 255
    rows = []
    for number in range(1, n_classes):
        one, other = (prediction == number) & known, truth == number
        if one.any() or other.any():
            rows.append(astuple(_scores(one, other)))
    if not rows:
        return Scores(np.nan, np.nan, np.nan)
    return Scores(*(float(value) for value in np.mean(rows, axis=0)))


def _scores(one: _Bools, other: _Bools) -> Scores:
    dice = 2 * (one & other).sum() / (one.sum() + other.sum())
    if not (one.any() and other.any()):
        return Scores(float(dice), 0.0, float(np.hypot(*one.shape)))
    there, back = _distances(one, other), _distances(other, one)
    precision, recall = (there <= TOLERANCE).mean(), (back <= TOLERANCE).mean()
    f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return Scores(float(dice), float(f), float(max(np.percentile(there, 95), np.percentile(back, 95))))


def _distances(one: _Bools, other: _Bools) -> npt.NDArray[np.float64]:
    """Return how far each contour pixel of one region is from the contour of another, in pixels."""
    distance: npt.NDArray[np.float64] = ndimage.distance_transform_edt(~_contour(other))
    return distance[_contour(one)]


def _contour(region: _Bools) -> _Bools:
    """Return the pixels of a region that touch another; the end of the image is no contour but of a full one."""
    inner: _Bools = ndimage.binary_erosion(region, border_value=1)
    contour: _Bools = region & ~inner
    return contour if contour.any() else region & ~ndimage.binary_erosion(region)
