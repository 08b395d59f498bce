"""Who works, how many they are and in which order they end changes no byte of any file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import run_command

WORKERS = (1, 2, 3, 7)


@pytest.fixture(scope="module")
def job(make_job: Callable[..., Any]) -> Any:
    """Three blocks of images and more shards than workers."""
    formats = ("--format", "webdataset", "--format", "parquet")
    return make_job("--copies", "2", "--shards", "9", "--seed", "5", *formats, train=36, val=3, test=2)


@pytest.mark.fault("F23")
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.faults) for seed in range(2, 8))])
def test_units_that_end_in_another_order_make_the_same_bytes(job: Any, tmp_path: Path, seed: int) -> None:
    """Every stage gives its units to somebody else, who returns them as they come."""
    output = tmp_path / "output"

    ended = job.run(output, shuffle=seed)

    assert ended.status == 0, ended.stderr
    assert job.damages(output) == {}


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.fault("F23")
@pytest.mark.parametrize("workers", WORKERS)
def test_any_number_of_workers_makes_the_same_bytes(job: Any, tmp_path: Path, workers: int) -> None:
    """With more workers than processors, blocks or shards as well."""
    output = tmp_path / "output"

    ended = run_command("run", job.source, output, *job.options, "--backend", "ray", "--workers", workers)

    assert ended.returncode == 0, ended.stderr
    assert job.damages(output) == {}


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.fault("F23")
def test_runs_that_change_their_backend_make_the_same_bytes(job: Any, tmp_path: Path) -> None:
    """Begun with one worker, gone on with another number of them, finished by none."""
    output = tmp_path / "output"
    stops = [n for n, (what, path) in enumerate(job.steps, 1) if what == "renamed" and "commits/" in path]
    assert job.run(output, folder=output, at=stops[1], signal=9).status == -9
    on_ray = run_command("run", job.source, output, *job.options, "--backend", "ray", "--workers", 3)
    assert on_ray.returncode == 0, on_ray.stderr
    (output / "webdataset" / "train-000003.tar").unlink()

    job.finish(output)
