"""Mixing ends complete or not at all, and holds no more of a dataset than the shards under way."""

import gc
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.features.cache_description import FeatureSet, load
from hsmix_gen.pipeline.jobs.run import run_generate
from hsmix_gen.pipeline.mixing.generate import outcome
from hsmix_gen.pipeline.mixing.output_plan import plan_samples
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import ManifestRow
from tests.pipeline.cli.commands.finished import COPIES, SAMPLES


@pytest.fixture(scope="module")
def made(finished: Callable[..., Any]) -> Any:
    """The dataset that tests of commands use too."""
    return finished("--format", "webdataset", "--format", "parquet", "--shards", 3, "--copies", COPIES)


@pytest.fixture(scope="module")
def features(made: Any) -> FeatureSet:
    return load(made.output / ".hsmix" / "cache")


def rows_alive() -> int:
    return sum(isinstance(one, ManifestRow) for one in gc.get_objects())


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


def test_fewer_samples_than_planned_are_no_success(made: Any, features: FeatureSet, tmp_path: Path) -> None:
    root = Path(shutil.copytree(made.output, tmp_path / "output"))
    (prepared,) = features.folds
    plan = plan_samples(prepared.layers.facts, prepared.records, features.config)
    assert outcome(prepared, Output(root), plan).samples == SAMPLES

    next((root / "webdataset").glob("train-*.tar")).unlink()

    with pytest.raises(OutputError, match=rf"holds \d+ of {SAMPLES} planned samples and 0 were refused; run the same"):
        outcome(prepared, Output(root), plan)
