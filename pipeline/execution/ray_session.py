"""How Ray is started for a run, or joined where a cluster runs already."""

import atexit
import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray._private import worker as ray_worker

from hsmix_gen.schemas.errors import OutputError

_OBJECT_STORE_BYTES = 128 * 2**20
_SHORT = "/tmp"  # noqa: S108 - a folder of our own is made in it
_LONGEST_SOCKET = 107
_SOCKET = "ray/session_2026-01-31_23-59-59_999999_4194304/sockets/plasma_store"


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
            _temp_dir=sockets_folder(),
        )


def sockets_folder() -> str | None:
    """Return a folder for Ray's sockets where names in the usual one are too long for the kernel, as on many clusters.

    It is new, and removed at the end of this process.
    """
    usual = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or _SHORT
    if len(os.fsencode(Path(usual) / _SOCKET)) <= _LONGEST_SOCKET:
        return None
    folder = tempfile.mkdtemp(prefix="hsmix-ray-", dir=_SHORT)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


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
