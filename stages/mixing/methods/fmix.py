"""FMix: a mask of low-frequency noise decides what of B stands in A."""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.kernels.compiled import has, native
from hsmix_gen.stages.mixing.method import Method, Pair, Weights
from hsmix_gen.stages.mixing.selection import take
from hsmix_gen.stages.randomness import derive_key, generator, integer

Field = npt.NDArray[np.float64]
WAVES = 16
"""Highest frequency, in waves over the image; the strength of those beyond is below a four-thousandth."""
_UNIT = 2**11
"""Cosines are whole 2048ths; with strengths below 2**20 all sums stay below 2**53, exact in any order."""
_IN_ONE_THREAD = 2**18
"""Multiplications up to which OpenBLAS starts no other threads."""
_FEWEST_ROWS = 24
"""Rows below which a part takes as long as twice as many."""


class FMix(Method):
    """Hard mixing by thresholded noise of low frequency."""

    paper = "Harris et al., FMix: Enhancing Mixed Sample Data Augmentation, arXiv:2002.12047"
    modes = ("hard",)
    formula = "M = 1 on the share r ~ U(0, 1) of pixels where Re F^-1(Z / f^3) is greatest, Z complex Gaussian noise"
    options = ("area",)

    def weigh(self, pair: Pair) -> Weights:
        """Return whether each pixel is among those of the greatest noise."""
        field = noise(derive_key(pair.seed, "noise"), pair.size)
        if pair.mix.area == "matched":
            from_b, _ = take(pair)
            count = int(from_b.sum())
        else:
            count = integer(pair.generator("share"), 0, field.size)
        return Weights(greatest(field, count))


def noise(key: int, size: tuple[int, int]) -> Field:
    """Return a field whose waves have a strength of 1 / f**3, f in waves a pixel, (H, W) float64 of whole numbers.

    It is the real part of the inverse Fourier transform of complex Gaussian noise over f**3, up to a factor, without
    the frequencies above `WAVES` and without the mean. The noise is the sum of twelve uniform numbers, drawn by the
    generator of `key`.
    """
    height, width = size
    drawn = sums_of_noise(key, 4 * (WAVES + 1) ** 2) - 6 * 2**20
    coefficients = np.rint((drawn * _tiled_strengths(size) / 2**4).reshape(2 * (WAVES + 1), -1))
    return _product(_waves(height), coefficients, _waves_across(width))


def _product(down: Field, coefficients: Field, across: Field) -> Field:
    """Return the product of three matrices, in parts that BLAS takes in one thread: others cost more than they save."""
    rows = _IN_ONE_THREAD // across.size
    if rows < _FEWEST_ROWS:
        return down @ coefficients @ across
    field = np.empty((len(down), across.shape[1]))
    for first in range(0, len(down), rows):
        np.matmul(down[first : first + rows] @ coefficients, across, out=field[first : first + rows])
    return field


def sums_of_noise(key: int, count: int) -> Field:
    """Return sums of twelve uniform numbers in 2**20ths, rounded down each, (count,) float64 of whole numbers."""
    if not has("sum_noise"):
        sums: Field = np.floor(generator(key).random((12, count)) * 2**20).sum(axis=0)
        return sums
    sums = np.empty(count)
    native.sum_noise(key, 12, sums)
    return sums


@lru_cache(maxsize=8)
def _tiled_strengths(size: tuple[int, int]) -> Field:
    return np.tile(strengths(size), (2, 2)).ravel()


def strengths(size: tuple[int, int]) -> Field:
    """Return the strength of each pair of waves over height and width, (`WAVES` + 1, `WAVES` + 1), at most 2.

    Both directions of a wave, and of each pair four, add up to its real part.
    """
    longest = max(size)
    vertical, horizontal = (np.arange(WAVES + 1) * (longest / length) for length in size)
    squared = vertical[:, None] ** 2 + horizontal[None, :] ** 2
    squared[0, 0] = np.inf
    signs = np.where(np.arange(WAVES + 1) > 0, 2.0, 1.0)
    strength: Field = np.sqrt(signs[:, None] * signs[None, :]) / (squared * np.sqrt(squared))
    return strength


@lru_cache(maxsize=8)
def _waves_across(length: int) -> Field:
    return np.ascontiguousarray(_waves(length).T)


@lru_cache(maxsize=8)
def _waves(length: int) -> Field:
    """Return cosines and sines of each frequency at each pixel of an axis, (length, 2 (`WAVES` + 1)), in 2048ths."""
    angles = [[2 * math.pi * (wave * place % length) / length for wave in range(WAVES + 1)] for place in range(length)]
    rows = [[*map(math.cos, row), *map(math.sin, row)] for row in angles]
    table: Field = np.rint(np.array(rows) * _UNIT)
    return table


def greatest(field: Field, count: int) -> npt.NDArray[np.bool_]:
    """Return where the `count` greatest values of a field are, the first ones of equal values, bool of its shape."""
    if has("greatest"):
        found: npt.NDArray[np.bool_] = np.empty(field.shape, dtype=bool)
        native.greatest(np.ascontiguousarray(field), count, found)
        return found
    values = field.ravel()
    if not count:
        return np.zeros(field.shape, dtype=bool)
    least = np.partition(values, len(values) - count)[len(values) - count]
    taken: npt.NDArray[np.bool_] = values >= least
    if too_many := int(np.count_nonzero(taken)) - count:
        taken[np.flatnonzero(values == least)[-too_many:]] = False
    return taken.reshape(field.shape)


METHOD = FMix()
