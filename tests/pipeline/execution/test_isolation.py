"""Jobs whose unit fails: their parts are tried one by one, and only those that fail again are left out."""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from hsmix_gen.pipeline.execution.isolation import LEAST_PARTS, Job, WholeUnit, finish_jobs
from hsmix_gen.pipeline.execution.progress import LineDisplay, Reporter, SilentDisplay
from hsmix_gen.pipeline.execution.units import Failure, SerialRunner, Unit, attempt
from hsmix_gen.schemas.errors import CacheError, OutputError, SourceError
from hsmix_gen.schemas.extras import ExtraError
from hsmix_gen.schemas.records import SourceItem, picture


def halve(numbers: tuple[int, ...]) -> list[int]:
    """Return half of each number; an odd one is a defect."""
    for number in numbers:
        if number % 2:
            raise ZeroDivisionError(f"{number} is odd\nand so on")
    return [number // 2 for number in numbers]


@dataclass(frozen=True)
class Halving(Job):
    """The job of halving some numbers."""

    numbers: tuple[int, ...]
    call: Callable[[tuple[int, ...]], list[int]] = halve
    items: tuple[SourceItem, ...] = ()

    @property
    def name(self) -> str:
        return f"halves of {self.numbers}"

    @property
    def parts(self) -> Mapping[int, str]:
        return {i: f"number {number}" for i, number in enumerate(self.numbers)}

    def unit(self, left_out: Mapping[int, str]) -> Unit | None:
        kept = tuple(number for i, number in enumerate(self.numbers) if i not in left_out)
        return Unit(self.name, self.call, (kept,), may_fail=True) if kept else None

    def trial(self, part: int) -> Unit:
        return Unit(f"half of {self.numbers[part]}", self.call, ((self.numbers[part],),), may_fail=True, is_trial=True)

    def finished(self, result: Any, left_out: Mapping[int, str]) -> list[Any]:
        return [*(result or []), *(reason.partition(" (")[0] for _, reason in sorted(left_out.items()))]


def done(*jobs: Halving, stage: str = "halving", reporter: Reporter | None = None, before: int = 0) -> list[Any]:
    """Do jobs here and return their results in the order in which they were finished."""
    runner = SerialRunner(has_gpu=False)
    quiet = reporter or Reporter(SilentDisplay())
    return [result for _, result in finish_jobs(runner.run, jobs, stage, quiet, done=before)]


def test_sound_jobs_come_back_as_they_are() -> None:
    assert done(Halving((2, 4)), Halving((6,))) == [[1, 2], [3]]


def test_part_that_fails_is_left_out_with_its_reason() -> None:
    assert done(Halving((2, 3, 4)), Halving((6,))) == [[3], [1, 2, "failed with ZeroDivisionError: 3 is odd"]]


def test_job_of_one_part_that_fails_has_nothing_left() -> None:
    assert done(Halving((3,)), Halving((2,))) == [[1], ["failed with ZeroDivisionError: 3 is odd"]]


def test_job_that_fails_only_as_a_whole_is_done_again_as_a_whole() -> None:
    """A worker may be lost to something that has nothing to do with the unit."""
    calls: list[tuple[int, ...]] = []

    def fail_once(numbers: tuple[int, ...]) -> list[int]:
        calls.append(numbers)
        if len(calls) == 1:
            raise RuntimeError("a passing trouble")
        return halve(numbers)

    assert done(Halving((2, 4), fail_once)) == [[1, 2]]
    assert calls == [(2, 4), (2,), (4,), (2, 4)]


def test_job_that_fails_as_a_whole_again_ends_the_run() -> None:
    """Its parts are innocent: to refuse them would lose data that can be made."""

    def fail_together(numbers: tuple[int, ...]) -> list[int]:
        if len(numbers) > 1:
            raise MemoryError
        return halve(numbers)

    with pytest.raises(OutputError, match=r"^halves of \(2, 4\): failed with MemoryError .*; each of its parts can be"):
        done(Halving((2, 4), fail_together))


def test_failures_that_are_the_rule_end_the_run() -> None:
    """A broken installation must not come out as an empty dataset."""
    numbers = (*range(1, LEAST_PARTS + 1, 2), 2, 4, 6, 8)

    assert len(numbers) < LEAST_PARTS
    assert len(done(Halving(numbers))[0]) == len(numbers)
    with pytest.raises(OutputError, match=r"^halving failed for 6 of 10 parts, number 1 among them: failed with Zero"):
        done(Halving((*numbers, 11)))


def test_failures_of_half_of_the_parts_are_refused_one_by_one() -> None:
    (result,) = done(Halving(tuple(range(LEAST_PARTS))))

    assert result[:5] == [0, 1, 2, 3, 4]
    assert len(result) == LEAST_PARTS


def test_parts_that_were_done_before_count_as_sound() -> None:
    """On a resume the last block may be the one with all the trouble."""
    numbers = tuple(range(1, 2 * LEAST_PARTS, 2))

    assert len(done(Halving(numbers), before=LEAST_PARTS)[0]) == LEAST_PARTS
    with pytest.raises(OutputError):
        done(Halving(numbers), before=LEAST_PARTS - 1)


def test_jobs_that_were_narrowed_down_are_finished_last() -> None:
    """Nothing is recorded as refused before it is known that failures are the exception."""
    assert [result[0] for result in done(Halving((3, 4)), Halving((6,)), Halving((8,)))] == [3, 4, 2]


def test_many_failures_end_the_run_early() -> None:
    """A stage of a million images has not to be tried to its end, where nothing works."""
    taken = []

    def jobs() -> Iterator[Halving]:
        for first in range(1, 10_001, 20):
            taken.append(first)
            yield Halving(tuple(range(first, first + 20, 2)))

    with pytest.raises(OutputError, match="failed for 64 of 64 parts"):
        list(finish_jobs(SerialRunner(has_gpu=False).run, jobs(), "halving", Reporter(SilentDisplay())))
    assert len(taken) < 10


def test_what_is_left_out_is_reported() -> None:
    said = io.StringIO()

    done(Halving((2, 3)), reporter=Reporter(LineDisplay(said)))

    first, second = said.getvalue().splitlines()
    assert first.startswith("halves of (2, 3): failed with ZeroDivisionError: 3 is odd (test_isolation.py line ")
    assert first.endswith("); its 2 parts are tried one by one")
    assert second.startswith("warning: halving: number 3 is refused: failed with ZeroDivisionError: 3 is odd (")


def test_names_that_are_to_be_hidden_are_not_reported() -> None:
    """A library may name the file of a patient in its message."""
    said = io.StringIO()

    def fail(_numbers: tuple[int, ...]) -> list[int]:
        raise ValueError("secret is torn")

    item = SourceItem("it", picture("a.png"), picture("b.png"), hidden=("secret",))
    results = done(Halving((2, 4), fail, (item,)), Halving((6,), fail, (item,)), reporter=Reporter(LineDisplay(said)))

    assert [reason for result in results for reason in result] == ["failed with ValueError: it is torn"] * 3
    assert "secret" not in said.getvalue()


def test_sole_unit_ends_the_run_with_its_own_error() -> None:
    runner = SerialRunner(has_gpu=False)

    with pytest.raises(ZeroDivisionError):
        list(finish_jobs(runner.run, [WholeUnit(Unit("a", halve, ((3,),)))], "halving", Reporter(SilentDisplay())))


@pytest.mark.parametrize(
    "error",
    [
        SourceError("the folder is empty"),
        CacheError("row 3 is damaged"),
        ExtraError("a.dcm needs the package pydicom"),
        OSError(28, "No space left on device"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_the_whole_run_are_no_failures_of_a_unit(error: BaseException) -> None:
    """A full disk would refuse one image after the other."""

    def call() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        attempt(call, (), may_fail=True)
    assert caught.value is error


def test_errors_of_decoders_without_a_number_are_failures_of_a_unit() -> None:
    def call() -> None:
        raise OSError("broken data stream when reading image file")

    result = attempt(call, (), may_fail=True)

    assert isinstance(result, Failure)
    assert result.reason.startswith("failed with OSError: broken data stream when reading image file (test_isolation")


def test_worker_is_made_anew_after_a_failure() -> None:
    """An error may spoil what it holds."""
    made = []

    class Halver:
        def __init__(self) -> None:
            made.append(self)

        def process(self, numbers: tuple[int, ...]) -> list[int]:
            return halve(numbers)

    units = [Unit(str(i), None, ((i,),), may_fail=True) for i in (2, 3, 4, 6)]

    results = [result for _, result in SerialRunner(has_gpu=False).run_on_workers(Halver, units)]

    assert [isinstance(result, Failure) for result in results] == [False, True, False, False]
    assert len(made) == 2
