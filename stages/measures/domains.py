"""Whether a set is of two kinds of images, such as two stains or two scanners, that look apart."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAST_SHARE = 0.05
"""A part of a set smaller than this is a few odd images and no kind of its own."""
_LEAST_IMAGES = 8
_NO_VARIANCE = 1e-12


@dataclass(frozen=True)
class Domains:
    """The best division of a set into two by looks."""

    separation: float
    """Share of the variance along the main axis of looks that lies between both parts, 0 to 1: 0.64 for a normal
    distribution, 0.75 for an even one, more for two clouds. 0 where there are too few images."""
    gap: float
    """Distance of the parts' means along that axis; 1 is from black to white."""
    is_second: npt.NDArray[np.bool_]
    """(N,) bool; which images are of the smaller part."""


def two_domains(looks: npt.NDArray[np.float64]) -> Domains:
    """Divide images into two kinds along the direction in which they differ most [1]_.

    Parameters
    ----------
    looks : (N, 2 C) float64
        As `looks.look_vector` gives them.

    References
    ----------
    .. [1] Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on Systems, Man, and
       Cybernetics 9 (1979) 62-66.
    """
    n_images = len(looks)
    if n_images < _LEAST_IMAGES:
        return Domains(0.0, 0.0, np.zeros(n_images, np.bool_))
    centred = looks - looks.mean(axis=0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    place = centred @ axis
    order = np.argsort(place, kind="stable")
    ordered = place[order]
    least = max(2, int(np.ceil(LEAST_SHARE * n_images)))
    sizes = np.arange(1, n_images)
    first = np.cumsum(ordered)[:-1] / sizes
    second = (ordered.sum() - np.cumsum(ordered)[:-1]) / (n_images - sizes)
    between = sizes * (n_images - sizes) * (second - first) ** 2 / n_images**2
    between[: least - 1] = between[n_images - least :] = -1.0
    cut = int(between.argmax())
    variance = float(place.var())
    if variance < _NO_VARIANCE:
        return Domains(0.0, 0.0, np.zeros(n_images, np.bool_))
    smaller = order[cut + 1 :] if cut + 1 > n_images / 2 else order[: cut + 1]
    is_second = np.zeros(n_images, np.bool_)
    is_second[smaller] = True
    return Domains(float(between[cut]) / variance, float(second[cut] - first[cut]), is_second)
