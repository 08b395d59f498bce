"""The compiled loops of mixing and measuring give what numpy and SciPy give, and refuse what does not fit."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.pipeline.dataset.array_bytes import write_lines
from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.stages.kernels.compiled import has, native
from hsmix_gen.stages.labels.labels import mixed_labels
from hsmix_gen.stages.measures.contours import by_loop, by_numpy
from hsmix_gen.stages.measures.pieces import areas, by_scipy
from hsmix_gen.stages.measures.sample_measures import counts_by_kind
from hsmix_gen.stages.mixing import mixing
from hsmix_gen.stages.mixing.mixing import BLENDS
from hsmix_gen.stages.mixing.regions import weigh_regions
from hsmix_gen.stages.superpixels import label_maps
from hsmix_gen.stages.superpixels.label_maps import looked_up

SIZES = [(1, 1), (1, 9), (7, 1), (2, 2), (33, 50), (64, 31)]
ALL = ("pieces", "region_sums", "seam", "histograms", "gather", "blend", "mix_labels", "difference_lines", "grow")
pytestmark = pytest.mark.skipif(not all(map(has, ALL)), reason="the loops are not compiled here")
Bytes = npt.NDArray[np.uint8]


def drawn(size: tuple[int, ...], *values: int, seed: int = 0) -> Bytes:
    return np.random.default_rng([seed, *size]).choice(np.array(values, np.uint8), size)


def smooth(size: tuple[int, int], seed: int = 0) -> Bytes:
    """Return values that are alike nearby, and turned, so that rows do not lie one after the other."""
    coarse = np.random.default_rng([seed, *size]).integers(0, 256, (size[1] // 4 + 1, size[0] // 4 + 1), np.uint8)
    return np.kron(coarse, np.ones((4, 4), np.uint8))[: size[1], : size[0]].T


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("share", [1, 3, 9])
def test_pieces_have_the_areas_of_scipy(size: tuple[int, int], share: int) -> None:
    for seed in range(8):
        ids = drawn(size, 0, 255, *[1, 2, 254] * share, seed=seed)
        held = drawn(size, 0, 1, seed=seed + 99).astype(bool)

        for given in (held, None):
            for found, expected in zip(areas(ids, given), by_scipy(ids, given), strict=True):
                assert found.tolist() == expected.tolist()


def test_pieces_that_meet_below_are_one() -> None:
    u = np.array([[1, 0, 1, 0, 1], [1, 0, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [3, 0, 255, 0, 2]], np.uint8)

    assert areas(u, u == 1)[0].tolist() == [11, 1, 1]
    assert areas(u, u == 1)[1].tolist() == [11, 0, 0]


@pytest.mark.parametrize("size", SIZES)
def test_seams_and_contours_are_those_of_numpy(size: tuple[int, int]) -> None:
    for seed in range(8):
        planes = smooth(size, seed), smooth(size, seed + 50) // 100, smooth(size, seed + 99)

        assert by_loop(*planes) == by_numpy(*planes)


def test_values_are_counted_by_what_they_lie_over() -> None:
    values, ids = smooth((40, 30)), drawn((40, 30), 0, 1, 2, 254, 255)

    counts = counts_by_kind(values, ids, compiled=True)

    assert counts.sum(axis=1).tolist() == [(ids == 0).sum(), ((ids > 0) & (ids < 255)).sum(), (ids == 255).sum()]
    np.testing.assert_array_equal(counts, counts_by_kind(values, ids, compiled=False))


@pytest.mark.parametrize("aggregate", ["sum", "mean"])
@pytest.mark.parametrize("kind", ["many", "few", "even", "one", "turned"])
def test_regions_are_weighed_alike(aggregate: Literal["sum", "mean"], kind: str) -> None:
    rng = np.random.default_rng(3)
    size, most = (24, 36), {"many": 60000, "one": 1}.get(kind, 30)
    turn = np.transpose if kind == "turned" else np.asarray
    labels_a, labels_b = (turn(rng.integers(0, most, size).astype(np.uint16)) for _ in range(2))
    from_b = turn(rng.random(size) < (1.1 if kind == "one" else 0.3))
    saliency = [turn(rng.integers(0, 1 if kind == "even" else 256, size, np.uint8)) for _ in range(2)]
    mix = MixConfig(aggregate=aggregate, lambda_range=(0.1, 0.9))

    (weight, found), (expected, known) = (
        weigh_regions((labels_a, labels_b), from_b, (saliency[0], saliency[1]), mix, compiled=compiled)
        for compiled in (True, False)
    )

    np.testing.assert_array_equal(weight, expected)
    np.testing.assert_array_equal(found.weight, known.weight)
    assert found.flags == known.flags
    assert bool(found.flags) == (kind == "one" or (kind, aggregate) == ("even", "mean"))


@pytest.mark.parametrize("n_classes", [1, 2, 4, 255])
def test_labels_are_mixed_alike(n_classes: int) -> None:
    """Ids of no class and ignored pixels included."""
    a, b = (drawn((60, 40), 0, 1, 3, 4, 200, 255, seed=seed).T for seed in (0, 1))
    weight = drawn((40, 60), 0, 0, 255, 255, *range(256))

    found, expected = (mixed_labels(a, b, weight, n_classes=n_classes, compiled=compiled) for compiled in (True, False))

    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1].view(np.uint16), expected[1].view(np.uint16))


def test_every_blend_is_that_of_numpy() -> None:
    a, weight = (plane.astype(np.uint8) for plane in np.indices((256, 256)))
    for level in range(0, 256, 5):
        b = np.full_like(a, level)
        found, expected = np.empty_like(a), np.empty_like(a)
        native.blend(a, b, weight, found)
        BLENDS["uint8"](a, b, weight, expected)

        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_numbers_are_looked_up(dtype: type[np.integer[Any]]) -> None:
    numbers = np.random.default_rng(0).integers(0, 300, (20, 30)).astype(dtype).T

    for table in (drawn((300,), *range(256)), drawn((300,), 0, 1).astype(bool)):
        found = looked_up(table, numbers)

        assert found.dtype == table.dtype
        np.testing.assert_array_equal(found, table[numbers])


@pytest.mark.parametrize("number", [3, -1])
def test_numbers_beyond_a_table_are_refused(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for is_there in (has, lambda _: False):
        monkeypatch.setattr(label_maps, "has", is_there)
        with pytest.raises(ValueError, match=f"numbers must be 0 or more and below 3, got {number}"):
            looked_up(np.zeros(3, np.uint8), np.array([[0, number]], np.int32))


@pytest.mark.parametrize("size", [(1, 1, 3), (5, 7, 1), (6, 4, 3), (4, 4, 4)])
def test_lines_of_a_picture_are_those_of_numpy(size: tuple[int, int, int]) -> None:
    flat = drawn(size, *range(256))
    planes = np.moveaxis(np.ascontiguousarray(np.moveaxis(flat, -1, 0)), 0, -1)
    expected, found = np.empty((2, size[0], 1 + size[1] * size[2]), np.uint8)
    write_lines(flat, expected)

    for picture in (flat, planes, flat[::-1][::-1]):
        found[:] = 9
        native.difference_lines(picture, found)
        np.testing.assert_array_equal(found, expected)


def test_arrays_of_another_size_are_refused() -> None:
    small, large = np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8)
    with pytest.raises(ValueError, match="weights must hold 4 bytes, got 6"):
        native.blend(small, small, large, small)


def test_arrays_of_another_type_are_refused() -> None:
    wide: Any = np.zeros(3)
    with pytest.raises(ValueError, match="items of table must have 1 bytes, got 8"):
        native.gather(wide, np.array([20], np.int32), np.zeros(1, np.uint8))


@pytest.mark.parametrize("compiled", [True, False])
def test_weights_turned_against_their_pictures_are_refused(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have as many bytes, and would be read in another order."""
    monkeypatch.setattr(mixing, "has", lambda _: compiled)
    plane, turned = np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8)

    with pytest.raises(ValueError, match=r"weights must be \(2, 3\) as the images, got \(3, 2\)"):
        mixing.blend(plane[..., None], plane[..., None], turned)
    with pytest.raises(ValueError, match=r"weights must be \(2, 3\) as the masks, got \(3, 2\)"):
        mixed_labels(plane, plane, turned, n_classes=2, compiled=compiled)
    with pytest.raises(ValueError, match="masks must both be"):
        mixed_labels(plane, turned, plane, n_classes=2, compiled=compiled)


