"""Partners whose saliency conflicts least with an image's own, as both are turned, after GuidedMixup [1]_.

References
----------
.. [1] Kang and Kim, "GuidedMixup", AAAI 2023, doi:10.1609/aaai.v37i1.25191, arXiv:2306.16612.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.randomness import generator_for, permutation

BATCH = 32
"""Images that exchange partners with each other: the paper's mini-batch."""
_WHOLE = 2**16
"""What the levels of a map add up to, so that bright maps do not count more."""

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Maps:
    """Small saliency maps of all sources."""

    levels: _Ints
    """(N, 8, P) int64; pixels of each map in each of the eight turns; `whole` gives them one sum."""
    turn: Callable[[int, int, str], int]
    """Takes row and copy of a sample's first image and ``a`` or ``b``; returns the turn of that parent."""


def whole(levels: npt.NDArray[np.integer]) -> _Ints:
    """Return maps, (..., P) int, with one sum, up to rounding; those of zeros become even."""
    values = levels.astype(np.int64)
    values[values.sum(axis=-1) == 0] = 1
    shares: _Ints = values * _WHOLE // values.sum(axis=-1, keepdims=True)
    return shares


def least_conflict(
    of_copy: Callable[[int], _Ints], rows: _Ints, groups: Sequence[str], maps: Maps, copy: int, *, seed: int
) -> _Ints:
    """Return the partners of a copy, exchanged within batches of chance so that saliency overlaps least.

    The overlap of a pair is the sum over the pixels of the product of both maps, turned as the sample turns them; the
    sum of a batch is the least that is possible. Nobody gets a partner of the own group, and all are partners as
    often as before.

    Parameters
    ----------
    of_copy : callable
        Takes a copy and returns partners, (N,) int64, that may be exchanged.
    rows : (N,) int64
    groups : sequence of str
        Of each of the N rows; parents are of two of them.
    maps : Maps
        Of all sources.
    copy : int
    seed : int
    """
    from scipy.optimize import linear_sum_assignment  # a tenth of a second that other partners need not spend

    partner = of_copy(copy).copy()
    group_of = dict(zip(rows.tolist(), groups, strict=True))
    order = permutation(generator_for(seed, "guided-batches", copy), len(rows))
    for start in range(0, len(rows), BATCH):
        batch = order[start : start + BATCH]
        first, second = rows[batch].tolist(), partner[batch].tolist()
        overlap = np.array([_overlaps(row, second, copy, maps) for row in first])
        same = np.array([[group_of[a] == group_of[b] for b in second] for a in first])
        # The partners as they were are allowed, so that a sum without these can be reached.
        overlap[same] = overlap.sum() + 1
        partner[batch] = partner[batch][linear_sum_assignment(overlap)[1]]
    return partner


def _overlaps(row: int, others: Sequence[int], copy: int, maps: Maps) -> _Ints:
    """Return how much the maps of others overlap that of a first image, (M,) int64."""
    own = maps.levels[row, maps.turn(row, copy, "a")]
    overlaps: _Ints = maps.levels[others, maps.turn(row, copy, "b")] @ own
    return overlaps
