"""What describes a dataset, written when all shards are there; the manifest is the last file."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from hsmix_gen.pipeline.dataset.formats.base import Written, format_of
from hsmix_gen.pipeline.dataset.output_folder import MANIFEST, Output
from hsmix_gen.pipeline.dataset.sample_members import member_names
from hsmix_gen.pipeline.dataset.soft_encoding import describe_soft
from hsmix_gen.pipeline.execution import versions
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.features.cache_description import Prepared
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.tables import manifest_batch, manifest_bytes
from hsmix_gen.pipeline.mixing.card import card_text, selection_of
from hsmix_gen.pipeline.mixing.croissant import CROISSANT, croissant
from hsmix_gen.pipeline.mixing.preview import draw_preview
from hsmix_gen.schemas.config import OutputConfig, RunConfig
from hsmix_gen.schemas.digests import digest_of, sha256_of
from hsmix_gen.schemas.records import IGNORE, FileRecord, Refusal
from hsmix_gen.stages.planning.pairing import Plan

CONTRACT_VERSION = 2
"""2: the manifest has measures, and names method, selection and scale of each sample; version 1 is read as before."""


def finish(
    prepared: Prepared, output: Output, config: RunConfig, plan: Plan, n_workers: int, reporter: Reporter
) -> None:
    """Write the description, the card, the preview and last the manifest."""
    batches, shards, modes = [], [], Counter[str]()
    refusals = prepared.refusals
    for record in output.rows():
        batches.append(manifest_batch(record.rows))
        shards.append(Written(record.split, record.files, tuple(row.key for row in record.rows)))
        modes.update(row.mode for row in record.rows if row.split == "train")
        refusals.extend(record.refusals)
    dataset = describe_dataset(prepared, config, plan, shards)
    indexes = make_indexes(dataset, shards)
    dataset["indexes"] = [asdict_of(FileRecord(path, len(data), sha256_of(data))) for path, data in indexes.items()]
    run = {
        **describe_run(prepared, output, config, dataset, modes),
        "refused": describe_refusals(refusals, sources=len(prepared.refusals)),
    }
    seconds = {name: round(value, 2) for name, value in reporter.seconds.items()}
    manifest = manifest_bytes(batches)
    usable = [record for record in prepared.records if record.refusal is None]
    metadata = croissant(dataset, run, usable, FileRecord(MANIFEST, len(manifest), sha256_of(manifest)))
    files = {
        **indexes,
        "refused.csv": refusals_csv(refusals),
        "dataset.json": atomic_files.json_bytes(dataset),
        "run.json": atomic_files.json_bytes({**run, "workers": n_workers, "seconds": seconds}),
        CROISSANT: atomic_files.json_bytes(metadata),
        "README.md": card_text(dataset, run).encode(),
        "preview.png": draw_preview(prepared, config, plan),
    }
    output.complete(files, manifest)


def refusals_csv(refusals: list[Refusal]) -> bytes:
    """Return ``refused.csv``: a header, and a line for each refusal."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "path", "stage", "reason"])
    writer.writerows([r.id, r.path, r.stage, r.reason] for r in sorted(refusals, key=lambda r: (r.id, r.path)))
    return text.getvalue().encode()


def make_indexes(dataset: dict[str, Any], shards: Sequence[Written]) -> dict[str, bytes]:
    """Return the lists of samples or shards that readers of a format ask for, by their paths in the dataset."""
    return {
        path: atomic_files.json_bytes(value)
        for form in dataset["formats"]
        for path, value in format_of(form).indexes(dataset, shards).items()
    }


def asdict_of(file: FileRecord) -> dict[str, Any]:
    """Return a record as plain values, without the md5 that it lacks."""
    return {name: value for name, value in asdict(file).items() if value is not None}


