"""A run may die at any moment: the same command finishes it with the bytes of an undisturbed run."""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.command_line import TINY, run_cli
from tests.process_tree import WAIT_S, Driver, descendants, driver
from tests.small_sources import make_source
from tests.written import flip, leftovers, shard_digests, snapshot, truncate

TRAIN = 44  # three blocks of images
SHARDS = 12
STAGES = ("images", "superpixels", "saliency", "mix")
STOP_S = 10
ENDED_S = 3
"""Seconds in which a run that is stopped has ended, whatever it does."""
_UNIT = re.compile(r"ray::(?:(?:images|superpixels|saliency) of .+|train-\d+|network)$")

ON_RAY = ("--backend", "ray", "--workers", 2)


@dataclass(frozen=True)
class Job:
    """A source, the command with its options, and what an undisturbed run made."""

    source: Path
    options: tuple[object, ...]
    output: Path
    files: dict[str, str]
    command: Path

    def start(self, output: Path, *more: object, cwd: Path | None = None) -> AbstractContextManager[Driver]:
        """Start the command on another output, in a process of its own."""
        return driver(self.command, "run", self.source, output, *self.options, *more, cwd=cwd)

    def run(self, output: Path, *more: object) -> str:
        """Call the command on another output, in this process, and return what it wrote to stderr."""
        return run_cli("run", self.source, output, *self.options, *more).stderr

    def finish(self, output: Path) -> None:
        """Call the command, which makes the bytes of the undisturbed run."""
        self.run(output)
        assert shard_digests(output) == self.files


@pytest.fixture(scope="module")
def make_job(command: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Job]:
    """Do an undisturbed run: ``make_job(*options, train=44)``."""

    def make(*more: object, train: int) -> Job:
        folder = tmp_path_factory.mktemp("undisturbed")
        source, output = make_source(folder / "source", train=train, val=3, test=1), folder / "output"
        options = (*TINY, "--seed", 5, "--format", "webdataset", *more)
        run_cli("run", source, output, *options)
        return Job(source, options, output, shard_digests(output), command)

    return make


@pytest.fixture(scope="module")
def job(make_job: Callable[..., Job]) -> Job:
    """Three blocks a layer and a second of mixing, so that a kill can hit the middle."""
    return make_job("--copies", 2, "--shards", SHARDS, train=TRAIN)


