"""Splits keep groups whole, come near their shares, and do not depend on the order of the input."""

import random

import hypothesis
import pytest
from hypothesis import strategies as st

from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.stages.planning.splitting import (
    DEFAULT_RATIO,
    deal_folds,
    deal_further,
    is_in_shares,
    parse_ratio,
    split_groups,
)


@pytest.mark.parametrize("text", ["0.8/0.1/0.1", "80/10/10", "8:1:1", " 8 / 1 / 1 "])
def test_a_ratio_may_be_written_in_shares_or_parts(text: str) -> None:
    assert parse_ratio(text) == pytest.approx((0.8, 0.1, 0.1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.8/0.1/0.1", True), ("1/0/0", True), ("0.3333333/0.3333333/0.3333333", True), ("8/1/1", False),
     ("0.5/0.6/0.1", False), ("auto", False)],
)  # fmt: skip
def test_shares_sum_to_one_and_all_else_is_parts(text: str, *, expected: bool) -> None:
    assert is_in_shares(text) == expected


@pytest.mark.parametrize("text", ["splits", "data/my/splits", "auto", "C:/a/b", "1/2/x", ""])
def test_another_text_is_no_ratio(text: str) -> None:
    assert parse_ratio(text) is None


@pytest.mark.parametrize("text", ["0.8/0.2", "0/0.5/0.5", "1/-1/1", "1/1/1/1", "7", "nan/0.1/0.1", "inf/1/1"])
def test_numbers_that_cannot_be_shares_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="TRAIN/VAL/TEST"):
        parse_ratio(text)


def test_single_images_are_split_by_their_shares() -> None:
    found = split_groups([f"g{i}" for i in range(100)], DEFAULT_RATIO, seed=0)

    counts = {split: list(found.values()).count(split) for split in ("train", "val", "test")}
    assert counts == {"train": 80, "val": 10, "test": 10}


def test_every_group_gets_one_split() -> None:
    assert split_groups(["a", "b", "a", "c"], DEFAULT_RATIO, seed=0).keys() == {"a", "b", "c"}


names = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=40)


@hypothesis.settings(max_examples=80, deadline=None, derandomize=True)
@hypothesis.given(names, st.integers(0, 99))
def test_the_order_of_the_input_does_not_matter(groups: list[str], seed: int) -> None:
    shuffled = random.Random(seed).sample(groups, len(groups))  # noqa: S311 - no secret

    assert split_groups(groups, DEFAULT_RATIO, seed=3) == split_groups(shuffled, DEFAULT_RATIO, seed=3)


@hypothesis.settings(max_examples=80, deadline=None, derandomize=True)
@hypothesis.given(names, st.integers(0, 99))
def test_no_split_is_overfilled_by_more_than_one_group(groups: list[str], seed: int) -> None:
    found = split_groups(groups, DEFAULT_RATIO, seed=seed)

    largest = max(groups.count(name) for name in groups)
    for split, share in zip(("train", "val", "test"), DEFAULT_RATIO, strict=True):
        held = sum(found[name] == split for name in groups)
        assert held < share * len(groups) + largest


def test_a_split_without_a_share_stays_empty() -> None:
    found = split_groups(["big"] * 50 + ["small", "tiny"], (0.5, 0.5, 0.0), seed=0)

    assert "test" not in found.values()


def test_all_for_training_is_all_for_training() -> None:
    assert set(split_groups(["a", "b", "c"], (1.0, 0.0, 0.0), seed=0).values()) == {"train"}


def test_another_seed_gives_another_split() -> None:
    groups = [f"g{i}" for i in range(30)]

    assert split_groups(groups, DEFAULT_RATIO, seed=0) != split_groups(groups, DEFAULT_RATIO, seed=1)


def test_the_split_of_a_seed_is_pinned() -> None:
    found = split_groups([f"g{i}" for i in range(10)], (0.6, 0.2, 0.2), seed=0)

    assert "".join(found[f"g{i}"][1] for i in range(10)) == "errrreraar"


# Group and stratum of each image.
images = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3)), min_size=2, max_size=30)


def dealt(held: list[tuple[str, int]], k: int, *, seed: int = 0) -> list[int]:
    return deal_folds([group for group, _ in held], [stratum for _, stratum in held], k, seed=seed)


@hypothesis.settings(max_examples=80, deadline=None, derandomize=True)
@hypothesis.given(images, st.integers(2, 6), st.integers(0, 2**40))
def test_folds_keep_groups_whole_and_none_is_empty(held: list[tuple[str, int]], k: int, seed: int) -> None:
    """Also where classes are so rare that scikit-learn would warn or give up."""
    hypothesis.assume(len({group for group, _ in held}) >= k)

    folds = dealt(held, k, seed=seed)

    assert set(folds) == set(range(k))
    assert len({(group, fold) for (group, _), fold in zip(held, folds, strict=True)}) == len({g for g, _ in held})


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(images, st.integers(0, 99))
def test_folds_do_not_depend_on_the_order_of_the_input(held: list[tuple[str, int]], seed: int) -> None:
    hypothesis.assume(len({group for group, _ in held}) >= 3)
    order = random.Random(seed).sample(range(len(held)), len(held))  # noqa: S311 - no secret

    folds = dealt(held, 3)

    assert dealt([held[i] for i in order], 3) == [folds[i] for i in order]


def test_strata_are_spread_evenly() -> None:
    held = [(f"p{i}", int(i % 4 == 0)) for i in range(40)]

    folds = dealt(held, 5)

    for fold in range(5):
        assert sorted(stratum for (_, stratum), f in zip(held, folds, strict=True) if f == fold) == [0] * 6 + [1] * 2


def test_another_seed_deals_other_folds() -> None:
    held = [(f"p{i}", 0) for i in range(20)]

    assert dealt(held, 4, seed=0) != dealt(held, 4, seed=1)
    assert dealt(held, 4, seed=1) != dealt(held, 4, seed=1 + 2**32)


def test_the_folds_of_a_seed_are_pinned() -> None:
    assert dealt([(f"p{i}", i % 2) for i in range(10)], 3) == [2, 0, 1, 2, 1, 2, 0, 1, 0, 0]


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(SourceError) as refused:
        dealt([("a", 0), ("b", 0), ("a", 1)], 3)

    assert str(refused.value) == "3 folds need as many groups (patients), got 2; lower --folds or see --group-by"


def test_known_groups_keep_their_fold_and_others_fill_the_emptiest() -> None:
    """Largest first, so that the folds come out as even as they can."""
    groups = ["a", "a", "b", "new", "big", "big", "c"]

    folds = deal_further(groups, {"a": 0, "b": 1, "c": 1, "gone": 2}, 3)

    assert folds == [0, 0, 1, 0, 2, 2, 1]
