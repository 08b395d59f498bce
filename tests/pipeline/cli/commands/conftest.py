"""One finished dataset for all tests of commands."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.cli.commands.finished import COPIES, TRAIN, Cli, Made


@pytest.fixture(scope="session")
def job(tiny: tuple[str, ...]) -> tuple[str, ...]:
    """Options of the finished dataset."""
    return (*tiny, "--copies", str(COPIES), "--shards", "3", "--format", "webdataset", "--format", "parquet")


@pytest.fixture(scope="session")
def made(
    make_source: Callable[..., Path], run_cli: Cli, job: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Made:
    """The finished dataset, of which tests that change something take a copy."""
    folder = tmp_path_factory.mktemp("made")
    source = make_source(folder / "source", train=TRAIN)
    result = run_cli("run", source, folder / "output", *job)
    assert result.exit_code == 0, result.stderr
    return Made(source, folder / "output")


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Made:
    """A copy of source and dataset at a place of their own."""
    source = Path(shutil.copytree(made.source, tmp_path / "source"))
    return Made(source, Path(shutil.copytree(made.output, tmp_path / "output")))
