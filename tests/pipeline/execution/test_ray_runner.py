"""Units on a real Ray that is started for this module."""

import contextlib
import os
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hsmix_gen.pipeline.execution.ray_places import DEATHS, IN_FLIGHT
from hsmix_gen.pipeline.execution.ray_runner import RayRunner
from hsmix_gen.pipeline.execution.ray_session import sockets_folder
from hsmix_gen.pipeline.execution.units import Failure, Unit, Worker
from hsmix_gen.schemas.errors import OutputError, SourceError
from tests.command_line import TINY, run_command
from tests.process_tree import descendants
from tests.small_sources import make_source

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


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_sockets_get_short_names_where_the_folder_for_them_is_a_long_one(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setenv(variable, short)
        assert sockets_folder() is None

        monkeypatch.setenv(variable, short + "/" + 40 * "x")
        folder = Path(sockets_folder() or "")
        folder.rmdir()

    assert len(str(folder)) < 25


def test_another_folder_is_taken_where_the_usual_one_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user made it, or its disk is read-only; here a file has its name, which keeps out root as well."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        (Path(short) / "ray").touch()
        monkeypatch.setenv("RAY_TMPDIR", short)
        folder = Path(sockets_folder() or "")
        folder.rmdir()

    assert not folder.is_relative_to(short)


@pytest.mark.slow
@pytest.mark.parametrize("home", ["none", "a file", "unset"])
def test_a_home_folder_that_cannot_be_written_is_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    """Containers and jobs have such ones; Ray wants to keep a token there."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file" / "home" if home == "none" else tmp_path / "file"))
    if home == "unset":
        monkeypatch.delenv("HOME")
    source = make_source(tmp_path / "source")

    done = run_command("run", source, tmp_path / "out", *TINY, "--backend", "ray", "--workers", "1", "--copies", "1")

    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_run_with_a_long_folder_for_temporary_files_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Schedulers of clusters give such ones; the kernel takes 107 bytes for the name of a socket."""
    long = tmp_path / ("job" * 30)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    before = set(Path("/tmp").glob("hsmix-ray-*"))  # noqa: S108

    ended = run_command("run", make_source(tmp_path / "source"), tmp_path / "out", *TINY, "--backend", "ray")

    assert ended.returncode == 0, ended.stderr
    assert set(Path("/tmp").glob("hsmix-ray-*")) <= before  # noqa: S108


def listening(of: int) -> set[str]:
    """Return the addresses, as the kernel writes them, on which a process and its descendants listen for TCP."""
    sockets = set()
    for pid in (of, *(pid for pid, _ in descendants(of))):
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            sockets |= {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    rows = [line.split() for kind in ("tcp", "tcp6") for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


def test_nobody_on_the_network_reaches_a_ray_of_our_own(runner: RayRunner) -> None:
    """Whoever reaches Ray can run code."""
    list(runner.run([Unit("warm", len, ("a",), may_fail=False)]))

    found = listening(os.getpid())

    loopback = {"0100007F", "0000000000000000FFFF00000100007F"}
    assert found
    assert found <= loopback


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

    with pytest.raises(OutputError, match=r"unit 0: made no progress for 8 s, twice; raise run\.timeout_s"):
        list(runner.run(units(sleep_on, 1)))


def test_a_unit_that_kills_every_worker_is_named(runner: RayRunner) -> None:
    def die_always(number: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(OutputError, match=r"unit 0: its worker died 3 times .*out of memory.*lower --size"):
        list(runner.run(units(die_always, 1)))


def test_a_unit_that_may_fail_comes_back_and_the_others_are_done(runner: RayRunner) -> None:
    """Who waited behind it in the same process, or worked beside it, is not to blame."""

    def die_for(number: int) -> int:
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    may_fail = [replace(unit, may_fail=True) for unit in units(die_for, 6)]

    results = {unit.name: result for unit, result in runner.run(may_fail)}

    lost = results.pop("unit 1")
    assert isinstance(lost, Failure)
    assert lost.reason.startswith("its worker died 3 times (killed by the system, out of memory?")
    assert results == {f"unit {i}": i for i in (0, 2, 3, 4, 5)}


def test_the_last_try_has_the_machine_for_itself(runner: RayRunner, tmp_path: Path) -> None:
    """A unit that dies for memory beside others may be done alone."""

    def call(number: int) -> int:
        busy = tmp_path / f"busy-{number}"
        busy.touch()
        if number == 20:
            time.sleep(0.2)
            beside = [path.name for path in tmp_path.glob("busy-*") if path != busy]
            tries = len(list(tmp_path.glob("try-*")))
            (tmp_path / f"try-{tries}").write_text(" ".join(beside))
            if tries < DEATHS - 1:
                os.kill(os.getpid(), signal.SIGKILL)
        else:
            time.sleep(0.3)
        busy.unlink()
        return number

    results = sorted(result for _, result in runner.run(units(call, 30)))

    assert results == list(range(30))
    assert (tmp_path / "try-0").read_text() != ""
    assert (tmp_path / "try-2").read_text() == ""
    assert not (tmp_path / "try-3").exists()


@pytest.mark.slow
def test_a_stuck_unit_is_found_while_others_are_finished(runner: RayRunner, tmp_path: Path) -> None:
    """In a long job something is finished every second; that must not hide what hangs."""
    call = hang_once(tmp_path / "hung")

    def slowly(number: int) -> int:
        time.sleep(0.5)
        return call(number)

    results = [result for _, result in runner.run(units(slowly, 40))]

    assert sorted(results) == list(range(40))
    assert results[-1] != 3


def test_units_that_are_added_while_others_are_taken_are_done(runner: RayRunner) -> None:
    """The parts of a unit that failed become units of the same run."""
    waiting = deque(units(lambda i: i * i, 1))

    class More:
        def __iter__(self) -> Iterator[Unit]:
            return self

        def __next__(self) -> Unit:
            if not waiting:
                raise StopIteration
            return waiting.popleft()

    results = []
    for _, result in runner.run(More()):
        results.append(result)
        if len(results) == 1:
            waiting.extend(units(lambda i: -i, 3))

    assert results[0] == 0
    assert sorted(results[1:]) == [-2, -1, 0]


def test_units_are_taken_only_as_there_is_room_for_them(runner: RayRunner) -> None:
    """Memory must not grow with the number of images."""
    taken = []

    def noting() -> Iterator[Unit]:
        for unit in units(lambda i: i, 1000):
            taken.append(unit.name)
            yield unit

    results = runner.run(noting())
    next(results)
    results.close()  # type: ignore[attr-defined]

    # Those in flight, and as many in the place of those that came back together with the first one.
    assert len(taken) <= 2 * IN_FLIGHT * runner.n_workers


def test_a_run_that_was_given_up_leaves_nothing_to_the_next(runner: RayRunner) -> None:
    def sleep_on(number: int) -> int:
        time.sleep(0.1 if number == 0 else 1000)
        return number

    given_up = runner.run(units(sleep_on, 4))
    assert next(given_up)[1] == 0
    given_up.close()  # type: ignore[attr-defined]

    assert sorted(result for _, result in runner.run(units(lambda i: i + 1, 4))) == [1, 2, 3, 4]


def test_what_the_handler_of_a_signal_raises_ends_the_wait_as_it_is(runner: RayRunner) -> None:
    """Ray's waits turn it into a SystemError now and then; then a terminated run would end with a traceback."""

    class Stopped(BaseException):
        pass

    def stop(_number: int, _frame: object) -> None:
        raise Stopped

    def sleep_on(_number: int) -> None:
        time.sleep(1000)

    before = signal.signal(signal.SIGALRM, stop)
    try:
        for tenths in range(5, 10):
            signal.setitimer(signal.ITIMER_REAL, tenths / 10)
            with pytest.raises(Stopped):
                list(runner.run([Unit("unit", sleep_on, (0,))]))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_unforeseen_exception_of_a_unit_that_may_fail_is_reported_by_its_first_line(runner: RayRunner) -> None:
    def fail(_number: int) -> int:
        raise ZeroDivisionError("no half of it\nmore")

    ((_, result),) = runner.run([Unit("unit", fail, (1,), may_fail=True)])

    assert isinstance(result, Failure)
    assert result.reason.startswith("failed with ZeroDivisionError: no half of it (test_ray_runner.py line ")


def test_a_worker_is_made_anew_after_a_failure(runner: RayRunner) -> None:
    """An error of the GPU spoils what its process holds."""

    class Spoiled:
        def __init__(self) -> None:
            self.calls_before = 0

        def process(self, number: int) -> int:
            if number % 5 == 0:
                self.calls_before = 1000
                raise ZeroDivisionError
            self.calls_before += 1
            return self.calls_before

    some = [Unit(f"unit {i}", None, (i,), may_fail=True) for i in range(12)]

    results = [result for _, result in runner.run_on_workers(Spoiled, iter(some))]

    assert sum(isinstance(result, Failure) for result in results) == 3
    assert all(result < 1000 for result in results if not isinstance(result, Failure))


def test_a_worker_that_cannot_be_made_states_its_own_error(runner: RayRunner) -> None:
    def refuse() -> Worker:
        raise SourceError("the weights are torn; copy them again")

    with pytest.raises(SourceError, match=r"^the weights are torn"):
        list(runner.run_on_workers(refuse, units(None, 1)))


@pytest.mark.slow
def test_workers_that_die_while_they_start_are_reported(runner: RayRunner) -> None:
    """On a machine with other work Ray takes up to minutes to see such a death."""

    def die() -> Worker:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with pytest.raises(OutputError, match="3 workers died while they started; if memory is short lower --workers"):
        list(runner.run_on_workers(die, units(None, 1)))


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


def test_an_address_without_a_cluster_is_reported() -> None:
    with pytest.raises(OutputError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
        RayRunner(address="127.0.0.1:1", workers=1, processors=1, timeout_s=TIMEOUT_S)
