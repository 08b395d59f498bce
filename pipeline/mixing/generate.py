"""The CPU half: from a finished cache to a finished dataset; shards that are finished already are kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.dataset.run_history import EXTENSION, FEATURES, LAYER, SPLITS_AND_GROUPS, RunIdentity
from hsmix_gen.pipeline.dataset.soft_encoding import check_soft_encoding
from hsmix_gen.pipeline.execution import versions
from hsmix_gen.pipeline.execution.isolation import finish_jobs
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.units import Runner
from hsmix_gen.pipeline.features.cache_description import Prepared
from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.pipeline.mixing.describe import finish
from hsmix_gen.pipeline.mixing.make_shard import ShardTask
from hsmix_gen.pipeline.mixing.shard_jobs import ShardJob
from hsmix_gen.schemas.config import RunConfig, SoftEncoding
from hsmix_gen.schemas.digests import digest_of
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import DatasetFacts, ShardRecord, SourceRecord
from hsmix_gen.stages.planning.pairing import Plan, SplitPlan, make_plan

# Named sets are spelled out in the other keys; files are known by the layers that came of them.
_NO_BYTES = ("preset", "profile", "control", "source.id_key", "saliency.weights", "saliency.folder")


@dataclass(frozen=True)
class Outcome:
    """What a complete run wrote and left out.

    Attributes
    ----------
    refused : int
        Of the sources.
    refused_samples : int
        Planned samples that could not be made; `samples` were written.
    """

    samples: int
    shards: int
    bytes: int
    sources: int
    refused: int
    refused_samples: int = 0


def identity_of(layers: Layers, records: Sequence[SourceRecord], config: RunConfig) -> dict[str, Any]:
    """Return what decides the bytes of a dataset besides its sources: configuration, homes, features and versions.

    The names of the layers stand for the contents of weights and maps, wherever those files lie.

    Raises
    ------
    ConfigError
        If the configuration cannot hold the labels of the sources.
    """
    check_soft_encoding(config.output.soft_encoding, layers.facts)
    options = {key: value for key, value in config.of_bytes().items() if key not in _NO_BYTES}
    features = {LAYER + kind: name for kind, name in layers.names.items()}
    features[FEATURES] = layers.root.name if layers.root.name.startswith(EXTENSION) else ""
    features[SPLITS_AND_GROUPS] = digest_of([(r.id, r.split, r.fold, r.group) for r in records])
    found = versions.versions_of(versions.SHARDS)
    return {**options, **features, **{f"version of {name}": value for name, value in found.items()}}


def sample_bytes(facts: DatasetFacts, soft_encoding: SoftEncoding = "npz") -> int:
    """Return a rough size of one encoded sample: half of the raw image, a tenth of the raw soft label or all of it."""
    height, width = facts.size
    depth = np.dtype(facts.dtype).itemsize
    soft = 2 * facts.n_classes if soft_encoding == "npy" else facts.n_classes // 5
    return height * width * (facts.channels * depth // 2 + 1 + soft) + 2048


def plan_samples(
    facts: DatasetFacts, records: Sequence[SourceRecord], config: RunConfig, earlier: Sequence[RunIdentity] = ()
) -> Plan:
    """Return the plan of all samples, those first that a dataset held before it was extended.

    Raises
    ------
    SourceError
        If there is nothing to mix an image with, or there are more shards or readers than samples.
    """
    return make_plan(
        records,
        config.mix,
        seed=config.seed,
        shards=config.output.shards,
        sample_bytes=sample_bytes(facts, config.output.soft_encoding),
        other_group=needs_other_group(facts, config),
        readers=config.output.readers,
        earlier=[bound.generation(records) for bound in earlier],
    )


def needs_other_group(facts: DatasetFacts, config: RunConfig) -> bool:
    """Return whether partners have to be of another group: slices of a patient and tiles of a slide look alike."""
    if config.mix.partners == "auto":
        return facts.volumes or config.image.tiles is not None
    return config.mix.partners == "other-group"


def generate(prepared: Prepared, output: Output, config: RunConfig, runner: Runner, reporter: Reporter) -> Outcome:
    """Write all shards that are missing, then everything that describes them; the manifest comes last."""
    prepared, plan = _bound(prepared, output, config)
    shards = [(part, number) for part in plan.splits for number in range(part.n_shards)]
    output.remove_temporaries()
    done = output.records()
    names = {part.shard_name(number) for part, number in shards}
    if done.keys() - names:
        # They are of a binding that was lost, and would come into the manifest.
        output.forget(lambda record: record.name in names)
        done = {name: record for name, record in done.items() if name in names}
    missing = [(part, number) for part, number in shards if part.shard_name(number) not in done]
    if missing:
        # A dataset that is being mended is not complete until its manifest is written again.
        output.uncomplete()
    n_missing = sum(_size(part, number) for part, number in missing)
    jobs = (ShardJob(_task(prepared, output, config, plan, part, number)) for part, number in missing)
    n_done = plan.n_samples - n_missing
    with reporter.stage("mix", plan.n_samples, done=n_done) as stage:
        for job, record in finish_jobs(runner.run, jobs, "mix", reporter, done=n_done):
            output.commit(record)
            done[record.name] = replace(record, rows=())
            stage.advance(len(job.task.samples))
    # A worker that was killed and replaced leaves its unfinished files.
    output.remove_temporaries()
    if missing or not output.is_complete:
        finish(prepared, output, config, written_plan(plan, done, prepared.records), runner.n_workers, reporter)
    return outcome(prepared, output, plan)


def _bound(prepared: Prepared, output: Output, config: RunConfig) -> tuple[Prepared, Plan]:
    """Bind an output to what is going to be mixed; return that and its plan, with the refusals of when it was bound."""
    facts, before = prepared.layers.facts, output.bindings.read()
    identity = identity_of(prepared.layers, prepared.records, config)
    if output.bindings.hold(identity, prepared.records):
        prepared = replace(prepared, records=output.bindings.pinned(prepared.records))
        return prepared, plan_samples(facts, prepared.records, config, before[:-1])
    # What cannot be planned binds nothing, so that other options can follow.
    plan = plan_samples(facts, prepared.records, config, before)
    output.bindings.bind(identity, prepared.records)
    if before:
        mix = config.mix.model_copy(update={"copies": before[-1].copies})
        used = before[-1].generation(prepared.records).usable
        records = [r if known else replace(r, refusal="added") for r, known in zip(prepared.records, used, strict=True)]
        known = plan_samples(facts, records, config.model_copy(update={"mix": mix}), before[:-1])
        names = {part.shard_name(number) for part in known.splits for number in range(part.n_shards)}
        # What bears the name of a shard to come is of a binding that was lost too.
        output.forget(lambda record: record.name in names)
    return prepared, plan


def written_plan(plan: Plan, done: dict[str, ShardRecord], records: Sequence[SourceRecord]) -> Plan:
    """Return the plan without the samples that were refused when they were made.

    Parameters
    ----------
    plan : Plan
    done : dict
        Finished shards by name.
    records : sequence of SourceRecord
        The sources that were planned with.
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
    arrays = {name: getattr(part, name)[keep] for name in ("row_a", "row_b", "copy", "mode")}
    return replace(part, **arrays, starts=starts)


def outcome(prepared: Prepared, output: Output, plan: Plan) -> Outcome:
    """Return planned against written and refused; a record counts only while its files match it.

    Raises
    ------
    OutputError
        If they differ.
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
        sources=len(prepared.records) + len(prepared.unpaired),
        refused=len(prepared.refusals),
        refused_samples=refused,
    )


def _size(part: SplitPlan, number: int) -> int:
    return int(part.starts[number + 1] - part.starts[number])


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
        soft_encoding=config.output.soft_encoding,
    )