def test_weights_may_lie_in_memory_in_any_order() -> None:
    a, b, weight = (drawn((5, 4), *range(256), seed=seed).T for seed in range(3))

    found = mixing.blend(a[..., None], b[..., None], weight)

    np.testing.assert_array_equal(found, mixing.blend(a[..., None], b[..., None], weight.copy("C")))


def test_regions_that_are_their_own_neighbours_are_refused() -> None:
    with pytest.raises(ValueError, match="edges name two regions each"):
        native.ward(
            np.ones(2, np.int64), np.ones((2, 1), np.int64), np.zeros((1, 2), np.int32), np.zeros((2, 2), np.int32)
        )


@pytest.mark.parametrize("place", [np.nan, np.inf, 1e10, -1e10])
def test_centres_far_away_take_nothing(place: float) -> None:
    labels = np.ones((20, 20), np.int32)
    far = np.array([[place, 0.0]])

    native.kmeans(
        np.zeros((1, 20, 32)), b"", far.T.copy(), np.zeros((1, 1)), labels, (1, 20, 20, 32), (2, 2), 1.0, 1, 2, True
    )
    native.spread(np.zeros((3, 2), np.int32), far, 2)

    assert not labels.any()


@pytest.mark.parametrize(
    ("largest", "start", "rule"), [(3, 0, "labels must be 0 or more and below 3"), (2, 3, "start"), (2, -1, "start")]
)
def test_a_piece_of_no_superpixel_is_refused(largest: int, start: int, rule: str) -> None:
    labels = np.array([[0, 1, largest]], np.uint16)
    with pytest.raises(ValueError, match=rule):
        native.grow(labels, (1, 3), np.ones(3, np.int64), np.zeros(3), start, (1.0, 2.0), np.empty(3, bool))
