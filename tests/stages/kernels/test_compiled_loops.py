"""The compiled loops of mixing and measuring give what numpy and SciPy give, and refuse what does not fit."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.pipeline.dataset.array_bytes import write_lines
from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.stages.kernels.compiled import has, native
from hsmix_gen.stages.labels.labels import mixed_labels
from hsmix_gen.stages.measures import contours, looks, sample_measures
from hsmix_gen.stages.measures.pieces import tally, tally_by_scipy
from hsmix_gen.stages.mixing import mixing, smoothing
from hsmix_gen.stages.mixing.geometry import transform
from hsmix_gen.stages.mixing.methods import fmix, guided
from hsmix_gen.stages.mixing.mixing import Mixed
from hsmix_gen.stages.mixing.objects import labelled_objects
from hsmix_gen.stages.mixing.regions import count_mixed_regions, weigh_regions
from hsmix_gen.stages.mixing.sample import Sample
from hsmix_gen.stages.superpixels import label_maps
from hsmix_gen.stages.superpixels.label_maps import looked_up
from tests.stages.loops import both_ways, without_loops

SIZES = [(1, 1), (1, 9), (7, 1), (2, 2), (33, 50), (64, 31)]
ALL = (
    *("blend_planes", "blur", "byte_sum", "count_seam", "difference_lines", "gather", "greatest", "grow_piece"),
    *("label_sums", "label_totals", "lay_out", "mix_labels", "moments", "number_pieces", "rank_sums"),
    *("regions_seen", "share_levels", "sum_noise", "sum_regions", "tally_pieces"),
)
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
def test_pieces_are_tallied_as_by_scipy(size: tuple[int, int], share: int) -> None:
    for seed in range(8):
        ids = drawn(size, *[0] * 9 * (share == 9), 0, 255, *[1, 2, 254] * share, seed=seed)
        weight = drawn(size, 0, 127, 128, 255, seed=seed + 99)

        for given, is_b in ((weight, True), (weight.T.copy().T, False), (None, True)):
            assert tally(ids, given, 20.5, is_b=is_b) == tally_by_scipy(ids, given, 20.5, is_b=is_b)


def test_pieces_that_meet_below_are_one() -> None:
    u = np.array([[1, 0, 1, 0, 1], [1, 0, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [3, 0, 255, 0, 2]], np.uint8)

    for count in (tally, tally_by_scipy):
        assert count(u, None, 12) == (2, 1, 0, 1, 0)
        assert count(u, (u == 1) * np.uint8(255), 11) == (2, 1, 0, 0, 0)  # all of the object is held
        half = np.where(np.indices(u.shape)[1] < 2, np.uint8(255), np.uint8(0))
        assert count(u, half, 12) == count(u, half, 12, is_b=False) == (2, 1, 1, 1, 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.8])
def test_objects_are_numbered_as_by_scipy(size: tuple[int, int], share: float) -> None:
    for seed in range(8):
        inside = share > np.random.default_rng([seed, *size]).random((size[1], size[0])).T  # rows do not lie in a row

        (found, count), (expected, known) = both_ways(partial(labelled_objects, inside))

        np.testing.assert_array_equal(found, expected)
        assert (found.dtype, type(count), count) == (expected.dtype, int, known)


@pytest.mark.parametrize("size", SIZES)
def test_values_of_regions_are_summed_as_by_numpy(size: tuple[int, int]) -> None:
    for most in (1, 9, 60000):
        labels = np.random.default_rng([most, *size]).integers(0, most, size).astype(np.uint16).repeat(3, axis=1).T
        for values in (None, labels % 2 == 1, np.zeros(labels.shape, bool), drawn(labels.shape, *range(256))):
            found, expected = both_ways(partial(label_maps.region_totals, labels, values))

            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype == np.int64


@pytest.mark.parametrize("size", SIZES)
def test_seams_and_contours_are_those_of_numpy(size: tuple[int, int]) -> None:
    for seed in range(8):
        plane, ids, weight = smooth(size, seed), smooth(size, seed + 50) // 100, smooth(size, seed + 99)

        found, expected = both_ways(partial(contours.seam_agreement, plane[..., None], ids, weight))
        assert found == pytest.approx(expected, abs=0, nan_ok=True)


@pytest.mark.parametrize("size", SIZES)
def test_saliency_is_ranked_as_by_numpy(size: tuple[int, int]) -> None:
    values, ids = smooth(size) // 9, drawn(size, 0, 1, 2, 254, 255)

    found, expected = both_ways(partial(sample_measures.map_auc, values, ids))

    assert found == pytest.approx(expected, abs=0, nan_ok=True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [1, 2, 8])
def test_moments_are_those_of_numpy(size: tuple[int, int], step: int) -> None:
    found, expected = both_ways(partial(looks.moments, smooth(size), step))

    assert found == expected


def test_moments_of_the_widest_rows_are_whole() -> None:
    assert native.moments(np.full((1, 70000), 255, np.uint8), 1) == (255 * 70000, 255 * 255 * 70000)


@pytest.mark.parametrize("values", [(0, 1), (0, 0, 0, 0, 0, 0, 2, 255), (255,)])
def test_pixels_of_classes_are_those_of_numpy(values: tuple[int, ...]) -> None:
    for seed in range(8):
        a, b = (drawn((9, 40), *values, seed=seed + more) for more in (0, 50))
        b[:, :24] = a[:, :24] = a[:1, :1]
        weight = drawn((9, 40), 0, 255, *range(9, 250, seed + 1), seed=seed)
        mask, soft = mixed_labels(a, b, weight, n_classes=3)
        sample = Sample(Mixed(a[..., None], mask, soft), weight, 0.0, ())

        for work in (
            partial(sample_measures.mixed_pixels, sample, a, b, 3),
            partial(sample_measures.class_pixels, a, 3),
        ):
            found, expected = both_ways(work)
            assert found == expected


@pytest.mark.parametrize("size", [*SIZES, (40, 300)])
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_pictures_are_turned_as_by_numpy(size: tuple[int, int], dtype: Any, channels: tuple[int, ...]) -> None:
    picture = np.random.default_rng(1).integers(0, 60000, (*size, *channels)).astype(dtype)

    for number in range(8):
        turned = np.rot90(picture, number % 4)
        expected = turned[:, ::-1] if number > 3 else turned
        for given in (picture, transform(picture, 0), picture[::-1].copy()[::-1]):
            found = transform(given, number)
            np.testing.assert_array_equal(found, expected)
            assert np.moveaxis(found, -1, 0).flags.c_contiguous if channels else found.flags.c_contiguous


def test_fields_of_records_are_turned_as_by_numpy() -> None:
    """Their values do not lie a whole number of values apart."""
    records = np.zeros((5, 4), [("id", np.uint8), ("value", np.uint16)])
    records["value"] = np.arange(20).reshape(5, 4)

    np.testing.assert_array_equal(transform(records["value"], 1), np.rot90(records["value"]))
    with pytest.raises(ValueError, match="must lie whole values apart"):
        native.lay_out(records["value"][None], np.zeros((5, 4), np.uint16))


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

    work = partial(weigh_regions, (labels_a, labels_b), from_b, (saliency[0], saliency[1]), mix)
    (weight, found), (expected, known) = both_ways(work)

    np.testing.assert_array_equal(weight, expected)
    np.testing.assert_array_equal(found.weight, known.weight)
    assert found.flags == known.flags
    assert bool(found.flags) == (kind == "one" or (kind, aggregate) == ("even", "mean"))


def test_regions_are_counted_alike() -> None:
    rng = np.random.default_rng(3)
    for most in (1, 30, 60000):
        labels_a, labels_b = (rng.integers(0, most, (24, 36)).astype(np.uint16).T for _ in range(2))

        work = partial(count_mixed_regions, labels_a, labels_b, rng.random((24, 36)).T < 0.3)
        found, expected = both_ways(work)

        assert found == expected == work() > 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("sigma", "radius"), [(3.0, 3), (3.0, None), (0.1, None), (20.0, None)])
def test_maps_are_blurred_as_by_scipy(size: tuple[int, int], sigma: float, radius: int | None) -> None:
    few = np.random.default_rng(1).random((70, 70)) < 0.001  # many rows have none near
    for levels in (smooth(size), np.full(size, 255, np.uint8), drawn(size, 0, 255), few.T):
        found, expected = both_ways(partial(smoothing.blurred, levels, sigma, radius))

        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.float32


@pytest.mark.parametrize("size", SIZES)
def test_shares_of_saliency_are_rounded_as_by_numpy(size: tuple[int, int]) -> None:
    for seed, most in enumerate((1, 2, 9, 2**24)):
        rng = np.random.default_rng([seed, *size])
        a, b = (rng.integers(0, most, size, endpoint=True).astype(np.float32) for _ in range(2))

        for other in (b, a, np.zeros_like(a), np.maximum(b - a, 0)):  # equal ones give one half, 127.5 of 255
            found, expected = both_ways(partial(guided.levels_of_b, a, other))
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", [1, 7, 34 * 34])
@pytest.mark.parametrize("key", [0, 1, 2**63 - 1])
def test_noise_is_that_of_numpy(count: int, key: int) -> None:
    found, expected = both_ways(partial(fmix.sums_of_noise, key, count))

    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


@pytest.mark.parametrize("size", [*SIZES, (90, 70)])
@pytest.mark.parametrize("most", [0, 1, 9, 10**15])
def test_the_greatest_values_are_those_of_numpy(size: tuple[int, int], most: int) -> None:
    rng = np.random.default_rng([most, *size])
    field = rng.integers(-most, most, size, endpoint=True).astype(np.float64).T
    field[0, 0] *= 100  # most share a few steps of the way between the least and the greatest

    for count in {0, 1, field.size // 2, field.size - 1, field.size, int(rng.integers(field.size + 1))}:
        found, expected = both_ways(partial(fmix.greatest, field, count))

        np.testing.assert_array_equal(found, expected)
        assert int(np.count_nonzero(found)) == count


def test_bytes_are_summed_as_by_numpy() -> None:
    for plane in (drawn((33, 50), *range(256)).T, np.full((300, 301), 255, np.uint8), np.zeros((0, 3), np.uint8)):
        assert both_ways(partial(mixing.byte_sum, plane)) == (int(plane.sum(dtype=np.int64)),) * 2


@pytest.mark.parametrize("n_classes", [1, 2, 4, 255])
def test_labels_are_mixed_alike(n_classes: int) -> None:
    """Ids of no class and ignored pixels included."""
    a, b = (drawn((60, 43), 0, 1, 3, 4, 200, 255, seed=seed).T for seed in (0, 1))
    weight = drawn((43, 60), 0, 0, 255, 255, *range(256))
    a[:9, :50], b[5:12, :50], weight[9:20, :40] = 1, 1, 255  # many pixels that are alike
    a[20:24], b[20:26], weight[20:30, :40] = 255, 255, 0
    for row, level in enumerate((0, 1, 127, 128, 254)):
        a[30 + row], b[30 + row, :40], weight[30 + row] = row % 4, 3 - row % 4, level
    a[35], b[35], b[36], weight[35:37] = 255, 1, 255, 100

    found, expected = both_ways(partial(mixed_labels, a, b, weight, n_classes=n_classes))

    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1].view(np.uint16), expected[1].view(np.uint16))


def test_every_blend_is_that_of_numpy() -> None:
    a, weight = (plane.astype(np.uint8) for plane in np.indices((256, 256)))
    for level in range(0, 256, 5):
        b = np.full_like(a, level)
        pictures = np.stack([a, b], axis=-1), np.stack([b, a], axis=-1)
        for given in (weight, weight // 128 * np.uint8(255)):
            found, expected = both_ways(partial(mixing.blend, *pictures, given))

            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_numbers_are_looked_up(dtype: type[np.integer[Any]]) -> None:
    numbers = np.random.default_rng(0).integers(0, 300, (20, 30)).astype(dtype).T

    for table in (drawn((300,), *range(256)), drawn((300,), 0, 1).astype(bool)):
        found = looked_up(table, numbers)

        assert found.dtype == table.dtype
        np.testing.assert_array_equal(found, table[numbers])


@pytest.mark.parametrize("number", [3, -1])
def test_numbers_beyond_a_table_are_refused(number: int) -> None:
    for way in (nullcontext, without_loops):
        with way(), pytest.raises(ValueError, match=f"numbers must be 0 or more and below 3, got {number}"):
            looked_up(np.zeros(3, np.uint8), np.array([[0, number]], np.int32))


@pytest.mark.parametrize("size", [(1, 1, 3), (5, 7, 1), (6, 40, 3), (4, 4, 4)])
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
    with pytest.raises(ValueError, match="b must hold 4 bytes, got 6"):
        native.blend_planes(small, large, small, small)
    with pytest.raises(ValueError, match="out must hold 6 bytes, got 8"):
        native.blend_planes(large, large, large, np.zeros(8, np.uint8))
    with pytest.raises(ValueError, match="out must hold 6 bytes, got 4"):
        native.lay_out(large[None], small)
    with pytest.raises(ValueError, match="numbers must hold 24 bytes, got 16"):
        native.number_pieces(large, (2, 3), np.zeros(4, np.int32))
    with pytest.raises(ValueError, match="labels must be 0 or more and below 1, got 1"):
        native.label_totals(np.ones(1, np.uint16), b"", np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="wanted must be 0 or more and below 4, got 4"):
        native.greatest(np.zeros(3), 4, np.zeros(3, bool))
    with pytest.raises(ValueError, match="marks must hold 6 bytes, got 4"):
        native.within(large.view(bool), (2, 3), 1, small.view(bool))
    with pytest.raises(ValueError, match="area must hold 8 bytes, got 4"):
        native.deepest(small.view(bool), (2, 4))
    with pytest.raises(ValueError, match="planes must be of one shape"):
        native.rank_sums(small, large, 1)
    with pytest.raises(ValueError, match="planes must be of one shape"):
        native.moments(np.zeros((0, 2), np.uint8), 1)
    with pytest.raises(ValueError, match="planes must be of one shape"):
        native.rank_sums(np.zeros((), np.uint8), small, 1)  # what has no axes has no sizes to compare with
    with pytest.raises(ValueError, match="labels_a must be 0 or more and below 1, got 1"):
        native.regions_seen(np.ones(1, np.uint16), np.zeros(1, np.uint16), np.zeros(1, bool), 1, np.zeros(2, bool))


def test_arrays_of_another_type_are_refused() -> None:
    wide: Any = np.zeros(3)
    with pytest.raises(ValueError, match="items of table must have 1 bytes, got 8"):
        native.gather(wide, np.array([20], np.int32), np.zeros(1, np.uint8))


@pytest.mark.parametrize("way", [nullcontext, without_loops])
def test_weights_turned_against_their_pictures_are_refused(way: Callable[[], AbstractContextManager[None]]) -> None:
    """They have as many bytes, and would be read in another order."""
    plane, turned = np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8)

    with way(), pytest.raises(ValueError, match=r"weights must be \(2, 3\) as the images, got \(3, 2\)"):
        mixing.blend(plane[..., None], plane[..., None], turned)
    with way(), pytest.raises(ValueError, match=r"weights must be \(2, 3\) as the masks, got \(3, 2\)"):
        mixed_labels(plane, plane, turned, n_classes=2)
    with way(), pytest.raises(ValueError, match="masks must both be"):
        mixed_labels(plane, turned, plane, n_classes=2)


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


def test_a_piece_of_no_superpixel_is_refused() -> None:
    labels = np.array([[0, 1, 3]], np.uint16)
    with pytest.raises(ValueError, match="labels must be 0 or more and below 3"):
        native.grow_piece(labels, (1, 3), np.zeros(5), (0.1, 0.5), np.empty(3, bool))


@pytest.mark.parametrize("draw", [np.nan, -1.0, 1.0, np.inf])
def test_draws_beyond_0_and_1_lead_nowhere_else(draw: float) -> None:
    selected = np.zeros(3, bool)
    native.grow_piece(np.array([[0, 1, 2]], np.uint16), (1, 3), np.full(5, draw), (0.1, 0.5), selected)
    assert selected.any()
