"""The output folder: its state, its identity and the records of finished shards."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any

from hsmix_gen.pipeline.dataset.run_history import Bindings
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.commit_records import CommitRecords
from hsmix_gen.pipeline.files.lease import LEASE_FILE
from hsmix_gen.pipeline.files.state_names import DESCRIBED, SHARD_RECORDS, STATE
from hsmix_gen.pipeline.files.store_paths import is_remote
from hsmix_gen.schemas.digests import sha256_of
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.families import FORMATS
from hsmix_gen.schemas.records import FileRecord, ShardRecord, record_of

MANIFEST = "manifest.parquet"
REPORT = ("report.html", "report.json")
"""What ``hsmix-gen report`` leaves; it goes when the dataset changes."""
CHOSEN_PREVIEW = "preview-chosen.png"
"""What ``hsmix-gen preview`` draws of samples that were named or chosen; it goes with the report."""
FOR_PEOPLE = ("README.md", "preview.png", "croissant.json")
"""Files that a user may edit or draw again; they have to be there, and that is all."""
OWN_NAMES = (
    *FORMATS.names, MANIFEST, "dataset.json", "run.json", "refused.csv", *FOR_PEOPLE, *REPORT, CHOSEN_PREVIEW, STATE,
)  # fmt: skip
"""Everything that a run may leave in its output."""
FOLD = re.compile(r"fold-\d+")
"""Name of the output of one fold inside of an output."""


class Output:
    """The folder of a dataset.

    Parameters
    ----------
    root : Path
        The folder; it need not exist.
    home : Path or None
        Of a fold, the folder that holds all folds.
    anew : bool
        Whether what runs left there counts as not there, until `clear` removes it.
    """

    def __init__(self, root: Path, *, home: Path | None = None, anew: bool = False) -> None:
        self.root = root
        self.state = root / STATE
        self._described = self.state / DESCRIBED
        self._home = home or root
        self._records = CommitRecords(self.state / SHARD_RECORDS, root, ShardRecord, OutputError)
        self.anew = anew
        """Whether it is going to be cleared, once what replaces it is known to be possible."""
        self.bindings = Bindings(root, anew=anew)
        """What its runs were made of."""
        self.guard: Callable[[], None] = lambda: None
        """Called before a record is written; it raises where another driver has taken over."""

    @property
    def default_cache(self) -> Path:
        """Where features are cached unless the user names a folder."""
        return self.state / "cache"

    @property
    def is_complete(self) -> bool:
        """Whether all that describes the dataset is there, and the manifest and its like are as they were written."""
        try:
            records = record_of(list[FileRecord], atomic_files.read_json(self._described))
        except (FileNotFoundError, ValueError):
            return False
        return all(atomic_files.matches(record, self.root) for record in records) and all(
            (self.root / name).is_file() for name in FOR_PEOPLE
        )

    def complete(self, files: Mapping[str, bytes], manifest: bytes) -> None:
        """Write the describing files, the record of their checksums and, last, the manifest."""
        for name in (*REPORT, CHOSEN_PREVIEW):
            (self.root / name).unlink(missing_ok=True)
        for name, data in files.items():
            atomic_files.write_whole(self.root / name, data)
        checked = {**{name: data for name, data in files.items() if name not in FOR_PEOPLE}, MANIFEST: manifest}
        records = [FileRecord(name, len(data), sha256_of(data)) for name, data in checked.items()]
        atomic_files.write_json(self._described, [asdict(record) for record in records])
        atomic_files.write_whole(self.root / MANIFEST, manifest)

    def fold(self, number: int) -> "Output":
        """Return the output of one fold."""
        part = Output(self.root / f"fold-{number}", home=self.root, anew=self.anew)
        part.guard = self.guard
        return part

    def renewed(self) -> "Output":
        """Return the same folder, of which all that runs left counts as not there."""
        return Output(self.root, home=self._home, anew=True)

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that it, or its first fold, was begun with, by ``section.key``; nothing of a new one."""
        return self.bindings.options or self.fold(0).bindings.options

    def relative(self, path: Path) -> str:
        """Return a path relative to the output if it lies inside, so that both can be moved together.

        The home of folds counts as inside, so that they find the cache that they share.
        """
        if is_remote(path) is not is_remote(self._home) or not path.is_relative_to(self._home):
            return str(path)
        start, end = (place.key if is_remote(place) else place for place in (self.root, path))
        return Path(os.path.relpath(end, start)).as_posix()

    def check_folds(self, folds: int | None) -> None:
        """Refuse to put folds beside a dataset without folds, a dataset beside folds, or another number of folds.

        Raises
        ------
        OutputError
            With the ways out.
        """
        found = [] if self.anew else fold_outputs(self.root)
        single = bool(self.bindings.read())
        others = {path.name for path in found} - {f"fold-{number}" for number in range(folds or 0)}
        if others or (single and folds is not None):
            held = "a dataset without folds" if single else f"{len(found)} folds"
            wanted = "one without folds" if folds is None else f"one of {folds} folds"
            raise OutputError(
                f"{self.root} holds {held}, got the order for {wanted}; "
                "choose another folder, or start anew with --fresh"
            )

    def check_own(self, *, of_datasets: bool = False) -> None:
        """Refuse a file, or a folder with other files, without writing anything.

        Parameters
        ----------
        of_datasets : bool
            Whether folders of datasets may lie in it, as in the home of a comparison.

        Raises
        ------
        OutputError
        """
        try:
            if self.root.exists() and not self.root.is_dir():
                raise OutputError(f"{self.root} is a file; choose a folder for the dataset")
            foreign = sorted(name for name in _names(self.root) if not _is_own(name))
        except OSError as error:
            raise OutputError(f"{self.root} cannot be written ({error.strerror}); choose another folder") from None
        if of_datasets:
            foreign = [name for name in foreign if not (self.root / name / STATE).is_dir()]
        if foreign and not self.state.is_dir():
            raise OutputError(
                f"{self.root} holds other files ({', '.join(foreign[:3])}); choose an empty or new folder"
            )

    def check_outside(self, path: Path) -> None:
        """Refuse to be emptied where that would remove what the next run reads.

        Raises
        ------
        OutputError
        """
        inner = str(path).removeprefix(f"{self.root}/")
        if path == self.root or (inner != str(path) and _is_own(inner.split("/")[0])):
            raise OutputError(f"{path} lies in {self.root}, which --fresh empties; choose another folder, or move it")

    def clear(self) -> None:
        """Remove everything that runs left here, and nothing else; leases of those who do so stay."""
        own = [self.root / name for name in _names(self.root) if _is_own(name) and name != STATE]
        inside = [folder / name for folder in (self.default_cache, self.state) for name in _names(folder)]
        for path in own + [path for path in inside if path != self.default_cache and path.name != LEASE_FILE]:
            atomic_files.remove_tree(path)
        self.anew, self.bindings = False, Bindings(self.root)

    def records(self) -> dict[str, ShardRecord]:
        """Return the finished shards whose files match their record, without rows; others are forgotten."""
        return {record.name: replace(record, rows=()) for record in self._records.sound()}

    def rows(self) -> Iterator[ShardRecord]:
        """Yield the records of finished shards with the rows of their samples, one at a time."""
        for path in self._records.paths():
            record = self._records.parsed(path.read_bytes())
            if record is None:
                raise OutputError(f"{path} is damaged; run the same command again")
            yield record

    def commit(self, record: ShardRecord) -> None:
        """Write the record that makes a shard count, after checking its files; the driver alone calls this."""
        self.guard()
        self._records.commit(record)

    def forget(self, is_wanted: Callable[[ShardRecord], bool]) -> None:
        """Withdraw shards, all but the wanted ones, with their files, which loaders would take for data."""
        for path in self._records.paths():
            record = self._records.parsed(path.read_bytes())
            if record is not None and is_wanted(record):
                continue
            self.uncomplete()
            path.unlink()
            for file in record.files if record else ():
                parts = PurePosixPath(file.path).parts
                if parts[0] in FORMATS.names and ".." not in parts:
                    (self.root / file.path).unlink(missing_ok=True)

    def uncomplete(self) -> None:
        """Withdraw the manifest before shards are written again."""
        (self.root / MANIFEST).unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    """Return what lies in a folder; nothing where it is not there, as a store has no empty folders."""
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []


