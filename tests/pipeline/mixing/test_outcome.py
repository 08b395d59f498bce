"""A run is complete only if each planned sample was written or refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.features.cache_description import load
from hsmix_gen.pipeline.mixing.generate import outcome
from hsmix_gen.pipeline.mixing.output_plan import plan_output
from hsmix_gen.schemas.errors import OutputError


def test_what_is_neither_written_nor_refused_ends_the_run(finished: Callable[..., Any], tmp_path: Path) -> None:
    """A record that somebody removed while the run went on would leave a hole that nobody reports."""
    output = Output(Path(shutil.copytree(finished("--copies", 1).output, tmp_path / "output")))
    made = load(output.root / ".hsmix" / "cache")
    (prepared,) = made.folds
    plan = plan_output(output, prepared.layers, prepared.records, made.config).plan
    assert outcome(prepared, output, plan).samples == 8

    (output.root / ".hsmix" / "shards" / "val-000000.json").unlink()

    with pytest.raises(OutputError, match="holds 7 of 8 planned samples and 0 were refused; run the same command"):
        outcome(prepared, output, plan)
