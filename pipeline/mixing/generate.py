"""The CPU half: from a finished cache to a finished dataset; shards that are finished already are kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hsmix_gen.pipeline.dataset.output_folder import Output, read_run
from hsmix_gen.pipeline.execution.isolation import finish_jobs
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.units import Runner
from hsmix_gen.pipeline.features.cache_description import Prepared
from hsmix_gen.pipeline.files.atomic_files import remove_temporaries
from hsmix_gen.pipeline.mixing.describe import finish
from hsmix_gen.pipeline.mixing.make_shard import ShardTask
from hsmix_gen.pipeline.mixing.output_plan import OutputPlan, looks_of, plan_output, plan_samples, wanted_looks
from hsmix_gen.pipeline.mixing.shard_jobs import ShardJob
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import DatasetFacts, ShardRecord, SourceRecord
from hsmix_gen.stages.planning.appearance import Looks, far_share
from hsmix_gen.stages.planning.pairing import COLUMNS, Plan, SplitPlan

STATED = ("license", "citation", "creator")
"""Options that only describe a dataset."""

MANY_FAR = 0.25
"""Share of pairs of images that look apart above which a set holds several kinds; photographs of skin have 0.08."""


@dataclass(frozen=True)
class Outcome:
    """What a complete run wrote and left out."""

    samples: int
    shards: int
    bytes: int
    sources: int
    refused: int
    """Of the sources."""
    refused_samples: int = 0
    """Planned samples that could not be made; `samples` were written."""


def generate(
    prepared: Prepared,
    output: Output,
    config: RunConfig,
    runner: Runner,
    reporter: Reporter,
    planned: OutputPlan | None = None,
) -> Outcome:
    """Write all shards that are missing, then everything that describes them; the manifest comes last.

    What was `planned` before features were made is planned again if sources were refused meanwhile.
    """
    looks = wanted_looks(prepared.layers, prepared.records, config)
    if planned is None or planned.records != prepared.records or looks is not None:
        planned = plan_output(output, prepared.layers, prepared.records, config, looks)
    if config.mix.partners != "guided":
        _say_looks(prepared, config, looks if isinstance(looks, Looks) else None, reporter)
    _bind(planned, prepared.layers.facts, config)
    prepared, plan, shards = replace(prepared, records=list(planned.records)), planned.plan, planned.shards
    remove_temporaries(output.root)
    done = output.records()
    if done.keys() - shards.keys():
        # They are of a binding that was lost, and would come into the manifest.
        output.forget(lambda record: record.name in shards)
        done = {name: record for name, record in done.items() if name in shards}
    missing = [shard for name, shard in shards.items() if name not in done]
    if missing:
        # A dataset that is being mended is not complete until its manifest is written again.
        output.uncomplete()
    jobs = (ShardJob(_task(prepared, output, config, plan, part, number)) for part, number in missing)
    n_done = plan.n_samples - sum(part.size(number) for part, number in missing)
    with reporter.stage("mix", plan.n_samples, done=n_done) as stage:
        for job, record in finish_jobs(runner.run, jobs, "mix", reporter, done=n_done):
            output.commit(record)
            done[record.name] = replace(record, rows=())
            stage.advance(len(job.task.samples))
    # A worker that was killed and replaced leaves its unfinished files.
    remove_temporaries(output.root)
    if missing or not output.is_complete or restated(output, config):
        finish(prepared, output, config, written_plan(plan, done, prepared.records), runner.n_workers, reporter)
    return outcome(prepared, output, plan)


def restated(output: Output, config: RunConfig) -> bool:
    """Return whether a finished dataset states another licence, citation or creator than wanted."""
    before = read_run(output.root)["config"]["run"]
    return any(before.get(name) != getattr(config.run, name) for name in STATED)


def _say_looks(prepared: Prepared, config: RunConfig, looks: Looks | None, reporter: Reporter) -> None:
    """Say how many training images look apart; warn of it where the user may not know."""
    if looks is None and config.mix.partners != "auto":
        return
    rows = [row for row, r in enumerate(prepared.records) if r.split == "train" and r.refusal is None]
    of_training = (looks or looks_of(prepared.layers)).of(np.array(rows, dtype=np.int64))
    share = far_share(of_training)
    if looks is None and share > MANY_FAR:
        reporter.warn(
            f"{share:.0%} of the pairs of training images look far apart, as of two stains or scanners; "
            "--partners similar mixes only those that look alike"
        )
    elif looks is not None:
        reporter.note(f"{share:.0%} of the pairs of training images look far apart; partners are of one kind")


def _bind(planned: OutputPlan, facts: DatasetFacts, config: RunConfig) -> None:
    """Bind an output to what is going to be mixed; what cannot be planned binds nothing, so that others can follow."""
    if planned.is_bound:
        return
    output, before = planned.output, planned.output.bindings.read()
    output.bindings.bind(planned.identity, planned.records)
    if before:
        mix = config.mix.model_copy(update={"copies": before[-1].copies})
        used = before[-1].generation(planned.records).usable
        records = [r if known else replace(r, refusal="added") for r, known in zip(planned.records, used, strict=True)]
        known = plan_samples(facts, records, config.model_copy(update={"mix": mix}), before[:-1])
        names = {part.shard_name(number) for part in known.splits for number in range(part.n_shards)}
        # What bears the name of a shard to come is of a binding that was lost too.
        output.forget(lambda record: record.name in names)


def written_plan(plan: Plan, done: dict[str, ShardRecord], records: Sequence[SourceRecord]) -> Plan:
    """Return the plan without the samples that were refused when they were made.

    Finished shards are given by name, with the sources that were planned with.
    """
    refused = {name: {refusal.id for refusal in record.refusals} for name, record in done.items() if record.refusals}
    return replace(plan, splits=tuple(_without(plan, part, refused, records) for part in plan.splits))


def _without(plan: Plan, part: SplitPlan, refused: dict[str, set[str]], records: Sequence[SourceRecord]) -> SplitPlan:
    if not any(part.shard_name(number) in refused for number in range(part.n_shards)):
        return part
    keep = np.ones(part.n_samples, dtype=np.bool_)
    for number in range(part.n_shards):
        keys = refused.get(part.shard_name(number), set())
        if keys:
            first = int(part.starts[number])
            for sample in plan.samples(part, number, records):
                keep[first + sample.index] = sample.key not in keys
    starts = np.concatenate([[0], np.cumsum(keep)])[part.starts]
    arrays = {name: getattr(part, name)[keep] for name in COLUMNS}
    return replace(part, **arrays, starts=starts)


def outcome(prepared: Prepared, output: Output, plan: Plan) -> Outcome:
    """Return planned against written and refused, by the records of shards.

    Raises OutputError if they differ.
    """
    records = list(output.rows())
    written = sum(len(record.rows) for record in records)
    refused = sum(len(record.refusals) for record in records)
    if written + refused != plan.n_samples:
        raise OutputError(
            f"{output.root} holds {written} of {plan.n_samples} planned samples and {refused} were refused; "
            "run the same command again"
        )
    return Outcome(
        samples=written,
        shards=sum(bool(record.files) for record in records),
        bytes=sum(file.bytes for record in records for file in record.files),
        sources=prepared.n_sources,
        refused=len(prepared.refusals),
        refused_samples=refused,
    )


def _task(prepared: Prepared, output: Output, config: RunConfig, plan: Plan, part: SplitPlan, number: int) -> ShardTask:
    samples = tuple(plan.samples(part, number, prepared.records))
    rows = {row for sample in samples for row in (sample.row_a, sample.row_b) if row is not None}
    return ShardTask(
        layers=prepared.layers,
        root=output.root,
        formats=config.output.formats,
        number=number,
        total=int(part.totals[number]),
        samples=samples,
        sources={row: prepared.records[row] for row in sorted(rows)},
        mix=config.mix,
        output=config.output,
    )
