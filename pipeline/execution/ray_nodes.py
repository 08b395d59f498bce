"""A question to every machine of a cluster, one process on each; without a cluster there is nobody to ask."""

from collections.abc import Callable
from typing import Any

from hsmix_gen.pipeline.execution.units import Failure, Runner, SerialRunner

TIMEOUT_S = 120.0
"""Seconds that all machines together have for an answer: a first process there may import from a slow disk."""


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
    # Imported here: whoever needs no cluster does not wait for it.
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(call)
    asked = {}
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        resources = node["Resources"]
        # One without processors, as heads of clusters often are, gets no units.
        if node["Alive"] and (resources.get("CPU") or resources.get("GPU")):
            name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            options = task.options(num_cpus=0, max_retries=0, scheduling_strategy=here)
            asked[options.remote(*arguments)] = name
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
        # The last line tells what was raised; those before it say where.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return Failure(lines[-1] if lines else type(error).__name__)
