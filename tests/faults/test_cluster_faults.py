"""Workers, nodes and calls of Ray that are lost: their units are done elsewhere, with the same bytes."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fixture_types import Noted
from tests.process_tree import WAIT_S, driver

HERE = Path(__file__).parent
STAGES = ("images", "superpixels", "saliency", "mix")

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def job(make_job: Callable[..., Any]) -> Any:
    """Four blocks of images and a dozen shards, so that there is something to kill everywhere."""
    return make_job("--copies", "3", "--shards", "12", "--seed", "5", train=56, val=3, test=1, size=(64, 96))


WORKER_STEPS = (
    ("open", "images-", "/image/c/0"),
    ("rename", "images-", "/image/c/1"),
    ("renamed", "images-", "/mask/c/2"),
    ("open", "superpixels-", "/labels/c/0"),
    ("rename", "superpixels-", "/labels/c/1"),
    ("renamed", "superpixels-", "/count/c/2"),
    ("rename", "saliency-", "/saliency/c/1"),
    ("renamed", "saliency-", "/saliency/c/3"),
    ("open", "", "train-000001.tar"),
    ("rename", "", "train-000004.tar"),
    ("renamed", "", "train-000007.tar"),
    ("rename", "", "val-000000.tar"),
)
"""Before a file is begun, before it gets its final name and after; in another unit each time."""


@pytest.mark.fault("F1")
def test_worker_killed_at_every_step_costs_nothing_but_time(
    job: Any, command: Path, tmp_path: Path, record_property: Noted
) -> None:
    """The unit is done again in the same run, whatever its worker left behind."""
    output, marks = tmp_path / "output", tmp_path / "marks"
    marks.mkdir()
    order = {"folder": str(output), "marks": str(marks), "kill": WORKER_STEPS}
    paths = os.pathsep.join(filter(None, [str(HERE / "programs" / "workers"), os.environ.get("PYTHONPATH", "")]))
    environment = {"HSMIX_TEST_KILL_WORKERS": json.dumps(order), "PYTHONPATH": paths}

    on_ray = ("--backend", "ray", "--workers", 2)
    with driver(command, "run", job.source, output, *job.options, *on_ray, environment=environment) as run:
        stated = run.wait()

    assert run.process.returncode == 0, stated
    killed = sorted(int(path.name) for path in marks.iterdir())
    record_property("tried", len(killed))
    assert killed == list(range(len(WORKER_STEPS)))
    assert job.damages(output) == {}
    job.finish(output)


@contextmanager
def cluster_of(nodes: int) -> Iterator[tuple[Any, list[Any]]]:
    """Start Ray with a head that does no work, and some nodes of one processor."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        yield cluster, [cluster.add_node(num_cpus=1) for _ in range(nodes)]
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.mark.fault("F4")
@pytest.mark.parametrize("stage", STAGES)
def test_node_lost_in_a_stage_is_replaced_by_another(job: Any, command: Path, tmp_path: Path, stage: str) -> None:
    """Spot machines go without a word, and others come."""
    output = tmp_path / "output"
    with cluster_of(2) as (cluster, nodes):
        on_cluster = ("--backend", "ray", "--address", cluster.address, "--workers", 2)
        with driver(command, "run", job.source, output, *job.options, *on_cluster) as run:
            deadline = time.monotonic() + WAIT_S
            while run.stage != stage or not works(nodes[0]):
                assert run.process.poll() is None, run.stated
                assert time.monotonic() < deadline, run.stated
                time.sleep(0.005)
            cluster.remove_node(nodes[0], allow_graceful=False)
            cluster.add_node(num_cpus=1)
            stated = run.wait()
        assert run.process.returncode == 0, stated

    assert job.damages(output) == {}
    job.finish(output)


