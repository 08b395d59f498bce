"""The job of making one shard: all of its samples, or those that can be made."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hsmix_gen.pipeline.execution.isolation import Job
from hsmix_gen.pipeline.execution.units import Unit
from hsmix_gen.pipeline.mixing.make_shard import ShardTask, make_shard
from hsmix_gen.schemas.records import Refusal, SamplePlan, ShardRecord


@dataclass(frozen=True)
class ShardJob(Job):
    """One shard; its parts are its samples."""

    task: ShardTask

    @property
    def name(self) -> str:
        """Name of the shard."""
        return self.task.samples[0].shard

    @property
    def parts(self) -> Mapping[int, str]:
        """Keys of the samples, by their place."""
        return {i: sample.key for i, sample in enumerate(self.task.samples)}

    def unit(self, left_out: Mapping[int, str]) -> Unit | None:
        """Return the unit that makes the shard; the samples that are left are numbered anew."""
        out = self._with_twins(left_out)
        kept = [sample for i, sample in enumerate(self.task.samples) if i not in out]
        if not kept:
            return None
        samples = tuple(replace(sample, index=index) for index, sample in enumerate(kept))
        return Unit(self.name, make_shard, (replace(self.task, samples=samples),), may_fail=True)

    def trial(self, part: int) -> Unit:
        """Return a unit that makes one sample and throws it away."""
        sample = self.task.samples[part]
        return Unit(f"mix of {sample.key}", try_sample, (self.task, sample), may_fail=True, is_trial=True)

    def finished(self, result: ShardRecord | None, left_out: Mapping[int, str]) -> ShardRecord:
        """Return the record of the shard with its refusals; a shard without samples has no files."""
        record = result or ShardRecord(self.name, self.task.split, (), ())
        out = self._with_twins(left_out)
        samples, sources = self.task.samples, self.task.sources
        refused = ((samples[i], reason) for i, reason in sorted(out.items()))
        refusals = (Refusal(one.key, sources[one.row_a].image, "mix", reason) for one, reason in refused)
        return replace(record, refusals=tuple(refusals))

    def _with_twins(self, left_out: Mapping[int, str]) -> dict[int, str]:
        """Return what is left out; of a hard and soft pair both are, as trainers read them together."""
        if self.task.mix.policy != "paired" or self.task.split != "train":
            return dict(left_out)
        keys = self.parts
        twins = {i ^ 1: f"its twin {keys[i]} is refused" for i in left_out}
        return {**twins, **left_out}


def try_sample(task: ShardTask, sample: SamplePlan) -> None:
    """Make one sample in every format, in a folder that goes away (a unit of work)."""
    rows = {row: task.sources[row] for row in (sample.row_a, sample.row_b) if row is not None}
    with tempfile.TemporaryDirectory() as folder:
        make_shard(replace(task, root=Path(folder), samples=(replace(sample, index=0),), sources=rows))
