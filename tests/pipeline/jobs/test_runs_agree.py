"""Equal source, options and versions give equal bytes, whoever does the work; layers are made once."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_line import TINY, run_cli, run_command
from tests.fixture_types import Options
from tests.small_sources import make_source
from tests.written import shard_digests, snapshot

COPIES = ("--copies", "3", "--format", "webdataset", "--format", "parquet", "--shards", "5", "--seed", "3")
SMALL_NETWORK = ("--saliency", "gradcam", "-o", "saliency.fit_steps=4", "-o", "saliency.probe_images=2")


@pytest.fixture(scope="module")
def job() -> tuple[str, ...]:
    """Options of the job; 20 images make two blocks, so that two workers have something to share."""
    return (*TINY, *COPIES)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of all runs."""
    return make_source(tmp_path_factory.mktemp("agree") / "source", train=17, val=2, test=1)


@pytest.fixture(scope="module")
def serial(source: Path, job: Options, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The job done in this process, which is the meaning of the program."""
    output = tmp_path_factory.mktemp("serial") / "output"
    run_cli("run", source, output, *job)
    return output


@pytest.fixture
def on_ray(source: Path, job: Options, tmp_path: Path) -> Callable[..., Path]:
    """Do the job on Ray: ``on_ray(2, *options)``."""

    def run(workers: int, *options: str) -> Path:
        done = run_command("run", source, tmp_path / "ray", *job, *options, "--backend", "ray", "--workers", workers)
        assert done.returncode == 0, done.stderr
        return tmp_path / "ray"

    return run


# That two workers of which some are killed give these bytes too stands in test_kill_and_resume.
@pytest.mark.slow
def test_two_workers_with_gradcam_give_the_bytes_of_the_serial_run(
    source: Path, serial: Path, on_ray: Callable[..., Path], job: Options, tmp_path: Path
) -> None:
    """Fitting and Grad-CAM are float sums: neither neighbours nor the number of workers may change their last bit.

    Were the maps those of the other backend, the comparison would compare nothing new.
    """
    run_cli("run", source, tmp_path / "serial", *job, *SMALL_NETWORK)
    expected = shard_digests(tmp_path / "serial")

    assert shard_digests(on_ray(2, *SMALL_NETWORK)) == expected
    assert expected["manifest.parquet"] != shard_digests(serial)["manifest.parquet"]


def test_order_time_and_place_of_source_files_do_not_matter(
    source: Path, serial: Path, job: Options, tmp_path: Path
) -> None:
    """A copy made in another order, with other times, under another name gives the same bytes."""
    names = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    random.Random(5).shuffle(names)  # noqa: S311 - any other order will do
    for number, name in enumerate(names):
        target = tmp_path / "moved" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)
        os.utime(target, (number, number))

    run_cli("run", tmp_path / "moved", tmp_path / "output", *job)

    # Two formats of five, one and one shards, the index of each split for wids, and the manifest.
    assert len(shard_digests(serial)) == 2 * (5 + 1 + 1) + 3 + 1
    assert shard_digests(tmp_path / "output") == shard_digests(serial)


def test_another_seed_gives_other_samples_from_the_same_cache(
    source: Path, serial: Path, job: Options, tmp_path: Path
) -> None:
    """The seed decides draws, not superpixels: many datasets are mixed from features made once."""
    cache = serial / ".hsmix" / "cache"

    result = run_cli("run", source, tmp_path / "output", *job, "--cache", cache, "--seed", 4)

    for layer in ("images", "superpixels", "saliency"):
        assert f"{layer}: nothing to do, 20 done before" in result.stderr
    ours, theirs = shard_digests(tmp_path / "output"), shard_digests(serial)
    assert ours["manifest.parquet"] != theirs["manifest.parquet"]
    assert ours["webdataset/val-000000.tar"] != theirs["webdataset/train-000000.tar"]


def test_other_superpixels_are_made_from_the_images_that_are_there(
    source: Path, serial: Path, job: Options, tmp_path: Path
) -> None:
    """Which option remakes which layer stands in test_layer_keys; no block of an earlier run is touched."""
    cache = serial / ".hsmix" / "cache"
    before = {name: found for name, found in snapshot(cache).items() if "/c/" in name or name.startswith("commits/")}

    run_cli("run", source, tmp_path / "output", *job, "--cache", cache, "--variants", 1, "--copies", 1)

    after = snapshot(cache)
    assert {name: after.get(name) for name in before} == before
    made = {Path(name).parts[0].partition("-")[0] for name in after.keys() - before.keys() if "/c/" in name}
    assert made == {"superpixels"}
