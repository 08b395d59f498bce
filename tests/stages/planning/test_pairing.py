"""The plan names every sample once, mixes only training images, and never one image with itself."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import SamplePlan, SourceRecord, Split
from hsmix_gen.stages.planning import cutting
from hsmix_gen.stages.planning.cutting import shard_count
from hsmix_gen.stages.planning.pairing import Generation, Plan, draw_mode, make_plan, probe_rows
from hsmix_gen.stages.planning.partners import partners, partners_of_other_groups


def source(name: str, split: Split = "train", refusal: str | None = None) -> SourceRecord:
    return SourceRecord(name, name, split, None, f"{name}.png", f"{name}-m.png", "", "", 1, 1, refusal=refusal)


def sources(train: int, val: int = 0, test: int = 0) -> list[SourceRecord]:
    return [
        *(source(f"t{i}") for i in range(train)),
        *(source(f"v{i}", "val") for i in range(val)),
        *(source(f"e{i}", "test") for i in range(test)),
    ]


def planned(
    records: list[SourceRecord], *, seed: int = 0, shards: int | None = None, readers: int = 1, **mix: Any
) -> Plan:
    return make_plan(records, MixConfig(**mix), seed=seed, shards=shards, sample_bytes=1000, readers=readers)


def samples(plan: Plan, records: list[SourceRecord]) -> list[SamplePlan]:
    return [
        sample
        for part in plan.splits
        for number in range(part.n_shards)
        for sample in plan.samples(part, number, records)
    ]


def drawing(value: float) -> np.random.Generator:
    return cast("np.random.Generator", SimpleNamespace(random=lambda: value))


small_sets = st.lists(st.integers(0, 99), min_size=2, max_size=12, unique=True)
seeds = st.integers(0, 2**32)


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(small_sets, st.integers(0, 30), seeds)
def test_partners_are_a_permutation_without_fixed_points(rows: list[int], copy: int, seed: int) -> None:
    """The published code pairs an image with itself once in a batch on average."""
    found = partners(np.array(rows), copy, seed=seed)

    assert sorted(found.tolist()) == sorted(rows)
    assert all(found != rows)


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(small_sets, st.integers(0, 2), seeds)
def test_an_image_meets_every_other_before_one_comes_again(rows: list[int], round_number: int, seed: int) -> None:
    copies = range(round_number * (len(rows) - 1), (round_number + 1) * (len(rows) - 1))
    met = np.array([partners(np.array(rows), copy, seed=seed) for copy in copies])

    for position, row in enumerate(rows):
        assert sorted(met[:, position].tolist()) == sorted(set(rows) - {row})


def grouped(sizes: list[int]) -> tuple[list[str], list[str]]:
    """Return groups and ids of rows of groups of these sizes, in a shuffled order."""
    groups = [f"p{number}" for number, size in enumerate(sizes) for _ in range(size)]
    order = np.random.default_rng(sum(sizes)).permutation(len(groups))
    return [groups[i] for i in order], [f"r{i}" for i in order]


group_sizes = st.lists(st.integers(1, 9), min_size=2, max_size=9)


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(group_sizes, st.integers(0, 40), seeds)
def test_a_partner_is_never_of_the_own_group(sizes: list[int], copy: int, seed: int) -> None:
    groups, ids = grouped(sizes)
    rows = np.arange(len(groups)) * 3 + 5

    found = partners_of_other_groups(rows, groups, ids, copy, seed=seed)

    assert all(groups[i] != groups[(partner - 5) // 3] for i, partner in enumerate(found.tolist()))


@hypothesis.settings(max_examples=80, deadline=None, derandomize=True)
@hypothesis.given(group_sizes, st.integers(0, 2), seeds)
def test_of_small_groups_each_row_is_a_partner_once_and_another_in_each_copy(
    sizes: list[int], round_number: int, seed: int
) -> None:
    hypothesis.assume(2 * max(sizes) <= sum(sizes))
    groups, ids = grouped(sizes)
    rows, n_distances = np.arange(len(groups)), sum(sizes) - 2 * max(sizes) + 1

    copies = range(round_number * n_distances, (round_number + 1) * n_distances)
    met = np.array([partners_of_other_groups(rows, groups, ids, copy, seed=seed) for copy in copies])

    assert all(sorted(copy) == rows.tolist() for copy in met.tolist())
    assert all(len(set(met[:, row].tolist())) == n_distances for row in rows)


def test_two_equal_groups_meet_other_rows_in_each_copy() -> None:
    """There is one distance only, so that every copy needs a circle of its own."""
    groups, ids = grouped([6, 6])

    met = np.array([partners_of_other_groups(np.arange(12), groups, ids, copy, seed=0) for copy in range(30)])

    assert all(len(set(met[:, row].tolist())) == 6 for row in range(12))


def test_rows_of_a_group_of_more_than_half_draw_from_all_others_alike() -> None:
    groups, ids = ["a", "big", "big", "b", "big", "big"], list("uvwxyz")

    met = np.array([partners_of_other_groups(np.arange(6), groups, ids, copy, seed=0) for copy in range(600)])

    assert all(220 < int((met[:, row] == 0).sum()) < 380 for row in (1, 2, 4, 5))
    assert all(80 < int((met[:, 3] == row).sum()) < 160 for row in (0, 1, 2, 4, 5))


def test_drawn_partners_do_not_depend_on_other_rows_draws() -> None:
    groups = ["a", "a", "a", "b"]

    named, renamed = (
        partners_of_other_groups(np.arange(4), groups, ids, 0, seed=4).tolist()
        for ids in (["k", "l", "m", "n"], ["x", "y", "z", "n"])
    )

    assert named[3] == renamed[3]


def test_partners_of_one_group_alone_are_refused() -> None:
    with pytest.raises(SourceError) as refused:
        partners_of_other_groups(np.arange(3), ["p"] * 3, list("abc"), 0, seed=0)

    assert str(refused.value) == (
        "all 3 training images are of one group (patient); add others or allow it with --partners any"
    )


def test_a_plan_keeps_both_parents_in_different_groups_of_the_training_split() -> None:
    records = [replace(record, group=f"p{i % 4}") for i, record in enumerate(sources(12, val=4))]
    mix = MixConfig(copies=6, probabilities=(0, 1, 1))

    plan = make_plan(records, mix, seed=0, shards=None, sample_bytes=1, other_group=True)
    found = [s for s in samples(plan, records) if s.row_b is not None]

    assert len(found) == 72
    assert all(records[s.row_a].group != records[cast("int", s.row_b)].group for s in found)
    assert all(cast("int", s.row_b) < 12 for s in found)


def test_a_refused_image_makes_no_second_group() -> None:
    records = [replace(record, group="p") for record in sources(3)]
    records.append(source("r", refusal="scan: torn"))

    with pytest.raises(SourceError, match="all 3 training images are of one group"):
        make_plan(records, MixConfig(), seed=0, shards=None, sample_bytes=1, other_group=True)


def test_groups_do_not_matter_unless_asked_for() -> None:
    records = [replace(record, group="p") for record in sources(6)]

    assert samples(planned(records), records) == samples(planned(sources(6)), sources(6))


def test_the_partners_of_a_seed_are_pinned() -> None:
    groups, ids = list("aabbccdd"), [f"r{i}" for i in range(8)]

    assert partners(np.arange(8), 1, seed=0).tolist() == [3, 7, 5, 2, 1, 0, 4, 6]
    assert partners_of_other_groups(np.arange(8), groups, ids, 1, seed=0).tolist() == [4, 6, 0, 7, 3, 1, 2, 5]
    drawn = partners_of_other_groups(np.arange(8), list("aaaaabcd"), ids, 1, seed=0)
    assert drawn.tolist() == [7, 7, 6, 6, 7, 3, 3, 6]


def test_validation_and_test_images_pass_through_once_in_order() -> None:
    records = sources(2, val=2, test=1)

    passed = [s for s in samples(planned(records), records) if s.split != "train"]

    assert [(s.key, s.mode, s.row_a, s.row_b, s.shard, s.index) for s in passed] == [
        ("val-v0", "none", 2, None, "val-000000", 0),
        ("val-v1", "none", 3, None, "val-000000", 1),
        ("test-e0", "none", 4, None, "test-000000", 0),
    ]


def test_a_split_without_images_has_no_plan() -> None:
    assert [part.split for part in planned(sources(2, test=1)).splits] == ["train", "test"]


def test_passed_through_images_are_cut_into_shards_of_bounded_length() -> None:
    plan = planned(sources(2, val=cutting.PASSED_THROUGH_PER_SHARD + 1))

    assert plan.splits[1].n_shards == 2


def test_a_refused_image_is_neither_first_nor_second() -> None:
    records = [source("a"), source("b", refusal="scan: torn"), source("c"), source("d", "val", "scan: torn")]

    found = samples(planned(records, copies=4, probabilities=(0, 1, 0)), records)

    assert {s.row_a for s in found} == {0, 2}
    assert {s.row_b for s in found} == {0, 2}


def test_partners_are_training_images_and_only_mixed_samples_have_one() -> None:
    records = sources(10, val=4, test=4)

    found = [s for s in samples(planned(records, copies=3), records) if s.split == "train"]

    assert {s.mode for s in found} == {"none", "hard", "soft"}
    assert all((s.row_b is None) == (s.mode == "none") for s in found)
    assert {records[s.row_b].split for s in found if s.row_b is not None} == {"train"}


@pytest.mark.parametrize("n_usable", [0, 1])
def test_fewer_than_two_training_images_cannot_be_mixed(n_usable: int) -> None:
    with pytest.raises(SourceError, match=f"{n_usable} usable image"):
        planned([*sources(n_usable), source("r", refusal="scan: torn")])


def test_modes_come_with_their_chances() -> None:
    records = sources(200)

    found = samples(planned(records, copies=5, probabilities=(0.5, 1, 0.5)), records)

    counts = {mode: sum(s.mode == mode for s in found) for mode in ("none", "hard", "soft")}
    assert all(abs(counts[mode] - expected) < 60 for mode, expected in (("none", 250), ("hard", 500), ("soft", 250)))


def test_the_order_is_shuffled_over_the_whole_split() -> None:
    found = samples(planned(sources(30), shards=1), sources(30))

    assert [s.row_a for s in found] != sorted(s.row_a for s in found)


def test_paired_samples_stand_together_and_share_all_chance() -> None:
    records = sources(5)

    found = samples(planned(records, policy="paired", copies=2, shards=3), records)

    for hard, soft in zip(found[::2], found[1::2], strict=True):
        assert (hard.mode, soft.mode) == ("hard", "soft")
        assert hard.key.removesuffix("-hard") == soft.key.removesuffix("-soft")
        assert (hard.row_a, hard.row_b, hard.seed, hard.shard) == (soft.row_a, soft.row_b, soft.seed, soft.shard)


def test_a_batch_has_one_mode_and_stays_in_one_shard() -> None:
    records = sources(10)

    found = samples(planned(records, policy="per-batch", batch_size=4, copies=3, shards=3), records)

    for start in range(0, len(found), 4):
        batch = found[start : start + 4]
        assert len({s.mode for s in batch}) == 1
        assert len({s.shard for s in batch}) == 1
    assert len({s.mode for s in found}) == 3


def n_training(n_images: int, mix: MixConfig) -> int:
    return n_images * mix.copies * (2 if mix.policy == "paired" else 1)


policies = st.sampled_from(["per-sample", "per-batch", "paired"])


@hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
@hypothesis.given(
    policies, st.integers(2, 40), st.integers(1, 4), st.none() | st.integers(1, 4), st.integers(1, 5), st.integers(1, 9)
)
def test_shards_partition_the_plan(
    policy: Any, n_images: int, copies: int, shards: int | None, batch: int, readers: int
) -> None:
    """Into as many as are asked for, or a multiple of the readers."""
    records = sources(n_images, val=20)
    mix = MixConfig(policy=policy, copies=copies, batch_size=batch)
    size, n_samples = cutting.group_size(mix), n_training(n_images, mix)
    readers = 1 if shards else readers
    hypothesis.assume((shards or 1) * size <= n_samples and -(-n_samples // size) >= readers)
    plan = make_plan(records, mix, seed=1, shards=shards, sample_bytes=1, readers=readers)
    found = samples(plan, records)
    assert len(found) == plan.n_samples == n_samples + 20
    assert len({s.key for s in found}) == len(found)
    sizes = np.diff(plan.splits[0].starts)
    assert sizes.min() > 0
    assert sizes.max() - sizes.min() <= 2 * size - 1
    assert len(sizes) == shards if shards else len(sizes) % readers == 0
    assert all(
        [s.index for s in plan.samples(plan.splits[0], k, records)] == list(range(n)) for k, n in enumerate(sizes)
    )


def test_each_sample_has_a_seed_of_its_own() -> None:
    found = samples(planned(sources(8), copies=3), sources(8))

    assert len({s.seed for s in found}) == 24


def test_another_seed_of_the_run_keeps_the_keys_and_changes_the_draws() -> None:
    records = sources(6)
    one, other = (samples(planned(records, seed=seed), records) for seed in (0, 1))

    assert {s.key for s in one} == {s.key for s in other}
    assert {s.seed for s in one}.isdisjoint(s.seed for s in other)


@pytest.mark.parametrize(
    ("n_samples", "sample_bytes", "expected"),
    [
        (10, 1, 10),
        (32, 1, 32),
        (1000, 1, 32),
        (1000, 2**20, 32),
        (64, 256 * 2**20, 64),
        (100, 2**28 - 1, 100),
        (10_000, 2**20, 40),
    ],
)
def test_the_number_of_shards_follows_count_and_size(n_samples: int, sample_bytes: int, expected: int) -> None:
    """At least 32 where there are as many samples, none above 256 MiB."""
    assert shard_count(n_samples, MixConfig(), shards=None, sample_bytes=sample_bytes) == expected


@pytest.mark.parametrize(
    ("n_samples", "sample_bytes", "readers", "expected"),
    [
        (600, 1, 8, 40),  # 32 would give 18 and 19 each, 40 gives 15
        (640, 1, 8, 32),
        (64, 1, 48, 48),  # one more reader's turn has no samples
        (601, 1, 8, 32),  # no number of shards makes it even
        (1000, 2**20, 5, 40),  # 35 is uneven
        (2000, 2**28, 8, 2000),
        (44, 1, 4, 44),
        (36, 1, 12, 36),
        (37, 1, 12, 36),
        (66, 1, 22, 66),
        (26, 1, 13, 26),
        (98, 1, 14, 14),  # 42 to 84 are uneven, and the size allows fewer
        (46 * 23, 1, 23, 46),
        (53 * 31, 1, 31, 31),  # as is 62
    ],
)
def test_the_number_of_shards_is_a_multiple_of_the_readers(
    n_samples: int, sample_bytes: int, readers: int, expected: int
) -> None:
    """As large as the size asks for, and all equal where some such number makes them so."""
    found = shard_count(n_samples, MixConfig(), shards=None, sample_bytes=sample_bytes, readers=readers)

    assert (found, found % readers) == (expected, 0)


def test_equal_shards_are_of_whole_batches() -> None:
    """12 batches of 4 over 6 readers: 12 shards of a batch each, though 48 samples would allow 24 and 48."""
    mix = MixConfig(policy="per-batch", batch_size=4)

    assert shard_count(48, mix, shards=None, sample_bytes=1, readers=6) == 12
    plan = planned(sources(12), policy="per-batch", batch_size=4, copies=4, readers=6)
    assert np.diff(plan.splits[0].starts).tolist() == [4] * 12


def test_fewer_samples_than_readers_are_refused() -> None:
    with pytest.raises(SourceError) as refused:
        planned(sources(3), copies=2, readers=8)

    assert str(refused.value) == (
        "--ranks x --workers-per-rank must not exceed the 6 groups of samples, got 8; "
        "lower --ranks or --workers-per-rank, or raise --copies"
    )


@pytest.mark.parametrize(("n_images", "readers", "expected"), [(20, 8, 8), (7, 8, 1), (600, 4, 4), (600, 1, 3)])
def test_other_splits_have_a_shard_for_each_reader_where_they_have_an_image(
    n_images: int, readers: int, expected: int
) -> None:
    plan = planned(sources(8, val=n_images), readers=readers, copies=4)

    assert plan.splits[1].n_shards == expected
    assert np.diff(plan.splits[1].starts).min() > 0


def test_readers_change_neither_the_samples_nor_their_order() -> None:
    records = sources(12, val=4)

    keys = [[s.key for s in samples(planned(records, copies=4, readers=n), records)] for n in (1, 6)]

    assert keys[0] == keys[1]


def test_more_shards_than_groups_of_samples_are_refused() -> None:
    with pytest.raises(SourceError, match="must not outnumber the 2 groups of samples, got 3; lower --shards"):
        planned(sources(2), policy="per-batch", batch_size=4, copies=4, shards=3)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [(0.0, 0), (0.2499, 0), (0.25, 1), (0.7499, 1), (0.75, 2), (1 - 2**-53, 2)],
)
def test_a_mode_is_drawn_from_shares_of_any_sum(drawn: float, expected: int) -> None:
    assert draw_mode(drawing(drawn), (1, 2, 1)) == expected


@pytest.mark.parametrize("drawn", [0.0, 0.5, 1 - 2**-53])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_a_mode_without_a_chance_is_never_drawn(drawn: float, mode: int) -> None:
    certain = (float(mode == 0), float(mode == 1), float(mode == 2))

    assert draw_mode(drawing(drawn), certain) == mode


def test_rounding_of_the_shares_never_leaves_the_modes() -> None:
    """Three tenths of 0.1 sum to 0.30000000000000004."""
    assert draw_mode(drawing(1 - 2**-53), (0.1, 0.1, 0.1)) == 2
    assert draw_mode(drawing(1 - 2**-53), (0.1, 0.2, 0.0)) == 1


def test_probed_rows_are_distinct_and_rising() -> None:
    rows = np.arange(10, 40)

    found = probe_rows(rows, 8, seed=0).tolist()

    assert len(set(found)) == 8
    assert found == sorted(found)
    assert set(found) <= set(rows.tolist())


def test_all_rows_are_probed_where_there_are_few() -> None:
    assert probe_rows(np.array([5, 3, 9]), 24, seed=0).tolist() == [3, 5, 9]


# Extensions


@hypothesis.settings(max_examples=80, deadline=None, derandomize=True)
@hypothesis.given(
    st.integers(2, 9), st.integers(0, 6), st.integers(1, 3), st.integers(0, 3),
    st.sampled_from(["per-sample", "paired", "per-batch"]), st.integers(0, 99),
)  # fmt: skip
def test_an_extension_keeps_what_is_there_and_adds_the_rest(
    n_images: int, n_new: int, copies: int, more: int, policy: str, seed: int
) -> None:
    records = sources(n_images + n_new, val=2, test=n_new)
    # Rows are sorted by id, so that new ones stand among the others.
    records = [records[i] for i in np.random.default_rng(seed).permutation(len(records))]
    new = {f"t{i}" for i in range(n_images, n_images + n_new)} | {f"e{i}" for i in range(n_new)}
    usable = np.array([record.id not in new for record in records])
    old = [replace(r, refusal=None if known else "new") for r, known in zip(records, usable, strict=True)]
    mix: dict[str, Any] = {"policy": policy, "batch_size": 2}

    before = planned(old, seed=seed, copies=copies, **mix)
    after = make_plan(
        records, MixConfig(copies=copies + more, **mix), seed=seed, shards=None, sample_bytes=1000,
        earlier=[Generation(usable, copies)],
    )  # fmt: skip

    kept, grown = samples(before, old), samples(after, records)
    assert set(kept) <= set(grown)
    added = set(grown) - set(kept)
    whole = samples(planned(records, seed=seed, copies=copies + more, **mix), records)
    assert {sample.key for sample in grown} == {sample.key for sample in whole}
    assert len({sample.key for sample in grown}) == len(grown)
    assert not {sample.shard for sample in added} & {sample.shard for sample in kept}
    assert all(records[s.row_b].split == "train" and s.row_b != s.row_a for s in added if s.row_b is not None)


def test_shards_of_an_extension_are_as_large_as_those_before() -> None:
    """And their numbers go on without a gap."""
    records = sources(20)
    plan = make_plan(
        records, MixConfig(copies=10), seed=0, shards=10, sample_bytes=1,
        earlier=[Generation(np.ones(20, dtype=np.bool_), 5), Generation(np.ones(20, dtype=np.bool_), 6)],
    )  # fmt: skip

    (part,) = plan.splits
    assert np.diff(part.starts).tolist() == [10] * 20
    assert part.totals.tolist() == [10] * 10 + [12] * 2 + [20] * 8
    assert part.shard_name(19) == "train-000019"


def test_exact_copies_are_never_partners() -> None:
    """Under another name, a copy is the same image."""
    records = [replace(record, image_sha256=f"sha{i // 2}") for i, record in enumerate(sources(8))]

    for other_group in (False, True):
        plan = make_plan(
            records, MixConfig(copies=9, probabilities=(0, 1, 1)), seed=0, shards=None, sample_bytes=1,
            other_group=other_group,
        )  # fmt: skip
        pairs = [(records[s.row_a], records[cast("int", s.row_b)]) for s in samples(plan, records)]
        assert len(pairs) == 72
        assert all(a.image_sha256 != b.image_sha256 for a, b in pairs)


def test_a_copy_joins_groups_for_the_pairing() -> None:
    """What is mixed with a copy of a patient's slice is mixed with that patient."""
    records = [replace(record, group=f"p{i // 2}", image_sha256=f"sha{i}") for i, record in enumerate(sources(8))]
    records[2] = replace(records[2], image_sha256="sha0")

    plan = make_plan(
        records, MixConfig(copies=9, probabilities=(0, 1, 1)), seed=0, shards=None, sample_bytes=1, other_group=True
    )
    pairs = [{records[s.row_a].group, records[cast("int", s.row_b)].group} for s in samples(plan, records)]

    assert {"p0", "p1"} not in pairs
    assert all(len(pair) == 2 for pair in pairs)


def test_images_of_one_content_cannot_be_mixed() -> None:
    records = [replace(record, image_sha256="same") for record in sources(3)]

    with pytest.raises(SourceError, match="all 3 training images have the same content; add others"):
        planned(records)


def test_images_without_copies_are_paired_as_ever() -> None:
    records = [replace(record, image_sha256=f"sha{i}") for i, record in enumerate(sources(6))]

    assert samples(planned(records), records) == samples(planned(sources(6)), sources(6))
