"""Units on a real Ray that is started for this module."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hsmix_gen.pipeline.ray_run import RayRunner
from hsmix_gen.pipeline.running import Unit, Worker
from hsmix_gen.schemas.errors import OutputError, SourceError

TIMEOUT_S = 8.0


@pytest.fixture(scope="module")
def runner() -> Iterator[RayRunner]:
    runner = RayRunner(address=None, workers=2, processors=2, timeout_s=TIMEOUT_S)
    yield runner
    runner.close()


def hang_once(flag: Path) -> Callable[[int], int]:
    """Return a call that never ends the first time it is given 3."""

    def call(number: int) -> int:
        if number == 3 and not flag.exists():
            flag.touch()
            time.sleep(1000)
        return number

    return call


def die_once(flag: Path) -> Callable[[int], int]:
    """Return a call that kills its process the first time it is given 1."""

    def call(number: int) -> int:
        if number == 1 and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    return call


def units(call: Callable[[int], int] | None, count: int) -> list[Unit]:
    return [Unit(f"unit {i}", call, (i,)) for i in range(count)]


def holder_of(call: Callable[[int], int]) -> Callable[[], Worker]:
    """Return what makes a worker that does what a call says."""

    # Defined here, so that it travels by value: test modules cannot be imported by other processes.
    class Holder:
        def process(self, number: int) -> int:
            return call(number)

    return Holder


def test_every_unit_comes_back_once(runner: RayRunner) -> None:
    results = sorted(result for _, result in runner.run(units(lambda i: i * i, 9)))

    assert results == [i * i for i in range(9)]


def test_a_killed_worker_is_replaced(runner: RayRunner, tmp_path: Path) -> None:
    results = sorted(result for _, result in runner.run(units(die_once(tmp_path / "died"), 4)))

    assert results == [0, 1, 2, 3]
    assert (tmp_path / "died").exists()


def test_a_stuck_unit_is_tried_again_elsewhere(runner: RayRunner, tmp_path: Path) -> None:
    results = sorted(result for _, result in runner.run(units(hang_once(tmp_path / "hung"), 6)))

    assert results == list(range(6))


@pytest.mark.slow
def test_a_unit_that_is_stuck_twice_is_named(runner: RayRunner) -> None:
    def sleep_on(number: int) -> int:
        time.sleep(1000)
        return number

    with pytest.raises(OutputError, match=r"unit 0 made no progress for 8 s, twice; raise run\.timeout_s"):
        list(runner.run(units(sleep_on, 1)))


def test_a_unit_that_kills_every_worker_is_named(runner: RayRunner) -> None:
    def die_always(number: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(OutputError, match=r"unit 0 lost its worker 4 times .*lower --workers"):
        list(runner.run(units(die_always, 1)))


def test_an_error_for_people_arrives_as_it_was_raised(runner: RayRunner) -> None:
    def refuse(_number: int) -> int:
        raise SourceError("image a.png is torn; copy it again")

    with pytest.raises(SourceError, match=r"^image a\.png is torn; copy it again$"):
        list(runner.run(units(refuse, 1)))


@pytest.mark.slow
def test_a_stuck_actor_is_replaced(runner: RayRunner, tmp_path: Path) -> None:
    call = hang_once(tmp_path / "hung")

    results = sorted(result for _, result in runner.run_on_workers(holder_of(call), units(None, 6)))

    assert results == list(range(6))


def test_a_killed_actor_is_restarted(runner: RayRunner, tmp_path: Path) -> None:
    call = die_once(tmp_path / "died")

    results = sorted(result for _, result in runner.run_on_workers(holder_of(call), units(None, 4)))

    assert results == [0, 1, 2, 3]


def test_no_units_need_no_worker(runner: RayRunner) -> None:
    def never() -> Worker:
        raise AssertionError

    assert list(runner.run_on_workers(never, [])) == []


def test_an_address_without_a_cluster_is_told() -> None:
    with pytest.raises(OutputError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
        RayRunner(address="127.0.0.1:1", workers=1, processors=1, timeout_s=TIMEOUT_S)
