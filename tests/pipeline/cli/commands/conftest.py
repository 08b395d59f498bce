"""One finished dataset for all tests of commands."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import TINY
from tests.pipeline.cli.commands.finished import COPIES, Made


@pytest.fixture(scope="session")
def job() -> tuple[str, ...]:
    """Options of the finished dataset."""
    return (*TINY, "--copies", str(COPIES), "--shards", "3", "--format", "webdataset", "--format", "parquet")


@pytest.fixture(scope="session")
def made(finished: Callable[..., Any]) -> Made:
    """The finished dataset, of which tests that change something take a copy."""
    made = finished("--format", "webdataset", "--format", "parquet", "--shards", 3, "--copies", COPIES)
    return Made(made.source, made.output)


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Made:
    """A copy of source and dataset at a place of their own."""
    source = Path(shutil.copytree(made.source, tmp_path / "source"))
    return Made(source, Path(shutil.copytree(made.output, tmp_path / "output")))
