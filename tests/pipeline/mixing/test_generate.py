"""Mixing ends complete or not at all, and holds no more of a dataset than the shards under way."""

import gc
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.features.cache_description import load
from hsmix_gen.pipeline.jobs.run import run_generate
from hsmix_gen.pipeline.mixing.generate import outcome
from hsmix_gen.pipeline.mixing.output_plan import plan_output
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import ManifestRow
from tests.pipeline.cli.commands.finished import COPIES, SAMPLES


@pytest.fixture(scope="module")
def output(finished: Callable[..., Any]) -> Path:
    """The dataset that tests of commands use too."""
    made: Path = finished("--format", "webdataset", "--format", "parquet", "--shards", 3, "--copies", COPIES).output
    return made


def rows_alive() -> int:
    return sum(type(one) is ManifestRow for one in gc.get_objects())


class CountingDisplay(SilentDisplay):
    """Counts the rows of the manifest that are alive whenever a shard is finished."""

    def __init__(self) -> None:
        self.most = 0

    def advance(self, *_: Any, **__: Any) -> None:
        self.most = max(self.most, rows_alive())


def test_rows_of_finished_shards_are_not_kept(output: Path, tmp_path: Path) -> None:
    """Memory does not grow with the number of samples: of 6 shards of 4 no more than two are held at a time."""
    cache = output / ".hsmix" / "cache"
    config = load(cache).config
    changed = {
        "mix": config.mix.model_copy(update={"copies": 4}),
        "output": config.output.model_copy(update={"shards": 6}),
    }
    before, display = rows_alive(), CountingDisplay()

    run_generate(cache, Output(tmp_path / "out"), config.model_copy(update=changed), Reporter(display))

    assert 0 < display.most - before <= 8


def test_what_is_neither_written_nor_refused_ends_the_run(output: Path, tmp_path: Path) -> None:
    """A record that somebody removed while the run went on would leave a hole that nobody reports."""
    copied = Output(Path(shutil.copytree(output, tmp_path / "output")))
    made = load(copied.root / ".hsmix" / "cache")
    (prepared,) = made.folds
    plan = plan_output(copied, prepared.layers, prepared.records, made.config).plan
    assert outcome(prepared, copied, plan).samples == SAMPLES

    (copied.root / ".hsmix" / "shards" / "val-000000.json").unlink()

    stated = f"holds {SAMPLES - 1} of {SAMPLES} planned samples and 0 were refused; run the same command"
    with pytest.raises(OutputError, match=stated):
        outcome(prepared, copied, plan)


class WatchingDisplay(SilentDisplay):
    """Notes, whenever a shard is finished, whether the dataset has its manifest."""

    def __init__(self, root: Path) -> None:
        self._manifest = root / "manifest.parquet"
        self.seen: list[bool] = []

    def advance(self, stage: str, *_: Any, **__: Any) -> None:
        if stage == "mix":
            self.seen.append(self._manifest.exists())


def test_a_dataset_that_is_mended_has_no_manifest_meanwhile(output: Path, tmp_path: Path) -> None:
    """Whoever trains on whatever has a manifest would read a dataset with a hole."""
    copied = Path(shutil.copytree(output, tmp_path / "output"))
    cache = copied / ".hsmix" / "cache"
    next(copied.glob("webdataset/train-*.tar")).unlink()
    display = WatchingDisplay(copied)

    run_generate(cache, Output(copied), load(cache).config, Reporter(display))

    assert display.seen == [False]
    assert (copied / "manifest.parquet").exists()
