"""One finished dataset that all tests of growing begin with."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.jobs.growth.growing import OPTIONS, Cli, GrowingDataset


@pytest.fixture(scope="session")
def begun(
    make_source: Callable[..., Path], run_cli: Cli, tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> GrowingDataset:
    """Six training images in two copies."""
    folder = tmp_path_factory.mktemp("extending")
    options = (*tiny, *OPTIONS)
    dataset = GrowingDataset(make_source(folder / "source"), folder / "output", run_cli, options)
    assert dataset.run("--copies", 2).exit_code == 0
    return dataset
