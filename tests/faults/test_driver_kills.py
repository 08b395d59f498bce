"""The driver may end before or after any change of a file: the same command makes the undisturbed bytes."""

import random
import re
import shutil
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.fixture_types import Noted
from tests.written import snapshot

COMMITS = (
    ".hsmix/cache/commits/superpixels-#/#.json",
    ".hsmix/identity.json",
    "webdataset/train-#.tar",
    ".hsmix/shards/train-#.json",
    "manifest.parquet",
)
"""Where a unit, a layer or the dataset begins to count, and what is committed by it."""
ROUNDS = 20
BATCH = 8
_RANDOM_NAME = re.compile(r"[0-9a-f]{12,}")


def kind_of(path: str) -> str:
    """Return a path without numbers and digests."""
    return re.sub(r"\d+", "#", _RANDOM_NAME.sub("#", path))


def steps_at(job: Any, paths: Iterable[str]) -> list[int]:
    """Return the first step before and the first after each of some files has its final name."""
    found: dict[tuple[str, str], int] = {}
    for number, (what, path) in enumerate(job.steps, 1):
        if what in {"rename", "renamed"} and kind_of(path) in paths:
            found.setdefault((what, kind_of(path)), number)
    assert len(found) == 2 * len(set(paths)), found
    return sorted(found.values())


def killed_at(job: Any, output: Path, number: int, signum: signal.Signals = signal.SIGKILL) -> Any:
    """Return how a run ended that was sent a signal at a step; nothing wrong has a final name."""
    return all_killed_at(job, {output: number}, signum)[output]


def all_killed_at(job: Any, numbers: dict[Path, int], signum: signal.Signals = signal.SIGKILL) -> dict[Path, Any]:
    """Return how runs ended that were sent a signal, each at another step; nothing wrong has a final name."""
    ended = job.run_together(
        {output: {"folder": output, "at": number, "signal": int(signum)} for output, number in numbers.items()}
    )
    for output, number in numbers.items():
        assert job.spoiled(output) == set(), (number, job.steps[number - 1])
    return dict(ended)


def check_killed_at(job: Any, folder: Path, numbers: Iterable[int]) -> None:
    """Check that runs killed at some steps are finished by the same command."""
    outputs = {folder / str(number): number for number in numbers}
    assert {each.status for each in all_killed_at(job, outputs).values()} == {-signal.SIGKILL}
    job.finish_together(outputs)
    for output in outputs:
        shutil.rmtree(output)


@pytest.mark.fault("F2")
def test_driver_killed_at_a_commit_is_finished(tiny_job: Any, tmp_path: Path, record_property: Noted) -> None:
    """Before the new name and after it."""
    numbers = steps_at(tiny_job, COMMITS[::2])
    record_property("tried", len(numbers))
    check_killed_at(tiny_job, tmp_path, numbers)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.fault("F2")
def test_driver_killed_at_any_step_is_finished(tiny_job: Any, tmp_path: Path, record_property: Noted) -> None:
    record_property("tried", len(tiny_job.steps))
    for first in range(1, len(tiny_job.steps) + 1, BATCH):
        check_killed_at(tiny_job, tmp_path, range(first, min(first + BATCH, len(tiny_job.steps) + 1)))


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.fault("F2")
def test_driver_killed_again_and_again_is_finished(tiny_job: Any, tmp_path: Path, record_property: Noted) -> None:
    """Each attempt dies some steps further on than it began: whatever is left was left by several dead ones."""
    generator = random.Random(11)  # noqa: S311
    tried = 0
    for name in range(ROUNDS):
        output = tmp_path / str(name)
        while killed_at(tiny_job, output, generator.randrange(20, 120)).status != 0:
            tried += 1
        assert tiny_job.damages(output) == {}
        tiny_job.finish(output)
    record_property("tried", tried)


@pytest.mark.fault("F3")
def test_driver_stopped_at_a_commit_is_finished(tiny_job: Any, tmp_path: Path, record_property: Noted) -> None:
    """Preemption may come at any moment; it is reported, and not as an error."""
    numbers = [1, *steps_at(tiny_job, COMMITS[1:4:2]), len(tiny_job.steps)]
    record_property("tried", len(numbers))
    outputs = {tmp_path / str(number): number for number in numbers}
    for signum, status, some in ((signal.SIGTERM, 143, numbers[::2]), (signal.SIGINT, 130, numbers[1::2])):
        chosen = {output: number for output, number in outputs.items() if number in some}
        for output, ended in all_killed_at(tiny_job, chosen, signum).items():
            assert ended.status == status, (tiny_job.steps[outputs[output] - 1], ended.stderr)
            assert ended.stderr.splitlines()[-1].endswith("run the same command again to finish")
            assert "Traceback" not in ended.stderr
    tiny_job.finish_together(outputs)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.fault("F3")
def test_driver_stopped_at_any_step_is_finished(tiny_job: Any, tmp_path: Path, record_property: Noted) -> None:
    record_property("tried", len(tiny_job.steps))
    wrong = {}
    for first in range(1, len(tiny_job.steps) + 1, BATCH):
        numbers = range(first, min(first + BATCH, len(tiny_job.steps) + 1))
        outputs = {tmp_path / str(number): number for number in numbers}
        for output, ended in all_killed_at(tiny_job, outputs, signal.SIGTERM).items():
            if ended.status != 143 or "Traceback" in ended.stderr:
                wrong[tiny_job.steps[outputs[output] - 1]] = ended.stderr
        tiny_job.finish_together(outputs)
        for output in outputs:
            shutil.rmtree(output)
    assert wrong == {}


@pytest.fixture(scope="module")
def longer_job(make_job: Callable[..., Any]) -> Any:
    """Two blocks of images and some shards: enough for a random moment to lie anywhere."""
    return make_job("--copies", "3", "--shards", "8", "--seed", "5", train=24, val=2, test=1, size=(48, 64))


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.fault("F3")
def test_driver_ended_at_a_random_time_is_finished(longer_job: Any, tmp_path: Path, record_property: Noted) -> None:
    """SIGKILL and SIGTERM in turn; what was finished before is kept."""
    record_property("tried", ROUNDS)
    whole_s = longer_job.run(tmp_path / "whole").seconds
    generator = random.Random(3)  # noqa: S311
    for number in range(ROUNDS):
        output = tmp_path / str(number)
        signum = (signal.SIGKILL, signal.SIGTERM)[number % 2]
        started = longer_job.start(output)
        pause(generator.uniform(0.02, 1) * whole_s)
        started.send(signum)
        ended = started.wait()
        if signum == signal.SIGTERM and ended.status != 0:
            # Before the handler of the command is there the signal ends the process by itself.
            assert ended.status in {143, -signal.SIGTERM}, ended.stderr
            assert "Traceback" not in ended.stderr
        before = {name: found for name, found in snapshot(output).items() if is_record(name)}

        longer_job.finish(output)

        after = snapshot(output)
        assert {name: after[name] for name in before} == before, "something finished was done again"


def pause(seconds: float) -> None:
    """Let a driver work."""
    signal.sigtimedwait([], seconds)


def is_record(name: str) -> bool:
    """Return whether a file is the record of a finished unit."""
    return name.startswith((".hsmix/shards/", ".hsmix/cache/commits/")) and "tmp-" not in name
