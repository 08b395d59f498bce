"""The chance of a sample depends on its key alone and has the distribution it promises."""

import numpy as np
import pytest

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.stages.mixing import draws
from hsmix_gen.stages.randomness import generator_for

SQUARE = (16, 16)


def parent(seed: int, name: str, *, variants: int = 4, size: tuple[int, int] = SQUARE, **mix: str) -> draws.ParentDraw:
    return draws.draw_parent(seed, name, variants=variants, size=size, mix=MixConfig.model_validate(mix))


def test_the_draws_of_one_key_are_pinned() -> None:
    """If this fails, datasets change for an equal seed: say so in the subject of the commit."""
    assert parent(1, "a") == draws.ParentDraw(variant=0, transform=7)
    assert np.flatnonzero(draws.draw_selection(1, 20, 0.2)).tolist() == [4, 10, 11, 12, 13, 15]


def test_both_parents_are_drawn_apart() -> None:
    drawn = [(parent(seed, "a"), parent(seed, "b")) for seed in range(20)]

    assert any(a != b for a, b in drawn)


def test_every_variant_and_transform_comes_up() -> None:
    drawn = [parent(seed, "a") for seed in range(300)]

    assert {d.variant for d in drawn} == {0, 1, 2, 3}
    assert {d.transform for d in drawn} == set(range(8))


def test_an_image_that_is_not_square_is_not_turned_by_a_right_angle() -> None:
    assert {parent(seed, "a", size=(16, 20)).transform for seed in range(100)} == {0, 2, 4, 6}


def test_without_geometry_the_orientation_is_kept_and_so_is_the_variant() -> None:
    turned, kept = ([parent(seed, "a", geometry=how) for seed in range(50)] for how in ("flips", "none"))
    assert {d.transform for d in kept} == {0}
    assert [d.variant for d in kept] == [d.variant for d in turned]


def test_a_superpixel_is_taken_with_the_given_probability() -> None:
    shares = [draws.draw_selection(seed, 100, 0.2).mean() for seed in range(100)]

    assert abs(float(np.mean(shares)) - 0.2) < 0.02


def test_a_selection_is_the_first_draw_where_it_mixes() -> None:
    first = generator_for(9, "selection").random(50) < 0.3

    assert first.any()
    np.testing.assert_array_equal(draws.draw_selection(9, 50, 0.3), first)


@pytest.mark.parametrize("extreme", [False, True])
def test_a_selection_of_none_or_all_is_drawn_once_more(extreme: bool) -> None:
    """The published code keeps it and emits the parent itself as a mix."""
    probability = 0.8 if extreme else 0.2
    both = {s: generator_for(s, "selection").random((2, 3)) < probability for s in range(200)}
    redrawn = {s: second for s, (first, second) in both.items() if (first == extreme).all()}

    assert len(redrawn) > 20
    for seed, second in redrawn.items():
        np.testing.assert_array_equal(draws.draw_selection(seed, 3, probability), second)


@pytest.mark.parametrize(("probability", "expected"), [(0.0, False), (1.0, True)])
def test_a_certain_selection_ends_after_the_second_draw(probability: float, expected: bool) -> None:
    assert draws.draw_selection(0, 3, probability).tolist() == [expected] * 3


def test_random_weights_are_uniform() -> None:
    weights = draws.draw_weights(0, 2000)

    assert weights.shape == (2000,)
    assert np.abs(np.quantile(weights, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.04
