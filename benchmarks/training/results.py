"""The table of results: a Parquet file a run, whole or absent, gathered into one; runs are claimed by processes."""

import contextlib
import fcntl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SCORES = ("dice", "boundary_f", "hd95")
GATHERED = "results.parquet"
KEY = ("dataset", "n", "network", "arm", "steps", "size", "on", "seed")

SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("n", pa.int32()),
        ("network", pa.string()),
        ("arm", pa.string()),
        ("steps", pa.int32()),
        ("size", pa.int32()),
        ("on", pa.string()),
        ("seed", pa.int32()),
        ("image", pa.string()),
        ("corruption", pa.string()),
        *((score, pa.float32()) for score in SCORES),
        ("loss", pa.float32()),
        ("seconds", pa.float32()),
        ("device", pa.string()),
        ("version", pa.string()),
    ]
)


@dataclass(frozen=True, order=True)
class Run:
    """One training; equal runs give equal scores on one kind of machine.

    Attributes
    ----------
    n : int
        Training images.
    steps : int
        Optimiser steps.
    size : int
        Sides of the images in pixels.
    on : str
        What it is measured on: ``test``, or ``held-out`` training images, on which settings are searched.
    """

    dataset: str
    n: int
    network: str
    arm: str
    steps: int
    size: int
    on: str
    seed: int

    @property
    def name(self) -> str:
        """Name of its file."""
        return "-".join(str(getattr(self, key)) for key in KEY).replace("/", "_")


class Results:
    """What is known of runs: the gathered table, and files of runs that are newer.

    Parameters
    ----------
    folder : Path
        Holds ``results.parquet`` and ``runs/``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs = folder / "runs"
        self._gathered = _keys_in(folder / GATHERED)

    def has(self, run: Run) -> bool:
        """Return whether a run is finished."""
        return run in self._gathered or self._path(run).is_file()

    @contextlib.contextmanager
    def claimed(self, run: Run) -> Iterator[bool]:
        """Give whether this process is to do a run: nobody else does, and nobody has; the claim ends with it."""
        claims = self.folder / "claims"
        claims.mkdir(parents=True, exist_ok=True)
        path = claims / run.name
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield not self.has(run)

    def write(self, run: Run, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep the rows of a finished run, all or none."""
        self._runs.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist([{**asdict(run), **row} for row in rows], SCHEMA)
        part = self._path(run).with_suffix(".part")
        pq.write_table(table, part, compression="zstd")
        part.rename(self._path(run))

    def table(self) -> pa.Table:
        """Return the rows of all runs, in the order of the runs."""
        paths = sorted(self._runs.glob("*.parquet"))
        gathered = self.folder / GATHERED
        tables = [pq.read_table(path, schema=SCHEMA) for path in paths if _run_of(path) not in self._gathered]
        if gathered.is_file():
            tables.insert(0, pq.read_table(gathered, schema=SCHEMA))
        return pa.concat_tables(tables).sort_by([(key, "ascending") for key in KEY]) if tables else SCHEMA.empty_table()

    def gather(self) -> pa.Table:
        """Write all rows into one file, from which runs resume on other machines, and return them."""
        table = self.table()
        part = self.folder / f"{GATHERED}.part"
        self.folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, part, compression="zstd", compression_level=15)
        part.rename(self.folder / GATHERED)
        self._gathered = _keys_in(self.folder / GATHERED)
        return table

    def _path(self, run: Run) -> Path:
        return self._runs / f"{run.name}.parquet"


def _keys_in(path: Path) -> set[Run]:
    """Return the runs in a file."""
    if not path.is_file():
        return set()
    keys = pq.read_table(path, columns=list(KEY)).group_by(list(KEY)).aggregate([])
    return {Run(**row) for row in keys.to_pylist()}


def _run_of(path: Path) -> Run:
    """Return the run of a file."""
    (run,) = _keys_in(path)
    return run


def scores_by_run(table: pa.Table, score: str, corruption: str = "clean") -> dict[Run, dict[str, float]]:
    """Return one score of every image, by run."""
    rows = table.filter(pc.equal(table["corruption"], corruption)).select([*KEY, "image", score]).to_pylist()
    found: dict[Run, dict[str, float]] = {}
    for row in rows:
        found.setdefault(Run(**{key: row[key] for key in KEY}), {})[row["image"]] = row[score]
    return found
