"""A finished dataset on which commands are tried."""

from dataclasses import dataclass
from pathlib import Path

Snapshot = dict[str, tuple[str, int]]
TRAIN, COPIES = 6, 2
SAMPLES = TRAIN * COPIES + 2


@dataclass(frozen=True)
class Made:
    """A source and a finished dataset in both formats."""

    source: Path
    output: Path
