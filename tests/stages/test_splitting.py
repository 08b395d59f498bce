"""Splits keep groups whole, come near their shares, and do not depend on the order of the input."""

import random

import hypothesis
import pytest
from hypothesis import strategies as st

from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.stages.splitting import DEFAULT_RATIO, parse_ratio, split_groups


@pytest.mark.parametrize("text", ["0.8/0.1/0.1", "80/10/10", "8:1:1", " 8 / 1 / 1 "])
def test_a_ratio_may_be_written_in_shares_or_parts(text: str) -> None:
    assert parse_ratio(text) == pytest.approx((0.8, 0.1, 0.1))


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
