"""Checks of the files of a dataset from the outside: names, sizes, what records state about them, and checksums."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.dataset.output_folder import FOR_PEOPLE, MANIFEST
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.sealed_json import unsealed
from hsmix_gen.pipeline.files.state_names import DESCRIBED, SHARD_RECORDS, STATE
from hsmix_gen.pipeline.verification.report import Report
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.families import FORMATS
from hsmix_gen.schemas.records import FileRecord

DESCRIBING = (MANIFEST, "dataset.json", "run.json", "refused.csv", *FOR_PEOPLE)
"""Files that every finished dataset has, whatever its formats."""
_SINCE = {"croissant.json": 2}
"""The contract that brought a file; those that are not named were there from the first."""
_DATASET = "dataset.json"
_DESCRIBED = f"{STATE}/{DESCRIBED}"
_SHARDS = f"{STATE}/{SHARD_RECORDS}"
_AT_ONCE = 64
"""Records held in memory together; that of a shard holds the rows of its samples."""
_AGAIN = "run the same command again"


@dataclass(frozen=True)
class ListedFiles:
    """The files of a dataset as ``dataset.json`` lists them."""

    shards: dict[str, tuple[FileRecord, ...]]
    """Records of the files of each format, in order."""
    samples: dict[str, int]
    """How many samples a file holds, by path; files of the folder format, parts of one sample, are not in it."""
    indexes: tuple[FileRecord, ...]
    split_samples: dict[str, int]
    """How many samples each split has."""
    contract: int
    """Version of the contract that it was made by."""

    @classmethod
    def of(cls, root: Path, dataset: dict[str, Any]) -> "ListedFiles":
        """Return what ``dataset.json`` lists.

        Raises
        ------
        OutputError
            If a field that checks read is missing or of another kind.
        """
        try:
            for name in ("members", "size", "soft", "label_mode"):
                dataset[name]
            return cls(
                {form: tuple(map(_record, files)) for form, files in dataset["formats"].items()},
                {
                    file["path"]: int(file["samples"])
                    for files in dataset["formats"].values()
                    for file in files
                    if "samples" in file
                },
                tuple(map(_record, dataset.get("indexes", ()))),
                {name: int(split["samples"]) for name, split in dataset["splits"].items()},
                int(dataset.get("contract", 1)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise OutputError(f"{root / _DATASET} is damaged ({type(error).__name__}: {error}); {_AGAIN}") from None

    @property
    def n_samples(self) -> int:
        """Samples of all splits."""
        return sum(self.split_samples.values())

    @property
    def describing(self) -> tuple[str, ...]:
        """Files that every dataset of its contract has."""
        return tuple(name for name in DESCRIBING if _SINCE.get(name, 1) <= self.contract)

    def of_form(self, form: str) -> list[FileRecord]:
        """Return the records of all files in the folder of a format, its indexes too."""
        return [*self.shards.get(form, ()), *(file for file in self.indexes if file.path.startswith(f"{form}/"))]


def check_names(root: Path, files: ListedFiles, n_rows: int, report: Report) -> frozenset[str]:
    """Check that all files are there with their sizes and no others beside them; none is opened.

    Parameters
    ----------
    root : Path
    files : ListedFiles
    n_rows : int
        Rows of the manifest.
    report : Report

    Returns
    -------
    frozenset of str
        Paths of the files that are.
    """
    present: set[str] = set()
    report.checked["manifest rows"] = n_rows
    for form in dict.fromkeys((*files.shards, *FORMATS.names)):
        sizes = {f"{form}/{name}": size for name, size in atomic_files.sizes_below(root / form).items()}
        listed = files.of_form(form)
        known = {file.path for file in listed}
        for name in sorted(sizes.keys() - known):
            report.problems.append(f"{name} is not of this dataset, but loaders read it; remove it")
        for file in listed:
            _check_size(file, sizes.get(file.path), _DATASET, present, report)
    report.checked["files"] = sum(map(len, files.shards.values()))
    report.checked["indexes"] = len(files.indexes)
    _check_describing(root, files, present, report)
    if n_rows != files.n_samples:
        report.problems.append(
            f"{MANIFEST} has {n_rows} rows, the splits of {_DATASET} have {files.n_samples} samples; {_AGAIN}"
        )
    return frozenset(present)


def check_shard_records(root: Path, files: ListedFiles, report: Report) -> None:
    """Check that what was recorded of each shard when it was finished is what ``dataset.json`` lists.

    A dataset that was copied without its state has no records, and nothing to check here.
    """
    if not (root / _SHARDS).is_dir():
        return
    listed = {file.path: file for records in files.shards.values() for file in records}
    recorded: set[str] = set()
    n_samples = 0
    for name, record in _shard_records(root):
        report.checked["records"] += 1
        place = f"{_SHARDS}/{name}"
        try:
            parts = [_record(file) for file in record["files"]]
            rows, shard = len(record["rows"]), record["name"]
        except (KeyError, TypeError, ValueError):
            report.problems.append(f"{place} is damaged; {_AGAIN}")
            continue
        if f"{shard}.json" != name:
            report.problems.append(f"{place} describes shard {shard}, but its name is of another; remove it")
            continue
        n_samples += rows
        for file in parts:
            recorded.add(file.path)
            _check_agreement(place, file, rows, files, listed, report)
    lost = sorted(listed.keys() - recorded)
    if lost:
        report.problems.append(
            f"{len(lost)} files of {_DATASET} are in no record of {_SHARDS}, first {lost[0]}; {_AGAIN}"
        )
    if n_samples != files.n_samples:
        report.problems.append(
            f"the records in {_SHARDS} count {n_samples} samples, {_DATASET} of {files.n_samples}; {_AGAIN}"
        )


def check_checksums(root: Path, files: ListedFiles, present: frozenset[str], report: Report) -> frozenset[str]:
    """Check the sha256 of all files that are there with their sizes.

    Returns
    -------
    frozenset of str
        Paths of the files that match.
    """
    listed = [file for records in files.shards.values() for file in records]
    # An index is listed and described; one reading covers both, unless they differ.
    known = dict.fromkeys((*listed, *files.indexes, *(_described(root) or ())))
    checked = [file for file in known if file.path in present]
    report.checked["checksums"] = len(checked)
    right = atomic_files.all_match(checked, root)
    wrong = [file.path for file, matched in zip(checked, right, strict=True) if not matched]
    report.problems += [f"{path} does not match its checksum; {_AGAIN}" for path in dict.fromkeys(wrong)]
    return frozenset(file.path for file in checked).difference(wrong)


def _check_describing(root: Path, files: ListedFiles, present: set[str], report: Report) -> None:
    described = _described(root)
    sizes = atomic_files.sizes_below(root, deep=False)
    report.checked["describing files"] = len(files.describing)
    sealed = {file.path: file for file in described or ()}
    for name in files.describing:
        if name in sealed:
            _check_size(sealed[name], sizes.get(name), _DESCRIBED, present, report)
        elif name not in sizes:
            report.problems.append(f"{name} is missing; {_AGAIN}")
    if described is None:
        if (root / _SHARDS).is_dir():
            report.problems.append(f"{_DESCRIBED} is missing or damaged; {_AGAIN}")
        return
    listed = {file.path: file for file in files.indexes}
    for name in sorted(sealed.keys() | listed.keys()):
        if name not in DESCRIBING and sealed.get(name) != listed.get(name):
            report.problems.append(f"{name} is described differently by {_DESCRIBED} and {_DATASET}; {_AGAIN}")
    unsealed = sorted(set(DESCRIBING) - set(FOR_PEOPLE) - sealed.keys())
    if unsealed:
        report.problems.append(f"{_DESCRIBED} lacks {unsealed[0]}; {_AGAIN}")


def _check_size(file: FileRecord, size: int | None, said_by: str, present: set[str], report: Report) -> None:
    if size is None:
        report.problems.append(f"{file.path} is missing; {_AGAIN}")
    elif size != file.bytes:
        report.problems.append(f"{file.path} has a size of {size} bytes, {said_by} says {file.bytes}; {_AGAIN}")
    else:
        present.add(file.path)


def _check_agreement(
    place: str, file: FileRecord, n_rows: int, files: ListedFiles, listed: dict[str, FileRecord], report: Report
) -> None:
    """Check what the record of a shard states about a file against ``dataset.json``."""
    # The way out is to forget the record: a run makes its shard again, and writes what describes the dataset anew.
    way_out = f"remove the record and {_AGAIN}"
    other = listed.get(file.path)
    if other is None:
        report.problems.append(f"{place} lists {file.path}, which {_DATASET} does not list; {way_out}")
        return
    for field, value, expected in (("bytes", file.bytes, other.bytes), ("sha256", file.sha256, other.sha256)):
        if value != expected:
            report.problems.append(f"{place} gives {file.path} the {field} {value}, {_DATASET} {expected}; {way_out}")
    if n_rows != files.samples.get(file.path, n_rows):
        report.problems.append(
            f"{place} has {n_rows} samples, {_DATASET} gives {file.path} {files.samples[file.path]}; {way_out}"
        )


def _shard_records(root: Path) -> Iterator[tuple[str, Any]]:
    """Yield the name of each record's file and its plain value; None of one that is damaged."""
    paths = iter(atomic_files.finished_files(root / _SHARDS, ".json"))
    while some := list(islice(paths, _AT_ONCE)):
        for path, data in zip(some, atomic_files.read_all(some), strict=True):
            try:
                yield path.name, unsealed(data)
            except ValueError:
                yield path.name, None


def _described(root: Path) -> list[FileRecord] | None:
    """Return sizes and checksums of the describing files; None where the state lacks them."""
    try:
        return [_record(file) for file in atomic_files.read_json(root / _DESCRIBED)]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _record(file: Any) -> FileRecord:
    """Return path, size and checksum of plain values; the md5 that only some of them hold is left out."""
    return FileRecord(str(file["path"]), int(file["bytes"]), str(file["sha256"]))
