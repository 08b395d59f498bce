"""What runs in the processes of Ray: a unit, after its first item has said that it begins; and what comes back of it.

Task and actor are made inside of functions, so that they travel by value: a machine without this package, or with
another one, then says so, where Ray would end the run with an error of its own.
"""

import os
import pickle
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import RayTaskError

from hsmix_gen.pipeline.execution.ray_nodes import Guard
from hsmix_gen.schemas.errors import HsmixError


def packed(check: Guard | None, call: Callable[..., Any]) -> tuple[bytes, bool]:
    """Return a call and the check to make before it as bytes, and whether there is a check."""
    return cloudpickle.dumps((check, call)), check is not None  # type: ignore[no-untyped-call]


def unpacked(data: bytes) -> tuple[str | None, Callable[..., Any]]:
    """Return what is wrong with this machine, and the call."""
    if not ray.get_runtime_context().get_accelerator_ids().get("GPU"):
        # Ray lets a process see GPUs that it did not give to it.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    check, call = pickle.loads(data)  # noqa: S301 - from our own driver
    return _wrong_here(check), call


@lru_cache(maxsize=1)
def _wrong_here(check: Guard | None) -> str | None:
    return None if check is None else check()


@cache
def task() -> Any:
    """Return the task that does a unit: it gives a `KeptOut` as a tuple, or None when it begins and its result."""
    opened = _opener()

    def unit(data: bytes, is_guarded: bool) -> Iterator[Any]:
        kept_out, call = opened(data, is_guarded)
        yield kept_out
        if kept_out is None:
            yield call()

    return ray.remote(max_retries=0)(unit)


@cache
def holder() -> Any:
    """Return the class of actors that hold a worker: `begin` makes it, `do` gives None and the result of a unit."""
    opened = _opener()

    class Holder:
        def begin(self, data: bytes, is_guarded: bool) -> tuple[str, str, bool] | None:
            kept_out, make_worker = opened(data, is_guarded)
            if kept_out is None:
                self.worker = make_worker()
            return kept_out  # type: ignore[no-any-return]

        def do(self, arguments: tuple[Any, ...], may_fail: bool) -> Iterator[Any]:
            from hsmix_gen.pipeline.execution.units import attempt

            yield None
            yield attempt(self.worker.process, arguments, may_fail=may_fail)

    return ray.remote(Holder)


def got(reference: Any) -> Any:
    """Return a value, or raise the error for people as it was raised; deaths are errors of Ray."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, (HsmixError, OSError)):
            raise cause from None
        raise RuntimeError(str(error)) from None


def _opener() -> Callable[[bytes, bool], Any]:
    """Return what opens a packed call: it gives a `KeptOut` as a tuple, and the call."""

    def opened(data: bytes, is_guarded: bool) -> tuple[tuple[str, str, bool] | None, Any]:
        node = ray.get_runtime_context().get_node_id()
        try:
            from hsmix_gen.pipeline.execution.ray_worker import unpacked

            wrong, call = unpacked(data)
        except Exception as error:
            if not is_guarded:
                raise
            return (node, f"{type(error).__name__}: {error}", True), None
        return (node, wrong, False) if wrong is not None else None, call

    return opened
