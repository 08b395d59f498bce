"""Checks of a dataset's tables, without a sample: counts, keys, and that no split knows of another."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from hsmix_gen.pipeline.dataset.formats.base import format_of
from hsmix_gen.pipeline.dataset.output_folder import MANIFEST
from hsmix_gen.pipeline.dataset.run_history import kept_sources
from hsmix_gen.pipeline.verification.file_checks import ListedFiles
from hsmix_gen.pipeline.verification.report import Report
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.families import METHODS
from hsmix_gen.schemas.records import ManifestRow


def check_tables(root: Path, files: ListedFiles, rows: Sequence[ManifestRow], report: Report) -> None:
    """Check the manifest against ``dataset.json``, itself and the sources."""
    for key, count in Counter(row.key for row in rows).items():
        if count > 1:
            report.problems.append(f"{MANIFEST} has {count} rows of sample {key}")
    _check_counts(files, rows, report)
    _check_modes(rows, report)
    _check_leakage(root, rows, report)


def shard_of(name: str) -> tuple[str, str]:
    """Return split and number of a shard: tar files and the manifest write six digits, Parquet files five."""
    split, _, number = PurePosixPath(name).name.partition(".")[0].partition("-of-")[0].rpartition("-")
    return split, number.lstrip("0") or "0"


def _check_counts(files: ListedFiles, rows: Sequence[ManifestRow], report: Report) -> None:
    splits = Counter(row.split for row in rows)
    for split in sorted(files.split_samples.keys() | splits.keys()):
        expected = files.split_samples.get(split, 0)
        if splits[split] != expected:
            report.problems.append(f"{MANIFEST} has {splits[split]} {split} samples, dataset.json says {expected}")
    shards = Counter(shard_of(row.shard) for row in rows)
    for form in filter(lambda form: format_of(form).holds_shards, files.shards):
        listed = {shard_of(file.path): (file.path, files.samples[file.path]) for file in files.shards[form]}
        for shard, (path, samples) in listed.items():
            if shards[shard] != samples:
                report.problems.append(f"{path} has {samples} samples, {MANIFEST} has {shards[shard]} rows of it")
        report.problems += [
            f"{form} has no shard {split} {number}, of which {MANIFEST} has {shards[split, number]} rows"
            for split, number in sorted(shards.keys() - listed.keys())
        ]


def _check_modes(rows: Sequence[ManifestRow], report: Report) -> None:
    """Check that samples are unmixed, or of a recorded method and a mode that it has."""
    if not report.method:
        return
    names = report.method.split(",")
    unknown = [name for name in names if name not in METHODS.names]
    if unknown:
        known = ", ".join(METHODS.names)
        report.problems.append(f"dataset.json names the mixing method {unknown[0]}, known are {known}")
        return
    modes = {name: METHODS.module(name).METHOD.modes for name in names}
    for row in rows:
        if row.method is not None and row.method not in modes:
            made = f"is mixed by {row.method}, dataset.json names {report.method}"
            report.problems.append(f"{MANIFEST}: {row.key} {made}")
        name = row.method if row.method in modes else names[0]
        if row.mode not in ("none", *modes[name]):
            report.problems.append(f"{MANIFEST}: {row.key} is {row.mode}, {name} has no such samples")


def _check_leakage(root: Path, rows: Sequence[ManifestRow], report: Report) -> None:
    """Check that parents are of the sample's split, never one image twice, and groups and contents in one split."""
    homes: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        parents = {"source": (row.source_a, row.source_b), "group": (row.group_a, row.group_b)}
        for kind, names in parents.items():
            for name in names:
                if name is not None:
                    homes[kind, name].add(row.split)
        if row.source_a == row.source_b:
            report.problems.append(f"{row.key}: both parents are {row.source_a}")
    used = {name for kind, name in homes if kind == "source"}
    try:
        sources = kept_sources(root)
    except OutputError as error:
        sources = []
        report.problems.append(str(error))
    for record in sources:
        if record.id in used:
            homes["source", record.id].add(record.split)
            homes["image content", record.content].add(record.split)
    report.checked["parents for leakage"] = len(used)
    for (kind, name), splits in sorted(homes.items()):
        if len(splits) > 1:
            report.problems.append(f"leakage: {kind} {name} is used in {' and '.join(sorted(splits))}")
