"""What changes between two runs, who else works here and what the clock says: refused by name, or without effect."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixture_types import Noted


@pytest.fixture(scope="module")
def killed(tiny_job: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output whose driver was killed before it was finished."""
    output: Path = tmp_path_factory.mktemp("killed") / "output"
    number = next(n for n, (what, path) in enumerate(tiny_job.steps, 1) if path == ".hsmix/shards/train-000000.json")
    ended = tiny_job.run(output, folder=output, at=number + 2, signal=int(signal.SIGKILL))
    assert ended.status == -signal.SIGKILL
    return output


@pytest.fixture
def begun(killed: Path, tmp_path: Path) -> Path:
    """A copy of it, to be finished."""
    return Path(shutil.copytree(killed, tmp_path / "output"))


# Versions


@pytest.mark.fault("F22")
@pytest.mark.parametrize(
    "names",
    [
        ("hsmix-gen", "pillow"),
        pytest.param(("numpy", "scipy", "scikit-image", "pyarrow", "imagecodecs"), marks=pytest.mark.faults),
    ],
    ids=["some", "others"],
)
def test_other_version_is_refused_with_both_and_the_ways_out(
    tiny_job: Any,
    begun: Path,
    record_property: Noted,
    names: tuple[str, ...],
) -> None:
    """Half of a dataset made by one version and half by another cannot be distinguished later."""
    record_property("tried", len(names))
    for name in names:
        line = tiny_job.run(begun, versions={name: "99.1"}).error_line

        assert str(begun) in line
        assert "choose another folder, or start anew with --fresh" in line
        if name not in {"pillow", "scikit-image"}:
            assert f"version of {name} was " in line
            assert "is 99.1" in line
    tiny_job.finish(begun)


@pytest.mark.fault("F22")
def test_version_that_changes_no_byte_is_accepted(tiny_job: Any, begun: Path) -> None:
    """A cluster's Ray is updated while a job waits."""
    ended = tiny_job.run(begun, versions={"ray": "99.1", "rich": "99.1", "click": "99.1"})

    assert ended.status == 0, ended.stderr
    assert tiny_job.damages(begun) == {}


# Drivers


def wait_for(condition: Callable[[], bool]) -> None:
    """Return as soon as something is the case."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.fault("F20")
def test_second_driver_is_refused_and_the_first_one_finishes(tiny_job: Any, tmp_path: Path) -> None:
    """A scheduler that starts a job twice, or a second terminal."""
    output = tmp_path / "output"
    first = tiny_job.start(output, folder=output, at=120, signal=int(signal.SIGSTOP))
    wait_for(lambda: is_stopped(first.pid))

    second = tiny_job.run(output)

    first.send(signal.SIGCONT)
    ended = first.wait()
    assert f"is being written by process {first.pid}" in second.error_line
    assert ended.status == 0, ended.stderr
    assert tiny_job.damages(output) == {}


@pytest.mark.fault("F20")
def test_lease_of_a_killed_driver_is_taken_over(tiny_job: Any, begun: Path) -> None:
    """Nobody has to remove a file by hand after a crash."""
    tiny_job.finish(begun)

    assert list(begun.rglob("*lease*")) == []


@pytest.mark.faults
@pytest.mark.fault("F20")
def test_drivers_that_start_together_make_one_dataset(tiny_job: Any, tmp_path: Path, record_property: Noted) -> None:
    """Whoever comes first works; the others are refused with it, or find the work done."""
    rounds, drivers = 5, 4
    record_property("tried", rounds * drivers)
    for number in range(rounds):
        output = tmp_path / str(number)

        ended = [started.wait() for started in [tiny_job.start(output) for _ in range(drivers)]]

        assert {each.status for each in ended} <= {0, 1}, [each.stderr for each in ended]
        for each in ended:
            assert "Traceback" not in each.stderr, each.stderr
            if each.status == 1:
                assert "is being written by process" in each.stderr or "was taken over" in each.stderr, each.stderr
        tiny_job.finish(output)


def is_stopped(pid: int) -> bool:
    """Return whether a process was stopped by SIGSTOP."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


# Clock


@pytest.mark.fault("F21")
def test_clock_that_jumps_by_days_and_years_changes_nothing(tiny_job: Any, tmp_path: Path) -> None:
    """Machines come up in 1970 and are set right in the middle of a job."""
    output = tmp_path / "output"

    ended = tiny_job.run(output, clock=True)

    assert ended.status == 0, ended.stderr
    assert tiny_job.damages(output) == {}


@pytest.mark.faults
@pytest.mark.fault("F21")
def test_begun_output_is_finished_under_another_clock(tiny_job: Any, begun: Path) -> None:
    ended = tiny_job.run(begun, clock=True)

    assert ended.status == 0, ended.stderr
    assert tiny_job.damages(begun) == {}
