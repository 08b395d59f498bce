"""What hsmix takes of B: superpixels by chance, a grown piece, or one object."""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas import arrays
from hsmix_gen.stages.kernels.compiled import has, native
from hsmix_gen.stages.mixing import guard
from hsmix_gen.stages.mixing.draws import draw_selection
from hsmix_gen.stages.mixing.method import Pair
from hsmix_gen.stages.mixing.objects import foreground, labelled_objects
from hsmix_gen.stages.randomness import integer, passing_generator
from hsmix_gen.stages.superpixels.label_maps import looked_up, neighbour_pairs, region_count, region_totals

# The compiled loop keeps a square of neighbours in memory.
_MOST_COMPILED = 2048
_Bools = npt.NDArray[np.bool_]


def take(pair: Pair) -> tuple[_Bools, tuple[str, ...]]:
    """Return which pixels of B stand in A, (H, W) bool, and what is special about them; equal pairs give equal ones."""
    labels_b, mask_b, mix, seed = pair.b.labels, pair.b.mask, pair.mix, pair.seed
    drawn = draw_object(seed, mask_b) if mix.selection.startswith("object") else None
    if mix.selection == "object-mask" and drawn is not None:
        return drawn, ()
    n_regions = int(labels_b.max()) + 1
    if n_regions <= 1:
        return np.zeros(labels_b.shape, dtype=bool), ("single_superpixel",)
    if drawn is not None:
        selected = by_majority(drawn, labels_b)
    elif mix.selection == "bernoulli":
        selected = draw_selection(seed, n_regions, mix.select)
    else:
        selected = grow(seed, labels_b, mix.grown_area)
    flags = ("no_object",) if drawn is None and mix.selection.startswith("object") else ()
    if not mix.small_object_guard:
        return looked_up(selected, labels_b), flags
    guarded = guard.guard_selection(selected, labels_b, pair.a.mask, mask_b, ratio=mix.small_object_ratio)
    changed = () if np.array_equal(guarded, selected) else ("guarded",)
    return looked_up(guarded, labels_b), (*flags, *changed)


def grow(seed: int, labels: arrays.Labels, area: tuple[float, float]) -> _Bools:
    """Grow a connected piece of superpixels from a drawn one to a drawn area, (R,) bool.

    One neighbour after the other joins until the area is reached, each drawn with a chance in proportion to the square
    of the border that it shares with the piece, so that the piece stays compact; then holes in it are filled. What
    would make it larger than the greatest area stays out, and so does the last superpixel of all.

    Parameters
    ----------
    seed : int
        Key of the sample.
    labels : (H, W) uint16
        Superpixels, 0 to R - 1.
    area : (float, float)
        Least and greatest share of the image.
    """
    count = region_count(labels)
    draws = passing_generator(seed, "growth").random(count + 2)
    if not has("grow_piece") or count > _MOST_COMPILED:
        return _grown(labels, draws.tolist(), area)
    selected = np.empty(count, dtype=bool)
    native.grow_piece(np.ascontiguousarray(labels), (labels.shape[0], labels.shape[1]), draws, area, selected)
    return selected


def _grown(labels: arrays.Labels, draws: list[float], area: tuple[float, float]) -> _Bools:
    """Do what native/grow.c does."""
    sizes = region_totals(labels).tolist()
    target, most = (area[0] + (area[1] - area[0]) * draws[0]) * labels.size, area[1] * labels.size
    may_start = [region for region, size in enumerate(sizes) if size <= most] or range(len(sizes))
    start = may_start[min(int(draws[1] * len(may_start)), len(may_start) - 1)]
    near = borders(labels)
    piece, rim, grown = {start}, dict(near[start]), sizes[start]
    while grown < target and len(piece) + 1 < len(sizes):
        may_join = [region for region in sorted(rim) if sizes[region] <= most - grown]
        if not may_join:
            break
        joined = may_join[_weighted(draws[len(piece) + 1], (rim[region] ** 2 for region in may_join))]
        piece.add(joined)
        grown += sizes[joined]
        del rim[joined]
        for region, length in near[joined].items():
            if region not in piece:
                rim[region] = rim.get(region, 0) + length
    for hole in _holes(labels, near, piece):
        if grown + sum(sizes[region] for region in hole) <= most:
            piece |= hole
            grown += sum(sizes[region] for region in hole)
    selected = np.zeros(len(sizes), dtype=bool)
    selected[sorted(piece)] = True
    return selected


def borders(labels: arrays.Labels) -> list[dict[int, int]]:
    """Return for each superpixel its neighbours in rising order, with the sides of pixels that they share."""
    pairs, lengths = neighbour_pairs(labels)
    near: list[dict[int, int]] = [{} for _ in range(region_count(labels))]
    for (smaller, greater), length in zip(pairs.tolist(), lengths.tolist(), strict=True):
        near[smaller][greater] = near[greater][smaller] = length
    return near


def _weighted(draw: float, weights: Iterable[int]) -> int:
    """Return the index that a draw from [0, 1) means where chances are in proportion to weights."""
    ends = list(accumulate(weights))
    return min(bisect_right(ends, draw * ends[-1]), len(ends) - 1)


def _holes(labels: arrays.Labels, near: list[dict[int, int]], piece: set[int]) -> list[set[int]]:
    """Return the connected sets of superpixels that a piece parts from the rim of the image, in rising order."""
    rim = set(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]).tolist())
    left, holes = set(range(len(near))) - piece, []
    while left:
        found = {min(left)}
        pending = [*found]
        while pending:
            fresh = (near[pending.pop()].keys() & left) - found
            found |= fresh
            pending += fresh
        left -= found
        if not found & rim:
            holes.append(found)
    return holes


def draw_object(seed: int, mask: arrays.AnyMask) -> _Bools | None:
    """Draw one object of a mask, (H, W) bool; None if it has none."""
    numbers, count = labelled_objects(foreground(mask))
    return numbers == integer(passing_generator(seed, "object"), 1, count) if count else None


def by_majority(inside: _Bools, labels: arrays.Labels) -> _Bools:
    """Return the superpixels of which more than half lies in an area, (R,) bool; if none, the one with most of it."""
    sizes, covered = region_totals(labels), region_totals(labels, inside)
    selected: _Bools = 2 * covered > sizes
    if not selected.any():
        selected[int(covered.argmax())] = True
    return selected
