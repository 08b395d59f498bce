"""Who is mixed with whom: a partner for each image and copy, drawn so that all meet all before any comes again."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import SourceRecord
from hsmix_gen.stages.planning.appearance import Looks, kinds_of
from hsmix_gen.stages.planning.guided import Maps, least_conflict
from hsmix_gen.stages.randomness import generator_for, integer, permutation

_Ints = npt.NDArray[np.int64]


def partners_by_copy(
    rows: _Ints, sources: Sequence[SourceRecord], *, seed: int, other_group: bool, looks: Looks | Maps | None = None
) -> Callable[[int], _Ints]:
    """Return what gives the partners of all rows, in their order, for the number of a copy.

    Exact copies of an image are the same image, so they are never partners.

    Parameters
    ----------
    rows : (N,) int64
    sources : sequence of SourceRecord
    seed : int
    other_group : bool
        Whether partners have to be of another group.
    looks : Looks, Maps or None
        Of all sources, where only images of one kind are to be partners, or those whose saliency overlaps least.

    Raises
    ------
    SourceError
        If there is nothing to mix an image with.
    """
    if len(rows) < 2:
        raise SourceError(f"the training split has {len(rows)} usable image(s), mixing needs 2; {_why_few(sources)}")
    contents = [sources[row].content for row in rows]
    if len(set(contents)) < 2:
        raise SourceError(f"all {len(rows)} training images have the same content; add others, or change --split")
    is_copied = len(set(contents)) < len(rows)
    groups = [sources[row].group for row in rows] if other_group else contents
    if other_group and is_copied:
        groups = merged_groups(groups, contents)
    ids = [sources[row].id for row in rows]

    def among(places: _Ints) -> Callable[[int], _Ints]:
        """Return what gives the partners of some of the rows among themselves."""
        if not other_group and not is_copied:
            return partial(partners, rows[places], seed=seed)
        own_groups, own_ids = [groups[i] for i in places], [ids[i] for i in places]
        return partial(partners_of_other_groups, rows[places], own_groups, own_ids, seed=seed)

    if not isinstance(looks, Looks):
        all_alike = among(np.arange(len(rows)))
        return all_alike if looks is None else partial(least_conflict, all_alike, rows, groups, looks, seed=seed)
    kinds = kinds_of(looks.of(rows), groups)
    parts = [np.flatnonzero(kinds == kind) for kind in range(int(kinds.max()) + 1)]
    return partial(_joined, [(places, among(places)) for places in parts], len(rows))


def _joined(parts: Sequence[tuple[_Ints, Callable[[int], _Ints]]], n_rows: int, copy: int) -> _Ints:
    """Return the partners of all rows from those of each kind."""
    found = np.empty(n_rows, dtype=np.int64)
    for places, of_copy in parts:
        found[places] = of_copy(copy)
    return found


def merged_groups(groups: Sequence[str], contents: Sequence[str]) -> list[str]:
    """Return the group of each image, groups that share an image of equal content being one."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for group, content in zip(groups, contents, strict=True):
        one, other = sorted((root(f"group {group}"), root(f"image {content}")))
        parent[other] = one
    return [root(f"group {group}") for group in groups]


def partners(rows: _Ints, copy: int, *, seed: int) -> _Ints:
    """Return a partner for each row: a derangement, another one for each copy.

    The rows stand in one random circle; copy c takes the neighbour at a distance of its own. So no image meets
    itself, and an image meets ``len(rows) - 1`` different partners before one comes again.
    """
    n = len(rows)
    circle = permutation(generator_for(seed, "partner-circle"), n)
    round_number, step = divmod(copy, n - 1)
    distances = 1 + permutation(generator_for(seed, "partner-distance", round_number), n - 1)
    partner = np.empty(n, dtype=np.int64)
    partner[circle] = rows[np.roll(circle, -int(distances[step]))]
    return partner


def partners_of_other_groups(rows: _Ints, groups: Sequence[str], ids: Sequence[str], copy: int, *, seed: int) -> _Ints:
    """Return a partner of another group for each row.

    If no group holds more than half of the rows, the rows stand in a circle with each group in one piece, and
    copy c takes the neighbour at a distance of its own, at least the largest group away to either side. So each row
    is a partner once in a copy, and none comes again to an image before all distances were used; then another
    circle is drawn. If one group holds more than half, each row draws any row of the other groups.

    Parameters
    ----------
    rows : (N,) int64
    groups, ids : sequence of str
        Of each of the N rows.
    copy : int
        Which copy the partners are for.
    seed : int

    Raises
    ------
    SourceError
        If there is one group only.
    """
    n = len(rows)
    _, group_of, sizes = np.unique(np.asarray(groups, dtype=str), return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise SourceError(
            f"all {n} training images are of one group (patient); add others or allow it with --partners any"
        )
    largest = int(sizes.max())
    if 2 * largest > n:
        return _drawn_from_other_groups(rows, group_of, ids, copy, seed=seed)
    n_distances = n - 2 * largest + 1
    round_number, step = divmod(copy, n_distances)
    place = permutation(generator_for(seed, "partner-circle-groups", round_number), len(sizes))
    circle = np.lexsort((permutation(generator_for(seed, "partner-circle-rows", round_number), n), place[group_of]))
    distances = largest + permutation(generator_for(seed, "partner-group-distance", round_number), n_distances)
    partner = np.empty(n, dtype=np.int64)
    partner[circle] = rows[np.roll(circle, -int(distances[step]))]
    return partner


def _drawn_from_other_groups(
    rows: _Ints, group_of: npt.NDArray[np.intp], ids: Sequence[str], copy: int, *, seed: int
) -> _Ints:
    order = np.argsort(group_of, kind="stable")
    sizes = np.bincount(group_of)
    starts = np.cumsum(sizes) - sizes
    partner = np.empty(len(rows), dtype=np.int64)
    for i, group in enumerate(group_of):
        drawn = integer(generator_for(seed, "partner", ids[i], copy), 0, len(rows) - int(sizes[group]) - 1)
        # The row's own group is one piece of the order: whoever stands behind it moves up.
        partner[i] = rows[order[drawn + int(sizes[group]) * (drawn >= starts[group])]]
    return partner


def _why_few(sources: Sequence[SourceRecord]) -> str:
    there = [source for source in sources if not source.is_left_out]
    refused = [source for source in there if source.refusal is not None]
    if not refused:
        return "add images, or change --split"
    return f"{len(refused)} of {len(there)} images were refused, first {refused[0].id}: {refused[0].refusal}"
