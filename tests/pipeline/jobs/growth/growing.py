"""A finished dataset that is run again with other options or sources, and what of it is compared."""

from pathlib import Path
from typing import Any

import click.testing
import pyarrow.parquet as pq

from tests.fixture_types import Cli

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

    def __init__(self, source: Path, output: Path, run_cli: Cli, options: tuple[object, ...]) -> None:
        self.source, self.output, self._cli, self._options = source, output, run_cli, options

    def run(self, *options: object) -> click.testing.Result:
        """Run with some options more."""
        return self._cli("run", self.source, self.output, *self._options, *options)

    def grown(self, *options: object) -> click.testing.Result:
        """Extend, which has to succeed."""
        result = self.run("--extend", *options)
        assert result.exit_code == 0, result.stderr
        return result

    def refusal(self, *options: object) -> str:
        """Run, which has to be refused in one line."""
        result = self.run(*options)
        assert result.exit_code == 1, (result.stdout, result.stderr)
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        return line

    def assert_sound(self) -> None:
        """Check everything, and make every sample again from its provenance."""
        result = self._cli("verify", self.output, "--replay", 1000)
        assert result.exit_code == 0, result.stdout + result.stderr