@pytest.mark.fault("F4")
@pytest.mark.fault("F22")
@pytest.mark.parametrize("stage", ["superpixels", "mix"])
def test_node_that_joins_with_another_version_is_kept_out(job: Any, command: Path, tmp_path: Path, stage: str) -> None:
    """It would give other bytes; nodes that were there from the start are asked before."""
    output = tmp_path / "output"
    paths = os.pathsep.join(filter(None, [str(HERE / "programs" / "workers"), os.environ.get("PYTHONPATH", "")]))
    other = {"PYTHONPATH": paths, "HSMIX_TEST_VERSIONS": json.dumps({"scikit-image": "0.1"})}
    with cluster_of(1) as (cluster, _):
        on_cluster = ("--backend", "ray", "--address", cluster.address)
        with driver(command, "run", job.source, output, *job.options, *on_cluster) as run:
            while run.stage not in {stage, STAGES[STAGES.index(stage) - 1]}:
                assert run.process.poll() is None, run.stated
                time.sleep(0.005)
            # What is left to do takes less time than a machine to join.
            run.process.send_signal(signal.SIGSTOP)
            cluster.add_node(num_cpus=4, env_vars=other)
            run.process.send_signal(signal.SIGCONT)
            stated = run.wait()
        assert run.process.returncode == 0, stated

    kept_out = [line for line in stated.splitlines() if "kept out" in line]
    assert len(kept_out) == 1, stated
    assert re.search(r"node \S+ \(\S+\) would give other bytes, as it has scikit-image 0\.1 \(here ", kept_out[0])
    assert job.damages(output) == {}
    job.finish(output)


@pytest.mark.fault("F4")
def test_cluster_that_is_gone_ends_the_run_and_it_is_finished_elsewhere(
    job: Any, command: Path, tmp_path: Path
) -> None:
    """With no node left nothing can be waited for."""
    output = tmp_path / "output"
    with cluster_of(1) as (cluster, nodes):
        on_cluster = ("--backend", "ray", "--address", cluster.address, "-o", "run.timeout_s=20")
        with driver(command, "run", job.source, output, *job.options, *on_cluster) as run:
            while run.stage != "superpixels":
                assert run.process.poll() is None, run.stated
                time.sleep(0.005)
            cluster.remove_node(nodes[0], allow_graceful=False)
            lost = time.monotonic()
            stated = run.wait()
        assert run.process.returncode == 1, stated
        assert time.monotonic() - lost < 60
        assert "Traceback" not in stated
        assert "run the same command again" in stated

    job.finish(output)


def works(node: Any) -> bool:
    """Return whether a worker of a node does something."""
    raylet = next(info.process.pid for kind, infos in node.all_processes.items() if "raylet" in kind for info in infos)
    found = subprocess.run(["ps", "-o", "args=", "--ppid", str(raylet)], capture_output=True, text=True, check=False)
    return re.search(r"^ray::(?!IDLE)", found.stdout, re.MULTILINE) is not None


FAILURES = {"5 %": 5, "25 %": 25}


@pytest.mark.fault("F6")
@pytest.mark.parametrize("percent", FAILURES.values(), ids=FAILURES.keys())
def test_calls_that_fail_between_processes_change_no_byte(
    job: Any, command: Path, tmp_path: Path, percent: int
) -> None:
    """Requests and answers are lost now and then; Ray has to ask again."""
    output = tmp_path / "output"
    calls = ("CoreWorkerService.grpc_client.PushTask", "NodeManagerService.grpc_client.RequestWorkerLease")
    rule = {"num_failures": 40, "req_failure_prob": percent, "resp_failure_prob": percent, "in_flight_failure_prob": 0}
    environment = {"RAY_testing_rpc_failure": json.dumps(dict.fromkeys(calls, rule))}

    on_ray = ("--backend", "ray", "--workers", 2)
    with driver(command, "run", job.source, output, *job.options, *on_ray, environment=environment) as run:
        stated = run.wait()

    if run.process.returncode != 0:
        assert run.process.returncode == 1, stated
        assert "Traceback" not in stated, stated
    job.finish(output)
