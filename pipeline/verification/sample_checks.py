"""Checks of each sample of a dataset: against the manifest, its mask against its soft label, and made again."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hsmix_gen.pipeline.dataset.formats.base import Format, Stored, format_of, naming_sample
from hsmix_gen.pipeline.dataset.sample_members import PARTS, WORDS, decoded
from hsmix_gen.pipeline.mixing.make_shard import table_columns
from hsmix_gen.pipeline.verification.file_checks import ListedFiles
from hsmix_gen.pipeline.verification.reopened import Reopened
from hsmix_gen.pipeline.verification.report import Report
from hsmix_gen.pipeline.verification.table_checks import shard_of
from hsmix_gen.schemas.digests import canonical_json, sha256_of
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import IGNORE, ManifestRow
from hsmix_gen.stages.labels.labels import innermost

SUM_TOLERANCE = 2e-3
"""Channels are rounded to float16 one by one; up to that the sum of 1 holds."""


@dataclass
class SampleChecks:
    """Checks the samples of one format after the other."""

    root: Path
    dataset: dict[str, Any]
    """``dataset.json``."""
    rows: Mapping[str, ManifestRow]
    """The manifest by key."""
    report: Report
    again: Collection[str] = ()
    """Keys of the samples that are made again."""
    opened: Reopened | None = None
    """With what they are made."""
    _seen: set[str] = field(default_factory=set)

    def check(self, files: ListedFiles, sound: Collection[str]) -> None:
        """Check all samples in sound files, and that each format holds every sample once.

        Parameters
        ----------
        files : ListedFiles
        sound : collection of str
            Paths of the files that match their records; others are not opened.
        """
        for form, listed in files.shards.items():
            self._seen = set()
            for file in listed:
                read = format_of(form).files_beside(file.path, self.dataset["members"])
                if read and set(sound).issuperset(read):
                    self._file(form, file.path)
            missing = sorted(self.rows.keys() - self._seen)
            if missing:
                self.report.problems.append(f"{form} lacks {len(missing)} samples of the manifest, first {missing[0]}")

    def _file(self, form: str, file: str) -> None:
        for stored in self._stored(form, file):
            self.report.checked["samples"] += 1
            if stored.key in self._seen:
                self.report.problems.append(f"{file}: sample {stored.key} occurs twice in {form}")
            self._seen.add(stored.key)
            self._sample(stored, form)

    def _stored(self, form: str, file: str) -> Iterator[Stored]:
        try:
            yield from format_of(form).in_order(self.root, file, self.dataset)
        except OutputError as error:
            self.report.problems.append(str(error))
        except (OSError, ValueError, KeyError, TypeError) as error:
            # A file can match a forged checksum and be no archive or table; trouble of the disk has a number.
            if isinstance(error, OSError) and error.errno is not None:
                raise
            reason = " ".join(str(error).split())
            self.report.problems.append(f"{file} cannot be read ({type(error).__name__}: {reason})")

    def _sample(self, stored: Stored, form: str) -> None:
        where = f"{stored.file}: sample {stored.key}"
        row = self.rows.get(stored.key)
        if row is None:
            self.report.problems.append(f"{where} is not in the manifest")
            return
        if (len(stored.image), sha256_of(stored.image)) != (row.bytes, row.sha256):
            self.report.problems.append(f"{where}: image does not match size and checksum of the manifest")
        if format_of(form).holds_shards:
            _check_place(stored, row, where, self.report)
        try:
            problem = _label_problem(stored, row, self.dataset)
            if problem:
                self.report.problems.append(f"{where}: {problem}")
            if self.opened is not None and stored.key in self.again:
                self.report.checked["replays"] += 1
                if not is_given_by(stored, row, self.opened, format_of(form), self.dataset):
                    self.report.problems.append(f"{where} differs from what its provenance gives")
        except OutputError as unknown:
            self.report.problems.append(str(unknown))


def _check_place(stored: Stored, row: ManifestRow, where: str, report: Report) -> None:
    """Check what a shard says of its sample and the manifest too."""
    if stored.index != row.index or shard_of(stored.file) != shard_of(row.shard):
        report.problems.append(f"{where} is at {stored.index}, the manifest says {row.shard} {row.index}")
    if json.loads(stored.members["json"]) != json.loads(canonical_json(row.provenance())):
        report.problems.append(f"{where}: provenance differs from the manifest")


def _label_problem(stored: Stored, row: ManifestRow, dataset: dict[str, Any]) -> str:
    """Return what is wrong with mask and soft label, or nothing."""
    parts = []
    for part in ("mask", "soft"):
        with naming_sample(stored.file, stored.key, f"has a damaged {WORDS[part]}"):
            parts.append(decoded(part, stored.members, dataset))
    mask, soft = parts
    if mask.shape != soft.shape[1:] or (row.split == "train" and list(mask.shape) != dataset["size"]):
        return f"mask of {mask.shape} and soft label of {soft.shape[1:]} pixels do not go together"
    ignored = mask == IGNORE
    if soft[:, ignored].any():
        return "soft label is not 0 where the mask is ignored"
    if dataset["label_mode"] == "multilabel":
        expected = innermost(np.rint(soft.astype(np.float64) * 255).astype(np.uint8), ignored)
        return "" if (expected == mask).all() else "mask is not the last channel of at least one half"
    # Whatever is no number is no sum of 1 either.
    if not np.abs(soft.sum(axis=0, dtype=np.float32)[~ignored] - 1).max(initial=0) <= SUM_TOLERANCE:
        return "channels of the soft label do not sum to 1"
    return "" if (soft.argmax(axis=0) == mask)[~ignored].all() else "mask is not the argmax of the soft label"


def is_given_by(stored: Stored, row: ManifestRow, opened: Reopened, form: Format, dataset: Mapping[str, Any]) -> bool:
    """Return whether a sample is what its provenance gives: byte for byte, of the first contract by what it shows.

    That one compressed its images otherwise.
    """
    made = opened.make_again(row)
    columns = table_columns(made, opened.prepared.layers.facts, opened.config.output)
    given = form.stored(made.members, columns)
    if dataset.get("contract", 1) > 1:
        return stored.members == given
    return stored.members.get("json") == given.get("json") and all(
        np.array_equal(decoded(part, stored.members, dataset), decoded(part, given, dataset)) for part in PARTS
    )
