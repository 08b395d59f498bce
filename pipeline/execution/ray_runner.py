"""Units on Ray: it places processes; this module gives them units, watches them and replaces those that die or hang."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

from hsmix_gen.pipeline.execution.ray_session import connect, start
from hsmix_gen.pipeline.execution.units import Failure, Unit, Worker, attempt
from hsmix_gen.schemas.errors import HsmixError, OutputError

DEATHS = 3
"""How many processes a unit may take down; the last one has the machine for itself."""
STALLS = 2
"""How often a unit is given the full time; a trial is given it once."""
IN_FLIGHT = 2
"""Units handed over per worker: one at work, one waiting, so that memory does not grow with their number."""
_LOOK_S = 5.0
"""How often is looked for what does not tell of itself."""


class RayRunner:
    """Runs units on a Ray cluster, or on one that is started for this run.

    Parameters
    ----------
    address : str or None
        Address of a running cluster; None starts Ray on this machine, reachable from this machine only.
    workers : int or None
        Units at work at once; None takes the cluster's processors.
    processors : int
        Processors that an own Ray offers, when `workers` is None.
    timeout_s : float
        Seconds that one unit may take; then its process is killed and the unit tried again elsewhere.
    """

    def __init__(self, *, address: str | None, workers: int | None, processors: int, timeout_s: float) -> None:
        if address is None:
            start(workers or processors)
        else:
            connect(address)
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.n_workers = workers or max(1, int(resources.get("CPU", 1)))
        self._n_gpus = int(resources.get("GPU", 0))
        self.has_gpu = self._n_gpus > 0
        self._timeout_s = timeout_s
        self._crew: _Crew | None = None

    def run(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit with its result as it is finished, a bounded number in flight."""
        if self._crew is None:
            self._crew = _Crew(None, self.n_workers, n_gpus=self._n_gpus, timeout_s=self._timeout_s)
        try:
            with _signals_as_raised():
                yield from self._crew.work(iter(units))
        finally:
            # The others keep what they imported for the next stage.
            self._crew.dismiss(lambda place: bool(place.given) or place.has_gpu)

    def run_on_workers(self, make_worker: Callable[[], Worker], units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit as processed by what `make_worker` makes in a process: one per GPU, else per CPU."""
        if self._crew is not None:
            # They hold the processors and some memory.
            self._crew.dismiss()
        crew = _Crew(make_worker, self._n_gpus or self.n_workers, n_gpus=self._n_gpus, timeout_s=self._timeout_s)
        try:
            with _signals_as_raised():
                yield from crew.work(iter(units))
        finally:
            crew.dismiss()

    def close(self) -> None:
        """Kill what works and disconnect; an own Ray is stopped with all of its processes."""
        if self._crew is not None:
            self._crew.dismiss()
        ray.shutdown()


@dataclass
class _Place:
    """A process and what it was given; the first unit is at work."""

    actor: Any
    has_gpu: bool
    begun: Any
    """Reference that is there when the process is ready; None from then on."""
    since: float
    """When the first unit was begun, or when the process was ordered."""
    given: deque[tuple[Any, Unit]] = field(default_factory=deque)

    @property
    def is_ready(self) -> bool:
        return self.begun is None

    @property
    def awaited(self) -> Any | None:
        return self.begun if self.begun is not None else self.given[0][0] if self.given else None


@dataclass
class _Record:
    """What befell a unit so far."""

    deaths: int = 0
    stalls: int = 0
    is_memory: bool = False

    @property
    def alone(self) -> bool:
        return self.deaths == DEATHS - 1


class _Crew:
    """Processes that do units, each one after the other, so that it is known which one was at work and since when.

    Parameters
    ----------
    make_worker : callable or None
        Makes what processes units in each process; None if units bring their calls along.
    size : int
        Number of processes.
    n_gpus : int
        GPUs of the cluster; a process that has one has it for itself.
    timeout_s : float
        Seconds that one unit may take.
    """

    def __init__(self, make_worker: Callable[[], Worker] | None, size: int, *, n_gpus: int, timeout_s: float) -> None:
        self._make_worker, self._size = make_worker, size
        self._n_gpus, self._timeout_s = n_gpus, timeout_s
        self._places: list[_Place] = []
        self._todo: deque[Unit] = deque()
        self._records: dict[int, _Record] = {}
        self._failed_starts = 0

    def work(self, units: Iterator[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield units with results as they are finished."""
        self._todo.clear()
        self._records.clear()
        self._failed_starts = 0
        while True:
            while len(self._todo) + self._n_given < IN_FLIGHT * self._size and (unit := next(units, None)):
                self._todo.append(unit)
            if not self._todo and not self._n_given:
                return
            self._order_places()
            self._hand_over()
            yield from self._look()

    def dismiss(self, is_meant: Callable[[_Place], bool] = lambda _place: True) -> None:
        """Kill processes, whatever they do."""
        for place in [place for place in self._places if is_meant(place)]:
            self._remove(place)

    @property
    def _n_given(self) -> int:
        return sum(len(place.given) for place in self._places)

    def _order_places(self) -> None:
        """Start the processes that what is to do needs; one with a GPU serves the units that want it."""
        own_gpu = self._n_gpus > 0 and self._make_worker is not None
        apart = [unit for unit in self._todo if self._needs_gpu_place(unit)]
        if apart and not any(place.has_gpu for place in self._places):
            self._start_place(cpus=0, gpus=1)
        plain = sum(place.has_gpu == own_gpu for place in self._places)
        wanted = min(self._size, len(self._todo) - len(apart) + self._n_given)
        for _ in range(wanted - plain):
            self._start_place(cpus=1, gpus=int(own_gpu))

    def _needs_gpu_place(self, unit: Unit) -> bool:
        return unit.uses_gpu and self._n_gpus > 0 and self._make_worker is None

    def _start_place(self, *, cpus: int, gpus: int) -> None:
        actor = _Actor.options(num_cpus=cpus, num_gpus=gpus).remote()  # type: ignore[attr-defined]
        begun = actor.begin.remote(self._make_worker)
        self._places.append(_Place(actor, gpus > 0, begun, time.monotonic()))

    def _hand_over(self) -> None:
        """Give units to the places that have room for one; a unit that is to be alone waits until nothing runs."""
        if any(self._record(unit).alone for place in self._places for _, unit in place.given):
            return
        alone = next((unit for unit in self._todo if self._record(unit).alone), None)
        if alone is not None:
            place = self._place_for(alone, room=1)
            if place is not None and not self._n_given:
                self._give(place, alone)
            return
        # A second unit is given where all are at work and more are to come, else it would wait for a slow first one.
        starting = not all(place.is_ready for place in self._places)
        for unit in list(self._todo):
            room = 1 if starting or len(self._todo) < self._size else IN_FLIGHT
            place = self._place_for(unit, room=room)
            if place is not None:
                self._give(place, unit)

    def _place_for(self, unit: Unit, *, room: int) -> _Place | None:
        """Return the ready place with the fewest units, if it has room."""
        has_gpu = self._n_gpus > 0 and (self._make_worker is not None or unit.uses_gpu)
        fitting = [place for place in self._places if place.is_ready and place.has_gpu == has_gpu]
        best = min(fitting, key=lambda place: len(place.given), default=None)
        return best if best is not None and len(best.given) < room else None

    def _give(self, place: _Place, unit: Unit) -> None:
        self._todo.remove(unit)
        if not place.given:
            place.since = time.monotonic()
        reference = place.actor.do.options(name=unit.name).remote(unit.call, unit.arguments, unit.may_fail)
        place.given.append((reference, unit))

    def _look(self) -> Iterator[tuple[Unit, Any]]:
        """Wait until something happens to a place, and yield what was finished."""
        awaited = [place.awaited for place in self._places if place.awaited is not None]
        told = set(ray.wait(awaited, num_returns=1, timeout=self._patience())[0]) if awaited else set()
        for place in list(self._places):
            if place.awaited in told:
                yield from self._take(place)
        for place in [place for place in self._places if place.given]:
            if time.monotonic() - place.since > self._timeout_s:
                yield from self._take_stalled(place)
        self._check_starts()

    def _patience(self) -> float:
        left = [place.since + self._timeout_s - time.monotonic() for place in self._places if place.given]
        return max(0.01, min([_LOOK_S, *left]))

    def _take(self, place: _Place) -> Iterator[tuple[Unit, Any]]:
        """Take what a place told: that it is ready, the results of units in their order, or its death."""
        if place.begun is not None:
            self._takestart(place)
            return
        while place.given and ray.wait([place.given[0][0]], timeout=0)[0]:
            reference, unit = place.given[0]
            try:
                result = _result(reference)
            except RayError as error:
                yield from self._take_death(place, isinstance(error, OutOfMemoryError))
                return
            place.given.popleft()
            place.since = time.monotonic()
            self._records.pop(id(unit), None)
            if isinstance(result, Failure) and self._make_worker is not None:
                # What it holds may be spoiled, as the context of a GPU is by some errors.
                self._take_back(place)
            yield unit, result

    def _takestart(self, place: _Place) -> None:
        try:
            _result(place.begun)
        except RayError:
            self._remove(place)
            self._failed_starts += 1
            if self._failed_starts < DEATHS:
                return
            raise OutputError(
                f"{self._failed_starts} workers died while they started; if memory is short lower --workers, "
                "see hsmix-gen doctor, then run the same command again: what is finished is kept"
            ) from None
        place.begun = None
        self._failed_starts = 0

    def _take_death(self, place: _Place, is_memory: bool) -> Iterator[tuple[Unit, Any]]:
        _, unit = place.given.popleft()
        self._take_back(place)
        record = self._record(unit)
        record.deaths += 1
        record.is_memory |= is_memory
        if record.deaths < DEATHS:
            self._todo.append(unit)
            return
        del self._records[id(unit)]
        how = "out of memory" if record.is_memory else "killed by the system, out of memory? or by a crash in a library"
        reason = (
            f"its worker died {DEATHS} times ({how}), at last with nothing beside it; if memory is short lower "
            "--size or saliency.batch, or take a larger machine"
        )
        yield unit, _failure(unit, reason)

    def _take_stalled(self, place: _Place) -> Iterator[tuple[Unit, Any]]:
        _, unit = place.given.popleft()
        self._take_back(place)
        record = self._record(unit)
        record.stalls += 1
        if record.stalls < (1 if unit.is_trial else STALLS):
            self._todo.append(unit)
            return
        del self._records[id(unit)]
        times = "" if unit.is_trial else ", twice"
        way_out = "raise run.timeout_s if the work is that slow, else look at its input"
        yield unit, _failure(unit, f"made no progress for {self._timeout_s:g} s{times}; {way_out}")

    def _take_back(self, place: _Place) -> None:
        """Kill a place; what waited for it goes to others."""
        self._todo.extendleft(unit for _, unit in reversed(place.given))
        place.given.clear()
        self._remove(place)

    def _remove(self, place: _Place) -> None:
        self._places.remove(place)
        ray.kill(place.actor)

    def _check_starts(self) -> None:
        """Refuse to wait for processes without an end."""
        if any(place.is_ready for place in self._places):
            return
        last_order = max((place.since for place in self._places), default=time.monotonic())
        if time.monotonic() - last_order > self._timeout_s:
            raise OutputError(
                f"no worker was ready within {self._timeout_s:g} s; are processors, memory and GPUs of the cluster "
                "free? run the same command again: what is finished is kept"
            )

    def _record(self, unit: Unit) -> _Record:
        return self._records.setdefault(id(unit), _Record())


@ray.remote
class _Actor:
    _worker: Worker | None = None

    def begin(self, make_worker: Callable[[], Worker] | None) -> None:
        if make_worker is not None:
            self._worker = make_worker()

    def do(self, call: Callable[..., Any] | None, arguments: tuple[Any, ...], may_fail: bool) -> Any:
        if call is None:
            assert self._worker is not None
            call = self._worker.process
        return attempt(call, arguments, may_fail=may_fail)


@contextlib.contextmanager
def _signals_as_raised() -> Iterator[None]:
    """Raise what a handler of signals raised; out of a wait of Ray it comes as the cause of a SystemError."""
    try:
        yield
    except SystemError as error:
        raise error.__cause__ or error from None


def _failure(unit: Unit, reason: str) -> Failure:
    if unit.may_fail:
        return Failure(reason)
    raise OutputError(f"{unit.name}: {reason}; run the same command again: what is finished is kept")


def _result(reference: Any) -> Any:
    """Return a result, or raise the error for people as it was raised; deaths are errors of Ray."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, (HsmixError, OSError)):
            raise cause from None
        raise RuntimeError(str(error)) from None
