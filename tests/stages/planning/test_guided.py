"""Partners whose saliency conflicts least, without a partner twice, nor one of the own group."""

from functools import partial
from itertools import permutations

import numpy as np
import pytest

from hsmix_gen.schemas.records import SourceRecord
from hsmix_gen.stages.planning import guided
from hsmix_gen.stages.planning.guided import Maps, least_conflict, whole
from hsmix_gen.stages.planning.partners import partners, partners_by_copy

ROWS = np.array([2, 3, 5, 7, 8, 9])
GROUPS = ["p", "p", "q", "q", "r", "r"]


def maps(seed: int, n_sources: int = 12) -> Maps:
    """Return maps of chance, with another turn for each image, copy and parent."""
    levels = np.random.default_rng(seed).integers(0, 200, (n_sources, 8, 9))
    return Maps(whole(levels), lambda row, copy, parent: (3 * row + copy + (parent == "b")) % 8)


def overlap(found: Maps, firsts: list[int], seconds: list[int], copy: int) -> int:
    return sum(
        int(x) * int(y)
        for a, b in zip(firsts, seconds, strict=True)
        for x, y in zip(
            found.levels[a, found.turn(a, copy, "a")], found.levels[b, found.turn(a, copy, "b")], strict=True
        )
    )


@pytest.mark.parametrize("seed", range(5))
def test_of_all_exchanges_the_one_of_least_overlap_is_taken(seed: int) -> None:
    """All permutations are tried; those with an image or a group on both sides do not count."""
    of_copy = partial(partners, ROWS, seed=seed)
    group = dict(zip(ROWS.tolist(), GROUPS, strict=True))
    # Plain partners may be of one group; those of the exchange may not, as long as there is a way.
    plain = np.array([5, 7, 8, 9, 2, 3])
    allowed = [
        p
        for p in permutations(ROWS.tolist())
        if all(group[a] != group[b] for a, b in zip(ROWS.tolist(), p, strict=True))
    ]
    found = maps(seed)
    least = min(overlap(found, ROWS.tolist(), list(p), 4) for p in allowed)

    chosen = least_conflict(lambda _: plain, ROWS, GROUPS, found, 4, seed=seed).tolist()

    assert tuple(chosen) in allowed
    assert overlap(found, ROWS.tolist(), chosen, 4) == least
    assert sorted(least_conflict(of_copy, ROWS, list("abcdef"), found, 0, seed=seed)) == ROWS.tolist()
    assert plain.tolist() == [5, 7, 8, 9, 2, 3]


def test_large_sets_exchange_within_batches_and_overlap_less() -> None:
    rows = np.arange(100)
    found = maps(1, 100)
    names = [str(row) for row in rows]
    of_copy = partial(partners, rows, seed=0)

    for copy in range(3):
        chosen = least_conflict(of_copy, rows, names, found, copy, seed=0)
        assert sorted(chosen) == rows.tolist()
        assert (chosen != rows).all()
        assert overlap(found, rows.tolist(), chosen.tolist(), copy) < overlap(
            found, rows.tolist(), of_copy(copy).tolist(), copy
        )
    assert len(rows) > guided.BATCH


def test_maps_have_one_sum_and_empty_ones_are_even() -> None:
    levels = whole(np.array([[1, 3, 0, 0], [100, 300, 0, 0], [0, 0, 0, 0]]))

    assert levels.tolist() == [[16384, 49152, 0, 0], [16384, 49152, 0, 0], [16384] * 4]


def test_partners_by_copy_takes_maps_and_keeps_groups_apart() -> None:
    sources = [SourceRecord(f"s{i}", f"p{i // 2}", "train", None, "a", "b", f"{i}", "", 40, 50) for i in range(12)]
    of_copy = partners_by_copy(np.arange(12), sources, seed=3, other_group=True, looks=maps(2))

    for copy in range(4):
        chosen = of_copy(copy)
        assert sorted(chosen) == list(range(12))
        assert (chosen // 2 != np.arange(12) // 2).all()
