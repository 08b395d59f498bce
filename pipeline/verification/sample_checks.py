"""Checks of each sample of a dataset: against the manifest, its mask against its soft label, and made again."""

import io
import json
import tarfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from hsmix_gen.pipeline.dataset.folder_format import FOLDER, folder_files
from hsmix_gen.pipeline.dataset.sample_members import decode_soft, encode_column, encode_soft
from hsmix_gen.pipeline.dataset.shard_readers import Stored, read_samples
from hsmix_gen.pipeline.dataset.soft_encoding import soft_encoding_of
from hsmix_gen.pipeline.verification.file_checks import ListedFiles
from hsmix_gen.pipeline.verification.reopened import Reopened
from hsmix_gen.pipeline.verification.report import Report
from hsmix_gen.pipeline.verification.table_checks import shard_of
from hsmix_gen.schemas.digests import sha256_of
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import IGNORE, ManifestRow
from hsmix_gen.stages.labels.labels import innermost

SUM_TOLERANCE = 2e-3
"""Channels are rounded to float16 one by one; up to that the sum of 1 holds."""


def spread_keys(rows: Mapping[str, ManifestRow], count: int) -> frozenset[str]:
    """Return so many keys, or all, evenly spread."""
    keys = sorted(rows)
    count = min(count, len(keys))
    return frozenset(keys[i * len(keys) // count] for i in range(count))


@dataclass
class SampleChecks:
    """Checks the samples of one format after the other.

    Attributes
    ----------
    root : Path
    dataset : dict
        ``dataset.json``.
    rows : mapping
        The manifest by key.
    report : Report
    again : collection of str
        Keys of the samples that are made again.
    opened : Reopened or None
        With what they are made.
    """

    root: Path
    dataset: dict[str, Any]
    rows: Mapping[str, ManifestRow]
    report: Report
    again: Collection[str] = ()
    opened: Reopened | None = None
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
            if form == FOLDER:
                self._loose_files(frozenset(sound))
            else:
                for file in listed:
                    if file.path in sound:
                        self._shard(form, file.path)
            missing = sorted(self.rows.keys() - self._seen)
            if missing:
                self.report.problems.append(f"{form} lacks {len(missing)} samples of the manifest, first {missing[0]}")

    def _loose_files(self, sound: frozenset[str]) -> None:
        """Check the samples of the folder format whose files are all sound."""
        for key in self.rows:
            paths = folder_files(key, self.dataset["members"])
            if sound.issuperset(paths.values()):
                self._shard(FOLDER, next(path for name, path in paths.items() if name.startswith("image.")))

    def _shard(self, form: str, file: str) -> None:
        for stored in self._stored(form, file):
            self.report.checked["samples"] += 1
            if stored.key in self._seen:
                self.report.problems.append(f"{file}: sample {stored.key} occurs twice in {form}")
            self._seen.add(stored.key)
            self._sample(stored, form)

    def _stored(self, form: str, file: str) -> Iterator[Stored]:
        try:
            yield from read_samples(self.root / file, form, self.dataset["members"])
        except OutputError as error:
            self.report.problems.append(str(error))
        except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
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
        if form != FOLDER:
            _check_place(stored, row, where, self.report)
        problem = _label_problem(stored, self.dataset)
        if problem:
            self.report.problems.append(f"{where}: {problem}")
        if self.opened is not None and stored.key in self.again:
            self.report.checked["replays"] += 1
            try:
                same = _is_given_by(stored, row, self.opened, form, self.dataset)
            except OutputError as unknown:
                self.report.problems.append(str(unknown))
                return
            if not same:
                self.report.problems.append(f"{where} differs from what its provenance gives")


def _check_place(stored: Stored, row: ManifestRow, where: str, report: Report) -> None:
    """Check what a shard tells of its sample and the manifest too; files of the folder format do not tell it."""
    if stored.index != row.index or shard_of(stored.file) != shard_of(row.shard):
        report.problems.append(f"{where} is at {stored.index}, the manifest says {row.shard} {row.index}")
    if stored.provenance != json.loads(json.dumps(row.provenance())):
        report.problems.append(f"{where}: provenance differs from the manifest")


def _label_problem(stored: Stored, dataset: dict[str, Any]) -> str:
    """Return what is wrong with mask and soft label, or nothing."""
    try:
        mask = _decoded(stored.mask)
        soft = decode_soft(stored.soft, soft_encoding_of(dataset), tuple(dataset["soft"]["shape"]))
    except (ValueError, zlib.error) as error:
        return str(error)
    if list(mask.shape) != dataset["size"]:
        return f"mask is {mask.shape}, expected {tuple(dataset['size'])}"
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


def _decoded(mask: bytes) -> npt.NDArray[Any]:
    """Return the pixels of a mask; what is no picture raises ``ValueError``."""
    try:
        with Pillow.open(io.BytesIO(mask)) as picture:
            return np.asarray(picture)
    except (OSError, SyntaxError, Pillow.DecompressionBombError) as error:
        raise ValueError(f"mask cannot be decoded ({type(error).__name__})") from None


def _is_given_by(stored: Stored, row: ManifestRow, opened: Reopened, form: str, dataset: dict[str, Any]) -> bool:
    """Return whether a sample is, byte for byte, what its provenance gives."""
    made = opened.make_again(row)
    image = next(data for name, data in made.members.items() if name.startswith("image."))
    encoding = soft_encoding_of(dataset)
    soft = encode_soft(made.sample.mixed.soft, encoding)
    if form == "parquet":
        soft = encode_column(made.sample.mixed.soft, encoding, soft)
    return (image, made.members["mask.png"], soft) == (stored.image, stored.mask, stored.soft)