def _is_own(name: str) -> bool:
    return name in OWN_NAMES or FOLD.fullmatch(name) is not None


def fold_outputs(root: Path) -> list[Path]:
    """Return the folders of the folds in an output, in order; none where it is a dataset itself."""
    found = [path for path in root.glob("fold-*") if FOLD.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("fold-")))


def read_run(root: Path) -> dict[str, Any]:
    """Return ``run.json`` of a finished dataset.

    Raises
    ------
    OutputError
        If the folder holds none.
    """
    return _read_described(root, "run.json")


def read_dataset(root: Path) -> dict[str, Any]:
    """Return ``dataset.json`` of a finished dataset.

    Raises
    ------
    OutputError
        If the folder holds none.
    """
    return _read_described(root, "dataset.json")


def _read_described(root: Path, name: str) -> dict[str, Any]:
    if not (root / MANIFEST).is_file():
        if fold_outputs(root):
            raise OutputError(f"{root} holds folds, each a dataset of its own; name one, for example {root / 'fold-0'}")
        within = [] if is_remote(root) else sorted(path.parent for path in root.glob(f"*/{MANIFEST}"))
        if within:
            listed = ", ".join(path.name for path in within)
            raise OutputError(f"{root} holds datasets of their own ({listed}); name one, for example {within[0]}")
        if not root.exists():
            raise OutputError(f"{root} does not exist; check its name, or make it with hsmix-gen run SOURCE {root}")
        raise OutputError(f"{root} holds no finished dataset ({MANIFEST} is missing); finish it with hsmix-gen run")
    try:
        value: dict[str, Any] = atomic_files.read_json(root / name)
    except FileNotFoundError:
        raise OutputError(f"{root / name} is missing; run the same command again") from None
    except ValueError as error:
        raise OutputError(f"{root / name} is damaged ({error}); run the same command again") from None
    return value
