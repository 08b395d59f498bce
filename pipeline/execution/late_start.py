"""A runner that is started by the first unit: source, options and output are checked without waiting for Ray."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

from hsmix_gen.pipeline.execution.units import Runner, Unit, Worker


class LateRunner:
    """Stands for a runner and starts it when something of it is first asked for.

    Parameters
    ----------
    start : callable
        Returns the runner.
    """

    def __init__(self, start: Callable[[], Runner]) -> None:
        self._start = start

    @cached_property
    def _runner(self) -> Runner:
        return self._start()

    @property
    def n_workers(self) -> int:
        """Units at work at once."""
        return self._runner.n_workers

    @property
    def has_gpu(self) -> bool:
        """Whether there is a GPU."""
        return self._runner.has_gpu

    @property
    def run(self) -> Callable[[Iterable[Unit]], Iterator[tuple[Unit, Any]]]:
        """What yields each unit with its result as it is finished; asking for it is enough to start."""
        return self._runner.run

    def run_on_workers(self, make_worker: Callable[[], Worker], units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit as processed by one of several workers."""
        return self._runner.run_on_workers(make_worker, units)

    def guard(self, check: Callable[[], str | None], warn: Callable[[str], None]) -> None:
        """Let machines check themselves before their first unit."""
        self._runner.guard(check, warn)

    def close(self) -> None:
        """Close the runner, if it was started."""
        if "_runner" in vars(self):
            self._runner.close()
