"""Equal keys give equal numbers: in any order, in any process, with any version."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import cast

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from hsmix_gen.stages.randomness import derive_key, generator, generator_for, integer, passing_generator, permutation

keys = st.lists(st.text(alphabet="ab1:", max_size=3) | st.integers(0, 11), max_size=3)


def drawing(value: float) -> np.random.Generator:
    """Return a generator that draws one number for ever."""
    return cast("np.random.Generator", SimpleNamespace(random=lambda: value))


def test_the_first_number_is_pinned() -> None:
    """If this fails, every dataset changes for an equal seed: bump the versions that name layers and outputs."""
    assert derive_key(0, "mode", "train-a-000") == 7568424270897699066
    assert generator_for(0, "mode", "train-a-000").random(3).tolist() == [
        0.8483811795761214,
        0.5694348482230526,
        0.5839510910763637,
    ]


@pytest.mark.parametrize("key", [0, 1, 2**32, 2**63 - 1])
def test_a_key_is_that_of_the_published_generator(key: int) -> None:
    expected = np.random.Generator(np.random.Philox(key=key)).random(9)

    assert generator(key).random(9).tolist() == expected.tolist()


def test_a_passing_generator_begins_anew_with_each_key() -> None:
    for key in ("a", "b", "a"):
        rng = passing_generator(1, "x", key)

        assert rng.random(5).tolist() == generator_for(1, "x", key).random(5).tolist()
        rng.bit_generator.random_raw()


def test_threads_do_not_share_a_passing_generator() -> None:
    own = passing_generator(1, "x", "a")
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(passing_generator, 1, "x", "b").result()

    assert own.random() == generator_for(1, "x", "a").random()
    assert other.random() == generator_for(1, "x", "b").random()


def test_numbers_do_not_depend_on_the_order_in_which_generators_are_used() -> None:
    one, two = generator_for(1, "x", "a"), generator_for(1, "x", "b")
    interleaved = [one.random(), two.random(), one.random(), two.random()]

    again_two, again_one = generator_for(1, "x", "b"), generator_for(1, "x", "a")
    second, first = again_two.random(2), again_one.random(2)

    assert interleaved == [first[0], second[0], first[1], second[1]]


def test_numbers_do_not_depend_on_the_hash_seed_of_the_process() -> None:
    code = (
        "from hsmix_gen.stages.randomness import generator_for; "
        "print(generator_for(3, 'partner', 'b', 4).random(2).tolist())"
    )

    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1")
    }

    assert printed == {str(generator_for(3, "partner", "b", 4).random(2).tolist())}


def test_the_global_state_of_numpy_is_neither_read_nor_changed() -> None:
    np.random.seed(5)  # noqa: NPY002 - the state that must not matter
    before = generator_for(1, "x").random()
    state = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002

    after = generator_for(1, "x").random()

    assert before == after
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # type: ignore[index]  # noqa: NPY002


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0, "mode", "a"), (1, "mode", "a")),
        ((0, "mode", "a"), (0, "order", "a")),
        ((0, "mode", "a"), (0, "mode", "b")),
        ((0, "mode", "ab", "c"), (0, "mode", "a", "bc")),
        ((0, "mode", 1), (0, "mode", "1")),
        ((0, "mode"), (0, "mode", "")),
        ((12, "3"), (1, "23")),
    ],
)
def test_another_key_gives_another_generator(one: tuple[int, str], other: tuple[int, str]) -> None:
    assert derive_key(*one) != derive_key(*other)


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(keys, keys)
def test_keys_are_equal_only_for_equal_arguments(one: list[str | int], other: list[str | int]) -> None:
    assert (derive_key(0, "x", *one) == derive_key(0, "x", *other)) == (one == other)


def test_a_key_fits_a_signed_column() -> None:
    drawn = [derive_key(0, "x", i) for i in range(200)]

    assert all(0 <= key < 2**63 for key in drawn)
    assert max(drawn) > 2**62


def test_a_generator_belongs_to_its_key() -> None:
    assert generator(derive_key(4, "x", "y")).random() == generator_for(4, "x", "y").random()


def test_neighbouring_keys_give_independent_numbers() -> None:
    drawn = np.array([generator_for(0, "x", i).random() for i in range(2000)])

    assert abs(drawn.mean() - 0.5) < 0.02
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.06


@pytest.mark.parametrize(("drawn", "expected"), [(0.0, 3), (0.3333, 3), (0.3334, 4), (0.6667, 5), (1 - 2**-53, 5)])
def test_an_integer_covers_its_range_evenly_with_both_ends(drawn: float, expected: int) -> None:
    assert integer(drawing(drawn), 3, 5) == expected


def test_an_integer_of_a_range_of_one_is_that_one() -> None:
    assert integer(drawing(1 - 2**-53), 7, 7) == 7


def test_an_integer_stays_in_a_range_too_wide_for_a_float() -> None:
    """2**53 numbers and more: the product rounds up to the length of the range."""
    assert integer(drawing(1 - 2**-53), 0, 2**60) <= 2**60


def test_a_permutation_holds_each_number_once() -> None:
    order = permutation(generator_for(0, "order"), 50)

    assert sorted(order.tolist()) == list(range(50))
    assert order.tolist() != list(range(50))


def test_a_permutation_takes_the_ranks_of_the_drawn_numbers() -> None:
    drawn = generator_for(0, "order").random(9)

    order = permutation(generator_for(0, "order"), 9)

    assert drawn[order].tolist() == sorted(drawn.tolist())


def test_there_is_one_permutation_of_nothing_and_one_of_one() -> None:
    assert permutation(generator_for(0, "order"), 0).tolist() == []
    assert permutation(generator_for(0, "order"), 1).tolist() == [0]
