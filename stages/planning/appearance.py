"""Kinds of images by their looks, so that partners can be chosen among images that look alike.

All sums are of whole numbers: the same images are of the same kinds on every machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FAR = 0.3
"""Distance of looks from which two images look apart, in white: about 40 units of Lab between mean colours."""
_STEPS = 1000
"""Whole numbers for each unit of white."""
_WHITE_IN_SPREADS = 5
"""White of images without one, in mean standard deviations: photographs have about a fifth of white."""
_MOST_PAIRED = 500
"""Images whose pairs are counted; more change nothing in a share."""

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Looks:
    """How images look."""

    vectors: npt.NDArray[np.floating]
    """(N, 2 C) float; means of the channels of each image, then their standard deviations."""
    has_white: bool
    """Whether 1 is white; else their unit follows from their spread."""

    def of(self, rows: _Ints) -> "Looks":
        """Return the looks of some images."""
        return Looks(self.vectors[rows], self.has_white)

    def steps(self) -> _Ints:
        """Return the vectors in thousandths of white."""
        values = self.vectors.astype(np.float64)
        if not self.has_white:
            spread = float(values[:, values.shape[1] // 2 :].mean())
            values = values / (_WHITE_IN_SPREADS * spread or 1.0)
        return np.rint(values * _STEPS).astype(np.int64)


def far_share(looks: Looks) -> float:
    """Return the share of pairs of images that look apart."""
    steps = looks.steps()
    chosen = steps[np.unique(np.arange(_MOST_PAIRED) * len(steps) // _MOST_PAIRED)]
    squares = ((chosen[:, None] - chosen[None]) ** 2).sum(axis=-1)  # (n, n)
    n_far = np.count_nonzero(squares > _limit(steps, FAR))
    return float(n_far / max(1, len(chosen) * (len(chosen) - 1)))


def kinds_of(looks: Looks, keys: Sequence[str]) -> _Ints:
    """Divide images into kinds none of whose images look apart, wherever both parts can be mixed.

    A kind that is too wide is cut in two across the number in which it differs most, where the variance between
    both parts is greatest.

    Parameters
    ----------
    looks : Looks
        Of N images.
    keys : sequence of str
        Two images of one key are never partners, so that a kind holds two keys or more.

    Returns
    -------
    (N,) int64
        Kind of each image, 0 and up, in the order of their first images.
    """
    steps = looks.steps()
    _, key = np.unique(np.asarray(keys, dtype=str), return_inverse=True)
    found: list[_Ints] = []
    pending: list[_Ints] = [np.arange(len(steps), dtype=np.int64)]
    while pending:
        rows = pending.pop()
        parts = _divided(steps[rows], key[rows]) if _is_wide(steps[rows]) else None
        if parts is None:
            found.append(rows)
        else:
            pending += [rows[parts], rows[~parts]]
    kinds = np.empty(len(steps), dtype=np.int64)
    for number, rows in enumerate(sorted(found, key=lambda rows: int(rows[0]))):
        kinds[rows] = number
    return kinds


def _is_wide(steps: _Ints) -> bool:
    """Return whether an image is farther from the mean of all than half of what makes two of them look apart."""
    n_images = len(steps)
    from_mean = n_images * steps - steps.sum(axis=0)
    return bool(((from_mean / n_images) ** 2).sum(axis=1).max() > _limit(steps, FAR / 2))


def _limit(steps: _Ints, distance: float) -> float:
    """Return the sum of squared differences at which the root mean square over channels is a distance."""
    return float((distance * _STEPS) ** 2 * (steps.shape[1] // 2))


def _divided(steps: _Ints, key: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_] | None:
    """Return which images are of the upper part, or None where no cut leaves two keys on both sides."""
    n_images = len(steps)
    variances = n_images * (steps**2).sum(axis=0) - steps.sum(axis=0) ** 2
    for axis in np.argsort(-variances, kind="stable"):
        cut = _best_cut(steps[:, axis], key)
        if cut is not None:
            return steps[:, axis] > cut
    return None


def _best_cut(values: _Ints, key: npt.NDArray[np.intp]) -> int | None:
    """Return the greatest value of the lower part where the variance between both parts is greatest [1]_.

    References
    ----------
    .. [1] Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on Systems, Man, and
       Cybernetics 9 (1979) 62-66.
    """
    order = np.argsort(values, kind="stable")
    ordered, keys = values[order], key[order]
    sizes = np.arange(1, len(values))
    lower = np.cumsum(ordered)[:-1]
    upper = ordered.sum() - lower
    # A lower part holds two keys once any differs from the first, an upper one until all are that of the last.
    is_mixable = (np.cumsum(keys != keys[0])[:-1] > 0) & (np.cumsum(keys[::-1] != keys[-1])[::-1][1:] > 0)
    is_cut = (ordered[1:] > ordered[:-1]) & is_mixable
    if not is_cut.any():
        return None
    others = len(values) - sizes
    between = (lower * others - upper * sizes).astype(np.float64) ** 2 / (sizes * others)
    return int(ordered[np.where(is_cut, between, -1.0).argmax()])
