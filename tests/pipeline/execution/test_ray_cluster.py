"""A cluster that somebody else started."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from hsmix_gen.pipeline.execution.ray_runner import RayRunner
from hsmix_gen.pipeline.execution.units import Unit, Worker
from tests.command_line import TINY, run_cli
from tests.small_sources import make_source
from tests.written import shard_digests

pytestmark = pytest.mark.slow


@pytest.fixture
def address() -> Iterator[str]:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()  # type: ignore[no-untyped-call]


def test_a_cluster_of_two_nodes_gives_the_bytes_of_the_serial_run(address: str, tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", train=20, val=2, test=2)
    where = {"serial": ("--backend", "serial"), "cluster": ("--backend", "ray", "--address", address)}

    digests = {}
    for name, options in where.items():
        run_cli("run", source, tmp_path / name, *TINY, *options)
        digests[name] = shard_digests(tmp_path / name)

    assert digests["cluster"] == digests["serial"]
    assert sys.modules["ray"].is_initialized() is False


@pytest.fixture
def growing() -> Iterator[Any]:
    """A cluster of one processor, on which a runner works, and a head without any: ``cluster, runner``."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    cluster.add_node(num_cpus=1)
    runner = RayRunner(address=cluster.address, workers=None, processors=1, timeout_s=60)
    yield cluster, runner
    runner.close()
    cluster.shutdown()  # type: ignore[no-untyped-call]


def mood_of_node(pause_s: float) -> Callable[[int], str]:
    """Return a call that gives the environment of its node."""

    # Defined here, so that it travels by value: test modules cannot be imported by other processes.
    def call(_number: int) -> str:
        time.sleep(pause_s)
        return os.environ.get("NODE_MOOD", "first")

    return call


def check_of_moods() -> Callable[[], str | None]:
    """Return a check that bad moods do not pass, and that cannot be made where the mood is a broken one."""

    def check() -> str | None:
        mood = os.environ.get("NODE_MOOD")
        if mood == "broken":
            raise ModuleNotFoundError("No module named 'skimage'")
        return "is in a bad mood" if mood == "bad" else None

    return check


def holder_of(call: Callable[[int], Any]) -> Callable[[], Worker]:
    """Return what makes a worker that does what a call says."""

    class Holder:
        def process(self, number: int) -> Any:
            return call(number)

    return Holder


@pytest.mark.parametrize("on_workers", [False, True], ids=["tasks", "actors"])
def test_nodes_that_join_work_along_unless_they_differ(growing: Any, on_workers: bool) -> None:
    """Whoever has another library would give other bytes, and whoever joins late was not asked at the start."""
    cluster, runner = growing
    warnings: list[str] = []
    runner.guard(check_of_moods(), warnings.append)
    call = mood_of_node(0.3)
    units = (Unit(f"unit {i}", None if on_workers else call, (i,)) for i in range(120))
    done = runner.run_on_workers(holder_of(call), units) if on_workers else runner.run(units)

    results = [next(done)[1] for _ in range(3)]
    for mood in ("bad", "broken", "good"):
        cluster.add_node(num_cpus=1, env_vars={"NODE_MOOD": mood})
    results += [result for _, result in done]

    assert len(results) == 120
    assert set(results) == {"first", "good"}
    assert len(warnings) == 2
    assert all(warning.startswith("kept out of this run: node ") for warning in warnings)
    assert sum(warning.endswith(" is in a bad mood") for warning in warnings) == 1
    broken = "cannot work for this run: ModuleNotFoundError: No module named 'skimage'; install hsmix-gen"
    assert sum(broken in warning for warning in warnings) == 1
    assert runner.n_workers == 2


def test_a_runner_follows_a_cluster_that_shrinks(growing: Any) -> None:
    """Units of the node that is gone are done by the others, and no more are handed over than these can hold."""
    cluster, runner = growing
    other = cluster.add_node(num_cpus=1, env_vars={"NODE_MOOD": "other"})
    done = runner.run(Unit(f"unit {i}", mood_of_node(0.3), (i,)) for i in range(60))

    results = []
    while "other" not in results:
        results.append(next(done)[1])
    cluster.remove_node(other, allow_graceful=False)
    results += [result for _, result in done]

    assert len(results) == 60
    assert runner.n_workers == 1


def test_a_gpu_is_seen_by_those_alone_that_wait_for_one() -> None:
    """Another process on it would take its memory; and what is made without one has another key in the cache."""

    def seen(_number: int) -> str | None:
        return os.environ.get("CUDA_VISIBLE_DEVICES")

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 1})
    runner = RayRunner(address=cluster.address, workers=None, processors=1, timeout_s=60)
    try:
        units = [Unit("with", seen, (0,), uses_gpu=True), *(Unit(f"without {i}", seen, (i,)) for i in range(4))]
        found = {unit.name: result for unit, result in runner.run(units)}
        on_workers = [result for _, result in runner.run_on_workers(holder_of(seen), units)]
        runner.has_gpu = False  # as where nobody wants one
        hidden = [result for _, result in runner.run_on_workers(holder_of(seen), units)]
    finally:
        runner.close()
        cluster.shutdown()  # type: ignore[no-untyped-call]

    assert found == {"with": "0", **{f"without {i}": "" for i in range(4)}}
    assert on_workers == ["0"] * 5
    assert hidden == [""] * 5
