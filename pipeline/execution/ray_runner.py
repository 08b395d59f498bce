"""Units on Ray, which starts processes, chooses them, keeps them for the next unit and replaces those that die.

Of ours is only what Ray 2.60 did not do when it was tried:

- *Tries.* With ``max_retries`` Ray tries a unit that runs out of memory without end, and only who starts the cluster
  may bound that; it does not report whether a process was killed or stuck; and it tries again beside everything else.
  So each try is a task of its own, tries are counted here, and the last one has the machine for itself.
- *Time.* Ray has no limit of time for a unit, and does not report when one has begun, after a wait in its queues. So a
  unit is a generator: its first item says that it has begun. `ray.cancel` with ``force`` then ends its process, in
  native code that holds the interpreter's lock, too.
- *Lost calls.* Ray takes a process for dead whose call or answer got lost. So a result is taken as it comes, before
  the answer, and a unit that had not begun is not blamed.
- *Memory.* Ray takes any number of tasks; here two for each processor of now are under way.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError, TaskUnschedulableError

from hsmix_gen.pipeline.execution.ray_nodes import Guard, KeptOut, Nodes
from hsmix_gen.pipeline.execution.ray_places import DEATHS, LOSSES, Actors, Tasks, Try
from hsmix_gen.pipeline.execution.ray_session import connect, start
from hsmix_gen.pipeline.execution.signals import take_again
from hsmix_gen.pipeline.execution.units import Failure, Unit, Worker
from hsmix_gen.schemas.errors import OutputError

STALLS = 2
"""How often a unit is given the full time; a trial is given it once."""
START_S = 120.0
"""Seconds that a process is given to start on a busy machine, where a unit is given less."""
_LOOK_S = 1.0
"""How often is looked for what does not report itself: units that take too long."""


class RayRunner:
    """Runs units on a Ray cluster, or on one that is started for this run.

    Parameters
    ----------
    address : str or None
        Address of a running cluster; None starts Ray on this machine, reachable from this machine only.
    workers : int or None
        Units at work at most; None takes the cluster's processors as they come and go.
    processors : int
        Processors that an own Ray offers, when `workers` is None.
    timeout_s : float
        Seconds that one unit may take; then its process is killed and the unit tried again elsewhere.

    Attributes
    ----------
    has_gpu : bool
        Whether units that can use a GPU are given one.
    """

    def __init__(self, *, address: str | None, workers: int | None, processors: int, timeout_s: float) -> None:
        if address is None:
            start(workers or processors)
        else:
            connect(address)
        take_again()
        self._nodes, self._workers, self._timeout_s = Nodes(), workers, timeout_s
        self._unfinished: _Work | None = None
        self.has_gpu = self._nodes.gpus > 0

    @property
    def n_workers(self) -> int:
        """Units at work at once, now."""
        cpus = max(1, self._nodes.cpus)
        return min(self._workers or cpus, cpus)

    def guard(self, check: Guard, warn: Callable[[str], None]) -> None:
        """Let each process check its machine before its first unit; a machine that fails is kept out and named."""
        self._nodes.guard(check, warn)

    def run(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit with its result as it is finished, a bounded number in flight."""
        return self._finished(units, Tasks(self._nodes, self._workers, has_gpu=self.has_gpu))

    def run_on_workers(self, make_worker: Callable[[], Worker], units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit as processed by what `make_worker` makes in a process: one per GPU, else per CPU."""
        return self._finished(units, Actors(self._nodes, self._workers, make_worker, has_gpu=self.has_gpu))

    def close(self) -> None:
        """Disconnect; an own Ray is stopped with all of its processes."""
        ray.shutdown()

    def _finished(self, units: Iterable[Unit], places: Tasks) -> Iterator[tuple[Unit, Any]]:
        if self._unfinished is not None:
            self._unfinished.give_up()
        # What is under way when this is left early ends with Ray, or before the next run: Ray 2.60 may abort this
        # process where a task is cancelled that ends just then, and most that leave early are stopped.
        work = self._unfinished = _Work(places, self._nodes, self._timeout_s)
        try:
            yield from work.finish(iter(units))
        except SystemError as error:
            # Out of a wait of Ray, what a handler of signals raised comes as the cause of one.
            raise error.__cause__ or error from None
        work.give_up()
        self._unfinished = None


@dataclass
class _Record:
    """What befell a unit so far."""

    losses: int = 0
    deaths: int = 0
    stalls: int = 0
    is_memory: bool = False


class _Work:
    """Units that are handed over to places, and those that fail, or take longer than `timeout_s`, handed over again."""

    def __init__(self, places: Tasks, nodes: Nodes, timeout_s: float) -> None:
        self._places, self._nodes, self._timeout_s = places, nodes, timeout_s
        self._todo: deque[Unit] = deque()
        self._tries: dict[Any, Try] = {}
        self._records: dict[int, _Record] = {}
        self._moved = time.monotonic()
        """When something was last seen to happen."""

    def finish(self, units: Iterator[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield units with results as they are finished."""
        self._hand_over(units)
        while self._todo or self._tries:
            finished = self._look()
            # First of all, as whoever takes the results may be busy with them for a while.
            self._hand_over(units)
            for result in finished:
                yield result
                self._hand_over(units)

    def give_up(self) -> None:
        """Stop what is under way."""
        for tried in self._tries.values():
            self._places.stop(tried)
        self._places.close()

    def _hand_over(self, units: Iterator[Unit]) -> None:
        """Take units as there is room for them, and hand over what can be."""
        most = self._places.most
        while len(self._todo) + len(self._tries) < most and (unit := next(units, None)) is not None:
            self._todo.append(unit)
        self._places.order(len(self._todo) + len(self._tries))
        while (unit := self._next()) is not None:
            tried = self._places.submit(unit)
            self._tries[tried.stream] = tried

    def _next(self) -> Unit | None:
        """Return a unit to hand over now; for its last try one waits until nothing runs."""
        if not self._todo or not self._places.has_room(len(self._tries)):
            return None
        last = next((unit for unit in self._todo if self._is_last(unit)), None)
        if last is not None and not self._tries:
            self._todo.remove(last)
            return last
        is_kept_alone = last is not None or any(self._is_last(tried.unit) for tried in self._tries.values())
        return None if is_kept_alone else self._todo.popleft()

    def _look(self) -> list[tuple[Unit, Any]]:
        """Wait until something happens, and return what was finished."""
        awaited = [*self._tries, *self._places.starting]
        finished = []
        if not awaited:
            time.sleep(_LOOK_S)
        elif ray.wait(awaited, timeout=_LOOK_S)[0]:
            self._moved = time.monotonic()
            ready = set(ray.wait(awaited, num_returns=len(awaited), timeout=0)[0])
            self._places.look(ready)
            finished = [self._take(self._tries[each]) for each in awaited if each in ready and each in self._tries]
        return [result for result in [*finished, *self._take_stalled()] if result is not None]

    def _take(self, tried: Try) -> tuple[Unit, Any] | None:
        """Return a unit with its result, or None if it has only begun, or is to be done again."""
        try:
            tried.take()
        except TaskUnschedulableError:  # its machine has just gone
            self._take_back(tried)
            return None
        except RayError as error:
            return self._take_death(tried, is_memory=isinstance(error, OutOfMemoryError))
        if not tried.results:
            return None
        (result,) = tried.results
        if isinstance(result, KeptOut):
            self._nodes.keep_out(result)
            self._take_back(tried)
            return None
        del self._tries[tried.stream]
        self._records.pop(id(tried.unit), None)
        self._places.ended(tried, is_failure=isinstance(result, Failure))
        return tried.unit, result

    def _take_death(self, tried: Try, *, is_memory: bool) -> tuple[Unit, Any] | None:
        record = self._record(tried.unit)
        if tried.since is None and record.losses < LOSSES:
            record.losses += 1
            self._take_back(tried)
            return None
        record.deaths += 1
        record.is_memory |= is_memory
        if record.deaths < DEATHS:
            self._take_back(tried)
            return None
        how = "out of memory" if record.is_memory else "killed by the system, out of memory? or by a crash in a library"
        return self._refused(
            tried,
            f"its worker died {DEATHS} times ({how}), at last with nothing beside it; if memory is short lower "
            "--size or saliency.batch, or take a larger machine",
        )

    def _take_stalled(self) -> list[tuple[Unit, Any] | None]:
        """Stop units that take too long; refuse to wait without an end for one to begin."""
        now = time.monotonic()
        working = [tried for tried in self._tries.values() if tried.since is not None]
        # On a cluster without machines no process starts.
        patience_s = max(self._timeout_s, START_S) if self._nodes.cpus or self._nodes.gpus else self._timeout_s
        if working:
            self._moved = now
        elif now - self._moved > patience_s:
            raise OutputError(
                f"no worker was ready within {patience_s:g} s; are processors, memory and GPUs of the cluster free? "
                "run the same command again: what is finished is kept"
            )
        return [self._take_stall(tried) for tried in working if now - (tried.since or now) > self._timeout_s]

    def _take_stall(self, tried: Try) -> tuple[Unit, Any] | None:
        record, is_trial = self._record(tried.unit), tried.unit.is_trial
        record.stalls += 1
        if record.stalls < (1 if is_trial else STALLS):
            self._take_back(tried)
            return None
        times = "" if is_trial else ", twice"
        way_out = "raise run.timeout_s if the work is that slow, else check its input"
        return self._refused(tried, f"made no progress for {self._timeout_s:g} s{times}; {way_out}")

    def _take_back(self, tried: Try) -> None:
        """Stop a try; its unit is to be done again."""
        self._stop(tried)
        self._todo.append(tried.unit)

    def _refused(self, tried: Try, reason: str) -> tuple[Unit, Failure]:
        """Return a unit that failed for good with the reason, or end the run if it is needed."""
        self._stop(tried)
        del self._records[id(tried.unit)]
        if tried.unit.may_fail:
            return tried.unit, Failure(reason)
        raise OutputError(f"{tried.unit.name}: {reason}; run the same command again: what is finished is kept")

    def _stop(self, tried: Try) -> None:
        del self._tries[tried.stream]
        self._places.stop(tried)

    def _record(self, unit: Unit) -> _Record:
        return self._records.setdefault(id(unit), _Record())

    def _is_last(self, unit: Unit) -> bool:
        record = self._records.get(id(unit))
        return record is not None and record.deaths == DEATHS - 1
