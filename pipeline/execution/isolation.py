"""Units that fail are narrowed down: their parts are tried one by one, and what fails again is left out by name."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.units import Failure, Unit
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import SourceItem

LEAST_PARTS = 10
"""Below this number of parts nobody can distinguish a broken installation from broken parts."""
MANY_FAILURES = 64
"""Failures after which it is not worth waiting for the end of a stage to say so."""

Run = Callable[[Iterable[Unit]], Iterator[tuple[Unit, Any]]]


class Job(ABC):
    """Something to do in one unit, or in less if parts of it cannot be done."""

    items: Sequence[SourceItem] = ()
    """What files are read, if any are."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What is done, for messages."""

    @property
    def parts(self) -> Mapping[int, str]:
        """The name of each part by its position; none where the failure of the unit ends the run."""
        return {}

    @abstractmethod
    def unit(self, left_out: Mapping[int, str]) -> Unit | None:
        """Return the unit without some parts, each with its reason; None if nothing is left to do."""

    def trial(self, part: int) -> Unit:
        """Return a unit that does one part and leaves nothing behind."""
        raise ValueError(part)

    def finished(self, result: Any, left_out: Mapping[int, str]) -> Any:  # noqa: ARG002 - of parts alone
        """Return the result, of None where there was no unit, completed by what was left out."""
        return result

    def without_hidden(self, reason: str) -> str:
        """Return a reason as it may be shown: without names of items that are to be hidden."""
        for item in self.items:
            reason = item.without_hidden(reason)
        return reason


@dataclass(frozen=True)
class WholeUnit(Job):
    """A unit that has no parts: its failure ends the run."""

    whole: Unit

    @property
    def name(self) -> str:
        """What is done, for messages."""
        return self.whole.name

    def unit(self, left_out: Mapping[int, str]) -> Unit:  # noqa: ARG002 - there are no parts
        """Return the unit."""
        return self.whole


J = TypeVar("J", bound=Job)


def finish_jobs(
    run: Run, jobs: Iterable[J], stage: str, reporter: Reporter, *, done: int = 0
) -> Iterator[tuple[J, Any]]:
    """Yield each job with its result as it is finished.

    Parts are left out, each with its reason, if they fail when they are tried by themselves; so it does not depend
    on their neighbours or on who works when. Jobs without such parts are finished at the end, when it is known that
    failures are the exception.

    Parameters
    ----------
    run : callable
        Gives units to a runner.
    jobs : iterable
        Taken one by one as they are needed.
    stage : str
        For messages.
    reporter : Reporter
        Reports what is narrowed down.
    done : int
        Parts of the stage that were finished before.

    Raises
    ------
    OutputError
        If most parts fail, or a job fails without those that do.
    """
    queue = _Queue(iter(jobs), stage, reporter, done)
    for unit, result in run(queue):
        yield from queue.take(unit, result)


@dataclass
class _Narrowed(Generic[J]):
    """A job whose unit failed."""

    job: J
    reason: str
    pending: int = 0
    failures: dict[int, str] = field(default_factory=dict)


class _Queue(Generic[J]):
    """Units to do; has more after results were taken."""

    def __init__(self, jobs: Iterator[J], stage: str, reporter: Reporter, done: int) -> None:
        self._jobs, self._stage, self._reporter = jobs, stage, reporter
        self._next = next(jobs, None)
        self._ready: deque[Unit] = deque()
        self._given: dict[int, tuple[Unit, Callable[[Any], Iterable[tuple[J, Any]]]]] = {}
        """Units that were handed out, by identity, and what takes the result of each."""
        self._held: list[_Narrowed[J]] = []
        self._n_good, self._n_failed = done, 0

    def __iter__(self) -> Iterator[Unit]:
        return self

    def __next__(self) -> Unit:
        if self._ready:
            return self._ready.popleft()
        if self._next is None:
            raise StopIteration
        job, self._next = self._next, next(self._jobs, None)
        unit = job.unit({})
        assert unit is not None
        self._given[id(unit)] = unit, partial(self._take_whole, job)
        return unit

    def take(self, unit: Unit, result: Any) -> Iterator[tuple[J, Any]]:
        """Take a result; yield the jobs that are finished with it."""
        _, take = self._given.pop(id(unit))
        yield from take(result)
        if not self._given and self._next is None:
            yield from self._finish_held()

    def _take_whole(self, job: J, result: Any) -> Iterator[tuple[J, Any]]:
        if isinstance(result, Failure):
            self._narrow(job, job.without_hidden(result.reason))
        else:
            self._n_good += len(job.parts)
            yield job, result

    def _narrow(self, job: J, reason: str) -> None:
        narrowed = _Narrowed(job, reason)
        parts = job.parts
        if len(parts) == 1:
            self._fail(narrowed, next(iter(parts)), reason)
            self._held.append(narrowed)
            return
        self._reporter.note(f"{job.name}: {reason}; its {len(parts)} parts are tried one by one")
        narrowed.pending = len(parts)
        for part in parts:
            trial = job.trial(part)
            self._given[id(trial)] = trial, partial(self._take_trial, narrowed, part)
            self._ready.append(trial)

    def _take_trial(self, narrowed: _Narrowed[J], part: int, result: Any) -> tuple[()]:
        if isinstance(result, Failure):
            self._fail(narrowed, part, narrowed.job.without_hidden(result.reason))
        else:
            self._n_good += 1
        narrowed.pending -= 1
        if not narrowed.pending:
            self._held.append(narrowed)
        return ()

    def _fail(self, narrowed: _Narrowed[J], part: int, reason: str) -> None:
        narrowed.failures[part] = reason
        self._n_failed += 1
        self._reporter.warn(f"{self._stage}: {narrowed.job.parts[part]} is refused: {reason}")
        if self._n_failed >= MANY_FAILURES:
            self._check_rate(narrowed, part)

    def _check_rate(self, narrowed: _Narrowed[J], part: int) -> None:
        """Refuse to go on where failures are the rule: then it is no matter of single parts."""
        total = self._n_good + self._n_failed
        if total >= LEAST_PARTS and 2 * self._n_failed > total:
            raise OutputError(
                f"{self._stage} failed for {self._n_failed} of {total} parts, {narrowed.job.parts[part]} among them: "
                f"{narrowed.failures[part]}; nothing was refused: see hsmix-gen doctor and the memory of the machine, "
                "then run the same command again"
            )

    def _finish_held(self) -> Iterator[tuple[J, Any]]:
        """Hand out the jobs that were narrowed down, without what failed; yield those with nothing left to do."""
        held, self._held = self._held, []
        for narrowed in held:
            if narrowed.failures:
                self._check_rate(narrowed, min(narrowed.failures))
        for narrowed in held:
            unit = narrowed.job.unit(narrowed.failures)
            if unit is None:
                yield narrowed.job, narrowed.job.finished(None, narrowed.failures)
            else:
                self._given[id(unit)] = unit, partial(self._take_last, narrowed)
                self._ready.append(unit)

    def _take_last(self, narrowed: _Narrowed[J], result: Any) -> Iterator[tuple[J, Any]]:
        if isinstance(result, Failure):
            reason = narrowed.job.without_hidden(result.reason)
            raise OutputError(
                f"{narrowed.job.name}: {reason}; each of its parts can be done by itself: is memory short? "
                "Lower --workers or --size, then run the same command again: what is finished is kept"
            )
        yield narrowed.job, narrowed.job.finished(result, narrowed.failures)
