"""The check of a finished dataset: files against records, samples against the manifest, splits against leakage."""

import io
import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from hsmix_gen.pipeline.encoding import decode_soft, encode_column, encode_soft
from hsmix_gen.pipeline.finished import Reopened, reopen
from hsmix_gen.pipeline.folder_shards import FOLDER, folder_files
from hsmix_gen.pipeline.output import MANIFEST, fold_outputs, read_dataset
from hsmix_gen.pipeline.shard_reading import Stored, read_samples
from hsmix_gen.pipeline.soft_encoding import soft_encoding_of
from hsmix_gen.pipeline.sources import SOURCES_FILE, STATE
from hsmix_gen.pipeline.storage import matches
from hsmix_gen.pipeline.tables import read_manifest, read_sources
from hsmix_gen.schemas.digests import sha256_of
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import IGNORE, FileRecord, ManifestRow
from hsmix_gen.stages.labels import innermost

SUM_TOLERANCE = 2e-3
"""Channels are rounded to float16 one by one; up to that the sum of 1 holds."""
_SHOWN = 20


@dataclass
class Report:
    """What was checked and what is wrong.

    Attributes
    ----------
    checked : dict
        How many things of each kind were looked at.
    problems : list of str
        Each names the file or sample, the rule and what was seen.
    """

    root: str
    checked: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {**asdict(self), "checked": dict(self.checked), "sound": not self.problems}

    def text(self) -> str:
        """Return the report for people."""
        checked = ", ".join(f"{count} {kind}" for kind, count in self.checked.items())
        if not self.problems:
            return f"{self.root} is sound: {checked} checked"
        shown = [f"problem: {problem}" for problem in self.problems[:_SHOWN]]
        more = len(self.problems) - _SHOWN
        tail = [f"and {more} more problems; --json lists all"] if more > 0 else []
        return "\n".join([*shown, *tail, f"{self.root} has {len(self.problems)} problems; {checked} checked"])


def verify_output(root: Path, *, replays: int = 0, cache: Path | None = None) -> Report:
    """Check a finished dataset, or each fold of one.

    Parameters
    ----------
    root : Path
        Folder of the dataset.
    replays : int
        So many samples, evenly spread, are made again from the cache and compared byte for byte.
    cache : Path or None
        Folder of the cache, if it was moved.

    Raises
    ------
    OutputError
        If there is no finished dataset.
    """
    report = Report(str(root))
    folds = [] if (root / MANIFEST).is_file() else fold_outputs(root)
    for fold in folds:
        found = verify_output(fold, replays=replays, cache=cache)
        report.checked.update(found.checked)
        report.problems += [f"{fold.name}: {problem}" for problem in found.problems]
    if not folds:
        _check_dataset(root, report, replays, cache)
    return report


def _check_dataset(root: Path, report: Report, replays: int, cache: Path | None) -> None:
    dataset = read_dataset(root)
    rows = {row.key: row for row in read_manifest(root / MANIFEST)}
    report.checked["manifest rows"] = len(rows)
    _check_counts(dataset, rows, report)
    _check_leakage(root, rows, report)
    check = _Checker(root, dataset, rows, _replayed_keys(rows, replays), report)
    if check.again:
        check.opened = reopen(root, cache)
    for form, files in dataset["formats"].items():
        check.form(form, files)


@dataclass
class _Checker:
    """Checks the files of one format after the other against the manifest."""

    root: Path
    dataset: dict[str, Any]
    rows: dict[str, ManifestRow]
    again: set[str]
    report: Report
    opened: Reopened | None = None

    def form(self, form: str, files: list[dict[str, Any]]) -> None:
        """Check all shards of a format, and that together they hold every sample once."""
        indexes = [file for file in self.dataset.get("indexes", []) if file["path"].startswith(f"{form}/")]
        self._strangers(form, {file["path"] for file in (*files, *indexes)})
        seen: set[str] = set()
        sound = {file["path"] for file in indexes if self._is_sound(file, "indexes")}
        for file in files:
            if self._is_sound(file, "files"):
                sound.add(file["path"])
                if form != "folder":
                    self._shard(form, file["path"], seen)
        if form == "folder":
            self._loose_files(sound, seen)
        missing = sorted(self.rows.keys() - seen)
        if missing:
            self.report.problems.append(f"{form} lacks {len(missing)} samples of the manifest, first {missing[0]}")

    def _strangers(self, form: str, known: set[str]) -> None:
        folder = self.root / form
        found = [path for path in folder.rglob("*") if path.is_file()] if form == "folder" else folder.glob("*")
        for path in sorted(found):
            name = path.relative_to(self.root).as_posix()
            if name not in known:
                self.report.problems.append(f"{name} is not of this dataset, but loaders read it; remove it")

    def _is_sound(self, file: dict[str, Any], kind: str) -> bool:
        self.report.checked[kind] += 1
        if matches(FileRecord(file["path"], file["bytes"], file["sha256"]), self.root):
            return True
        self.report.problems.append(
            f"{file['path']} is missing or does not match its size and checksum; run the same command again"
        )
        return False

    def _loose_files(self, sound: set[str], seen: set[str]) -> None:
        """Check the samples of the folder format whose files are all sound."""
        for key in self.rows:
            paths = folder_files(key, self.dataset["members"])
            if sound.issuperset(paths.values()):
                self._shard(FOLDER, next(path for name, path in paths.items() if name.startswith("image.")), seen)

    def _shard(self, form: str, file: str, seen: set[str]) -> None:
        try:
            for stored in read_samples(self.root / file, form, self.dataset["members"]):
                self.report.checked["samples"] += 1
                if stored.key in seen:
                    self.report.problems.append(f"{file}: sample {stored.key} occurs twice in {form}")
                seen.add(stored.key)
                _check_sample(stored, self.rows, self.dataset, self.report)
                if self.opened is not None and stored.key in self.again:
                    _check_replay(stored, self.rows[stored.key], self.opened, form, self.dataset, self.report)
        except OutputError as error:
            self.report.problems.append(str(error))


