"""Units of work and who runs them; what a unit does is known elsewhere."""

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hsmix_gen.schemas.errors import HsmixError


@dataclass(frozen=True)
class Unit:
    """A call that can be made in any process, killed and made again: same name, same result, same bytes."""

    name: str
    """What is done, for messages."""
    call: Callable[..., Any] | None
    """A function of a module, so that other processes find it; None for units of a `Worker`."""
    arguments: tuple[Any, ...] = ()
    """Small values; pixels are read from the cache."""
    uses_gpu: bool = False
    """Whether it runs on a GPU where there is one."""
    may_fail: bool = False
    """Whether its failure comes back as a `Failure`; that of any other unit ends the run."""
    is_trial: bool = False
    """Whether it is a part of a unit that failed, tried by itself: it is given time once only."""


@dataclass(frozen=True)
class Failure:
    """What comes back for a unit that raised an unforeseen exception, killed its workers or never ended."""

    reason: str


class Worker(Protocol):
    """Something that is costly to set up and serves many units, such as a network on a GPU."""

    def process(self, *arguments: Any) -> Any:
        """Do one unit."""
        ...


class Runner(Protocol):
    """Runs units, here or elsewhere; results come in any order, once each.

    Units may be an iterator that has nothing left for now and more after a result was taken.
    """

    @property
    def has_gpu(self) -> bool:
        """Whether units can run on a GPU."""
        ...

    @property
    def n_workers(self) -> int:
        """Units at work at once, now."""
        ...

    def run(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit with its result as it is finished."""
        ...

    def run_on_workers(self, make_worker: Callable[[], Worker], units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit's arguments processed by one of several long-lived workers (`Unit.call` is not used)."""
        ...

    def guard(self, check: Callable[[], str | None], warn: Callable[[str], None]) -> None:
        """Let machines check themselves before their first unit; one that fails is named and given no units.

        Parameters
        ----------
        check : callable
            Hashable; travels to each machine and returns what is wrong with it, or None.
        warn : callable
            Takes one line for each machine that is kept out.
        """
        ...

    def close(self) -> None:
        """Stop all work at once and give everything back."""
        ...


class SerialRunner:
    """Runs every unit in this process, in order: the meaning of the program.

    What takes down its process takes down the run here, and what never ends is waited for.
    """

    n_workers = 1

    def __init__(self, *, has_gpu: bool) -> None:
        self.has_gpu = has_gpu

    def run(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit with its result."""
        for unit in units:
            assert unit.call is not None
            yield unit, attempt(unit.call, unit.arguments, may_fail=unit.may_fail)

    def run_on_workers(self, make_worker: Callable[[], Worker], units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit as processed by the one worker, which is made anew after a failure."""
        worker: Worker | None = None
        for unit in units:
            worker = worker or make_worker()
            result = attempt(worker.process, unit.arguments, may_fail=unit.may_fail)
            if isinstance(result, Failure):
                worker = None
            yield unit, result

    def guard(self, check: Callable[[], str | None], warn: Callable[[str], None]) -> None:
        """No other machine works."""

    def close(self) -> None:
        """Nothing is held."""


def attempt(call: Callable[..., Any], arguments: tuple[Any, ...], *, may_fail: bool) -> Any:
    """Return what a call returns, or its failure, if an exception is no matter of the whole run.

    Errors for people, and what the system reports of files, such as a full disk, are always raised.
    """
    try:
        return call(*arguments)
    except Exception as error:
        # Decoders raise an OSError without a number for damaged files.
        is_of_system = isinstance(error, OSError) and error.errno is not None
        if not may_fail or is_of_system or isinstance(error, HsmixError):
            raise
        return Failure(_reason(error))


def _reason(error: Exception) -> str:
    """Return the first line of an exception and where it was raised."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"failed with {text} ({Path(frame.filename).name} line {frame.lineno})"
