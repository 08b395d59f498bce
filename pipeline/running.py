"""Units of work and who runs them; what a unit does is known elsewhere."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Unit:
    """A call that can be made in any process, killed and made again: same name, same result, same bytes.

    Attributes
    ----------
    name : str
        What is done, for messages.
    call : callable or None
        A function of a module, so that other processes find it; None for units of a `Worker`.
    arguments : tuple
        Small values; pixels are read from the cache.
    uses_gpu : bool
        Whether it runs on a GPU where there is one.
    """

    name: str
    call: Callable[..., Any] | None
    arguments: tuple[Any, ...] = ()
    uses_gpu: bool = False


class Worker(Protocol):
    """Something that is costly to set up and serves many units, such as a network on a GPU."""

    def process(self, *arguments: Any) -> Any:
        """Do one unit."""
        ...


class Runner(Protocol):
    """Runs units, here or elsewhere; results come in any order, once each."""

    n_workers: int
    has_gpu: bool

    def run(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit with its result as it is finished."""
        ...

    def run_on_workers(self, make_worker: Callable[[], Worker], units: Sequence[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit's arguments processed by one of several long-lived workers (`Unit.call` is not used)."""
        ...

    def close(self) -> None:
        """Stop all work at once and give everything back."""
        ...


class SerialRunner:
    """Runs every unit in this process, in order: the meaning of the program."""

    n_workers = 1

    def __init__(self, *, has_gpu: bool) -> None:
        self.has_gpu = has_gpu

    def run(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit with its result."""
        for unit in units:
            assert unit.call is not None
            yield unit, unit.call(*unit.arguments)

    def run_on_workers(self, make_worker: Callable[[], Worker], units: Sequence[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit as processed by the one worker."""
        if not units:
            return
        worker = make_worker()
        for unit in units:
            yield unit, worker.process(*unit.arguments)

    def close(self) -> None:
        """Nothing is held."""
