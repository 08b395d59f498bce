"""What hsmix takes of B: superpixels by chance, a grown piece, or one object."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas import arrays
from hsmix_gen.stages.mixing import guard
from hsmix_gen.stages.mixing.draws import draw_selection
from hsmix_gen.stages.mixing.method import Pair
from hsmix_gen.stages.mixing.objects import foreground, labelled_objects
from hsmix_gen.stages.randomness import generator_for, integer
from hsmix_gen.stages.superpixels.label_maps import looked_up

_Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Taken:
    """What stands in A."""

    from_b: _Bools
    """(H, W) bool; pixels of B."""
    kind: str
    """The selection that it came by."""
    select_p: float | None
    """Chance of each superpixel, where they are drawn one by one."""
    flags: tuple[str, ...] = ()


def take(pair: Pair) -> Taken:
    """Return what of B stands in A; equal pairs give equal pixels."""
    labels_b, mask_b, mix, seed = pair.b.labels, pair.b.mask, pair.mix, pair.seed
    kind = mix.selection
    select_p = mix.select if kind == "bernoulli" else None
    drawn = draw_object(seed, mask_b) if kind.startswith("object") else None
    if kind == "object-mask" and drawn is not None:
        return Taken(drawn, kind, None)
    n_regions = int(labels_b.max()) + 1
    if n_regions <= 1:
        return Taken(np.zeros(labels_b.shape, dtype=bool), kind, select_p, ("single_superpixel",))
    if drawn is not None:
        selected = by_majority(drawn, labels_b)
    elif select_p is not None:
        selected = draw_selection(seed, n_regions, mix.select)
    else:
        selected = grow(seed, labels_b, mix.grown_area)
    flags = ("no_object",) if drawn is None and kind.startswith("object") else ()
    if not mix.small_object_guard:
        return Taken(looked_up(selected, labels_b), kind, select_p, flags)
    guarded = guard.guard_selection(selected, labels_b, pair.a.mask, mask_b, ratio=mix.small_object_ratio)
    changed = () if np.array_equal(guarded, selected) else ("guarded",)
    return Taken(looked_up(guarded, labels_b), kind, select_p, (*flags, *changed))


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
    rng = generator_for(seed, "growth")
    sizes: list[int] = np.bincount(labels.ravel()).tolist()
    target = (area[0] + (area[1] - area[0]) * rng.random()) * labels.size
    most = area[1] * labels.size
    near, largest = borders(labels), max(sizes)
    may_start = [region for region, size in enumerate(sizes) if size <= most] or list(range(len(sizes)))
    joined = may_start[integer(rng, 0, len(may_start) - 1)]
    piece, rim, grown = {joined}, dict(near[joined]), sizes[joined]
    while grown < target and len(piece) + 1 < len(sizes):
        may_join = sorted(rim)
        if largest > most - grown:
            may_join = [region for region in may_join if sizes[region] <= most - grown]
        if not may_join:
            break
        joined = may_join[_weighted(rng, [rim[region] ** 2 for region in may_join])]
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
    n_regions, width = int(labels.max()) + 1, labels.shape[1]
    flat = np.ascontiguousarray(labels).ravel()
    across, down = flat[1:] != flat[:-1], flat[width:] != flat[:-width]
    across[width - 1 :: width] = False  # from the end of a line to the next one
    sides = [(np.flatnonzero(apart), step) for apart, step in ((across, 1), (down, width))]
    ends = np.concatenate([[flat[place], flat[place + step]] for place, step in sides], axis=1).astype(np.int64)
    counted = np.bincount(ends[0] * n_regions + ends[1], minlength=n_regions * n_regions)
    square = counted.reshape(n_regions, n_regions)
    shared = (square + square.T).ravel()
    pairs = np.flatnonzero(shared)
    near: list[dict[int, int]] = [{} for _ in range(n_regions)]
    for pair, length in zip(pairs.tolist(), shared[pairs].tolist(), strict=True):
        near[pair // n_regions][pair % n_regions] = length
    return near


def _weighted(rng: np.random.Generator, weights: list[int]) -> int:
    """Draw an index with a chance in proportion to its weight."""
    left = rng.random() * sum(weights)
    for place, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return place
    return len(weights) - 1


def _holes(labels: arrays.Labels, near: list[dict[int, int]], piece: set[int]) -> list[set[int]]:
    """Return the connected sets of superpixels that a piece parts from the rim of the image, in rising order."""
    outside = set(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]).tolist()) - piece
    _spread(outside, near, piece)
    holes = []
    left = set(range(len(near))) - outside - piece
    while left:
        hole = {min(left)}
        _spread(hole, near, piece)
        holes.append(hole)
        left -= hole
    return holes


def _spread(found: set[int], near: list[dict[int, int]], wall: set[int]) -> None:
    """Add to a set of superpixels all that are connected with it, up to a wall."""
    pending = list(found)
    while pending:
        fresh = near[pending.pop()].keys() - found - wall
        found |= fresh
        pending += fresh


def draw_object(seed: int, mask: arrays.AnyMask) -> _Bools | None:
    """Draw one object of a mask, (H, W) bool; None if it has none."""
    numbers, count = labelled_objects(foreground(mask))
    return numbers == integer(generator_for(seed, "object"), 1, count) if count else None


def by_majority(inside: _Bools, labels: arrays.Labels) -> _Bools:
    """Return the superpixels of which more than half lies in an area, (R,) bool; if none, the one with most of it."""
    sizes = np.bincount(labels.ravel())
    covered = np.bincount(labels[inside], minlength=len(sizes))
    selected: _Bools = 2 * covered > sizes
    if not selected.any():
        selected[int(covered.argmax())] = True
    return selected