def _check_counts(dataset: dict[str, Any], rows: dict[str, ManifestRow], report: Report) -> None:
    counts = Counter(row.split for row in rows.values())
    for split, described in dataset["splits"].items():
        if counts[split] != described["samples"]:
            report.problems.append(
                f"{MANIFEST} has {counts[split]} {split} samples, dataset.json says {described['samples']}"
            )


def _check_leakage(root: Path, rows: dict[str, ManifestRow], report: Report) -> None:
    """Check that parents are of the sample's split, never one image twice, and groups and contents in one split."""
    homes: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows.values():
        for kind, name in (
            ("source", row.source_a),
            ("source", row.source_b),
            ("group", row.group_a),
            ("group", row.group_b),
        ):
            if name is not None:
                homes[kind, name].add(row.split)
        if row.source_a == row.source_b:
            report.problems.append(f"{row.key}: both parents are {row.source_a}")
    stored = root / STATE / SOURCES_FILE
    if stored.is_file():
        used = {name for kind, name in homes if kind == "source"}
        for record in read_sources(stored):
            if record.id in used:
                homes["source", record.id].add(record.split)
                homes["image content", record.image_sha256].add(record.split)
    report.checked["parents for leakage"] = sum(kind == "source" for kind, _ in homes)
    for (kind, name), splits in sorted(homes.items()):
        if len(splits) > 1:
            report.problems.append(f"leakage: {kind} {name} is used in {' and '.join(sorted(splits))}")


def _check_sample(stored: Stored, rows: dict[str, ManifestRow], dataset: dict[str, Any], report: Report) -> None:
    where = f"{stored.file}: sample {stored.key}"
    row = rows.get(stored.key)
    if row is None:
        report.problems.append(f"{where} is not in the manifest")
        return
    if (len(stored.image), sha256_of(stored.image)) != (row.bytes, row.sha256):
        report.problems.append(f"{where}: image does not match size and checksum of the manifest")
    if not stored.file.startswith(f"{FOLDER}/"):
        _check_place(stored, row, where, report)
    problem = _label_problem(stored, dataset)
    if problem:
        report.problems.append(f"{where}: {problem}")


def _check_place(stored: Stored, row: ManifestRow, where: str, report: Report) -> None:
    """Check what a shard tells of its sample and the manifest too; files of the folder format do not tell it."""
    if stored.index != row.index or not Path(stored.file).name.startswith(_name_in_files(row, stored.file)):
        report.problems.append(f"{where} is at {stored.index}, the manifest says {row.shard} {row.index}")
    if stored.provenance != json.loads(json.dumps(row.provenance())):
        report.problems.append(f"{where}: provenance differs from the manifest")


def _name_in_files(row: ManifestRow, file: str) -> str:
    """Return how the file of a shard begins: tar files have six digits, Parquet files five."""
    split, _, number = row.shard.rpartition("-")
    return row.shard if file.endswith(".tar") else f"{split}-{int(number):05d}"


def _label_problem(stored: Stored, dataset: dict[str, Any]) -> str:
    with Pillow.open(io.BytesIO(stored.mask)) as picture:
        mask = np.asarray(picture)
    try:
        soft = decode_soft(stored.soft, soft_encoding_of(dataset), tuple(dataset["soft"]["shape"]))
    except ValueError as error:
        return str(error)
    if list(mask.shape) != dataset["size"]:
        return f"mask is {mask.shape}, expected {tuple(dataset['size'])}"
    ignored = mask == IGNORE
    if soft[:, ignored].any():
        return "soft label is not 0 where the mask is ignored"
    if dataset["label_mode"] == "multilabel":
        expected = innermost(np.rint(soft.astype(np.float64) * 255).astype(np.uint8), ignored)
        return "" if (expected == mask).all() else "mask is not the last channel of at least one half"
    if np.abs(soft.sum(axis=0, dtype=np.float32)[~ignored] - 1).max(initial=0) > SUM_TOLERANCE:
        return "channels of the soft label do not sum to 1"
    return "" if (soft.argmax(axis=0) == mask)[~ignored].all() else "mask is not the argmax of the soft label"


def _replayed_keys(rows: dict[str, ManifestRow], count: int) -> set[str]:
    keys = sorted(rows)
    count = min(count, len(keys))
    return {keys[i * len(keys) // count] for i in range(count)}


def _check_replay(
    stored: Stored, row: ManifestRow, opened: Reopened, form: str, dataset: dict[str, Any], report: Report
) -> None:
    report.checked["replays"] += 1
    made = opened.make_again(row)
    image = next(data for name, data in made.members.items() if name.startswith("image."))
    encoding = soft_encoding_of(dataset)
    soft = encode_soft(made.sample.mixed.soft, encoding)
    if form == "parquet":
        soft = encode_column(made.sample.mixed.soft, encoding, soft)
    if (image, made.members["mask.png"], soft) != (stored.image, stored.mask, stored.soft):
        report.problems.append(f"{stored.file}: sample {stored.key} differs from what its provenance gives")
