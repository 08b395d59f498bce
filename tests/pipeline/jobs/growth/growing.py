"""A finished dataset that is run again with other options or sources, and what of it is compared."""

from pathlib import Path
from typing import Any

import click.testing
import pyarrow.parquet as pq

from tests.command_line import error_of, run_cli

Row = dict[str, Any]
OPTIONS = ("--format", "webdataset", "--format", "parquet", "--shards", 3)


def rows_of(output: Path) -> dict[str, Row]:
    """Return the manifest by key."""
    return {row["key"]: row for row in pq.read_table(output / "manifest.parquet").to_pylist()}


def shards_of(taken: dict[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
    """Return the part of a snapshot that is shards."""
    return {name: seen for name, seen in taken.items() if name.startswith(("webdataset/", "parquet/")) and "-0" in name}


class GrowingDataset:
    """A source, the dataset made of it, and the command with the options that made it."""

    def __init__(self, source: Path, output: Path, options: tuple[object, ...]) -> None:
        self.source, self.output, self._options = source, output, options

    def run(self, *options: object, status: int = 0) -> click.testing.Result:
        """Run with some options more."""
        return run_cli("run", self.source, self.output, *self._options, *options, status=status)

    def grown(self, *options: object) -> None:
        """Extend, which has to succeed."""
        self.run("--extend", *options)

    def refusal(self, *options: object) -> str:
        """Run, which has to be refused in one line."""
        return error_of(self.run(*options, status=1))

    def assert_sound(self) -> None:
        """Check everything, and make every sample again from its provenance."""
        run_cli("verify", self.output, "--replay", 1000)
