"""The CPU half: from a finished cache to a finished dataset; shards that are finished already are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hsmix_gen.pipeline import versions
from hsmix_gen.pipeline.features import Layers
from hsmix_gen.pipeline.finish import finish
from hsmix_gen.pipeline.make_shard import ShardTask, make_shard
from hsmix_gen.pipeline.output import Output
from hsmix_gen.pipeline.prepared import Prepared
from hsmix_gen.pipeline.progress import Reporter
from hsmix_gen.pipeline.running import Runner, Unit
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.digests import digest_of
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import DatasetFacts, SourceRecord
from hsmix_gen.stages.pairing import Plan, SplitPlan, make_plan

# Named sets are spelled out in the other keys; files are known by the layers that came of them.
_NO_BYTES = ("preset", "profile", "control", "saliency.weights", "saliency.folder")


@dataclass(frozen=True)
class Outcome:
    """What a complete run wrote and left out."""

    samples: int
    shards: int
    bytes: int
    sources: int
    refused: int


def identity_of(layers: Layers, records: Sequence[SourceRecord], config: RunConfig) -> dict[str, Any]:
    """Return what decides the bytes of a dataset besides its sources: configuration, homes, features and versions.

    The names of the layers stand for the contents of weights and maps, wherever those files lie.
    """
    options = {key: value for key, value in config.of_bytes().items() if key not in _NO_BYTES}
    features = {f"layer of {kind}": name for kind, name in layers.names.items()}
    features["splits and groups"] = digest_of([(r.id, r.split, r.fold, r.group) for r in records])
    found = versions.versions_of(versions.SHARDS)
    return {**options, **features, **{f"version of {name}": value for name, value in found.items()}}


def sample_bytes(facts: DatasetFacts) -> int:
    """Return a rough size of one encoded sample: half of the raw image, a tenth of the raw soft label."""
    height, width = facts.size
    depth = np.dtype(facts.dtype).itemsize
    return height * width * (facts.channels * depth // 2 + 1 + facts.n_classes // 5) + 2048


def plan_samples(prepared: Prepared, config: RunConfig) -> Plan:
    """Return the plan of all samples."""
    return make_plan(
        prepared.records,
        config.mix,
        seed=config.seed,
        shards=config.output.shards,
        sample_bytes=sample_bytes(prepared.layers.facts),
        other_group=needs_other_group(prepared.layers.facts, config),
    )


def needs_other_group(facts: DatasetFacts, config: RunConfig) -> bool:
    """Return whether partners have to be of another group: slices of a patient and tiles of a slide look alike."""
    if config.mix.partners == "auto":
        return facts.volumes or config.image.tiles is not None
    return config.mix.partners == "other-group"


def generate(prepared: Prepared, output: Output, config: RunConfig, runner: Runner, reporter: Reporter) -> Outcome:
    """Write all shards that are missing, then everything that describes them; the manifest comes last."""
    output.bind(identity_of(prepared.layers, prepared.records, config), prepared.records)
    plan = plan_samples(prepared, config)
    shards = [(part, number) for part in plan.splits for number in range(part.n_shards)]
    output.remove_temporaries()
    done = output.records()
    missing = [(part, number) for part, number in shards if part.shard_name(number) not in done]
    if missing:
        # A dataset that is being mended is not complete until its manifest is written again.
        output.uncomplete()
    n_missing = sum(_size(part, number) for part, number in missing)
    units = (_unit(prepared, output, config, plan, part, number) for part, number in missing)
    with reporter.stage("mix", plan.n_samples, done=plan.n_samples - n_missing) as stage:
        for _, record in runner.run(units):
            output.commit(record)
            stage.advance(len(record.rows))
    # A worker that was killed and replaced leaves its unfinished files.
    output.remove_temporaries()
    if missing or not output.is_complete:
        finish(prepared, output, config, plan, runner.n_workers, reporter)
    return outcome(prepared, output, plan)


def outcome(prepared: Prepared, output: Output, plan: Plan) -> Outcome:
    """Return planned against written; a record counts only while its files match it.

    Raises
    ------
    OutputError
        If they differ.
    """
    records = list(output.rows())
    written = sum(len(record.rows) for record in records)
    if written != plan.n_samples:
        raise OutputError(
            f"{output.root} holds {written} of {plan.n_samples} planned samples; run the same command again"
        )
    return Outcome(
        samples=written,
        shards=len(records),
        bytes=sum(file.bytes for record in records for file in record.files),
        sources=len(prepared.records) + len(prepared.unpaired),
        refused=len(prepared.refusals),
    )


def _size(part: SplitPlan, number: int) -> int:
    return int(part.starts[number + 1] - part.starts[number])


def _unit(prepared: Prepared, output: Output, config: RunConfig, plan: Plan, part: SplitPlan, number: int) -> Unit:
    samples = tuple(plan.samples(part, number, prepared.records))
    rows = {row for sample in samples for row in (sample.row_a, sample.row_b) if row is not None}
    task = ShardTask(
        layers=prepared.layers,
        root=output.root,
        formats=config.output.formats,
        number=number,
        total=part.n_shards,
        samples=samples,
        sources={row: prepared.records[row] for row in sorted(rows)},
        mix=config.mix,
    )
    return Unit(part.shard_name(number), make_shard, (task,))
