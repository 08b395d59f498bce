"""The plan: which samples there will be, from which parents, in which shard; all decided before any work."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import Literal

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import MODES, SPLITS, Mode, SamplePlan, SourceRecord, Split
from hsmix_gen.stages.planning.appearance import Looks
from hsmix_gen.stages.planning.cutting import cut, group_size, more_shards, pass_through_shards, shard_count
from hsmix_gen.stages.planning.guided import Maps
from hsmix_gen.stages.planning.partners import partners_by_copy
from hsmix_gen.stages.randomness import derive_key, generator_for, integer, passing_generator, permutation

_Ints = npt.NDArray[np.int64]
Policy = Literal["per-sample", "per-batch", "paired"]
COLUMNS = ("row_a", "row_b", "copy", "mode", "method")
"""What a plan holds of each sample."""


@dataclass(frozen=True)
class Generation:
    """What a dataset is made of after its first run, or after one that extended it."""

    usable: npt.NDArray[np.bool_]
    """(N,) bool; which of the first N sources are used; rows beyond were not known yet."""
    copies: int
    """Copies of each training image."""


@dataclass(frozen=True)
class SplitPlan:
    """The samples of one split in the order in which they are written."""

    split: Split
    row_a: _Ints
    row_b: _Ints
    """(S,) int64; rows of the parents in the sources; `row_b` is -1 where nothing is mixed in."""
    copy: _Ints
    """(S,) int64; which copy of its image a sample is."""
    mode: _Ints
    """(S,) int64; index into `MODES`."""
    method: _Ints
    """(S,) int64; index into the methods of the plan; -1 where nothing is mixed in."""
    starts: _Ints
    """(N + 1,) int64; shard k holds samples ``starts[k]`` to ``starts[k + 1]``."""
    totals: _Ints
    """(N,) int64; how many shards there were to be when shard k was made; an extension adds more."""

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.row_a)

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return len(self.starts) - 1

    def size(self, number: int) -> int:
        """Return how many samples a shard holds."""
        return int(self.starts[number + 1] - self.starts[number])

    def shard_name(self, number: int) -> str:
        """Return the name of a shard, for example ``train-000003``; formats add their ending."""
        return f"{self.split}-{number:06d}"


@dataclass(frozen=True)
class Plan:
    """All samples of a dataset; a few integers for each, so that millions fit in memory."""

    seed: int
    policy: Policy
    splits: tuple[SplitPlan, ...]
    methods: tuple[str, ...] = ("hsmix",)

    @property
    def n_samples(self) -> int:
        """Number of samples over all splits."""
        return sum(part.n_samples for part in self.splits)

    def samples(self, part: SplitPlan, number: int, sources: Sequence[SourceRecord]) -> Iterator[SamplePlan]:
        """Yield the samples of shard `number` of one split in order."""
        first, last = int(part.starts[number]), int(part.starts[number + 1])
        for index, position in enumerate(range(first, last)):
            row_a, row_b = int(part.row_a[position]), int(part.row_b[position])
            pair = pair_key(part.split, sources[row_a].id, int(part.copy[position]))
            mode, method = named_kind(int(part.mode[position]), int(part.method[position]), self.methods)
            sample = planned_sample(pair, part.split, mode, self.policy, seed=self.seed, method=method)
            yield replace(
                sample, row_a=row_a, row_b=None if row_b < 0 else row_b, shard=part.shard_name(number), index=index
            )


def make_plan(  # noqa: PLR0913 - all that a plan depends on
    sources: Sequence[SourceRecord],
    mix: MixConfig,
    *,
    seed: int,
    shards: int | None,
    sample_bytes: int,
    other_group: bool = False,
    readers: int = 1,
    earlier: Sequence[Generation] = (),
    looks: Looks | Maps | None = None,
) -> Plan:
    """Decide every sample of a dataset.

    Training images that are chosen get `mix.copies` samples each, with partners from the training split; validation
    and test images are passed through once. The order is shuffled over the whole split, then cut into equal shards.

    Where the dataset was extended, what each generation added stands in shards of its own behind the earlier ones,
    which stay as they are; partners of what was added are drawn from all images of that generation.

    Parameters
    ----------
    sources : sequence of SourceRecord
        All rows; refused ones are left out.
    mix : MixConfig
        Copies, policy and probabilities.
    seed : int
        Seed of the run.
    shards : int or None
        Number of training shards of the first generation; None derives it from the number of samples and their
        size. Shards of later ones are about as large.
    sample_bytes : int
        Estimated bytes of a sample.
    other_group : bool
        Whether both parents must be of different groups (patients): neighbouring slices or overlapping tiles of
        one patient show the same tissue, and mixing them says little.
    readers : int
        Loader workers of all ranks together; the number of shards is a multiple of it, in the other splits where
        they have as many images.
    earlier : sequence of Generation
        What the dataset held before, oldest first.
    looks : Looks, Maps or None
        Of all sources, where only images that look alike are mixed, or those whose saliency overlaps least.

    Raises
    ------
    SourceError
        If the training split cannot be mixed or is smaller than the number of shards.
    """
    usable = np.array([source.refusal is None for source in sources], dtype=np.bool_)
    generations = [*earlier, Generation(usable, mix.copies)]
    parts: list[SplitPlan] = []
    for split in SPLITS:
        of_split = np.array([s.split == split and (s.chosen or split != "train") for s in sources], dtype=np.bool_)
        made: list[SplitPlan] = []
        for number, generation in enumerate(generations):
            rows, known = _rows(generation, generations[:number], of_split)
            if split == "train":
                n_shards = partial(_n_training_shards, made, mix, shards, sample_bytes, readers)
                of_copy = partners_by_copy(rows, sources, seed=seed, other_group=other_group, looks=looks)
                row_b = np.concatenate([of_copy(copy) for copy in range(generation.copies)])
                fresh = _fresh(rows, known, generation, generations[number - 1] if number else None)
                added = _plan_training(rows, row_b, fresh, sources, mix, n_shards, seed=seed, generation=number)
            else:
                added = _pass_through(split, rows[~known], readers)
            made.append(added)
        joined = _joined(split, made)
        if split == "train" or joined.n_samples:
            parts.append(joined)
    return Plan(seed, mix.policy, tuple(parts), mix.methods)


def _rows(
    generation: Generation, before: Sequence[Generation], of_split: npt.NDArray[np.bool_]
) -> tuple[_Ints, npt.NDArray[np.bool_]]:
    """Return the rows of a split that a generation uses, and which of them the one before used too."""
    rows = np.flatnonzero(generation.usable & of_split[: len(generation.usable)])
    known = np.zeros(len(rows), dtype=np.bool_)
    if before:
        old = rows < len(before[-1].usable)
        known[old] = before[-1].usable[rows[old]]
    return rows, known


def _fresh(
    rows: _Ints, known: npt.NDArray[np.bool_], generation: Generation, before: Generation | None
) -> npt.NDArray[np.bool_]:
    """Return which samples (copy after copy, each over all rows) an earlier generation does not hold."""
    copy = np.repeat(np.arange(generation.copies), len(rows))
    return ~(np.tile(known, generation.copies) & (copy < (before.copies if before else 0)))


def _n_training_shards(
    made: Sequence[SplitPlan], mix: MixConfig, shards: int | None, sample_bytes: int, readers: int, n_samples: int
) -> int:
    if not made:
        return shard_count(n_samples, mix, shards=shards, sample_bytes=sample_bytes, readers=readers)
    return more_shards(n_samples, mix, per_shard=made[0].n_samples / made[0].n_shards, readers=readers)


def _joined(split: Split, made: Sequence[SplitPlan]) -> SplitPlan:
    """Return the plan of all generations, shards numbered on."""
    arrays = {name: np.concatenate([getattr(part, name) for part in made]) for name in COLUMNS}
    before = np.cumsum([0, *(part.n_samples for part in made)])
    starts = [part.starts[:-1] + first for part, first in zip(made, before[:-1], strict=True)]
    totals = np.cumsum([part.n_shards for part in made])
    return SplitPlan(
        split,
        **arrays,
        starts=np.concatenate([*starts, before[-1:]]),
        totals=np.repeat(totals, [part.n_shards for part in made]),
    )


def draw_mode(rng: np.random.Generator, probabilities: tuple[float, float, float]) -> int:
    """Draw an index into `MODES` with the given chances (any positive sum)."""
    total = sum(probabilities)
    bounds = [part / total for part in accumulate(probabilities)]
    last = max(number for number, chance in enumerate(probabilities) if chance)
    # A class of chance 0 has an empty interval; `right` keeps it empty even for a draw of exactly 0.
    return min(bisect_right(bounds, rng.random()), last)


def _plan_training(
    rows: _Ints,
    row_b: _Ints,
    fresh: npt.NDArray[np.bool_],
    sources: Sequence[SourceRecord],
    mix: MixConfig,
    n_shards: Callable[[int], int],
    *,
    seed: int,
    generation: int,
) -> SplitPlan:
    """Return the training samples that a generation adds: of all that it has, those that are `fresh`."""
    copies = len(fresh) // len(rows)
    copy = np.repeat(np.arange(copies), len(rows))[fresh]
    row_a, row_b = np.tile(rows, copies)[fresh], row_b[fresh]
    # Draws of the first generation do not name it, so that an extension can follow any dataset.
    named = (generation,) if generation else ()
    order = permutation(generator_for(seed, "order", *named), len(row_a))
    if mix.policy == "paired":
        order = np.repeat(order, 2)
        mode = np.tile([MODES.index("hard"), MODES.index("soft")], len(row_a))
        drawn = [method_of_pair(key, mix, seed=seed) for key in _keys(row_a, copy, sources)]
        method = np.array(drawn, dtype=np.int64)[order]
    elif mix.policy == "per-batch":
        n_batches = -(-len(row_a) // mix.batch_size)
        kinds = [draw_batch(mix, *named, number, seed=seed) for number in range(n_batches)]
        mode, method = np.repeat(_pairs_of(kinds), mix.batch_size, axis=0)[: len(row_a)].T
    else:
        kinds = [kind_of_pair(key, mix, seed=seed) for key in _keys(row_a, copy, sources)]
        mode, method = _pairs_of(kinds)[order].T
    row_b = np.where(mode == MODES.index("none"), -1, row_b[order])
    starts = cut(len(mode), n_shards(len(mode)), group_size(mix))
    return SplitPlan("train", row_a[order], row_b, copy[order], mode, method, starts, _alike(starts))


def kind_of_pair(pair: str, mix: MixConfig, *, seed: int) -> tuple[int, int]:
    """Return mode and method of a pair under the policy ``per-sample``: indexes into `MODES` and `mix.methods`.

    First the mode is drawn, so that every configuration leaves the same samples unmixed, then the method. One that
    lacks the mode has its other.
    """
    mode = draw_mode(passing_generator(seed, "mode", pair), mix.probabilities)
    return _kind(mode, method_of_pair(pair, mix, seed=seed), mix)


def draw_batch(mix: MixConfig, *number: int, seed: int) -> tuple[int, int]:
    """Return mode and method of all samples of a batch under the policy ``per-batch``, as `kind_of_pair` does."""
    mode = draw_mode(generator_for(seed, "batch-mode", *number), mix.probabilities)
    drawn = integer(generator_for(seed, "batch-method", *number), 0, len(mix.methods) - 1)
    return _kind(mode, drawn, mix)


def method_of_pair(pair: str, mix: MixConfig, *, seed: int) -> int:
    """Return the method of a pair that is mixed, an index into `mix.methods`."""
    last = len(mix.methods) - 1
    return integer(passing_generator(seed, "method", pair), 0, last) if last else 0


def named_kind(mode: int, method: int, methods: Sequence[str]) -> tuple[Mode, str | None]:
    """Return mode and method by their names; no method of the mode ``none``."""
    return MODES[mode], methods[method] if method >= 0 else None


def _kind(mode: int, method: int, mix: MixConfig) -> tuple[int, int]:
    if mode == MODES.index("none"):
        return mode, -1
    own = mix.modes_of(mix.methods[method])
    return (mode if MODES[mode] in own else MODES.index(own[0])), method


def _pairs_of(kinds: Sequence[tuple[int, int]]) -> _Ints:
    return np.array(kinds, dtype=np.int64).reshape(-1, 2)


def _keys(row_a: _Ints, copy: _Ints, sources: Sequence[SourceRecord]) -> Iterator[str]:
    return (pair_key("train", sources[int(a)].id, int(c)) for a, c in zip(row_a, copy, strict=True))


def _pass_through(split: Split, rows: _Ints, readers: int) -> SplitPlan:
    nothing = np.zeros(len(rows), dtype=np.int64)
    starts = cut(len(rows), pass_through_shards(len(rows), readers), 1)
    return SplitPlan(split, rows, nothing - 1, nothing, nothing, nothing - 1, starts, _alike(starts))


def _alike(starts: _Ints) -> _Ints:
    """Return the number of shards, once for each."""
    return np.full(len(starts) - 1, len(starts) - 1, dtype=np.int64)


def pair_key(split: Split, source_id: str, copy: int) -> str:
    """Return the key of a pair of parents; validation and test images have no copies."""
    return f"{split}-{source_id}-{copy:03d}" if split == "train" else f"{split}-{source_id}"


def planned_sample(
    pair: str, split: Split, mode: Mode, policy: Policy, *, seed: int, method: str | None = None
) -> SamplePlan:
    """Return the plan of a sample of a pair; the rows of its parents and its place are still to be set."""
    key = f"{pair}-{mode}" if policy == "paired" and split == "train" else pair
    drawn = derive_key(seed, "sample", pair)
    return SamplePlan(key, split, mode, row_a=0, row_b=None, seed=drawn, shard="", index=0, method=method)


def probe_rows(rows: _Ints, count: int, *, seed: int) -> _Ints:
    """Return at most `count` of the rows, drawn without repetition, in rising order."""
    order = permutation(generator_for(seed, "probe"), len(rows))
    return np.sort(rows[order[:count]])
