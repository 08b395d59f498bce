"""Paired differences between arms with bootstrap intervals over images and seeds, and Holm's correction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.randomness import generator_for

DRAWS = 10_000
MOST_DRAWS = 100_000
"""Draws for a small p: with fewer, Holm's correction over hundreds of comparisons would leave nothing below 0.05."""
_ENOUGH = 20
"""Draws beyond zero that show p well enough."""
LEVEL = 0.95
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """How much better one arm is than another, in the units of its score.

    Attributes
    ----------
    mean : float
    low, high : float
        Ends of the 95 % interval.
    p : float
        Two-sided, from the same draws; of a single seed it says nothing about other seeds.
    seeds, images : int
        Pairs of runs, and images that each is measured on.
    spread : float
        Standard deviation of the difference over seeds; NaN of one seed.
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: int
    images: int
    spread: float

    @property
    def is_decided(self) -> bool:
        """Whether zero lies outside of the interval, which needs two seeds at least."""
        return self.seeds > 1 and (self.low > 0 or self.high < 0)


def gain(differences: _Floats, *, seed: int = 0, draws: int = DRAWS) -> Gain:
    """Return the mean of paired differences, its interval and p.

    Images and seeds are drawn anew independently, as both are samples of many [1]_. With S seeds the drawn means of
    seeds spread by the root of (S - 1) / S too little, and the drawn deviations are stretched by the inverse.

    Parameters
    ----------
    differences : (I, S) float64
        Arm minus reference for each image and seed; NaN where neither has a score.
    seed : int
        Of the draws.
    draws : int
        For the interval; a p that they show too few cases of gets up to `MOST_DRAWS`.

    References
    ----------
    .. [1] Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007, doi:10.1214/07-AOAS122.
    """
    known = differences[~np.isnan(differences).all(axis=1)]
    n_images, n_seeds = known.shape
    mean = float(np.nanmean(known))
    stretch = np.sqrt(n_seeds / (n_seeds - 1)) if n_seeds > 1 else 1.0
    rng = generator_for(seed, "bootstrap")
    drawn = stretch * (_drawn_means(known, rng, draws) - mean)
    low, high = mean + np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    n_drawn, beyond = draws, _beyond(drawn, mean)
    while min(beyond) < _ENOUGH and n_drawn < MOST_DRAWS:
        beyond += _beyond(stretch * (_drawn_means(known, rng, draws) - mean), mean)
        n_drawn += draws
    # One is added to both counts: no finite number of draws shows a chance of zero.
    p = min(1.0, 2 * (min(beyond) + 1) / (n_drawn + 1))
    spread = float(np.std(np.nanmean(known, axis=0), ddof=1)) if n_seeds > 1 else float("nan")
    return Gain(mean, float(low), float(high), float(p), n_seeds, n_images, spread)


def _beyond(drawn: _Floats, mean: float) -> npt.NDArray[np.int64]:
    """Return how many drawn deviations bring the mean down to zero, and up to it, (2,)."""
    return np.array([(drawn + mean <= 0).sum(), (drawn + mean >= 0).sum()])


def _drawn_means(known: _Floats, rng: np.random.Generator, draws: int) -> _Floats:
    """Return the means over images and seeds that were drawn with replacement, (draws,)."""
    n_images, n_seeds = known.shape
    images, seeds = (_times_drawn(rng, size, draws) for size in (n_images, n_seeds))
    there = ~np.isnan(known)
    total = np.einsum("di,is,ds->d", images, np.where(there, known, 0), seeds, optimize=True)
    weight = np.einsum("di,is,ds->d", images, there.astype(float), seeds, optimize=True)
    means: _Floats = total / np.maximum(weight, 1e-12)
    return means


def _times_drawn(rng: np.random.Generator, size: int, draws: int) -> _Floats:
    """Return how often each of `size` things is drawn in `size` draws with replacement, (draws, size)."""
    places = (rng.random((draws, size)) * size).astype(np.int64)
    offset = np.arange(draws)[:, None] * size
    counts: _Floats = np.bincount((places + offset).ravel(), minlength=draws * size).reshape(draws, size).astype(float)
    return counts


def paired(
    arm: Mapping[tuple[str, int], float], reference: Mapping[tuple[str, int], float]
) -> tuple[_Floats, list[int]]:
    """Return the (I, S) differences of scores by (image, seed), and the seeds that both have.

    Raises
    ------
    ValueError
        If runs of one seed were measured on different images: then they are no pair.
    """
    seeds = sorted({seed for _, seed in arm} & {seed for _, seed in reference})
    images = sorted({image for image, seed in arm if seed in seeds})
    for scores in (arm, reference):
        measured = {key for key in scores if key[1] in seeds}
        if measured != {(image, seed) for image in images for seed in seeds}:
            raise ValueError("paired runs must be measured on the same images; remove one run and train it again")
    rows = [[arm[image, seed] - reference[image, seed] for seed in seeds] for image in images]
    return np.array(rows, dtype=np.float64).reshape(len(images), len(seeds)), seeds


def holm(p: Sequence[float]) -> list[float]:
    """Return p values corrected for their number [1]_, in their order.

    References
    ----------
    .. [1] Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 1979.
    """
    order = sorted(range(len(p)), key=lambda i: p[i])
    corrected, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = largest
    return corrected
