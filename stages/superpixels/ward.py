"""Regions joined by Ward's criterion, in whole numbers: the same joins on every machine.

Ward's criterion [1]_ joins the two neighbours whose union adds least to the squared deviations from the regions' means,
n m / (n + m) times the squared distance of both means. Means and weights are kept in sixteenths and rounded down, so
that costs are whole numbers; equal costs are taken in the order of the regions' numbers.

References
----------
.. [1] Ward, "Hierarchical grouping to optimize an objective function", 1963, doi:10.1080/01621459.1963.10500845.
"""

import heapq

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.kernels.compiled import has, native
from hsmix_gen.stages.superpixels.label_maps import neighbour_pairs

_SCALE = 16  # of means and weights, see native/ward.c
# Costs stay below 2 ** 63: 2 ** 32 for the squared distance of one channel, a quarter of the pixels times the scale.
LARGEST_VALUE = 2**12 - 1
_MOST_VALUES = 2**29


def joins(labels: npt.NDArray[np.int32], values: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return the order in which neighbouring regions are joined until none has a neighbour left.

    Parameters
    ----------
    labels : (H, W) int32
        Regions 0 to R - 1, each in use; -1 where no region is.
    values : (C, H, W) int32
        Colours, 0 to `LARGEST_VALUE`.

    Returns
    -------
    (J, 2) int32
        Numbers of the two regions of each join; the union has the first, which is the smaller.

    Raises
    ------
    ValueError
        If there are more than 2**29 values.
    """
    if values.size > _MOST_VALUES:
        raise ValueError(f"values must number at most {_MOST_VALUES}, got {values.size}; cut tiles")
    sizes, sums = _totals(labels, values)
    edges = neighbour_pairs(labels)[0].astype(np.int32)
    if not has("ward"):
        return _joined(sizes.tolist(), sums.tolist(), edges.tolist())
    pairs = np.empty((len(sizes), 2), np.int32)
    return pairs[: native.ward(sizes, sums, edges, pairs)]


def cut(n_regions: int, pairs: npt.NDArray[np.int32], wanted: int) -> npt.NDArray[np.int64]:
    """Return the region that each of `n_regions` is part of when `wanted` are left, or as few as joins allow."""
    part = np.arange(n_regions)
    # Backwards, so that the region which a region is joined into already knows where it ends.
    for first, second in pairs[: max(0, n_regions - wanted)][::-1]:
        part[second] = part[first]
    return part


def _totals(
    labels: npt.NDArray[np.int32], values: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the number of pixels (R,) and the sums of values (R, C) of each region."""
    inside = labels >= 0
    regions = labels[inside]
    sizes = np.bincount(regions)
    # Sums of whole numbers are exact in float64 below 2 ** 53.
    sums = [np.bincount(regions, weights=plane[inside]) for plane in values]
    return sizes.astype(np.int64), np.stack(sums, axis=1).astype(np.int64)


def _joined(sizes: list[int], sums: list[list[int]], edges: list[list[int]]) -> npt.NDArray[np.int32]:
    """Do what native/ward.c does."""
    neighbours: list[set[int]] = [set() for _ in sizes]
    stamps = [0] * len(sizes)
    alive = [True] * len(sizes)

    def offer(a: int, b: int) -> tuple[int, int, int, int, int]:
        means = zip(sums[a], sums[b], strict=True)
        squares = sum((one * _SCALE // sizes[a] - other * _SCALE // sizes[b]) ** 2 for one, other in means)
        weight = sizes[a] * sizes[b] * _SCALE // (sizes[a] + sizes[b])
        first, second = min(a, b), max(a, b)
        return squares * weight, first, second, stamps[first], stamps[second]

    for a, b in edges:
        neighbours[a].add(b)
        neighbours[b].add(a)
    heap = [offer(a, b) for a, b in edges]
    heapq.heapify(heap)
    pairs = []
    while heap:
        _, a, b, *stamped = heapq.heappop(heap)
        if not (alive[a] and alive[b] and stamped == [stamps[a], stamps[b]]):
            continue  # offered before one of them changed
        pairs.append((a, b))
        alive[b] = False
        stamps[a] += 1
        sizes[a] += sizes[b]
        sums[a] = [one + other for one, other in zip(sums[a], sums[b], strict=True)]
        neighbours[a] = (neighbours[a] | neighbours[b]) - {a, b}
        for other in neighbours[a]:
            neighbours[other] = (neighbours[other] - {b}) | {a}
            heapq.heappush(heap, offer(a, other))
    return np.array(pairs, np.int32).reshape(-1, 2)
