"""How Ray is started for a run, or joined where a cluster runs already."""

import atexit
import contextlib
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray._private import utils as ray_utils
from ray._private import worker as ray_worker

from hsmix_gen.pipeline.files.local_mirror import FOLDER_VARIABLE
from hsmix_gen.schemas.errors import OutputError

_OBJECT_STORE_BYTES = 128 * 2**20
_SHORT = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - folders of our own are made in them
_LONGEST_SOCKET = 107
_SOCKET = "ray/session_2026-01-31_23-59-59_999999_4194304/sockets/plasma_store"


def start(processors: int, *, init: Callable[..., Any] = ray.init) -> None:
    """Start Ray for this process alone, out of reach for others.

    Raises OutputError if it does not start: it waits 30 s for its own processes, which is too short on a very busy
    machine.
    """
    # Ray reports at every start that tokens guard its ports, which is as it should be.
    logging.getLogger("ray").setLevel(logging.ERROR)
    _keep_hands_off()
    temporary = sockets_folder()
    _give_token()
    # Workers are started in a folder of their own, from where a relative path would lead elsewhere.
    if staging := os.environ.get(FOLDER_VARIABLE):
        os.environ[FOLDER_VARIABLE] = str(Path(staging).absolute())
    with _on_loopback(), contextlib.chdir(_own_folder("work")):
        begin = partial(
            init,
            address="local",  # without it Ray joins whatever cluster was started last on this machine
            num_cpus=processors,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            log_to_driver=False,
            configure_logging=False,
            logging_level=logging.ERROR,
            _node_ip_address="127.0.0.1",
            _temp_dir=temporary,
        )
        try:
            begin()
        except Exception:
            _begin_again(begin)


def _begin_again(begin: Callable[[], Any]) -> None:
    """Start what did not start at first, as a machine may be busy for a while."""
    try:
        begin()
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise OutputError(
            f"Ray did not start on this machine, twice: {reason}; see that processors and memory are free and run the "
            "same command again, or use --backend serial"
        ) from error


def sockets_folder() -> str | None:
    """Return a folder for what Ray writes where the usual one does not do; None where it does.

    Names in the usual one may be too long for the sockets of the kernel, as on many clusters; it may be read-only, or
    the ``ray`` in it may be that of another user.
    """
    usual = Path(_usual_folders()[0])
    if len(os.fsencode(usual / _SOCKET)) <= _LONGEST_SOCKET and usual.is_absolute() and _is_writable(usual / "ray"):
        return None
    return _own_folder("ray")


def _usual_folders() -> list[str]:
    given = [os.environ.get(name, "") for name in ("RAY_TMPDIR", "TMPDIR")]
    return [folder for folder in (*given, *_SHORT) if folder]


def _is_writable(folder: Path) -> bool:
    """Return whether a folder can be written into, or be made; it is not: Ray makes its own for all users."""
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _own_folder(purpose: str) -> str:
    """Return a new folder with a short name, removed at the end of this process; refuse to go on without one."""
    for place in (*_SHORT, *_usual_folders()):
        try:
            folder = tempfile.mkdtemp(prefix=f"hsmix-{purpose}-", dir=place)
        except OSError:
            continue
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return os.path.realpath(folder)
    raise OutputError(
        f"Ray needs a folder for its sockets, and none of {', '.join(dict.fromkeys(_usual_folders()))} can be written; "
        "set RAY_TMPDIR to one that can, or use --backend serial"
    )


def _give_token() -> None:
    """Give Ray a token for this process, where the home folder cannot keep the one that it would make.

    The home folder of a container or a job is often read-only, missing, or that of another user.
    """
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return
    try:
        token = Path.home() / ".ray" / "auth_token"
        usable = bool(token.read_bytes()) if token.exists() else _is_writable(token.parent)
    except (OSError, RuntimeError):  # the latter: this user has no home
        usable = False
    if not usable:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


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
    _keep_hands_off()
    try:
        # Ray adds the current folder to where workers import from; nobody but the administrator writes into this one.
        with contextlib.chdir("/"):
            ray.init(address=address, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise OutputError(
            f"no Ray cluster answers at {address}: {reason}; check --address, set RAY_AUTH_MODE=token if tokens guard "
            "the cluster, or leave --address out"
        ) from None


def _keep_hands_off() -> None:
    """Keep Ray from what is ours."""
    # It prints the death of a worker among our results, whatever its options for logs are, and has no option for it.
    if hasattr(ray_worker, "print_to_stdstream"):
        ray_worker.print_to_stdstream = _log_message  # type: ignore[assignment]
    # It reports errors of units that were stopped, which nobody waits for any more.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    # It ends a process that is sent SIGTERM with status 15, in the middle of its start.
    if hasattr(ray_utils, "set_sigterm_handler"):
        ray_utils.set_sigterm_handler = lambda _handler: None


def _log_message(data: dict[str, Any], **_ignored: Any) -> None:
    logging.getLogger("ray").info("%s", "\n".join(map(str, data.get("lines", ()))))