def wait_for(condition: Callable[[], bool], run: Driver) -> None:
    """Return as soon as something is the case, while the run is still under way."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert run.process.poll() is None, "the run ended before it could be disturbed:\n" + run.stated
        assert time.monotonic() < deadline, "nothing to disturb was seen:\n" + run.stated
        time.sleep(0.002)


def records_of(output: Path, stage: str) -> list[Path]:
    """Return the records of what a stage finished, without those that are being written."""
    folder, pattern = (".hsmix/shards", "*.json") if stage == "mix" else (".hsmix/cache/commits", f"{stage}-*/*.json")
    return sorted(path for path in (output / folder).glob(pattern) if not path.name.startswith("."))


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [
        pytest.param(signal.SIGTERM, 143, "terminated", id="SIGTERM"),
        pytest.param(signal.SIGINT, 130, "interrupted", id="SIGINT", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, "terminated", id="SIGHUP", marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, 138, "terminated", id="SIGUSR1", marks=pytest.mark.slow),
    ],
)
def test_stopped_run_says_so_and_is_finished_by_the_same_command(
    job: Job, tmp_path: Path, number: signal.Signals, status: int, word: str
) -> None:
    """A scheduler that takes the machine back, or Ctrl-C, costs the units under way and nothing else."""
    output = tmp_path / "output"
    with job.start(output) as run:
        wait_for(lambda: len(records_of(output, "mix")) > 0, run)
        passed = run.stop(number)
    assert run.process.returncode == status
    assert passed < ENDED_S
    assert run.lines[-1] == f"{word}; run the same command again to finish\n"
    assert list(output.rglob("lease.json")) == []
    assert "Traceback" not in run.stated
    assert not (output / "manifest.parquet").exists()

    job.finish(output)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_stopped_run_on_ray_leaves_no_process(job: Job, tmp_path: Path, number: signal.Signals, status: int) -> None:
    """The signal reaches the driver alone; it has to take its workers with it."""
    output = tmp_path / "output"
    with job.start(output, *ON_RAY) as run:
        wait_for(lambda: len(records_of(output, "mix")) > 0, run)
        stop_with_all_below(run, number, status)

    job.finish(output)


def stop_with_all_below(run: Driver, number: signal.Signals, status: int) -> None:
    """Check that a run that is stopped ends in time, with its status, and takes its processes with it."""
    below = [pid for pid, _ in descendants(run.process.pid)]
    passed = run.stop(number)
    assert run.process.returncode == status, run.stated
    assert passed < ENDED_S
    # Neither a trace of ours nor a dump of Ray's.
    assert [line for line in run.lines if "Traceback" in line or "received" in line] == []
    assert below
    assert_gone(below)


LONG_NATIVE = ("--size", "3000", "3000", "--regions", "50", "60", "--variants", "1")
"""An image for which a single call of SLIC takes longer than a stopped run may."""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize(
    ("title", "options"),
    [
        ("scan of", ()),
        ("images of", LONG_NATIVE),
        ("superpixels of", LONG_NATIVE),
        ("network", ("--saliency", "gradcam", "-o", "saliency.fit_steps=4000")),
        ("saliency of", ("--saliency", "spectral_residual")),
    ],
    ids=["scan", "images", "superpixels", "network", "saliency"],
)
def test_stopped_run_does_not_wait_for_native_code(
    job: Job, tmp_path: Path, title: str, options: tuple[str, ...], number: signal.Signals, status: int
) -> None:
    """A worker acts on no signal before its library returns; preemption gives a run some seconds and no more."""
    source, output = make_source(tmp_path / "source", train=3, val=1, test=1), tmp_path / "output"
    with replace(job, source=source).start(output, "--shards", 2, *options, *ON_RAY) as run:
        wait_for(lambda: any(found.startswith(f"ray::{title}") for _, found in descendants(run.process.pid)), run)
        stop_with_all_below(run, number, status)
    assert not (output / "manifest.parquet").exists()


def assert_gone(pids: list[int]) -> None:
    """Check that processes end within some seconds."""
    gone = time.monotonic() + STOP_S
    while alive := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < gone, f"still there: {alive}"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Return whether a process runs (a zombie does not)."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def kill_workers_in(run: Driver, output: Path, stages: tuple[str, ...]) -> dict[str, str]:
    """Kill the workers of Ray once in each stage while they do units; return the titles of what was killed.

    In the last stage they die with an open shard.
    """
    killed: dict[str, str] = {}
    deadline = time.monotonic() + WAIT_S
    while run.process.poll() is None and time.monotonic() < deadline:
        stage = run.stage
        is_open = stage != "mix" or any((output / "webdataset").glob(".*.tar"))
        if stage in stages and stage not in killed and is_open:
            for pid, title in descendants(run.process.pid):
                if _UNIT.match(title):
                    os.kill(pid, signal.SIGKILL)
                    killed[stage] = title
        time.sleep(0.002)
    return killed


def test_killed_workers_cost_nothing_but_time(job: Job, tmp_path: Path) -> None:
    """The kernel kills for memory: in every stage the unit is tried again elsewhere, in the same run."""
    output = tmp_path / "output"
    # Nobody may import what lies in the current folder, workers that replace others included.
    for name in ("numpy", "ray", "torch", "zarr"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError({name!r})\n")
    with job.start(output, *ON_RAY, cwd=tmp_path) as run:
        killed = kill_workers_in(run, output, STAGES)
        run.wait()

    assert run.process.returncode == 0, run.stated
    assert killed.keys() == set(STAGES)
    assert killed["mix"].startswith("ray::train-")
    assert shard_digests(output) == job.files
    assert leftovers(output) == []


@pytest.mark.slow
def test_killed_network_and_gradcam_workers_cost_nothing_but_time(job: Job, tmp_path: Path) -> None:
    """The actor that holds the network comes back with it, and its block is mapped again."""
    network = ("--saliency", "gradcam", "-o", "saliency.fit_steps=4", "-o", "saliency.probe_images=2")
    output, calm = tmp_path / "output", tmp_path / "calm"
    with job.start(output, *network, *ON_RAY) as run:
        killed = kill_workers_in(run, output, ("superpixels", "saliency"))
        run.wait()
    assert run.process.returncode == 0, run.stated
    assert killed.keys() == {"superpixels", "saliency"}

    job.run(calm, *network)

    assert shard_digests(output) == shard_digests(calm)


DAMAGES = (flip, truncate, Path.unlink)
DAMAGED = (
    ".hsmix/cache/images-*.zarr/image/c/1/0/0/0",
    ".hsmix/cache/images-*.zarr/mask/c/0/0/0",
    ".hsmix/cache/superpixels-*.zarr/labels/c/1/0/0/0",
    ".hsmix/cache/saliency-*.zarr/saliency/c/0/0/0",
    "webdataset/train-000002.tar",
    "webdataset/val-000000.tar",
)


@pytest.fixture(scope="module")
def small(make_job: Callable[..., Job]) -> Job:
    """A finished run of two blocks and a few shards, of which every test spoils a copy."""
    return make_job("--copies", 1, "--shards", 4, train=14)


@pytest.fixture
def copied(small: Job, tmp_path: Path) -> Path:
    """A copy of the finished output, to be spoiled."""
    return Path(shutil.copytree(small.output, tmp_path / "output"))


@pytest.mark.parametrize("damage", DAMAGES, ids=["flipped", "truncated", "deleted"])
def test_damaged_files_are_found_and_made_again(small: Job, copied: Path, damage: Callable[[Path], None]) -> None:
    """Disks fail and people delete: the same command makes what is damaged again, with equal bytes, and only that."""
    damaged = [path for pattern in DAMAGED for path in copied.glob(pattern)]
    assert len(damaged) == len(DAMAGED)
    for path in damaged:
        damage(path)
    before = snapshot(copied)

    small.run(copied)

    after = snapshot(copied)
    names = {str(path.relative_to(copied)) for path in damaged}
    assert {name: after[name][0] for name in names} == {name: snapshot(small.output)[name][0] for name in names}
    # A block is one unit: the image goes with its mask, the labels with their count.
    units = {unit_of(name) for name in names}
    assert {unit_of(name) for name in before if after[name] != before[name]} - {None} <= units
    assert after["manifest.parquet"][0] == snapshot(small.output)["manifest.parquet"][0]


def unit_of(name: str) -> tuple[str, ...] | None:
    """Return layer and block of a chunk, or the name of a shard; nothing of other files."""
    if name.endswith(".tar"):
        return (name,)
    layer, chunk, place = name.partition("/c/")
    return (Path(layer).parent.name, place.partition("/")[0]) if chunk else None


@pytest.mark.parametrize(
    "names",
    [("manifest.parquet",), ("dataset.json", "run.json", "refused.csv", "README.md", "preview.png")],
    ids=["manifest", "others"],
)
def test_lost_descriptions_are_written_again(small: Job, copied: Path, names: tuple[str, ...]) -> None:
    """Exit status 0 means complete: a file that the contract names cannot be missing then."""
    for name in names:
        (copied / name).unlink()

    small.finish(copied)

    assert [name for name in names if not (copied / name).is_file()] == []


def test_changed_shard_record_does_not_count(small: Job, copied: Path) -> None:
    """A record costs its shard where it states another checksum, or anything else that would reach the manifest."""
    for name, key, change in (
        ("train-000003", "files", {"sha256": "0" * 64}),
        ("train-000001", "rows", {"lambda_mean": 0.123}),
    ):
        path = copied / ".hsmix" / "shards" / f"{name}.json"
        record = json.loads(path.read_text())
        record[key][0] |= change
        path.write_text(json.dumps(record))
    (copied / "manifest.parquet").unlink()

    small.finish(copied)


@pytest.mark.parametrize("leave_manifest", [False, True], ids=["unfinished", "finished"])
def test_what_killed_writes_left_is_removed(small: Job, copied: Path, leave_manifest: bool) -> None:
    """A process killed in the middle of a write leaves a temporary file anywhere; the next run tidies up."""
    mark = ".hsmix-tmp-0123456789ab-"
    whole = (copied / ".hsmix" / "shards" / "train-000001.json").read_bytes()
    (copied / f"{mark}manifest.parquet").write_bytes(b"half a fi")
    (copied / "webdataset" / f"{mark}train-000001.tar").write_bytes(b"half a fi")
    (copied / ".hsmix" / "shards" / f"{mark}train-000001.json").write_bytes(whole)
    (copied / ".hsmix" / f"{mark}identity.json").write_bytes(b"{")
    (copied / ".hsmix" / "cache" / f"{mark}features.json").write_bytes(b"{")
    if not leave_manifest:
        (copied / "manifest.parquet").unlink()

    small.run(copied)

    assert leftovers(copied) == []


def test_complete_run_called_again_changes_no_file_and_says_so(small: Job, copied: Path) -> None:
    """A job that a scheduler starts twice must not touch what others may be reading."""
    before = snapshot(copied)

    said = small.run(copied)

    for stage in ("images", "superpixels", "saliency", "mix"):
        assert f"{stage}: nothing to do, 18 done before" in said
    assert snapshot(copied) == before
