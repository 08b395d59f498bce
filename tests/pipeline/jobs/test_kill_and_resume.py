"""A run may die at any moment: the same command finishes it with the bytes of an undisturbed run."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fixture_types import Cli, Digests, Leftovers, Maker, Options
from tests.process_tree import descendants
from tests.written import flip, truncate

TRAIN = 44
BLOCKS = 3  # of 16 images each
SHARDS = 12
STAGES = ("images", "superpixels", "saliency", "mix")
WAIT_S = 120
STOP_S = 10
ENDED_S = 3
"""Seconds in which a run that is stopped has ended, whatever it does."""
_UNIT = re.compile(r"ray::(?:(?:images|superpixels|saliency) of .+|train-\d+|network)$")

Snapshot = dict[str, tuple[str, int]]


@dataclass(frozen=True)
class Reference:
    """A source and what an undisturbed run made of it."""

    source: Path
    output: Path
    digests: dict[str, str]


@pytest.fixture(scope="module")
def job(tiny: Options) -> tuple[str, ...]:
    """Options of the job: three blocks a layer and a second of mixing, so that a kill can hit the middle."""
    return (*tiny, "--copies", "2", "--shards", str(SHARDS), "--seed", "5", "--format", "webdataset")


@pytest.fixture(scope="module")
def reference(
    make_source: Maker, run_cli: Cli, job: Options, shard_digests: Digests, tmp_path_factory: pytest.TempPathFactory
) -> Reference:
    """The undisturbed run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    source, output = make_source(folder / "source", train=TRAIN, val=3, test=1), folder / "output"
    result = run_cli("run", source, output, *job)
    assert result.exit_code == 0, result.stderr
    return Reference(source, output, shard_digests(output))


