"""Mixing ends complete or not at all, and holds no more of a dataset than the shards under way."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.features.cache_description import FeatureSet, load
from hsmix_gen.pipeline.jobs.run import run_generate
from hsmix_gen.schemas.records import ManifestRow
from tests.pipeline.cli.commands.finished import COPIES


@pytest.fixture(scope="module")
def made(finished: Callable[..., Any]) -> Any:
    """The dataset that tests of commands use too."""
    return finished("--format", "webdataset", "--format", "parquet", "--shards", 3, "--copies", COPIES)


@pytest.fixture(scope="module")
def features(made: Any) -> FeatureSet:
    return load(made.output / ".hsmix" / "cache")


def rows_alive() -> int:
    return sum(type(one) is ManifestRow for one in gc.get_objects())


class CountingDisplay(SilentDisplay):
    """Counts the rows of the manifest that are alive whenever a shard is finished."""

    def __init__(self) -> None:
        self.most = 0

    def advance(self, *_: Any, **__: Any) -> None:
        self.most = max(self.most, rows_alive())


def test_rows_of_finished_shards_are_not_kept(made: Any, features: FeatureSet, tmp_path: Path) -> None:
    """Memory does not grow with the number of samples: of 6 shards of 4 no more than two are held at a time."""
    mix, output = features.config.mix, features.config.output
    config = features.config.model_copy(
        update={"mix": mix.model_copy(update={"copies": 4}), "output": output.model_copy(update={"shards": 6})}
    )
    before, display = rows_alive(), CountingDisplay()

    run_generate(made.output / ".hsmix" / "cache", Output(tmp_path / "out"), config, Reporter(display))

    assert 0 < display.most - before <= 8
