"""Which of several methods mixes a sample, and in which mode."""

from collections import Counter

import numpy as np
import pytest

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import SamplePlan, SourceRecord
from hsmix_gen.stages.planning.pairing import Generation, Plan, make_plan

SOURCES = [SourceRecord(f"t{i}", f"t{i}", "train", None, "a", "b", "", "", 40, 50) for i in range(40)]


def samples(mix: MixConfig, earlier: tuple[Generation, ...] = ()) -> list[SamplePlan]:
    plan: Plan = make_plan(SOURCES, mix, seed=3, shards=None, sample_bytes=1, earlier=earlier)
    (part,) = plan.splits
    return [sample for number in range(part.n_shards) for sample in plan.samples(part, number, SOURCES)]


def parents(found: list[SamplePlan]) -> dict[str, tuple[int, int | None]]:
    return {sample.key: (sample.row_a, sample.row_b) for sample in found}


def test_methods_share_the_mixed_samples_evenly_each_in_a_mode_that_it_has() -> None:
    found = samples(MixConfig(copies=30, method="hsmix,cutmix,mixup"))
    counts = Counter((sample.method, sample.mode) for sample in found)

    assert counts.keys() == {
        (None, "none"), ("hsmix", "hard"), ("hsmix", "soft"), ("cutmix", "hard"), ("mixup", "soft"),
    }  # fmt: skip
    by_method = Counter(sample.method for sample in found if sample.method)
    assert max(by_method.values()) < 1.25 * min(by_method.values())
    assert counts["hsmix", "hard"] == pytest.approx(counts["hsmix", "soft"], rel=0.3)


@pytest.mark.parametrize("other", ["cutmix", "mixup", "hsmix,cutmix", "cutmix,mixup,guided"])
def test_every_choice_of_methods_leaves_the_same_samples_unmixed_and_the_same_pairs(other: str) -> None:
    """A control is compared with samples of the same parents."""
    chances = {"cutmix": (1 / 3, 2 / 3, 0), "mixup": (1 / 3, 0, 2 / 3)}.get(other, (1 / 3,) * 3)

    one, two = samples(MixConfig()), samples(MixConfig(method=other, probabilities=chances))

    assert parents(one) == parents(two)
    assert {sample.key for sample in one if sample.mode == "none"} == {s.key for s in two if s.mode == "none"}


def test_a_batch_has_one_mode_and_one_method() -> None:
    found = samples(MixConfig(policy="per-batch", batch_size=4, method="hsmix,cutmix"))
    batches = [found[start : start + 4] for start in range(0, len(found), 4)]

    assert all(len({(sample.mode, sample.method) for sample in batch}) == 1 for batch in batches)
    assert {sample.method for sample in found} == {None, "hsmix", "cutmix"}


def test_both_samples_of_a_pair_are_hsmix() -> None:
    found = samples(MixConfig(policy="paired"))

    assert Counter((sample.mode, sample.method) for sample in found) == {("hard", "hsmix"): 200, ("soft", "hsmix"): 200}


def test_an_extension_draws_the_methods_of_a_fresh_plan() -> None:
    mix = MixConfig(copies=4, method="hsmix,cutmix,guided")
    before = Generation(np.ones(len(SOURCES), dtype=np.bool_), 2)

    grown, whole = samples(mix, (before,)), samples(mix)

    assert {(s.key, s.mode, s.method) for s in grown} == {(s.key, s.mode, s.method) for s in whole}
