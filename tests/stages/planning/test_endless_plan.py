"""Samples without end are planned one by one, and each is the one that a finite dataset has under its key."""

import pickle
from dataclasses import replace
from typing import Any

import pytest

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.records import SamplePlan, SourceRecord, Split
from hsmix_gen.stages.planning.endless_plan import EndlessPlan
from hsmix_gen.stages.planning.pairing import make_plan

SEED = 3


def sources() -> list[SourceRecord]:
    """Seven usable training images of three groups, one refused, two of one content, and two of another split."""

    def one(number: int, split: Split = "train") -> SourceRecord:
        name = f"s{number}"
        return SourceRecord(name, f"g{number % 3}", split, None, f"{name}.png", f"{name}-m.png", name, "", 1, 1)

    found = [one(number) for number in range(8)]
    found[2] = replace(found[2], refusal="damaged")
    found[4] = replace(found[4], image_sha256="s7")
    return [*found, one(8, "val"), one(9, "val")]


def drawn(sample: SamplePlan) -> tuple[Any, ...]:
    """Return all of a plan but its place in a shard."""
    return sample.key, sample.split, sample.mode, sample.row_a, sample.row_b, sample.seed


@pytest.mark.parametrize(
    ("options", "other_group"),
    [
        ({}, False),
        ({}, True),
        ({"policy": "paired"}, False),
        ({"method": "mixup", "probabilities": (0.2, 0, 0.8)}, True),
    ],
)
def test_every_copy_is_that_of_a_finite_dataset(options: dict[str, Any], other_group: bool) -> None:
    """Copies are more than there are partners, so that circles are drawn again."""
    records, mix = sources(), MixConfig(copies=9, **options)
    made = make_plan(records, mix, seed=SEED, shards=2, sample_bytes=10, other_group=other_group)
    finite = {
        sample.key: drawn(sample)
        for part in made.splits
        for number in range(part.n_shards)
        for sample in made.samples(part, number, records)
    }

    plans = {split: EndlessPlan(records, mix, split, seed=SEED, other_group=other_group) for split in ("train", "val")}
    endless = [
        plans[split].sample(copy, number)
        for split, copies in (("train", 9), ("val", 1))
        for copy in range(copies)
        for number in range(len(plans[split]))
    ]

    assert len(endless) == len(finite)
    assert {sample.key: drawn(sample) for sample in endless} == finite


def test_a_plan_travels_to_workers_as_it_is() -> None:
    """Spawned workers get it pickled, and have to plan the same."""
    plan = EndlessPlan(sources(), MixConfig(), "train", seed=SEED, other_group=True)
    before = [plan.sample(5, number) for number in range(len(plan))]

    again = pickle.loads(pickle.dumps(plan))  # noqa: S301 - our own

    assert [again.sample(5, number) for number in range(len(again))] == before
    assert [sample.key for sample in before] == [f"train-s{number}-005" for number in (0, 1, 3, 4, 5, 6, 7)]


def test_what_has_no_meaning_without_end_is_refused() -> None:
    """Modes of batches follow from the order of a whole dataset; one image has no partner."""
    with pytest.raises(ConfigError, match=r"^policy per-batch orders a finite dataset, .*; take per-sample or paired"):
        EndlessPlan(sources(), MixConfig(policy="per-batch"), "train", seed=0, other_group=False)
    with pytest.raises(SourceError, match="mixing needs 2"):
        EndlessPlan(sources()[:1], MixConfig(), "train", seed=0, other_group=False)
