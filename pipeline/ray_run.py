"""Units on Ray: it places, retries and restarts; this module only hands units over and takes results back."""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from hsmix_gen.pipeline.running import Unit, Worker
from hsmix_gen.schemas.errors import HsmixError, OutputError

RETRIES = 3
"""How often a unit is tried again after its process died."""
IN_FLIGHT = 2
"""Units handed over per worker: one at work, one waiting, so that memory does not grow with their number."""
_OBJECT_STORE_BYTES = 128 * 2**20


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
        Seconds without any finished unit after which what runs is stopped and tried again elsewhere, once.
    """

    def __init__(self, *, address: str | None, workers: int | None, processors: int, timeout_s: float) -> None:
        if address is None:
            _start(workers or processors)
        else:
            _connect(address)
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.n_workers = workers or max(1, int(resources.get("CPU", 1)))
        self._n_gpus = int(resources.get("GPU", 0))
        self.has_gpu = self._n_gpus > 0
        self._timeout_s = timeout_s

    def run(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit with its result as it is finished, a bounded number in flight."""
        waiting = iter(units)
        running: dict[Any, Unit] = {}
        stalled: set[str] = set()
        try:
            while True:
                for unit in islice(waiting, IN_FLIGHT * self.n_workers - len(running)):
                    running[self._submit(unit)] = unit
                if not running:
                    return
                done = self._first_of(running)
                if done is None:
                    running = self._try_elsewhere(running, stalled)
                else:
                    unit = running.pop(done)
                    yield unit, _result(done, unit)
        finally:
            _cancel(running)

    def run_on_workers(self, make_worker: Callable[[], Worker], units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit as processed by an actor that holds what `make_worker` makes: one per GPU, else per CPU."""
        todo = list(units)
        stalled: set[str] = set()
        while todo:
            actors = [self._actor(make_worker) for _ in range(min(len(todo), self._n_gpus or self.n_workers))]
            try:
                todo = yield from self._run_on(actors, todo, stalled)
            finally:
                for actor in actors:
                    ray.kill(actor)

    def close(self) -> None:
        """Disconnect; an own Ray is stopped with all of its processes."""
        ray.shutdown()

    def _run_on(
        self, actors: list[Any], units: list[Unit], stalled: set[str]
    ) -> Generator[tuple[Unit, Any], None, list[Unit]]:
        """Yield units as the actors finish them; return those left over when an actor is stuck."""
        waiting = iter(units)
        running: dict[Any, tuple[Unit, Any]] = {}
        for actor in actors * IN_FLIGHT:
            _hand_over(waiting, actor, running)
        while running:
            done = self._first_of(running)
            if done is None:
                unfinished = [unit for unit, _ in running.values()]
                self._note_stall(unfinished, stalled)
                return [*unfinished, *waiting]
            unit, actor = running.pop(done)
            result = _result(done, unit)
            _hand_over(waiting, actor, running)
            yield unit, result
        return []

    def _try_elsewhere(self, running: dict[Any, Unit], stalled: set[str]) -> dict[Any, Unit]:
        """Stop what runs and hand it over again."""
        self._note_stall(running.values(), stalled)
        _cancel(running)
        return {self._submit(unit): unit for unit in running.values()}

    def _submit(self, unit: Unit) -> Any:
        assert unit.call is not None
        gpus = 1 if unit.uses_gpu and self._n_gpus else 0
        return _call.options(num_gpus=gpus, name=unit.name).remote(unit.call, unit.arguments)

    def _actor(self, make_worker: Callable[[], Worker]) -> Any:
        return _Actor.options(  # type: ignore[attr-defined]
            num_cpus=1,
            num_gpus=1 if self._n_gpus else 0,
            max_restarts=RETRIES,
            max_task_retries=RETRIES,
        ).remote(make_worker)

    def _first_of(self, running: dict[Any, Any]) -> Any | None:
        """Return a finished call, or None if none finishes in time."""
        done, _ = ray.wait(list(running), num_returns=1, timeout=self._timeout_s)
        return done[0] if done else None

    def _note_stall(self, units: Iterable[Unit], stalled: set[str]) -> None:
        names = [unit.name for unit in units]
        again = [name for name in names if name in stalled]
        if again:
            raise OutputError(
                f"{', '.join(again)} made no progress for {self._timeout_s:g} s, twice; raise run.timeout_s if the "
                "work is that slow, else look at its input; run the same command again: what is finished is kept"
            )
        stalled.update(names)


@ray.remote(num_cpus=1, max_retries=RETRIES)
def _call(call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return call(*arguments)


@ray.remote
class _Actor:
    def __init__(self, make_worker: Callable[[], Worker]) -> None:
        self._worker = make_worker()

    def process(self, arguments: tuple[Any, ...]) -> Any:
        return self._worker.process(*arguments)


def _cancel(references: Iterable[Any]) -> None:
    for reference in references:
        ray.cancel(reference, force=True)


def _hand_over(waiting: Iterator[Unit], actor: Any, running: dict[Any, tuple[Unit, Any]]) -> None:
    unit = next(waiting, None)
    if unit is not None:
        running[actor.process.options(name=unit.name).remote(unit.arguments)] = (unit, actor)


def _result(reference: Any, unit: Unit) -> Any:
    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, HsmixError):
            raise cause from None
        raise
    except RayError as error:
        kind = type(error).__name__
        raise OutputError(
            f"{unit.name} lost its worker {RETRIES + 1} times ({kind}); if memory is short lower --workers, "
            "then run the same command again: what is finished is kept"
        ) from None


def _start(processors: int) -> None:
    # Ray tells at every start that tokens guard its ports, which is as it should be.
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(
        address="local",  # without it Ray joins whatever cluster was started last on this machine
        num_cpus=processors,
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        log_to_driver=False,
        configure_logging=False,
        logging_level=logging.ERROR,
        _node_ip_address="127.0.0.1",
    )


def _connect(address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise OutputError(
            f"no Ray cluster answers at {address}: {reason}; check --address, set RAY_AUTH_MODE=token if tokens guard "
            "the cluster, or leave --address out"
        ) from None
