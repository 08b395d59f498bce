"""A finished dataset on which commands are tried, and the line in which they state a problem."""

from dataclasses import dataclass
from pathlib import Path

import click.testing

Snapshot = dict[str, tuple[str, int]]
TRAIN, COPIES = 6, 2
SAMPLES = TRAIN * COPIES + 2


@dataclass(frozen=True)
class Made:
    """A source and a finished dataset in both formats."""

    source: Path
    output: Path


def error_of(result: click.testing.Result) -> str:
    """Return the one line in which a problem is reported."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.exit_code == 1, (result.stdout, result.stderr)
    assert len(lines) == 1, result.stderr
    return lines[0]
