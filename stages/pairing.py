"""The plan: which samples there will be, from which parents, in which shard; all decided before any work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import MODES, SPLITS, SamplePlan, SourceRecord, Split
from hsmix_gen.stages.randomness import derive_key, generator_for, integer, permutation

DEFAULT_SHARDS = 32
SHARD_BYTES = 256 * 2**20
PASSED_THROUGH_PER_SHARD = 256

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SplitPlan:
    """The samples of one split in the order in which they are written.

    Attributes
    ----------
    row_a, row_b : (S,) int64
        Rows of the parents in the sources; `row_b` is -1 where nothing is mixed in.
    copy : (S,) int64
        Which copy of its image a sample is.
    mode : (S,) int64
        Index into `MODES`.
    starts : (N + 1,) int64
        Shard k holds samples ``starts[k]`` to ``starts[k + 1]``.
    """

    split: Split
    row_a: _Ints
    row_b: _Ints
    copy: _Ints
    mode: _Ints
    starts: _Ints

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.row_a)

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return len(self.starts) - 1

    def shard_name(self, number: int) -> str:
        """Return the name of a shard, for example ``train-000003``; formats add their ending."""
        return f"{self.split}-{number:06d}"


@dataclass(frozen=True)
class Plan:
    """All samples of a dataset; a few integers for each, so that millions fit in memory."""

    seed: int
    policy: Literal["per-sample", "per-batch", "paired"]
    splits: tuple[SplitPlan, ...]

    @property
    def n_samples(self) -> int:
        """Number of samples over all splits."""
        return sum(part.n_samples for part in self.splits)

    def samples(self, part: SplitPlan, number: int, sources: Sequence[SourceRecord]) -> Iterator[SamplePlan]:
        """Yield the samples of shard `number` of one split in order."""
        first, last = int(part.starts[number]), int(part.starts[number + 1])
        for index, position in enumerate(range(first, last)):
            row_a, row_b = int(part.row_a[position]), int(part.row_b[position])
            mode = MODES[int(part.mode[position])]
            pair = _pair_key(part.split, sources[row_a].id, int(part.copy[position]))
            key = f"{pair}-{mode}" if self.policy == "paired" and part.split == "train" else pair
            yield SamplePlan(
                key=key,
                split=part.split,
                mode=mode,
                row_a=row_a,
                row_b=None if row_b < 0 else row_b,
                seed=derive_key(self.seed, "sample", pair),
                shard=part.shard_name(number),
                index=index,
            )


def make_plan(
    sources: Sequence[SourceRecord],
    mix: MixConfig,
    *,
    seed: int,
    shards: int | None,
    sample_bytes: int,
    other_group: bool = False,
    readers: int = 1,
) -> Plan:
    """Decide every sample of a dataset.

    Training images get `mix.copies` samples each, with partners from the training split; validation and test
    images are passed through once. The order is shuffled over the whole split, then cut into equal shards.

    Parameters
    ----------
    sources : sequence of SourceRecord
        All rows; refused ones are left out.
    mix : MixConfig
        Copies, policy and probabilities.
    seed : int
        Seed of the run.
    shards : int or None
        Number of training shards; None derives it from the number of samples and their size.
    sample_bytes : int
        Estimated bytes of a sample.
    other_group : bool
        Whether both parents must be of different groups (patients): neighbouring slices or overlapping tiles of
        one patient show the same tissue, and mixing them says little.
    readers : int
        Loader workers of all ranks together; the number of shards is a multiple of it, in the other splits where
        they have as many images.

    Raises
    ------
    SourceError
        If the training split cannot be mixed or is smaller than the number of shards.
    """
    parts: list[SplitPlan] = []
    for split in SPLITS:
        rows = np.array([i for i, s in enumerate(sources) if s.split == split and s.refusal is None], dtype=np.int64)
        if split == "train":
            row_b = _all_partners(rows, sources, mix.copies, seed=seed, other_group=other_group)
            n_samples = training_samples(len(rows), mix)
            n_shards = shard_count(n_samples, mix, shards=shards, sample_bytes=sample_bytes, readers=readers)
            parts.append(_plan_training(rows, row_b, sources, mix, seed=seed, n_shards=n_shards))
        elif len(rows):
            parts.append(_pass_through(split, rows, readers))
    return Plan(seed, mix.policy, tuple(parts))


def training_samples(n_images: int, mix: MixConfig) -> int:
    """Return the number of training samples that `n_images` give."""
    return n_images * mix.copies * (2 if mix.policy == "paired" else 1)


def group_size(mix: MixConfig) -> int:
    """Return how many neighbouring samples stay in one shard."""
    return {"per-sample": 1, "per-batch": mix.batch_size, "paired": 2}[mix.policy]


def shard_count(n_samples: int, mix: MixConfig, *, shards: int | None, sample_bytes: int, readers: int = 1) -> int:
    """Return how many shards `n_samples` training samples are cut into: `shards`, or a number from their size.

    With several `readers` it is a multiple of their number: the least one that the size asks for, unless one up to
    twice as large, or a smaller one that the size allows too, makes all shards exactly equal.

    Raises
    ------
    SourceError
        If there are fewer groups of samples than readers.
    """
    if shards is not None:
        return shards
    by_size = -(-n_samples * sample_bytes // SHARD_BYTES)
    n_groups = -(-n_samples // group_size(mix))
    if readers == 1:
        return max(1, min(n_groups, max(DEFAULT_SHARDS, by_size)))
    if n_groups < readers:
        raise SourceError(
            f"ranks x workers_per_rank must not exceed the {n_groups} groups of samples, got {readers}; "
            "lower --ranks or --workers-per-rank, or raise --copies"
        )
    largest = n_groups // readers
    asked = min(-(-max(DEFAULT_SHARDS, by_size) // readers), largest)
    allowed = min(-(-max(1, by_size) // readers), largest)
    candidates = [*range(asked, min(2 * asked, largest) + 1), *range(asked - 1, allowed - 1, -1)]
    equal = (n for n in candidates if n_samples % (n * readers * group_size(mix)) == 0)
    return readers * next(equal, asked)


def partners(rows: _Ints, copy: int, *, seed: int) -> _Ints:
    """Return a partner for each row: a derangement, another one for each copy.

    The rows stand in one random circle; copy c takes the neighbour at a distance of its own. So no image meets
    itself, and an image meets ``len(rows) - 1`` different partners before one comes again.
    """
    n = len(rows)
    circle = permutation(generator_for(seed, "partner-circle"), n)
    round_number, step = divmod(copy, n - 1)
    distances = 1 + permutation(generator_for(seed, "partner-distance", round_number), n - 1)
    partner = np.empty(n, dtype=np.int64)
    partner[circle] = rows[np.roll(circle, -int(distances[step]))]
    return partner


def partners_of_other_groups(rows: _Ints, groups: Sequence[str], ids: Sequence[str], copy: int, *, seed: int) -> _Ints:
    """Return a partner of another group for each row.

    If no group holds more than half of the rows, the rows stand in a circle with each group in one piece, and
    copy c takes the neighbour at a distance of its own, at least the largest group away to either side. So each row
    is a partner once in a copy, and none comes again to an image before all distances were used; then another
    circle is drawn. If one group holds more than half, each row draws any row of the other groups.

    Parameters
    ----------
    rows : (N,) int64
    groups, ids : sequence of str
        Of each of the N rows.
    copy : int
        Which copy the partners are for.
    seed : int

    Raises
    ------
    SourceError
        If there is one group only.
    """
    n = len(rows)
    _, group_of, sizes = np.unique(np.asarray(groups, dtype=str), return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise SourceError(
            f"all {n} training images are of one group (patient); add others or allow it with --partners any"
        )
    largest = int(sizes.max())
    if 2 * largest > n:
        return _drawn_from_other_groups(rows, group_of, ids, copy, seed=seed)
    n_distances = n - 2 * largest + 1
    round_number, step = divmod(copy, n_distances)
    place = permutation(generator_for(seed, "partner-circle-groups", round_number), len(sizes))
    circle = np.lexsort((permutation(generator_for(seed, "partner-circle-rows", round_number), n), place[group_of]))
    distances = largest + permutation(generator_for(seed, "partner-group-distance", round_number), n_distances)
    partner = np.empty(n, dtype=np.int64)
    partner[circle] = rows[np.roll(circle, -int(distances[step]))]
    return partner


def _drawn_from_other_groups(
    rows: _Ints, group_of: npt.NDArray[np.intp], ids: Sequence[str], copy: int, *, seed: int
) -> _Ints:
    order = np.argsort(group_of, kind="stable")
    sizes = np.bincount(group_of)
    starts = np.cumsum(sizes) - sizes
    partner = np.empty(len(rows), dtype=np.int64)
    for i, group in enumerate(group_of):
        drawn = integer(generator_for(seed, "partner", ids[i], copy), 0, len(rows) - int(sizes[group]) - 1)
        # The row's own group is one piece of the order: whoever stands behind it moves up.
        partner[i] = rows[order[drawn + int(sizes[group]) * (drawn >= starts[group])]]
    return partner


def draw_mode(rng: np.random.Generator, probabilities: tuple[float, float, float]) -> int:
    """Draw an index into `MODES` with the given chances (any positive sum)."""
    bounds = np.cumsum(probabilities) / sum(probabilities)
    # A class of chance 0 has an empty interval; `right` keeps it empty even for a draw of exactly 0.
    return int(min(np.searchsorted(bounds, rng.random(), side="right"), max(np.flatnonzero(probabilities))))


def _why_few(sources: Sequence[SourceRecord]) -> str:
    refused = [source for source in sources if source.refusal is not None]
    if not refused:
        return "change --split"
    return f"{len(refused)} of {len(sources)} images were refused, first {refused[0].id}: {refused[0].refusal}"


def _all_partners(rows: _Ints, sources: Sequence[SourceRecord], copies: int, *, seed: int, other_group: bool) -> _Ints:
    """Return the partners of all copies, copy after copy."""
    if len(rows) < 2:
        raise SourceError(f"the training split has {len(rows)} usable image(s), mixing needs 2; {_why_few(sources)}")
    if not other_group:
        return np.concatenate([partners(rows, copy, seed=seed) for copy in range(copies)])
    groups, ids = [sources[row].group for row in rows], [sources[row].id for row in rows]
    return np.concatenate([partners_of_other_groups(rows, groups, ids, c, seed=seed) for c in range(copies)])


def _plan_training(
    rows: _Ints, row_b: _Ints, sources: Sequence[SourceRecord], mix: MixConfig, *, seed: int, n_shards: int
) -> SplitPlan:
    copy = np.repeat(np.arange(mix.copies), len(rows))
    row_a = np.tile(rows, mix.copies)
    order = permutation(generator_for(seed, "order"), len(row_a))
    if mix.policy == "paired":
        order = np.repeat(order, 2)
        mode = np.tile([MODES.index("hard"), MODES.index("soft")], len(row_a))
    elif mix.policy == "per-batch":
        n_batches = -(-len(row_a) // mix.batch_size)
        drawn = [draw_mode(generator_for(seed, "batch-mode", b), mix.probabilities) for b in range(n_batches)]
        mode = np.repeat(np.array(drawn, dtype=np.int64), mix.batch_size)[: len(row_a)]
    else:
        keys = (_pair_key("train", sources[int(a)].id, int(c)) for a, c in zip(row_a, copy, strict=True))
        drawn = [draw_mode(generator_for(seed, "mode", key), mix.probabilities) for key in keys]
        mode = np.array(drawn, dtype=np.int64)[order]
    row_b = np.where(mode == MODES.index("none"), -1, row_b[order])
    starts = _cut(len(mode), n_shards, group_size(mix))
    return SplitPlan("train", row_a[order], row_b, copy[order], mode, starts)


def _pass_through(split: Split, rows: _Ints, readers: int) -> SplitPlan:
    n_shards = -(-len(rows) // PASSED_THROUGH_PER_SHARD)
    n_shards = min(-(-n_shards // readers), len(rows) // readers) * readers or n_shards
    nothing = np.zeros(len(rows), dtype=np.int64)
    return SplitPlan(split, rows, nothing - 1, nothing, nothing, _cut(len(rows), n_shards, 1))


def _cut(n_samples: int, n_shards: int, unit: int) -> _Ints:
    """Return the bounds of shards whose sizes differ by one unit at most; a unit is never cut."""
    n_units = -(-n_samples // unit)
    if n_units < n_shards:
        raise SourceError(f"shards must not outnumber the {n_units} groups of samples, got {n_shards}; lower --shards")
    bounds = np.arange(n_shards + 1) * n_units // n_shards
    return np.minimum(bounds * unit, n_samples).astype(np.int64)


def _pair_key(split: Split, source_id: str, copy: int) -> str:
    return f"{split}-{source_id}-{copy:03d}" if split == "train" else f"{split}-{source_id}"


def probe_rows(rows: _Ints, count: int, *, seed: int) -> _Ints:
    """Return at most `count` of the rows, drawn without repetition, in rising order."""
    order = permutation(generator_for(seed, "probe"), len(rows))
    return np.sort(rows[order[:count]])