def describe_dataset(prepared: Prepared, config: RunConfig, plan: Plan, shards: Sequence[Written]) -> dict[str, Any]:
    """Return ``dataset.json``: what a trainer has to know, and each file with its checksum."""
    facts = prepared.layers.facts
    used = {row for part in plan.splits for row in part.row_a.tolist()}
    counts = {
        part.split: [len(shard.keys) for shard in shards if shard.split == part.split and shard.files]
        for part in plan.splits
    }
    return {
        "name": config.output.name,
        "contract": CONTRACT_VERSION,
        "classes": list(facts.classes),
        "label_mode": "multilabel" if facts.multilabel else "exclusive",
        "ignore": IGNORE,
        "size": list(facts.size),
        **({"eval_size": config.image.eval_size} if config.image.eval_size != "same" else {}),
        "channels": facts.channels,
        "dtype": facts.dtype,
        "intensity": asdict(facts.intensity),
        "method": config.mix.method,
        "selection": selection_of(config.mix),
        "control": config.control,
        "members": member_names(facts.channels, facts.dtype, config.output.soft_encoding),
        **({"mask_palette": True} if config.output.mask_palette else {}),
        "soft": describe_soft(config.output.soft_encoding, facts),
        "splits": {
            part.split: {
                "samples": part.n_samples,
                "images": sum(prepared.records[row].split == part.split for row in used),
                "shards": part.n_shards,
                "samples_per_shard": [min(counts[part.split], default=0), max(counts[part.split], default=0)],
            }
            for part in plan.splits
        },
        "readers": _readers(config.output, counts["train"]),
        "fold": prepared.fold,
        "formats": {form: _files_of(form, shards) for form in config.output.formats},
        "config_digest": digest_of(config.of_bytes()),
    }


def describe_run(
    prepared: Prepared, output: Output, config: RunConfig, dataset: dict[str, Any], modes: Counter[str]
) -> dict[str, Any]:
    """Return ``run.json``: how the dataset was made."""
    layers = prepared.layers
    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config.to_dict(),
        "fold": prepared.fold,
        "seed": config.seed,
        "features_seed": prepared.seed,
        "config_digest": dataset["config_digest"],
        "generations": [
            {"copies": bound.copies, "sources": sum(record.refusal is None for record in bound.records)}
            for bound in output.bindings.read()
        ],
        "versions": versions.environment(),
        "cache": output.relative(layers.root),
        "layers": layers.names,
        "saliency": prepared.saliency,
        "samples": {name: split["samples"] for name, split in dataset["splits"].items()},
        "modes": dict(sorted(modes.items())),
        "sources": prepared.n_sources,
    }


def describe_refusals(refusals: list[Refusal], *, sources: int) -> dict[str, Any]:
    """Return how many sources (of all `refusals`), and how many planned samples, were left out, and why."""
    return {
        "total": sources,
        "samples": len(refusals) - sources,
        "by_stage": _counted(refusal.stage for refusal in refusals),
        "by_reason": _counted(kind_of_reason(refusal.reason) for refusal in refusals),
    }


def _readers(output: OutputConfig, counts: Sequence[int]) -> dict[str, int]:
    """Return who may read training shards of so many samples at once, and how many each of them gets at least."""
    shards_each = len(counts) // output.readers
    return {
        "ranks": output.ranks,
        "workers_per_rank": output.workers_per_rank,
        "shards_per_worker": shards_each,
        "least_samples_per_worker": shards_each * min(counts, default=0),
    }


def _files_of(form: str, shards: Sequence[Written]) -> list[dict[str, Any]]:
    has_count = format_of(form).holds_shards
    return [
        {**asdict_of(file), "split": shard.split, **({"samples": len(shard.keys)} if has_count else {})}
        for shard in shards
        for file in shard.files
        if file.path.startswith(f"{form}/")
    ]


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def kind_of_reason(reason: str) -> str:
    """Return a reason without its paths and numbers, so that equal problems of different files count together."""
    return re.sub(r"\d+", "N", re.sub(r"\S*/\S*", "FILE", reason))