@dataclass
class Driver:
    """A run under way in a process of its own."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    """What it wrote to stderr so far."""

    def stop(self, number: signal.Signals) -> float:
        """Send a signal and return after how many seconds the process was gone."""
        sent = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=WAIT_S)
        return time.monotonic() - sent


@contextmanager
def driver(command: Path, *arguments: object, cwd: Path | None = None) -> Iterator[Driver]:
    """Start the command and collect its stderr; whatever happens, it is gone afterwards."""
    process = subprocess.Popen(
        [str(command), *map(str, arguments)], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    started = Driver(process)

    def collect() -> None:
        assert process.stderr is not None
        started.lines.extend(iter(process.stderr.readline, ""))

    reader = threading.Thread(target=collect, daemon=True)
    reader.start()
    try:
        yield started
    finally:
        process.kill()
        process.wait()
        reader.join(timeout=WAIT_S)
        assert process.stderr is not None
        process.stderr.close()


def wait_for(condition: Callable[[], bool], run: Driver) -> None:
    """Return as soon as something is the case, while the run is still under way."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert run.process.poll() is None, "the run ended before it could be disturbed:\n" + "".join(run.lines)
        assert time.monotonic() < deadline, "nothing to disturb was seen:\n" + "".join(run.lines)
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
def test_stopped_run_says_so_and_is_finished_by_the_same_command(  # noqa: PLR0917
    reference: Reference,
    command: Path,
    run_cli: Cli,
    job: Options,
    shard_digests: Digests,
    tmp_path: Path,
    number: signal.Signals,
    status: int,
    word: str,
) -> None:
    """A scheduler that takes the machine back, or Ctrl-C, costs the units under way and nothing else."""
    output = tmp_path / "output"
    with driver(command, "run", reference.source, output, *job) as run:
        wait_for(lambda: len(records_of(output, "mix")) > 0, run)
        passed = run.stop(number)
    assert run.process.returncode == status
    assert passed < ENDED_S
    assert run.lines[-1] == f"{word}; run the same command again to finish\n"
    assert list(output.rglob("lease.json")) == []
    assert "Traceback" not in "".join(run.lines)
    assert not (output / "manifest.parquet").exists()

    result = run_cli("run", reference.source, output, *job)

    assert result.exit_code == 0, result.stderr
    assert shard_digests(output) == reference.digests


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_stopped_run_on_ray_leaves_no_process(
    reference: Reference,
    command: Path,
    run_cli: Cli,
    job: Options,
    shard_digests: Digests,
    tmp_path: Path,
    number: signal.Signals,
    status: int,
) -> None:
    """The signal reaches the driver alone; it has to take its workers with it."""
    output = tmp_path / "output"
    with driver(command, "run", reference.source, output, *job, "--backend", "ray", "--workers", 2) as run:
        wait_for(lambda: len(records_of(output, "mix")) > 0, run)
        below = [pid for pid, _ in descendants(run.process.pid)]
        passed = run.stop(number)
    assert run.process.returncode == status, "".join(run.lines)
    assert passed < ENDED_S
    # Neither a trace of ours nor a dump of Ray's.
    assert [line for line in run.lines if "Traceback" in line or "received" in line] == []
    assert below
    assert_gone(below)

    result = run_cli("run", reference.source, output, *job)

    assert result.exit_code == 0, result.stderr
    assert shard_digests(output) == reference.digests


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
    make_source: Maker,
    command: Path,
    job: Options,
    tmp_path: Path,
    title: str,
    options: tuple[str, ...],
    number: signal.Signals,
    status: int,
) -> None:
    """A worker acts on no signal before its library returns; preemption gives a run some seconds and no more."""
    source, output = make_source(tmp_path / "source", train=3, val=1, test=1), tmp_path / "output"
    on_ray = ("--backend", "ray", "--workers", 2)
    with driver(command, "run", source, output, *job, "--shards", 2, *options, *on_ray) as run:
        wait_for(lambda: any(found.startswith(f"ray::{title}") for _, found in descendants(run.process.pid)), run)
        below = [pid for pid, _ in descendants(run.process.pid)]
        passed = run.stop(number)
    assert run.process.returncode == status, "".join(run.lines)
    assert passed < ENDED_S
    assert "Traceback" not in "".join(run.lines)
    assert not (output / "manifest.parquet").exists()
    assert_gone(below)


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
        begun = [match[1] for line in list(run.lines) if (match := re.match(r"(\w+): \d+ to do", line))]
        stage = begun[-1] if begun else ""
        is_open = stage != "mix" or any((output / "webdataset").glob(".*.tar"))
        if stage in stages and stage not in killed and is_open:
            for pid, title in descendants(run.process.pid):
                if _UNIT.match(title):
                    os.kill(pid, signal.SIGKILL)
                    killed[stage] = title
        time.sleep(0.002)
    return killed


