"""What describes a dataset, written when all shards are there; the manifest is the last file."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from hsmix_gen.pipeline import storage, versions
from hsmix_gen.pipeline.card import card_text
from hsmix_gen.pipeline.encoding import image_member
from hsmix_gen.pipeline.output import Output
from hsmix_gen.pipeline.prepared import Prepared
from hsmix_gen.pipeline.preview import draw_preview
from hsmix_gen.pipeline.progress import Reporter
from hsmix_gen.pipeline.tables import manifest_batch, manifest_bytes
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.digests import digest_of
from hsmix_gen.schemas.records import IGNORE, Refusal, ShardRecord
from hsmix_gen.stages.pairing import Plan

CONTRACT_VERSION = 1


def finish(
    prepared: Prepared, output: Output, config: RunConfig, plan: Plan, n_workers: int, reporter: Reporter
) -> None:
    """Write the description, the card, the preview and last the manifest."""
    batches, shards, modes = [], [], Counter[str]()
    for record in output.rows():
        batches.append(manifest_batch(record.rows))
        shards.append(ShardRecord(record.name, record.split, record.files, ()))
        modes.update(row.mode for row in record.rows if row.split == "train")
    dataset = describe_dataset(prepared, config, plan, shards)
    run = describe_run(prepared, output, config, dataset, modes)
    seconds = {name: round(value, 2) for name, value in reporter.seconds.items()}
    files = {
        "refused.csv": refusals_csv(prepared.refusals),
        "dataset.json": storage.json_bytes(dataset),
        "run.json": storage.json_bytes({**run, "workers": n_workers, "seconds": seconds}),
        "README.md": card_text(dataset, run).encode(),
        "preview.png": draw_preview(prepared, config, plan),
    }
    output.complete(files, manifest_bytes(batches))


def refusals_csv(refusals: list[Refusal]) -> bytes:
    """Return ``refused.csv``: a header, and a line for each refusal."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "path", "stage", "reason"])
    writer.writerows([r.id, r.path, r.stage, r.reason] for r in sorted(refusals, key=lambda r: (r.id, r.path)))
    return text.getvalue().encode()


def describe_dataset(prepared: Prepared, config: RunConfig, plan: Plan, shards: list[ShardRecord]) -> dict[str, Any]:
    """Return ``dataset.json``: what a trainer has to know, and each file with its checksum."""
    facts = prepared.layers.facts
    used = {row for part in plan.splits for row in part.row_a.tolist()}
    return {
        "name": config.output.name,
        "contract": CONTRACT_VERSION,
        "classes": list(facts.classes),
        "label_mode": "multilabel" if facts.multilabel else "exclusive",
        "ignore": IGNORE,
        "size": list(facts.size),
        "channels": facts.channels,
        "dtype": facts.dtype,
        "intensity": asdict(facts.intensity),
        "members": [image_member(facts.channels, facts.dtype), "json", "mask.png", "soft.npz"],
        "soft": {"array": "soft", "shape": [facts.n_classes, *facts.size], "dtype": "float16"},
        "splits": {
            part.split: {
                "samples": part.n_samples,
                "images": sum(prepared.records[row].split == part.split for row in used),
                "shards": part.n_shards,
            }
            for part in plan.splits
        },
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
        "versions": versions.environment(),
        "cache": output.relative(layers.root),
        "layers": layers.names,
        "saliency": prepared.saliency,
        "samples": {name: split["samples"] for name, split in dataset["splits"].items()},
        "modes": dict(sorted(modes.items())),
        "sources": len(prepared.records) + len(prepared.unpaired),
        "refused": {
            "total": len(prepared.refusals),
            "by_stage": _counted(refusal.stage for refusal in prepared.refusals),
            "by_reason": _counted(_kind_of(refusal.reason) for refusal in prepared.refusals),
        },
    }


def _files_of(form: str, shards: list[ShardRecord]) -> list[dict[str, Any]]:
    return [
        {**asdict(file), "split": shard.split}
        for shard in shards
        for file in shard.files
        if file.path.startswith(f"{form}/")
    ]


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _kind_of(reason: str) -> str:
    """Return a reason without its paths and numbers, so that equal problems of different files count together."""
    return re.sub(r"\d+", "N", re.sub(r"\S*/\S*", "FILE", reason))
