"""A folder has one driver: a second is refused, a dead one is followed, and one that was replaced stops."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.files.lease import LEASE_FILE, TTL_BEATS, Lease
from hsmix_gen.schemas.errors import OutputError

BEAT_S = 0.05


def lease(folder: Path, notes: list[str] | None = None) -> Lease:
    return Lease(folder, "out", (notes if notes is not None else []).append, heartbeat_s=BEAT_S)


def written(folder: Path, **changes: Any) -> Path:
    """Leave the lease of a driver, dead unless changed."""
    path = folder / LEASE_FILE
    held = {"token": "other", "host": os.uname().nodename, "pid": 2**22 + 1, "born": "1", "beat": 7}
    path.write_text(json.dumps(held | changes))
    return path


def read(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / LEASE_FILE).read_text())
    return value


def test_a_lease_names_its_driver_and_is_gone_afterwards(tmp_path: Path) -> None:
    with lease(tmp_path):
        held = read(tmp_path)

    assert (held["pid"], held["host"]) == (os.getpid(), os.uname().nodename)
    assert not (tmp_path / LEASE_FILE).exists()


def test_a_second_driver_is_refused_with_the_first_one_s_name(tmp_path: Path) -> None:
    """The first one goes on."""
    refused = rf"^out is being written by process {os.getpid()} on .*; wait until"
    with lease(tmp_path) as first:
        with pytest.raises(OutputError, match=refused), lease(tmp_path):
            pass
        first.check()


HOLDING = (
    "import sys, time; from pathlib import Path; from hsmix_gen.pipeline.files.lease import Lease\n"
    "with Lease(Path(sys.argv[1]), 'out', print, heartbeat_s=0.05): print('held', flush=True); time.sleep(60)"
)


@contextmanager
def driver(folder: Path, *apart: str) -> Iterator["subprocess.Popen[str]"]:
    """Hold the lease in a process of its own, which is killed at the end."""
    command = [*apart, sys.executable, "-c", HOLDING, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "held\n"
        yield started
        started.kill()


def test_the_lease_of_a_killed_driver_is_taken_over_at_once(tmp_path: Path) -> None:
    with (
        driver(tmp_path) as killed,
        pytest.raises(OutputError, match=f"process {killed.pid}"),
        lease(tmp_path),
    ):
        pass
    with lease(tmp_path):
        assert read(tmp_path)["pid"] == os.getpid()


def test_a_process_that_has_the_number_of_a_dead_driver_does_not_hold_its_lease(tmp_path: Path) -> None:
    with lease(tmp_path):
        mine = read(tmp_path)
    written(tmp_path, pid=os.getpid(), born="1", kernel=mine["kernel"])
    notes: list[str] = []

    with lease(tmp_path, notes):
        assert read(tmp_path)["token"] != "other"
    assert notes == []


@pytest.mark.parametrize("options", [("--mount-proc",), ()], ids=["its own /proc", "our /proc"])
def test_a_driver_in_another_namespace_of_processes_is_left_alone(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Two containers on one machine may have one name, one folder and equal numbers of processes."""
    apart = ["unshare", "--pid", "--fork", *options, "--kill-child"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no namespaces can be made here")
    with driver(tmp_path, *apart):
        with pytest.raises(OutputError, match="is being written by process 1 on"), lease(tmp_path):
            pass
        assert read(tmp_path)["host"] == os.uname().nodename


@pytest.mark.parametrize("kernel", ["", "another boot pid:[1]"])
def test_of_a_process_of_another_kernel_or_namespace_only_the_heart_counts(tmp_path: Path, kernel: str) -> None:
    """Its name of the machine may be ours: clones of a machine, and containers, share one."""
    written(tmp_path, kernel=kernel)
    notes: list[str] = []
    started = time.monotonic()

    with lease(tmp_path, notes):
        assert time.monotonic() - started >= TTL_BEATS * BEAT_S
    assert len(notes) == 1


def test_a_lease_that_says_more_than_is_known_here_is_held(tmp_path: Path) -> None:
    """A later version may write it."""
    with lease(tmp_path) as first:
        mine = read(tmp_path)
        first.give_back()
    (tmp_path / LEASE_FILE).write_text(json.dumps(mine | {"mood": "good"}))

    with pytest.raises(OutputError, match="is being written"), lease(tmp_path):
        pass


def test_a_lease_that_was_not_entered_to_the_end_is_given_back(tmp_path: Path) -> None:
    """A signal may arrive in between."""

    class Torn(Lease):
        def check(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Torn(tmp_path, "out", print, heartbeat_s=BEAT_S):
        pass

    assert not (tmp_path / LEASE_FILE).exists()


def test_a_silent_driver_elsewhere_is_watched_and_then_followed(tmp_path: Path) -> None:
    written(tmp_path, host="node-7")
    notes: list[str] = []
    started = time.monotonic()

    with lease(tmp_path, notes):
        assert time.monotonic() - started >= TTL_BEATS * BEAT_S

    assert notes == ["a driver on node-7 was at work here; watching for 0 s whether it still is"]


def test_a_driver_elsewhere_whose_heart_beats_is_left_alone(tmp_path: Path) -> None:
    """Beats are counted, and no clock of one machine is compared with that of another."""
    path = written(tmp_path, host="node-7")
    code = (
        "import json, sys, time; from pathlib import Path\n"
        "path = Path(sys.argv[1]); held = json.loads(path.read_text())\n"
        "for beat in range(8, 200):\n"
        "    other = path.with_name('next'); other.write_text(json.dumps(held | {'beat': beat})); other.replace(path)\n"
        "    time.sleep(0.02)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)]) as elsewhere:
        with pytest.raises(OutputError, match=r"by process .* on node-7"), lease(tmp_path):
            pass
        elsewhere.kill()


@pytest.mark.parametrize("torn", [b"", b'{"token": "a", "ho', b"[]", b'{"token": "a"}'])
def test_a_torn_lease_holds_nothing(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / LEASE_FILE).write_bytes(torn)

    with lease(tmp_path):
        assert read(tmp_path)["pid"] == os.getpid()


def test_the_heart_beats_while_the_lease_is_held(tmp_path: Path) -> None:
    with lease(tmp_path):
        first = read(tmp_path)["beat"]
        time.sleep(10 * BEAT_S)
        assert read(tmp_path)["beat"] > first


def test_a_driver_that_was_taken_for_dead_stops_and_leaves_the_lease_to_the_other(tmp_path: Path) -> None:
    """Its machine slept, and meanwhile another driver went on."""
    with lease(tmp_path) as mine:
        path = written(tmp_path)
        with pytest.raises(OutputError, match="out was taken over by another driver"):
            mine.check()
        time.sleep(4 * BEAT_S)
        assert read(tmp_path)["token"] == "other"

    assert path.exists()
