"""FMix: a mask of low-frequency noise decides what of B stands in A."""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.mixing.method import Method, Pair, Weights
from hsmix_gen.stages.mixing.selection import take
from hsmix_gen.stages.randomness import integer

WAVES = 16
"""Highest frequency, in waves over the image; the strength of those beyond is below a four-thousandth."""
_UNIT = 2**11
"""Cosines are whole 2048ths; with strengths below 2**20 all sums stay below 2**53, exact in any order."""


class FMix(Method):
    """Hard mixing by thresholded noise of low frequency."""

    paper = "Harris et al., FMix: Enhancing Mixed Sample Data Augmentation, arXiv:2002.12047"
    modes = ("hard",)
    formula = "M = 1 on the share r ~ U(0, 1) of pixels where Re F^-1(Z / f^3) is greatest, Z complex Gaussian noise"
    options = ("area",)

    def weigh(self, pair: Pair) -> Weights:
        """Return whether each pixel is among those of the greatest noise."""
        field = noise(pair.generator("noise"), pair.size)
        if pair.mix.area == "matched":
            taken = take(pair)
            count = int(taken.from_b.sum())
        else:
            count = integer(pair.generator("share"), 0, field.size)
        return Weights(greatest(field, count))


def noise(rng: np.random.Generator, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return a field whose waves have a strength of 1 / f**3, f in waves a pixel, (H, W) float64 of whole numbers.

    It is the real part of the inverse Fourier transform of complex Gaussian noise over f**3, up to a factor, without
    the frequencies above `WAVES` and without the mean. The noise is the sum of twelve uniform numbers.
    """
    height, width = size
    uniform = rng.random((12, 2 * (WAVES + 1), 2 * (WAVES + 1)))
    uniform *= 2**20
    drawn = np.floor(uniform, out=uniform).sum(axis=0) - 6 * 2**20
    strength = np.tile(strengths(size), (2, 2))
    coefficients = np.rint(drawn * strength / 2**4)
    field: npt.NDArray[np.float64] = _waves(height) @ coefficients @ _waves(width).T
    return field


@lru_cache(maxsize=8)
def strengths(size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the strength of each pair of waves over height and width, (`WAVES` + 1, `WAVES` + 1), at most 2.

    Both directions of a wave, and of each pair four, add up to its real part.
    """
    longest = max(size)
    vertical, horizontal = (np.arange(WAVES + 1) * (longest / length) for length in size)
    squared = vertical[:, None] ** 2 + horizontal[None, :] ** 2
    squared[0, 0] = np.inf
    signs = np.where(np.arange(WAVES + 1) > 0, 2.0, 1.0)
    strength: npt.NDArray[np.float64] = np.sqrt(signs[:, None] * signs[None, :]) / (squared * np.sqrt(squared))
    return strength


@lru_cache(maxsize=8)
def _waves(length: int) -> npt.NDArray[np.float64]:
    """Return cosines and sines of each frequency at each pixel of an axis, (length, 2 (`WAVES` + 1)), in 2048ths."""
    angles = [[2 * math.pi * (wave * place % length) / length for wave in range(WAVES + 1)] for place in range(length)]
    rows = [[*map(math.cos, row), *map(math.sin, row)] for row in angles]
    table: npt.NDArray[np.float64] = np.rint(np.array(rows) * _UNIT)
    return table


def greatest(field: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.bool_]:
    """Return where the `count` greatest values of a field are, the first ones of equal values, bool of its shape."""
    values = field.ravel()
    if not count:
        return np.zeros(field.shape, dtype=bool)
    least = np.partition(values, len(values) - count)[len(values) - count]
    taken: npt.NDArray[np.bool_] = values >= least
    if too_many := int(np.count_nonzero(taken)) - count:
        taken[np.flatnonzero(values == least)[-too_many:]] = False
    return taken.reshape(field.shape)


METHOD = FMix()
