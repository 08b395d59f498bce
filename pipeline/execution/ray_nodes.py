"""The machines of a cluster: those that may be given units now, and a question to each of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hsmix_gen.pipeline.execution.units import Failure, Runner, SerialRunner

TIMEOUT_S = 120.0
"""Seconds that all machines together have for an answer: a first process there may import from a slow disk."""
_LOOK_S = 2.0
"""Seconds for which what is known of the cluster is taken as it is."""


Guard = Callable[[], str | None]
"""A check that a machine makes of itself, once in each process; hashable."""


@dataclass(frozen=True)
class KeptOut:
    """A machine that did not do a unit, and why: the check said so, or failed itself."""

    node_id: str
    reason: str
    is_error: bool


class Nodes:
    """The machines that may be given units.

    Attributes
    ----------
    check : Guard or None
        What each process of a machine checks before its first unit.
    """

    def __init__(self) -> None:
        self.check: Guard | None = None
        self._warn: Callable[[str], Any] = str
        self._kept_out: set[str] = set()
        self._seen: list[dict[str, Any]] = []
        self._until = 0.0

    def guard(self, check: Guard, warn: Callable[[str], None]) -> None:
        """Let each process make a check first; a machine that fails is named."""
        self.check, self._warn = check, warn

    def keep_out(self, kept_out: KeptOut) -> None:
        """Give no more units to a machine, and say so once."""
        if kept_out.node_id in self._kept_out:
            return
        self._kept_out.add(kept_out.node_id)
        names = [name_of(node) for node in working_nodes() if node["NodeID"] == kept_out.node_id]
        wrong = cannot_work(kept_out.reason) if kept_out.is_error else kept_out.reason
        self._warn(f"kept out of this run: node {names[0] if names else kept_out.node_id} {wrong}")

    @property
    def cpus(self) -> int:
        """Processors of now."""
        return self._total("CPU")

    @property
    def gpus(self) -> int:
        """GPUs of now."""
        return self._total("GPU")

    def options(self, gpus: int) -> dict[str, Any]:
        """Return what a unit asks of Ray: GPUs or a processor, and none of the machines that are kept out."""
        apart = {"ray.io/node-id": f"!in({','.join(sorted(self._kept_out))})"} if self._kept_out else None
        return {"num_cpus": 0 if gpus else 1, "num_gpus": gpus, "label_selector": apart}

    def _total(self, resource: str) -> int:
        if time.monotonic() > self._until:
            self._seen, self._until = working_nodes(), time.monotonic() + _LOOK_S
        return int(sum(n["Resources"].get(resource, 0) for n in self._seen if n["NodeID"] not in self._kept_out))


def cannot_work(reason: str) -> str:
    """Return what is wrong with a machine on which calls of this package fail."""
    return (
        f"cannot work for this run: {reason}; install hsmix-gen there as it is here, see that the node is well, "
        "or take it out of the cluster"
    )


def working_nodes() -> list[dict[str, Any]]:
    """Return what Ray knows of the machines of now that could be given units."""
    # Imported here: whoever needs no cluster does not wait for it.
    import ray

    # One without processors, as heads of clusters often are, gets no units.
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    return [n for n in nodes if n["Alive"] and (n["Resources"].get("CPU") or n["Resources"].get("GPU"))]


def name_of(node: dict[str, Any]) -> str:
    """Return name and address of a machine; the port distinguishes two of one host."""
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}:{node['NodeManagerPort']})"


def on_each_node(
    runner: Runner, call: Callable[..., Any], *arguments: Any, timeout_s: float = TIMEOUT_S
) -> list[tuple[str, Any]]:
    """Return what a call returns on each machine of a cluster that could be given work.

    Parameters
    ----------
    runner : Runner
        Of a `SerialRunner` there are no machines to ask.
    call : callable
        A function of a module, so that the machines find it.
    arguments : tuple
        Small values.
    timeout_s : float
        Seconds that all machines together have.

    Returns
    -------
    list of (str, object)
        Name and address of a machine and its answer, or a `Failure`, sorted by name.
    """
    if isinstance(runner, SerialRunner):
        return []
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(call)
    asked = {}
    for node in working_nodes():
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        options = task.options(num_cpus=0, max_retries=0, scheduling_strategy=here)
        asked[options.remote(*arguments)] = name_of(node)
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=timeout_s) if asked else ([], [])
    for reference in silent:
        ray.cancel(reference, force=True)
    answers = [(asked[reference], _answer(reference)) for reference in answered]
    answers += [(asked[reference], Failure(f"gave no answer within {timeout_s:g} s")) for reference in silent]
    return sorted(answers, key=lambda answer: answer[0])


def _answer(reference: Any) -> Any:
    import ray
    from ray.exceptions import RayError

    try:
        return ray.get(reference)
    except RayError as error:
        # The last line states what was raised; those before it say where.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return Failure(lines[-1] if lines else type(error).__name__)
