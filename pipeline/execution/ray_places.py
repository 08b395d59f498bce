"""Where units are done on Ray: as tasks in any process, or by actors that hold what is costly to set up.

Ray can restart actors (``max_restarts``), but one whose machine is lost keeps the call that it was given until there is
room for it again, beside others that are idle (tried on Ray 2.60). So one that is lost is forgotten here, and another
one is ordered as the cluster has room.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError, WorkerCrashedError

from hsmix_gen.pipeline.execution.ray_nodes import KeptOut, Nodes
from hsmix_gen.pipeline.execution.ray_worker import got, holder, packed, task
from hsmix_gen.pipeline.execution.units import Unit, Worker, attempt
from hsmix_gen.schemas.errors import OutputError

DEATHS = 3
"""How many processes a unit, or a start, may take down."""
LOSSES = 5
"""How many more may be lost before they begin a unit, which is not its fault: calls of Ray fail now and then."""
IN_FLIGHT = 2
"""Tasks per processor: one at work, one waiting with Ray, so that memory does not grow with their number."""


@dataclass(eq=False)
class Try:
    """A unit that was handed over."""

    unit: Unit
    stream: Any
    """Is ready when the unit begins, and when its result is there: the answer to the call comes later, or gets lost."""
    actor: Any = None
    """Who does it, if it is no task."""
    since: float | None = None
    """When it was seen to have begun."""
    results: list[Any] = field(default_factory=list)
    """The result, or a `KeptOut`, as soon as it was taken."""

    def take(self) -> None:
        """Take what is ready, or raise the error of the unit; deaths are errors of Ray."""
        reference = next(self.stream, None)
        if reference is None:  # it ended without a result or an error
            raise WorkerCrashedError
        given = got(reference)
        if self.since is not None:
            self.results.append(given)
        elif given is not None:
            self.results.append(KeptOut(*given))
        else:
            self.since = time.monotonic()


class Tasks:
    """Units that bring their calls along: Ray starts processes, and keeps them for the next unit and stage."""

    starting: Iterable[Any] = ()
    """References that are ready when a process is."""

    def __init__(self, nodes: Nodes, workers: int | None, *, has_gpu: bool) -> None:
        self._nodes, self._workers, self._has_gpu = nodes, workers, has_gpu

    @property
    def most(self) -> int:
        """Units that may be handed over: more than may be at work only where the processors let the others wait."""
        cpus = max(1, self._nodes.cpus)
        return self._workers if self._workers is not None and self._workers < cpus else IN_FLIGHT * cpus

    def order(self, n_units: int) -> None:
        """Start the processes that so many units need: Ray does it."""

    def look(self, ready: set[Any]) -> None:
        """Take the processes that are ready, or died before they were."""

    def has_room(self, n_given: int) -> bool:
        """Return whether one more unit can be handed over."""
        return n_given < self.most

    def submit(self, unit: Unit) -> Try:
        """Hand a unit over; one that can use a GPU waits for one, if there are any."""
        assert unit.call is not None
        call = partial(attempt, unit.call, unit.arguments, may_fail=unit.may_fail)
        options = self._nodes.options(int(unit.uses_gpu and self._has_gpu))
        return Try(unit, task().options(name=unit.name, **options).remote(*packed(self._nodes.check, call)))

    def ended(self, tried: Try, *, is_failure: bool) -> None:
        """Note that a unit gave a result."""

    def stop(self, tried: Try) -> None:
        """Kill the process of a unit, whatever it does."""
        ray.cancel(tried.stream, force=True)

    def close(self) -> None:
        """Give back what others could use: idle processes of tasks hold nothing."""


class Actors(Tasks):
    """Processes with a worker that serves many units: one per GPU, else per processor."""

    def __init__(self, nodes: Nodes, workers: int | None, make_worker: Callable[[], Worker], *, has_gpu: bool) -> None:
        super().__init__(nodes, workers, has_gpu=has_gpu)
        self._make_worker = make_worker
        self.starting: dict[Any, Any] = {}
        self._free: list[Any] = []
        self._busy: set[Any] = set()
        self._failed_starts = 0

    @property
    def most(self) -> int:
        """Units that may be handed over: one to an actor."""
        found = max(1, self._nodes.gpus if self._has_gpu else self._nodes.cpus)
        return min(found, self._workers or found)

    def order(self, n_units: int) -> None:
        """Start the actors that so many units need."""
        n_actors = len(self._free) + len(self._busy) + len(self.starting)
        for _ in range(min(self.most, n_units) - n_actors):
            actor = holder().options(**self._nodes.options(int(self._has_gpu))).remote()
            self.starting[actor.begin.remote(*packed(self._nodes.check, self._make_worker))] = actor

    def look(self, ready: set[Any]) -> None:
        """Take the actors that are ready, or died before they were."""
        for begun in ready & self.starting.keys():
            actor = self.starting.pop(begun)
            try:
                kept_out = got(begun)
            except RayError:
                self._count_failed_start()
                continue
            self._failed_starts = 0
            if kept_out is None:
                self._free.append(actor)
            else:
                ray.kill(actor)
                self._nodes.keep_out(KeptOut(*kept_out))

    def has_room(self, n_given: int) -> bool:
        """Return whether an actor has nothing to do."""
        return bool(self._free) and n_given < self.most

    def submit(self, unit: Unit) -> Try:
        """Give a unit to an actor."""
        actor = self._free.pop()
        self._busy.add(actor)
        return Try(unit, actor.do.options(name=unit.name).remote(unit.arguments, unit.may_fail), actor)

    def ended(self, tried: Try, *, is_failure: bool) -> None:
        """Take an actor back; what one holds that failed may be spoiled, as the context of a GPU is by some errors."""
        if is_failure:
            self.stop(tried)
        else:
            self._busy.remove(tried.actor)
            self._free.append(tried.actor)

    def stop(self, tried: Try) -> None:
        """Kill an actor, whatever it does."""
        self._busy.remove(tried.actor)
        ray.kill(tried.actor)

    def close(self) -> None:
        """Kill all: they hold processors, GPUs and memory."""
        for actor in [*self._free, *self._busy, *self.starting.values()]:
            ray.kill(actor)

    def _count_failed_start(self) -> None:
        self._failed_starts += 1
        if self._failed_starts == DEATHS:
            raise OutputError(
                f"{DEATHS} workers died while they started; if memory is short lower --workers, "
                "see hsmix-gen doctor, then run the same command again: what is finished is kept"
            )
