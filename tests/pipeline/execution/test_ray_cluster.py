"""A cluster that somebody else started."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from tests.fixture_types import Cli, Digests, Maker, Options

pytestmark = pytest.mark.slow


@pytest.fixture
def address() -> Iterator[str]:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()  # type: ignore[no-untyped-call]


def test_a_cluster_of_two_nodes_gives_the_bytes_of_the_serial_run(
    address: str, make_source: Maker, tiny: Options, run_cli: Cli, shard_digests: Digests, tmp_path: Path
) -> None:
    source = make_source(tmp_path / "source", train=20, val=2, test=2)
    where = {"serial": ("--backend", "serial"), "cluster": ("--backend", "ray", "--address", address)}

    digests = {}
    for name, options in where.items():
        result = run_cli("run", source, tmp_path / name, *tiny, *options)
        assert result.exit_code == 0, result.stderr
        digests[name] = shard_digests(tmp_path / name)

    assert digests["cluster"] == digests["serial"]
    assert sys.modules["ray"].is_initialized() is False
