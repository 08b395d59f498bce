"""Each method against its formula in plain loops and exact numbers; only the draws are shared."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.schemas.families import METHODS
from hsmix_gen.schemas.records import IGNORE, Mode
from hsmix_gen.stages.mixing.method import Parent, method_named
from hsmix_gen.stages.mixing.methods import fmix
from hsmix_gen.stages.mixing.smoothing import kernel
from hsmix_gen.stages.randomness import generator_for
from tests.stages.mixing.methods.tiny_pairs import SIZE, configured, multilabel, parent, weighed

SEEDS = range(25)
PIXELS = list(product(range(SIZE[0]), range(SIZE[1])))
Rows = list[list[int]]


def objects_of(mask: npt.NDArray[np.uint8]) -> list[set[tuple[int, int]]]:
    """Return the connected pieces of foreground in the order of their first pixels."""
    left = {(y, x) for y, x in PIXELS if mask[y, x] not in (0, IGNORE)}
    found = []
    for pixel in PIXELS:
        if pixel not in left:
            continue
        piece, pending = set(), [pixel]
        while pending:
            y, x = pending.pop()
            if (y, x) in left:
                left.remove((y, x))
                piece.add((y, x))
                pending += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        found.append(piece)
    return found


def drawn_objects(mask: npt.NDArray[np.uint8], seed: int) -> set[tuple[int, int]]:
    rng = generator_for(seed, "objects")
    found = objects_of(mask)
    drawn = [number for number, chance in enumerate(rng.random(len(found))) if chance < 0.5]
    if found and not drawn:
        drawn = [min(int(rng.random() * len(found)), len(found) - 1)]
    return set().union(*(found[number] for number in drawn))


def smooth(values: dict[tuple[int, int], int], sigma: float, reach: int) -> dict[tuple[int, int], int]:
    """Return values smoothed by a Gaussian in whole 255ths, both ways, mirrored at the rim."""
    weights = kernel(sigma, reach).tolist()

    def mirrored(index: int, length: int) -> int:
        while not 0 <= index < length:
            index = -1 - index if index < 0 else 2 * length - 1 - index
        return index

    steps = list(zip(range(-reach, reach + 1), weights, strict=True))
    down = {(y, x): sum(w * values[mirrored(y + d, SIZE[0]), x] for d, w in steps) for y, x in PIXELS}
    return {(y, x): sum(w * down[y, mirrored(x + d, SIZE[1])] for d, w in steps) for y, x in PIXELS}


def test_the_kernel_is_a_gaussian_in_whole_255ths() -> None:
    for sigma, reach in ((1.5, 6), (3.0, 3), (3.0, 12), (0.5, 2)):
        exact = [math.exp(-((step / sigma) ** 2) / 2) for step in range(-reach, reach + 1)]
        weights = kernel(sigma, reach)

        assert weights.sum() == 255
        assert np.abs(weights - 255 * np.array(exact) / sum(exact)).max() < 2


def level(share: Fraction) -> int:
    return math.floor(255 * share + Fraction(1, 2))


def is_clear(share: Fraction) -> bool:
    """Return whether a float cannot round to the other side."""
    return abs(255 * share % 1 - Fraction(1, 2)) > Fraction(1, 10**9)


@pytest.mark.parametrize("seed", SEEDS)
def test_classmix_takes_half_of_the_classes(seed: int) -> None:
    a, b = parent(seed), parent(seed + 100)
    classes = sorted({int(value) for value in b.mask.ravel()} - {IGNORE})
    chances = generator_for(seed, "classes").random(len(classes))
    drawn = [classes[place] for place in sorted(range(len(classes)), key=lambda place: chances[place])]
    taken = drawn[: math.ceil(len(classes) / 2)]

    found = weighed("classmix", "hard", a, b, seed)

    assert [[bool(found.weight_b[y, x]) for x in range(SIZE[1])] for y in range(SIZE[0])] == [
        [int(b.mask[y, x]) in taken for x in range(SIZE[1])] for y in range(SIZE[0])
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_copy_paste_takes_whole_objects(seed: int) -> None:
    a, b = parent(seed), parent(seed + 100)
    expected = drawn_objects(b.mask, seed)

    found = weighed("copy-paste", "hard", a, b, seed)

    assert {(y, x) for y, x in PIXELS if found.weight_b[y, x]} == expected
    assert (found.moved_b, found.scale_b) == (None, None)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_copy_paste_scales_the_partner_about_its_middle(seed: int, dtype: str) -> None:
    a, b = parent(seed, dtype=dtype), parent(seed + 100, dtype=dtype, channels=2)
    drawn = generator_for(seed, "scale").random()
    factor = Fraction(128 + min(int(drawn * 385), 384), 256)

    found = weighed("copy-paste", "hard", a, b, seed, scale_range=(0.5, 2))

    assert found.scale_b == float(factor)
    assert found.moved_b is not None
    height, width = SIZE
    image, mask = b.image.astype(object), np.zeros(SIZE, np.uint8)

    def place(i: int, length: int) -> Fraction:
        exact = (Fraction(2 * i + 1 - length, 2)) / factor + Fraction(length - 1, 2)
        return Fraction(math.floor(256 * exact), 256)

    for y, x in PIXELS:
        v, u = place(y, height), place(x, width)
        row, column = math.floor(v + Fraction(1, 2)), math.floor(u + Fraction(1, 2))
        if 0 <= row < height and 0 <= column < width:
            mask[y, x] = b.mask[row, column]
        v, u = min(max(v, Fraction(0)), Fraction(height - 1)), min(max(u, Fraction(0)), Fraction(width - 1))
        top, left = math.floor(v), math.floor(u)
        low, right = min(top + 1, height - 1), min(left + 1, width - 1)
        for c in range(2):
            corners = [Fraction(float(image[r, k, c])) for r in (top, low) for k in (left, right)]
            weights = [(1 - v % 1) * (1 - u % 1), (1 - v % 1) * (u % 1), (v % 1) * (1 - u % 1), (v % 1) * (u % 1)]
            value = sum((w * corner for w, corner in zip(weights, corners, strict=True)), Fraction(0))
            expected = float(np.float32(float(value))) if dtype == "float32" else math.floor(value + Fraction(1, 2))
            assert found.moved_b.image[y, x, c] == expected
    np.testing.assert_array_equal(found.moved_b.mask, mask)
    assert {(y, x) for y, x in PIXELS if found.weight_b[y, x]} == drawn_objects(mask, seed)
    assert found.moved_b.image.dtype == dtype


@pytest.mark.parametrize("seed", SEEDS)
def test_carvemix_cuts_at_a_drawn_signed_distance(seed: int) -> None:
    a, b = parent(seed), parent(seed + 100)
    inside = {(y, x) for y, x in PIXELS if b.mask[y, x] not in (0, IGNORE)}
    outside = set(PIXELS) - inside

    def nearest(pixel: tuple[int, int], others: set[tuple[int, int]]) -> float:
        return min(math.hypot(pixel[0] - y, pixel[1] - x) for y, x in others)

    signed = {p: -nearest(p, outside) if p in inside else nearest(p, inside) for p in PIXELS}
    deepest = abs(min(signed.values()))
    side, share = generator_for(seed, "distance").random(2)
    threshold = share * deepest if side < 0.5 else -share * deepest / 2
    expected = {p for p in PIXELS if signed[p] <= threshold}

    found = weighed("carvemix", "hard", a, b, seed)

    assert {(y, x) for y, x in PIXELS if found.weight_b[y, x]} == expected


@pytest.mark.parametrize("seed", range(6))
def test_soft_cp_blurs_the_objects(seed: int) -> None:
    a, b = parent(seed), parent(seed + 100)
    pasted = drawn_objects(b.mask, seed)
    blurred = smooth({pixel: int(pixel in pasted) for pixel in PIXELS}, 1.5, 6)

    found = weighed("soft-cp", "soft", a, b, seed, edge_sigma=1.5)

    for y, x in PIXELS:
        assert found.weight_b[y, x] == level(Fraction(blurred[y, x], 255 * 255))


@pytest.mark.parametrize("seed", range(6))
def test_guided_takes_the_ratio_of_smoothed_saliency(seed: int) -> None:
    a, b = parent(seed), parent(seed + 100)
    maps = [smooth({(y, x): int(one.saliency[y, x]) for y, x in PIXELS}, 3.0, 3) for one in (a, b)]
    s_a, s_b = ({p: Fraction(value, sum(one.values())) for p, value in one.items()} for one in maps)

    found = weighed("guided", "soft", a, b, seed)

    shares = {p: s_b[p] / (s_a[p] + s_b[p]) for p in PIXELS}
    assert all(found.weight_b[p] == level(share) for p, share in shares.items() if is_clear(share))
    assert 0.3 < found.weight_b.mean() / 255 < 0.7


@pytest.mark.parametrize("seed", SEEDS)
def test_cam_superpixels_are_drawn_by_their_mean_saliency(seed: int) -> None:
    a, b = parent(seed), parent(seed + 100)
    whole = Fraction(int(b.saliency.astype(int).sum()), b.saliency.size)
    chances = []
    for region in range(int(b.labels.max()) + 1):
        inside = [int(b.saliency[y, x]) for y, x in PIXELS if b.labels[y, x] == region]
        chances.append(min(Fraction(1), Fraction(3, 10) * Fraction(sum(inside), len(inside)) / whole))
    rng = generator_for(seed, "cam-superpixels")
    for _ in range(2):
        drawn = [u < chance for u, chance in zip(rng.random(len(chances)), chances, strict=True)]
        if any(drawn) and not all(drawn):
            break

    found = weighed("cam-superpixels", "hard", a, b, seed, select=0.3)

    assert all(bool(found.weight_b[y, x]) == drawn[b.labels[y, x]] for y, x in PIXELS)


@pytest.mark.parametrize("seed", range(2))
def test_fmix_takes_where_noise_of_low_frequency_is_greatest(seed: int) -> None:
    """Waves are added one by one; of pixels within the rounding of tables either side may be taken."""
    height, width = SIZE
    drawn = np.floor(generator_for(seed, "noise").random((12, 34, 34)) * 2**20).sum(axis=0) / 2**20 - 6
    field = dict.fromkeys(PIXELS, 0.0)
    for k, m in product(range(17), range(17)):
        if k == m == 0:
            continue
        frequency = math.hypot(k / height, m / width)
        strength = math.sqrt((1 + (k > 0)) * (1 + (m > 0))) / frequency**3
        for (i, up), (j, across) in product(enumerate((math.cos, math.sin)), repeat=2):
            for y, x in PIXELS:
                wave = up(2 * math.pi * k * y / height) * across(2 * math.pi * m * x / width)
                field[y, x] += strength * drawn[17 * i + k, 17 * j + m] * wave
    count = min(int(generator_for(seed, "share").random() * (len(PIXELS) + 1)), len(PIXELS))
    ranked = sorted(PIXELS, key=lambda pixel: -field[pixel])
    spread = max(field.values()) - min(field.values())
    edge = field[ranked[min(count, len(ranked) - 1)]]

    found = weighed("fmix", "hard", parent(seed), parent(seed + 100), seed)

    assert int(found.weight_b.sum()) == count
    clear = [pixel for pixel in PIXELS if abs(field[pixel] - edge) > 0.002 * spread]
    assert len(clear) > 0.9 * len(PIXELS)
    assert all(bool(found.weight_b[pixel]) == (pixel in set(ranked[:count])) for pixel in clear)


def test_fmix_takes_the_first_of_equal_values() -> None:
    field = np.random.default_rng(0).integers(-2, 3, (5, 8)).astype(np.float64)
    ranked = np.argsort(-field.ravel(), kind="stable")

    for count in range(field.size + 1):
        assert np.flatnonzero(fmix.greatest(field, count)).tolist() == sorted(ranked[:count].tolist())


def test_noise_has_no_wave_along_the_empty_axis_and_falls_with_the_third_power() -> None:
    strengths = fmix.strengths((32, 32))

    assert strengths[0, 0] == 0
    assert strengths[0, 1] / strengths[0, 2] == pytest.approx(8)
    assert fmix.strengths((16, 32))[1, 0] / strengths[1, 0] == pytest.approx(1 / 8)


KINDS = [(name, mode) for name in METHODS.names for mode in method_named(name).modes]


@pytest.mark.parametrize(("name", "mode"), KINDS)
def test_a_multilabel_mask_is_weighed_as_its_class_ids_are(name: str, mode: Mode) -> None:
    for seed in range(5):
        a, b = parent(seed), parent(seed + 100)
        by_id, by_channel = (weighed(name, mode, *both, seed) for both in ((a, b), (multilabel(a), multilabel(b))))

        np.testing.assert_array_equal(by_id.weight_b, by_channel.weight_b)
        assert by_id.flags == by_channel.flags


@pytest.mark.parametrize(("name", "mode"), KINDS)
def test_a_partner_that_is_empty_flat_or_whole_is_mixed_all_the_same(name: str, mode: Mode) -> None:
    """Weights are of the plane, in their form; nothing warns or divides by zero."""
    for value, saliency in ((0, 0), (1, 0), (IGNORE, 255)):
        plain = parent(3)
        labels = np.zeros(SIZE, np.uint16) if value == 1 else plain.labels
        b = Parent(plain.image, np.full(SIZE, value, np.uint8), labels, np.full(SIZE, saliency, np.uint8))

        found = weighed(name, mode, plain, b, 1)

        assert found.weight_b.shape == SIZE
        assert found.weight_b.dtype == (np.uint8 if mode == "soft" else bool)
        if name in ("copy-paste", "carvemix", "soft-cp"):
            assert ("no_object" in found.flags) == (value != 1)
            assert value == 1 or not found.weight_b.any()


@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name, mode in KINDS if mode == "soft"])
def test_lambda_stays_inside_its_range(name: str, mode: Mode) -> None:
    for seed in range(3):
        found = weighed(name, mode, parent(seed), parent(seed + 100), seed, lambda_range=(0.2, 0.4))

        assert 51 <= found.weight_b.min() <= found.weight_b.max() <= 102


@pytest.mark.parametrize("name", METHODS.names)
def test_a_method_has_what_the_manual_lists(name: str) -> None:
    method = method_named(name)

    assert method.formula
    assert "arXiv:" in method.paper or "doi:" in method.paper
    assert set(method.options) <= set(type(configured(name)).model_fields)
