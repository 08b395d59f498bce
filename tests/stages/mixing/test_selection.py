"""Superpixels of B that stand together: grown pieces and objects."""

from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.stages.kernels.compiled import has
from hsmix_gen.stages.mixing import selection
from hsmix_gen.stages.mixing.method import Needs, needs_of_all
from hsmix_gen.stages.randomness import generator_for
from tests.stages.loops import both_ways
from tests.stages.mixing.methods.tiny_pairs import configured, parent, weighed

SIDE = 20
BLOCKS = ((np.arange(SIDE)[:, None] // 4) * 5 + np.arange(SIDE)[None, :] // 4).astype(np.uint16)


def ragged(number: int) -> npt.NDArray[np.uint16]:
    """Return superpixels of unequal sizes: the pixels that are nearest to drawn points."""
    rng = np.random.default_rng([5, number])
    points = rng.random((25, 2)) * SIDE
    y, x = np.mgrid[:SIDE, :SIDE]
    distance = (y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2
    return np.unique(distance.argmin(axis=-1), return_inverse=True)[1].reshape(SIDE, SIDE).astype(np.uint16)


def neighbours(labels: npt.NDArray[np.uint16]) -> dict[int, dict[int, int]]:
    """Return the sides of pixels that superpixels share, counted one by one."""
    found: dict[int, dict[int, int]] = {int(region): {} for region in np.unique(labels)}
    for lines in (labels.tolist(), labels.T.tolist()):
        for line in lines:
            for one, other in pairwise(line):
                if one != other:
                    found[one][other] = found[one].get(other, 0) + 1
                    found[other][one] = found[other].get(one, 0) + 1
    return found


def pieces(labels: npt.NDArray[np.uint16], regions: set[int]) -> list[set[int]]:
    near, left, found = neighbours(labels), set(regions), []
    while left:
        piece, pending = set(), [min(left)]
        while pending:
            region = pending.pop()
            if region in left:
                left.remove(region)
                piece.add(region)
                pending += list(near[region])
        found.append(piece)
    return found


def grown(seed: int, labels: npt.NDArray[np.uint16], area: tuple[float, float] = (0.1, 0.5)) -> set[int]:
    return set(np.flatnonzero(selection.grow(seed, labels, area)).tolist())


def test_borders_are_the_shared_sides_of_pixels() -> None:
    labels = ragged(1)
    found = selection.borders(labels)

    assert {region: dict(near) for region, near in enumerate(found)} == neighbours(labels)
    assert all(list(near) == sorted(near) for near in found)


@pytest.mark.parametrize("seed", range(20))
def test_a_grown_piece_follows_the_rule_step_by_step(seed: int) -> None:
    labels = ragged(seed)
    near = neighbours(labels)
    sizes = [int((labels == region).sum()) for region in range(len(near))]
    rng = generator_for(seed, "growth")
    target, most = (0.1 + 0.4 * rng.random()) * labels.size, 0.5 * labels.size
    start = [region for region in range(len(sizes)) if sizes[region] <= most]
    piece = {start[min(int(rng.random() * len(start)), len(start) - 1)]}
    while sum(sizes[region] for region in piece) < target and len(piece) < len(sizes) - 1:
        rim = {region for one in piece for region in near[one]} - piece
        room = most - sum(sizes[region] for region in piece)
        candidates = sorted(region for region in rim if sizes[region] <= room)
        if not candidates:
            break
        weights = [sum(near[one].get(region, 0) for one in piece) ** 2 for region in candidates]
        spot = rng.random() * sum(weights)
        piece.add(candidates[int(np.searchsorted(np.cumsum(weights), spot, side="right"))])
    rim_of_image = {int(region) for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]) for region in edge}
    for hole in pieces(labels, set(range(len(sizes))) - piece):
        if not hole & rim_of_image and sum(sizes[region] for region in piece | hole) <= most:
            piece |= hole

    assert grown(seed, labels) == piece


@pytest.mark.skipif(not has("grow_piece"), reason="the loops were not compiled")
def test_the_compiled_loop_grows_the_same_pieces() -> None:
    """Pieces of superpixels that are torn, lack numbers, or are as small as can be."""
    rng = np.random.default_rng(8)
    pieces = set()
    for seed in range(300):
        drawn = rng.integers(0, rng.integers(2, 30), rng.integers(1, 14, 2))
        labels = (drawn if seed % 2 else drawn.repeat(3, axis=0).repeat(4, axis=1)).astype(np.uint16)
        area = tuple(sorted(rng.random(2).tolist()))
        found, expected = both_ways(partial(selection.grow, seed, labels.T, area))
        assert found.tolist() == expected.tolist()
        pieces.add(found.tobytes())
    assert len(pieces) > 150


def test_any_number_of_superpixels_is_grown() -> None:
    """No square of all pairs of them is kept."""
    labels = np.arange(60000, dtype=np.uint16).reshape(200, 300)

    assert selection.grow(1, labels, (0.005, 0.005)).sum() == 300


@pytest.mark.parametrize("make", [lambda _: BLOCKS, ragged])
def test_a_grown_piece_is_one_and_as_large_as_was_drawn(make: object) -> None:
    areas = []
    for seed in range(60):
        labels = make(seed)  # type: ignore[operator]
        piece = grown(seed, labels)

        assert len(pieces(labels, piece)) == 1
        areas.append(float(np.isin(labels, list(piece)).mean()))
    assert 0.08 < min(areas) < 0.2
    assert 0.4 < max(areas) <= 0.5
    assert 0.25 < np.mean(areas) < 0.37


def test_a_superpixel_that_is_too_large_neither_starts_nor_joins() -> None:
    """Air around a body is one superpixel: it would be most of the piece."""
    labels = np.zeros((20, 20), np.uint16)
    labels[5:15, 5:15] = BLOCKS[:10, :10] + 1
    labels = np.unique(labels, return_inverse=True)[1].reshape(20, 20).astype(np.uint16)

    assert all(0 not in grown(seed, labels) for seed in range(30))


def test_two_superpixels_never_are_both_taken() -> None:
    halves = np.repeat([[0, 1]], 4, axis=0).astype(np.uint16)

    assert {frozenset(grown(seed, halves, (1, 1))) for seed in range(20)} == {frozenset({0}), frozenset({1})}


@pytest.mark.parametrize("seed", range(10))
def test_one_object_gives_the_superpixels_that_it_mostly_covers(seed: int) -> None:
    a, b = parent(seed), parent(seed + 100)
    inside = selection.draw_object(seed, b.mask)
    assert inside is not None
    regions = range(int(b.labels.max()) + 1)
    covered = [float(inside[b.labels == region].mean()) for region in regions]
    expected = [region for region in regions if covered[region] > 0.5]
    if not expected:
        counts = [int(inside[b.labels == region].sum()) for region in regions]
        expected = [counts.index(max(counts))]

    by_region, by_mask = (weighed("hsmix", "hard", a, b, seed, selection=kind) for kind in ("object", "object-mask"))

    np.testing.assert_array_equal(by_region.weight_b, np.isin(b.labels, expected))
    np.testing.assert_array_equal(by_mask.weight_b, inside)
    assert (by_region.selection, by_mask.selection) == ("object", "object-mask")
    assert by_region.select_p is by_mask.select_p is None


def test_without_an_object_a_piece_is_grown_and_flagged() -> None:
    a, b = parent(1), parent(2)
    empty = type(b)(b.image, np.zeros_like(b.mask), b.labels, b.saliency)
    piece = selection.grow(3, b.labels, (0.1, 0.5))[b.labels]

    for kind in ("object", "object-mask"):
        found = weighed("hsmix", "hard", a, empty, 3, selection=kind)
        np.testing.assert_array_equal(found.weight_b, piece)
        assert tuple(found.flags) == ("no_object",)


@pytest.mark.parametrize("kind", ["bernoulli", "connected", "object", "object-mask"])
def test_hard_and_soft_sample_share_what_is_selected(kind: str) -> None:
    """Soft mixing blends the regions of the hard mix: where lambda changes inside of one superpixel, B was taken."""
    for seed in range(5):
        a, b = parent(seed), parent(seed + 100)
        hard, soft = (weighed("hsmix", mode, a, b, seed, selection=kind) for mode in ("hard", "soft"))
        assert (hard.n_regions, hard.selection) == (soft.n_regions, soft.selection)
        region = np.where(hard.weight_b, b.labels.astype(int), a.labels.astype(int) + 1000)
        assert all(len(np.unique(soft.weight_b[region == one])) == 1 for one in np.unique(region))


def test_the_guard_works_on_every_choice_of_superpixels() -> None:
    guarded = [
        weighed("hsmix", "hard", parent(seed), parent(seed + 100), seed, selection="connected", small_object_guard=True)
        for seed in range(20)
    ]

    assert any("guarded" in found.flags for found in guarded)


@pytest.mark.parametrize("method", ["cutmix", "mixup", "fmix"])
@pytest.mark.parametrize("kind", ["bernoulli", "connected"])
def test_a_control_takes_as_much_as_the_superpixels_of_the_same_pair(method: str, kind: str) -> None:
    """Else it would differ from what it is compared with by its area too."""
    mode = "soft" if method == "mixup" else "hard"
    for seed in range(20):
        a, b = parent(seed, size=(40, 60)), parent(seed + 100, size=(40, 60))
        wanted = weighed("hsmix", "hard", a, b, seed, selection=kind).weight_b.mean()

        found = weighed(method, mode, a, b, seed, area="matched", selection=kind).weight_b.astype(float)  # type: ignore[arg-type]

        share = found.mean() / 255 if mode == "soft" else found.mean()
        assert share == pytest.approx(wanted, abs={"cutmix": 0.012, "mixup": 0.002, "fmix": 0}[method])


def test_a_matched_rectangle_is_placed_anywhere() -> None:
    corners = set()
    for seed in range(40):
        a, b = parent(seed, size=(40, 60)), parent(seed + 100, size=(40, 60))
        inside = weighed("cutmix", "hard", a, b, seed, area="matched").weight_b
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        assert inside.sum() == len(rows) * len(columns)
        assert abs(len(rows) * 60 - len(columns) * 40) <= 180
        corners.add((rows[0], columns[0]))
    assert len(corners) > 30


@pytest.mark.parametrize("aggregate", ["sum", "mean"])
def test_a_random_weight_takes_as_much_as_saliency_gives_the_same_pair(aggregate: str) -> None:
    for seed in range(20):
        a, b = parent(seed), parent(seed + 100)
        by_saliency, drawn, free = (
            weighed("hsmix", "soft", a, b, seed, aggregate=aggregate, **more)
            for more in ({}, {"weight": "random", "area": "matched"}, {"weight": "random"})
        )

        assert drawn.weight_b.mean() == pytest.approx(by_saliency.weight_b.mean(), abs=1)
        assert drawn.n_regions == by_saliency.n_regions
        assert not np.array_equal(drawn.weight_b, by_saliency.weight_b)
        assert free.select_p is None


def test_what_is_read_follows_from_what_is_matched() -> None:
    assert needs_of_all(configured("cutmix")) == Needs()
    assert needs_of_all(configured("mixup", area="matched")) == Needs(superpixels=True)
    assert needs_of_all(configured("hsmix", weight="random")) == Needs(superpixels=True)
    assert needs_of_all(configured("hsmix", weight="random", area="matched")) == Needs(superpixels=True, saliency=True)
    assert needs_of_all(configured("hsmix", probabilities=(0.5, 0.5, 0))) == Needs(superpixels=True)
    both = MixConfig(method="cutmix,guided", probabilities=(0, 1, 1))
    assert needs_of_all(both) == Needs(saliency=True)
