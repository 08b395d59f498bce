"""A whole sample agrees with the formulas written as plain loops, and every special case ends as promised."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import Mode, SamplePlan
from hsmix_gen.stages.mixing import draws
from hsmix_gen.stages.mixing.geometry import transform
from hsmix_gen.stages.mixing.method import Needs, Parent, needs
from hsmix_gen.stages.mixing.methods import cutmix
from hsmix_gen.stages.mixing.sample import Sample, make_sample
from hsmix_gen.stages.randomness import generator_for
from tests.stages.mixing.methods.tiny_pairs import multilabel

Rows = list[list[int]]


@dataclass(frozen=True)
class Reference:
    """What the formulas give, pixel by pixel."""

    taken: list[list[bool]]
    regions: Rows
    lambda_of_region: list[Fraction]


def reference(a: Parent, b: Parent, bits: list[bool], aggregate: str) -> Reference:
    """Return the published hard mix and lambda in exact arithmetic: loops and formulas, nothing else."""
    labels_a, labels_b = a.labels.tolist(), b.labels.tolist()
    saliency_a, saliency_b = a.saliency.tolist(), b.saliency.tolist()
    height, width = a.labels.shape
    pixels = [(y, x) for y in range(height) for x in range(width)]
    taken = [[bits[labels_b[y][x]] for x in range(width)] for y in range(height)]
    names = {(y, x): labels_b[y][x] if taken[y][x] else labels_a[y][x] + 10000 for y, x in pixels}
    order = sorted(set(names.values()))
    regions = [[order.index(names[y, x]) for x in range(width)] for y in range(height)]

    ratio = {}
    for y, x in pixels:
        s_a, s_b = Fraction(saliency_a[y][x], 255), Fraction(saliency_b[y][x], 255)
        ratio[y, x] = s_b / (s_a + s_b + Fraction(1, 10**4)) if s_a or s_b else Fraction(1, 2)
    values = []
    for number in range(len(order)):
        inside = [ratio[y, x] for y, x in pixels if regions[y][x] == number]
        values.append(sum(inside, Fraction(0)) / (len(inside) if aggregate == "mean" else height * width))
    spread = max(values) - min(values)
    if len(values) == 1:
        weights = [Fraction(1, 2)]
    elif spread < Fraction(2, 100) * sum(values, Fraction(0)) / len(values):
        weights = [sum(ratio.values(), Fraction(0)) / len(pixels)] * len(values)
    else:
        weights = [(value - min(values)) / (spread + Fraction(1, 10**5)) for value in values]
    return Reference(taken, regions, weights)


def in_255ths(weight: Fraction) -> int:
    return round(weight * 255)


def parent(labels: Rows, saliency: Rows, *, image: Any = 0, mask: Any = 0, channels: int = 1) -> Parent:
    size = np.shape(labels)
    return Parent(
        np.broadcast_to(np.asarray(image, np.uint8), (*size, channels)).copy(),
        np.broadcast_to(np.asarray(mask, np.uint8), size).copy(),
        np.array(labels, np.uint16),
        np.array(saliency, np.uint8),
    )


def plan(mode: Mode, seed: int = 0) -> SamplePlan:
    return SamplePlan("train-x-000", "train", mode, 0, 1, seed, "train-000000", 0)


def made(mode: Mode, a: Parent, b: Parent | None, *, seed: int = 0, n_classes: int = 2, **mix: Any) -> Sample:
    return make_sample(plan(mode, seed), a, b, MixConfig.model_validate(mix), n_classes=n_classes)


def seed_of(bits: list[bool], probability: float = 0.2) -> int:
    """Return the first key under which exactly these superpixels of B are drawn."""
    return next(s for s in range(10_000) if draws.draw_selection(s, len(bits), probability).tolist() == bits)


# The worked example: A is black background, B white foreground; the first superpixel of B is taken.
A = parent([[0, 0, 1, 1], [0, 0, 1, 1]], [[51, 51, 153, 153], [51, 102, 153, 153]])
B = parent([[0, 1, 1, 1], [0, 0, 1, 1]], [[51, 153, 51, 153], [153, 102, 51, 51]], image=255, mask=1)
FIRST_OF_B = seed_of([True, False])
M_H = [[1, 0, 0, 0], [1, 1, 0, 0]]


def test_the_reference_gives_the_digits_of_the_worked_example() -> None:
    by_sum, by_mean = (reference(A, B, [True, False], how) for how in ("sum", "mean"))

    assert by_sum.regions == [[0, 1, 2, 2], [0, 0, 2, 2]]
    assert [round(float(weight), 4) for weight in by_sum.lambda_of_region] == [0.9999, 0.0, 0.5]
    assert [round(float(weight), 4) for weight in by_mean.lambda_of_region] == [0.6190, 1.0, 0.0]


def test_the_worked_example_is_mixed_hard() -> None:
    sample = made("hard", A, B, seed=FIRST_OF_B)

    assert (sample.mixed.image[..., 0] // 255).tolist() == M_H
    assert sample.mixed.mask.tolist() == M_H
    assert (sample.area_b, sample.n_regions, sample.select_p, sample.flags) == (3 / 8, 3, 0.2, ())


@pytest.mark.parametrize(("aggregate", "levels"), [("sum", (255, 0, 128)), ("mean", (158, 255, 0))])
def test_the_worked_example_is_mixed_soft(aggregate: str, levels: tuple[int, int, int]) -> None:
    """A is 0 and B is 255, so the image shows lambda itself."""
    r0, r1, r2 = levels

    sample = made("soft", A, B, seed=FIRST_OF_B, aggregate=aggregate)

    assert sample.mixed.image[..., 0].tolist() == [[r0, r1, r2, r2], [r0, r0, r2, r2]]
    np.testing.assert_allclose(sample.mixed.soft[1], sample.mixed.image[..., 0] / 255, atol=5e-4)
    assert sample.area_b == pytest.approx((3 * r0 + r1 + 4 * r2) / 8 / 255)
    assert (sample.n_regions, sample.select_p, sample.flags) == (3, 0.2, ())


labels = st.lists(st.integers(0, 5), min_size=20, max_size=20).map(
    lambda values: np.unique(values, return_inverse=True)[1].reshape(4, 5).tolist()
)
bytes_4x5 = st.lists(st.integers(0, 255) | st.just(0), min_size=20, max_size=20).map(
    lambda values: np.reshape(values, (4, 5)).tolist()
)
ids_4x5 = st.lists(st.sampled_from([0, 1, 2, 3, 255]), min_size=20, max_size=20).map(
    lambda values: np.reshape(values, (4, 5)).tolist()
)
parents = st.builds(
    lambda regions, saliency, image, mask: parent(regions, saliency, image=np.array(image)[..., None], mask=mask),
    labels,
    bytes_4x5,
    bytes_4x5,
    ids_4x5,
)


@pytest.mark.parametrize("aggregate", ["sum", "mean"])
@hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
@hypothesis.given(a=parents, b=parents, seed=st.integers(0, 2**32))
def test_a_sample_agrees_with_plain_loops(aggregate: str, a: Parent, b: Parent, seed: int) -> None:
    n_b = int(b.labels.max()) + 1
    hypothesis.assume(n_b > 1 and a.saliency.any() and b.saliency.any())
    expected = reference(a, b, draws.draw_selection(seed, n_b, 0.2).tolist(), aggregate)
    exact = [255 * weight for weight in expected.lambda_of_region]
    # Where floats may round to the other side there is nothing to compare.
    hypothesis.assume(all(abs(level % 1 - Fraction(1, 2)) > 1e-6 for level in exact))

    hard, soft = (made(mode, a, b, seed=seed, n_classes=4, aggregate=aggregate) for mode in ("hard", "soft"))

    for y in range(4):
        for x in range(5):
            chosen = b if expected.taken[y][x] else a
            assert hard.mixed.image[y, x].tolist() == chosen.image[y, x].tolist()
            assert hard.mixed.mask[y, x] == chosen.mask[y, x]
            weight = Fraction(in_255ths(expected.lambda_of_region[expected.regions[y][x]]), 255)
            assert soft.weight_b[y, x] == weight * 255
            value = (1 - weight) * int(a.image[y, x, 0]) + weight * int(b.image[y, x, 0])
            assert soft.mixed.image[y, x, 0] == round(value)
            shares = {k: Fraction(0) for k in (0, 1, 2, 3, 255)}
            shares[int(a.mask[y, x])] += 1 - weight
            shares[int(b.mask[y, x])] += weight
            label = [0.0] * 4 if shares[255] else [float(shares[k]) for k in range(4)]
            np.testing.assert_allclose(soft.mixed.soft[:, y, x], label, atol=2**-11)


def test_an_unmixed_sample_is_its_parent() -> None:
    sample = made("none", B, None)

    np.testing.assert_array_equal(sample.mixed.image, B.image)
    np.testing.assert_array_equal(sample.mixed.mask, B.mask)
    assert (sample.area_b, sample.flags, sample.n_regions, sample.select_p) == (0.0, (), None, None)


ONE = [[0, 0], [0, 0]]
TWO = [[0, 1], [0, 1]]
MARKED = [[100, 200], [100, 200]]


def black(labels: Rows, saliency: Rows) -> Parent:
    return parent(labels, saliency)


def white(labels: Rows, saliency: Rows) -> Parent:
    return parent(labels, saliency, image=255, mask=1)


@pytest.mark.parametrize("mode", ["hard", "soft"])
def test_a_partner_with_one_superpixel_leaves_the_first_image(mode: Mode) -> None:
    sample = made(mode, black(TWO, MARKED), white(ONE, MARKED))

    assert "single_superpixel" in sample.flags
    assert not sample.mixed.image.any()
    assert not sample.mixed.mask.any()
    assert sample.area_b == 0


@pytest.mark.parametrize(("select", "shown"), [(0.0, 0), (1.0, 255)])
def test_a_hard_sample_that_is_one_of_its_parents_says_so(select: float, shown: int) -> None:
    sample = made("hard", black(TWO, MARKED), white(TWO, MARKED), select=select)

    assert sample.flags == ("hard_identity",)
    assert (sample.mixed.image == shown).all()


def test_a_hard_sample_of_two_parents_has_no_flag() -> None:
    assert made("hard", black(TWO, MARKED), white(TWO, MARKED), seed=seed_of([True, False])).flags == ()


def test_a_soft_sample_without_selected_superpixels_follows_those_of_the_first() -> None:
    sample = made("soft", black(TWO, [[100, 100], [100, 100]]), white([[0, 0], [1, 1]], MARKED), select=0.0)

    assert sample.flags == ()
    assert sample.n_regions == 2
    assert (sample.weight_b[0] == sample.weight_b[1]).all()
    assert sample.weight_b[0, 0] < sample.weight_b[0, 1]


def test_a_single_region_in_the_mix_is_blended_half_and_half() -> None:
    sample = made("soft", black(ONE, MARKED), white(TWO, MARKED), select=0.0)

    assert sample.flags == ("single_region",)
    assert (sample.weight_b == 128).all()


@pytest.mark.parametrize("aggregate", ["sum", "mean"])
def test_a_partner_without_saliency_is_blended_half_and_half(aggregate: str) -> None:
    """The formula gives lambda 0 everywhere: the first image again."""
    sample = made("soft", black(TWO, MARKED), white(TWO, [[0, 0], [0, 0]]), aggregate=aggregate)

    assert sample.flags == ("flat_saliency_b",)
    assert (sample.weight_b == 128).all()


@pytest.mark.parametrize(("level_b", "flags"), [(9, ()), (0, ("flat_saliency_b",))])
def test_a_first_image_without_saliency_is_weighed_by_area_under_the_published_sum(
    level_b: int, flags: tuple[str, ...]
) -> None:
    a, b = black([[0, 0, 0, 0]], [[0, 0, 0, 0]]), white([[0, 1, 1, 1]], [[level_b] * 4])

    sample = made("soft", a, b, select=1.0)

    assert sample.flags == ("flat_saliency_a", *flags)
    assert sample.weight_b.tolist() == [[0, 255, 255, 255]]


@pytest.mark.parametrize(
    ("saliency_b", "flags"),
    [(MARKED, ("flat_saliency_a",)), ([[0, 0], [0, 0]], ("even_saliency", "flat_saliency_a", "flat_saliency_b"))],
)
def test_a_first_image_without_saliency_is_blended_half_and_half_under_the_mean(
    saliency_b: Rows, flags: tuple[str, ...]
) -> None:
    sample = made("soft", black(TWO, [[0, 0], [0, 0]]), white(TWO, saliency_b), aggregate="mean")

    assert sample.flags == flags
    assert (sample.weight_b == 128).all()


def test_near_duplicates_are_blended_by_their_mean_saliency() -> None:
    """Tiny differences would otherwise be stretched over the whole of [0, 1]."""
    a, b = black(TWO, [[200, 201], [200, 201]]), white(TWO, [[200, 200], [200, 200]])

    sample = made("soft", a, b, aggregate="mean")

    assert sample.flags == ("even_saliency",)
    assert set(sample.weight_b.ravel().tolist()) == {127}


def test_some_region_gets_no_weight_and_another_nearly_all() -> None:
    sample = made("soft", black(TWO, MARKED), white(TWO, [[200, 100], [200, 100]]), aggregate="mean")

    assert (sample.weight_b.min(), sample.weight_b.max()) == (0, 255)


def test_a_cap_on_lambda_holds_for_every_pixel() -> None:
    sample = made(
        "soft", black(TWO, MARKED), white(TWO, [[200, 100], [200, 100]]), aggregate="mean", lambda_range=(0.2, 0.4)
    )

    assert set(sample.weight_b.ravel().tolist()) == {51, 102}


def test_random_weights_are_one_for_each_superpixel_of_the_partner() -> None:
    partner = white([[0, 1, 2], [0, 1, 2]], [[0, 0, 0], [0, 0, 0]])

    sample = made("soft", black([[0, 0, 0], [1, 1, 1]], [[0] * 3] * 2), partner, seed=5, weight="random")

    expected = np.rint(draws.draw_weights(5, 3) * 255)
    assert sample.weight_b.tolist() == [expected.tolist()] * 2
    assert (sample.n_regions, sample.select_p, sample.flags) == (3, None, ())


def test_cutmix_pastes_its_rectangle() -> None:
    a, b = (parent([[0] * 16] * 16, [[0] * 16] * 16, image=value, mask=value // 255) for value in (0, 255))

    sample = made("hard", a, b, seed=3, method="cutmix", probabilities=(0, 1, 0))

    inside = cutmix.draw_rectangle(generator_for(3, "rectangle"), (16, 16))
    assert inside.any()
    np.testing.assert_array_equal(sample.mixed.image[..., 0], np.where(inside, 255, 0))
    np.testing.assert_array_equal(sample.mixed.mask, inside)
    assert sample.n_regions is None


def test_mixup_has_one_lambda() -> None:
    sample = made("soft", black(TWO, MARKED), white(TWO, MARKED), seed=3, method="mixup", probabilities=(0, 0, 1))

    assert set(sample.weight_b.ravel().tolist()) == {round(float(generator_for(3, "lambda").random()) * 255)}
    assert sample.n_regions is None


def test_the_guard_takes_a_small_object_whole_and_says_so() -> None:
    columns = [[0, 1, 2, 3, 4, 5]] * 2
    mask = [[0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]]
    seed = seed_of([False, True, False, False, False, False])
    saliency = [[9] * 6] * 2

    sample = made("hard", parent(columns, saliency), parent(columns, saliency, mask=mask), seed=seed,
                  small_object_guard=True)  # fmt: skip

    assert sample.flags == ("guarded",)
    assert sample.weight_b.tolist() == [[0, 255, 255, 0, 0, 0]] * 2


def test_a_guard_that_changes_nothing_sets_no_flag() -> None:
    sample = made("hard", black(TWO, MARKED), black(TWO, MARKED), seed=seed_of([True, False]), small_object_guard=True)

    assert sample.flags == ()


def test_hard_and_soft_sample_of_a_pair_share_their_superpixels() -> None:
    hard, soft = (made(mode, A, B, seed=FIRST_OF_B) for mode in ("hard", "soft"))

    assert hard.n_regions == soft.n_regions
    assert len({(h, s) for h, s in zip(hard.weight_b.ravel(), soft.weight_b.ravel(), strict=True)}) == 3


def test_equal_arguments_give_equal_bytes_and_leave_the_parents_alone() -> None:
    before = [getattr(p, name).copy() for p in (A, B) for name in ("image", "mask", "labels", "saliency")]

    one, other = (made("soft", A, B, seed=7) for _ in range(2))

    np.testing.assert_array_equal(one.mixed.image, other.mixed.image)
    np.testing.assert_array_equal(one.mixed.soft, other.mixed.soft)
    after = [getattr(p, name) for p in (A, B) for name in ("image", "mask", "labels", "saliency")]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("number", range(8))
def test_a_parent_is_turned_as_a_whole(number: int) -> None:
    turned = B.turned(number)

    for name in ("image", "mask", "labels", "saliency"):
        expected: npt.NDArray[Any] = transform(getattr(B, name), number)
        np.testing.assert_array_equal(getattr(turned, name), expected)


@pytest.mark.parametrize("mode", ["hard", "soft"])
@pytest.mark.parametrize("number", [2, 4, 6])
def test_turning_both_parents_turns_the_sample(mode: Mode, number: int) -> None:
    upright = made(mode, A, B, seed=FIRST_OF_B)
    turned = made(mode, A.turned(number), B.turned(number), seed=FIRST_OF_B)

    np.testing.assert_array_equal(turned.mixed.image, transform(upright.mixed.image, number))
    np.testing.assert_array_equal(turned.mixed.mask, transform(upright.mixed.mask, number))


@pytest.mark.parametrize(
    ("mode", "mix", "expected"),
    [
        ("none", {}, Needs()),
        ("hard", {}, Needs(superpixels=True)),
        ("soft", {}, Needs(superpixels=True, saliency=True)),
        ("soft", {"weight": "random"}, Needs(superpixels=True)),
        ("hard", {"method": "cutmix", "probabilities": (0, 1, 0)}, Needs()),
        ("soft", {"method": "mixup", "probabilities": (0, 0, 1)}, Needs()),
    ],
)
def test_features_are_needed_where_they_are_used(mode: Mode, mix: dict[str, Any], expected: Needs) -> None:
    assert needs(mode, MixConfig.model_validate(mix)) == expected


@pytest.mark.parametrize(
    ("mode", "mix"),
    [
        ("hard", {}),
        ("soft", {}),
        ("hard", {"small_object_guard": True}),
        ("soft", {"weight": "random"}),
        ("hard", {"method": "cutmix", "probabilities": (0, 1, 0)}),
        ("soft", {"method": "mixup", "probabilities": (0, 0, 1)}),
    ],
)
@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
@hypothesis.given(a=parents, b=parents, seed=st.integers(0, 2**32))
def test_nested_regions_are_mixed_as_their_class_ids_are(
    mode: Mode, mix: dict[str, Any], a: Parent, b: Parent, seed: int
) -> None:
    """Ids 0 to 3 and channels of "1 or more", "2 or more", "3" are one mask; the channels' shares add up the ids'."""
    by_id = made(mode, a, b, seed=seed, n_classes=4, **mix)
    by_region = made(mode, multilabel(a), multilabel(b), seed=seed, n_classes=3, **mix)

    np.testing.assert_array_equal(by_region.mixed.image, by_id.mixed.image)
    np.testing.assert_array_equal(by_region.mixed.mask, by_id.mixed.mask)
    np.testing.assert_array_equal(by_region.weight_b, by_id.weight_b)
    assert by_region.flags == by_id.flags
    assert by_region.mixed.soft.shape == (3, 4, 5)
    summed = by_id.mixed.soft[:0:-1].astype(np.float64).cumsum(axis=0)[::-1]
    np.testing.assert_allclose(by_region.mixed.soft, summed, atol=2**-10)


@pytest.mark.parametrize(("mode", "labels_b"), [("soft", ONE), ("hard", ONE), ("soft", TWO), ("none", TWO)])
def test_special_cases_of_multilabel_parents_have_weights_of_the_plane(mode: Mode, labels_b: Rows) -> None:
    """One superpixel, and no saliency; a plane of (H, W, K) would be broadcast wrongly or fail."""
    a, b = multilabel(black(TWO, MARKED)), multilabel(white(labels_b, [[0, 0], [0, 0]]))

    sample = made(mode, a, None if mode == "none" else b, n_classes=3)

    assert sample.weight_b.shape == (2, 2)
    assert sample.mixed.mask.shape == (2, 2)
    assert sample.mixed.soft.shape == (3, 2, 2)


@pytest.mark.parametrize("number", [1, 4, 7])
def test_a_multilabel_parent_is_turned_in_its_plane(number: int) -> None:
    mask = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(np.uint8)
    one = Parent(mask, mask, mask[..., 0].astype(np.uint16), mask[..., 0])

    turned = one.turned(number)

    np.testing.assert_array_equal(turned.mask[..., 2], transform(mask[..., 2], number))
    assert turned.mask.shape[2] == 4
