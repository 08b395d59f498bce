"""Maps of regions: how many there are, how many to ask for, and numbers without gaps."""

import itertools
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages import randomness
from hsmix_gen.stages.kernels.compiled import has, native

MAX_REGIONS = np.iinfo(np.uint16).max
_Byte = TypeVar("_Byte", np.uint8, np.bool_)


def region_count(labels: npt.NDArray[np.integer]) -> int:
    """Return how many regions an (H, W) array of contiguous labels 0 to R - 1 holds."""
    return int(labels.max()) + 1


def region_totals(
    labels: npt.NDArray[np.uint16], values: npt.NDArray[np.uint8] | npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.int64]:
    """Return the sum of (H, W) values over each region 0 to R - 1, or its pixels where none are given, (R,) int64."""
    count, flat = region_count(labels), np.ascontiguousarray
    if not has("label_totals"):
        # Sums of whole numbers below 2**53 are exact in any order.
        return np.bincount(labels.ravel(), None if values is None else values.ravel(), count).astype(np.int64)
    totals = np.zeros(count, dtype=np.int64)
    native.label_totals(flat(labels), b"" if values is None else flat(values).view(np.uint8), totals)
    return totals


def neighbour_pairs(labels: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the pairs of regions that share sides of pixels, (E, 2) int64, and the number of these sides, (E,) int64.

    Pairs are in rising order, the smaller number first; numbers below 0 are no regions.
    """
    n_regions = region_count(labels)
    codes = []
    for one, other in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        differ = (one != other) & (one >= 0) & (other >= 0)
        a, b = one[differ].astype(np.int64), other[differ]
        codes.append(np.minimum(a, b) * n_regions + np.maximum(a, b))
    unique, sides = np.unique(np.concatenate(codes), return_counts=True)
    return np.stack(np.divmod(unique, n_regions), axis=1), sides


def stratified_counts(minimum: int, maximum: int, variants: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Draw numbers of regions that cover a range: variant g is uniform on the g-th of equal parts of it.

    Parameters
    ----------
    minimum, maximum : int
        Range of the numbers, both included.
    variants : int
        Numbers to draw, at least 1; if the range holds fewer numbers, some parts share one.
    rng : numpy.random.Generator
        Chance; one number is drawn for each variant.

    Returns
    -------
    tuple of int
        Never falling, `variants` long.
    """
    size = maximum - minimum + 1
    starts = [minimum + part * size // variants for part in range(variants + 1)]
    return tuple(randomness.integer(rng, low, max(low, end - 1)) for low, end in itertools.pairwise(starts))


def renumbered(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.uint16]:
    """Return labels, 0 or more, as 0 to R - 1 without gaps, their order kept.

    Raises
    ------
    ValueError
        If there are more than 65 535 regions.
    """
    used = np.bincount(labels.ravel()) > 0
    if used.sum() > MAX_REGIONS:
        raise ValueError(f"regions must number at most {MAX_REGIONS} to fit uint16, got {used.sum()}; ask for fewer")
    number = (np.cumsum(used) - 1).astype(np.uint16)
    return number.take(labels)


def looked_up(table: npt.NDArray[_Byte], numbers: npt.NDArray[np.integer]) -> npt.NDArray[_Byte]:
    """Return what a table has at each number.

    Parameters
    ----------
    table : (R,) uint8 or bool
    numbers : (H, W) uint16 or int32
        0 to R - 1.

    Returns
    -------
    (H, W), dtype of the table

    Raises
    ------
    ValueError
        If the table has no such number.
    """
    if not has("gather"):
        for number in (numbers.min(), numbers.max()):
            if not 0 <= number < len(table):
                raise ValueError(f"numbers must be 0 or more and below {len(table)}, got {number}")
        return table.take(numbers, mode="clip")  # all are in bounds: clipping only spares the look
    found = np.empty(numbers.shape, table.dtype)
    native.gather(table, np.ascontiguousarray(numbers), found)
    return found
