"""How Ray is started for a run, or joined where a cluster runs already."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import ray
from ray._private import ray_constants
from ray._private import worker as ray_worker

from hsmix_gen.schemas.errors import OutputError

_OBJECT_STORE_BYTES = 128 * 2**20


def start(processors: int) -> None:
    """Start Ray for this process alone, out of reach for others."""
    # Ray tells at every start that tokens guard its ports, which is as it should be.
    logging.getLogger("ray").setLevel(logging.ERROR)
    _keep_stdout_clean()
    with _on_loopback():
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


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Let Ray bind all of its ports to the loopback interface.

    It turns the loopback address into one that others reach, unless it takes the machine for one without clusters.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def connect(address: str) -> None:
    """Join a running cluster.

    Raises
    ------
    OutputError
        If none answers.
    """
    _keep_stdout_clean()
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise OutputError(
            f"no Ray cluster answers at {address}: {reason}; check --address, set RAY_AUTH_MODE=token if tokens guard "
            "the cluster, or leave --address out"
        ) from None


def _keep_stdout_clean() -> None:
    # Ray prints the death of a worker among our results, whatever it is told of logs; it has no option for that.
    if hasattr(ray_worker, "print_to_stdstream"):
        ray_worker.print_to_stdstream = _log_message  # type: ignore[assignment]


def _log_message(data: dict[str, Any], **_ignored: Any) -> None:
    logging.getLogger("ray").info("%s", "\n".join(map(str, data.get("lines", ()))))