def test_killed_workers_cost_nothing_but_time(
    reference: Reference, command: Path, job: Options, shard_digests: Digests, leftovers: Leftovers, tmp_path: Path
) -> None:
    """The kernel kills for memory: in every stage the unit is tried again elsewhere, in the same run."""
    output = tmp_path / "output"
    # Nobody may import what lies in the current folder, workers that replace others included.
    for name in ("numpy", "ray", "torch", "zarr"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError({name!r})\n")
    on_ray = ("--backend", "ray", "--workers", 2)
    with driver(command, "run", reference.source, output, *job, *on_ray, cwd=tmp_path) as run:
        killed = kill_workers_in(run, output, STAGES)
        run.process.wait(timeout=WAIT_S)

    assert run.process.returncode == 0, "".join(run.lines)
    assert killed.keys() == set(STAGES)
    assert killed["mix"].startswith("ray::train-")
    assert shard_digests(output) == reference.digests
    assert leftovers(output) == []


@pytest.mark.slow
def test_killed_network_and_gradcam_workers_cost_nothing_but_time(
    reference: Reference, command: Path, run_cli: Cli, job: Options, shard_digests: Digests, tmp_path: Path
) -> None:
    """The actor that holds the network comes back with it, and its block is mapped again."""
    network = ("--saliency", "gradcam", "-o", "saliency.fit_steps=4", "-o", "saliency.probe_images=2")
    output, calm = tmp_path / "output", tmp_path / "calm"
    on_ray = ("--backend", "ray", "--workers", 2)
    with driver(command, "run", reference.source, output, *job, *network, *on_ray) as run:
        killed = kill_workers_in(run, output, ("superpixels", "saliency"))
        run.process.wait(timeout=WAIT_S)
    assert run.process.returncode == 0, "".join(run.lines)
    assert killed.keys() == {"superpixels", "saliency"}

    result = run_cli("run", reference.source, calm, *job, *network)

    assert result.exit_code == 0, result.stderr
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
def small(
    make_source: Maker, run_cli: Cli, job: Options, shard_digests: Digests, tmp_path_factory: pytest.TempPathFactory
) -> Reference:
    """A finished run of two blocks and a few shards, of which every test spoils a copy."""
    folder = tmp_path_factory.mktemp("small")
    source, output = make_source(folder / "source", train=14, val=3, test=1), folder / "output"
    result = run_cli("run", source, output, *job, "--shards", 4, "--copies", 1)
    assert result.exit_code == 0, result.stderr
    return Reference(source, output, shard_digests(output))


@pytest.fixture
def copied(small: Reference, tmp_path: Path) -> Path:
    """A copy of the finished output, to be spoiled."""
    return Path(shutil.copytree(small.output, tmp_path / "output"))


@pytest.fixture
def run_again(small: Reference, copied: Path, run_cli: Cli, job: Options) -> Callable[[], str]:
    """Call the same command on the copy and return what it says on stderr."""

    def run() -> str:
        result = run_cli("run", small.source, copied, *job, "--shards", 4, "--copies", 1)
        assert result.exit_code == 0, result.stderr
        return result.stderr

    return run


@pytest.mark.parametrize("damage", DAMAGES, ids=["flipped", "truncated", "deleted"])
def test_damaged_files_are_found_and_made_again(
    small: Reference,
    copied: Path,
    run_again: Callable[[], str],
    snapshot: Callable[[Path], Snapshot],
    damage: Callable[[Path], None],
) -> None:
    """Disks fail and people delete: the same command makes what is damaged again, with equal bytes, and only that."""
    damaged = [path for pattern in DAMAGED for path in copied.glob(pattern)]
    assert len(damaged) == len(DAMAGED)
    for path in damaged:
        damage(path)
    before = snapshot(copied)

    run_again()

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
def test_lost_descriptions_are_written_again(
    small: Reference, copied: Path, run_again: Callable[[], str], shard_digests: Digests, names: tuple[str, ...]
) -> None:
    """Exit status 0 means complete: a file that the contract names cannot be missing then."""
    for name in names:
        (copied / name).unlink()

    run_again()

    assert [name for name in names if not (copied / name).is_file()] == []
    assert shard_digests(copied) == small.digests


def test_changed_shard_record_does_not_count(
    small: Reference, copied: Path, run_again: Callable[[], str], shard_digests: Digests
) -> None:
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

    run_again()

    assert shard_digests(copied) == small.digests


@pytest.mark.parametrize("leave_manifest", [False, True], ids=["unfinished", "finished"])
def test_what_killed_writes_left_is_removed(
    copied: Path, run_again: Callable[[], str], leftovers: Leftovers, leave_manifest: bool
) -> None:
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

    run_again()

    assert leftovers(copied) == []


def test_complete_run_called_again_changes_no_file_and_says_so(
    copied: Path, run_again: Callable[[], str], snapshot: Callable[[Path], Snapshot]
) -> None:
    """A job that a scheduler starts twice must not touch what others may be reading."""
    before = snapshot(copied)

    said = run_again()

    for stage in ("images", "superpixels", "saliency", "mix"):
        assert f"{stage}: nothing to do, 18 done before" in said
    assert snapshot(copied) == before
