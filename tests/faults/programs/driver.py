"""Runs ``hsmix-gen`` in forked processes, so that hundreds of them cost no imports, each with faults of its own.

What one driver had to import, this process imports when that one has ended, for all that come after it.

Reads one JSON request a line and answers each with one: ``{"arguments": [...], "harm": {...}, "streams": FOLDER}``
starts a driver and states its ``pid``; ``{"wait": PID, "timeout_s": S, "streams": FOLDER}`` states its ``status``,
negative for a signal.

Nothing of the product is changed: faults come from the interpreter (audit events report every change of a file
before it happens), from the system (limits, signals) or from what the product asks others for (clock, versions).
"""

import atexit
import errno
import gc
import importlib
import importlib.metadata
import itertools
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
DAY_S = 86400
CLOCK_JUMPS_S = (0, -DAY_S, 365 * DAY_S, -3 * 365 * DAY_S)
GIVEN_UP = 124
IMPORTED = "imported"


class Steps:
    """Counts the changes of files below a folder and does harm before one of them.

    Renames are counted twice, before and after, so that there is a step at which only the new name is there.

    Parameters
    ----------
    folder : str
        Where changes count.
    act : callable
        Called with the number of the change (from 1), what it is and the path.
    """

    def __init__(self, folder: str, act: Callable[[int, str, str], None]) -> None:
        self._folder, self._act = folder.rstrip("/") + "/", act
        self._count = 0

    def install(self) -> None:
        """Begin to count; audit hooks cannot be taken away again."""
        sys.addaudithook(self._heard)
        os.replace, os.rename = self._then_reported(os.replace), self._then_reported(os.rename)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if flags & WRITING:
                self._step("open", path)
        elif event in CHANGES:
            self._step(event.partition(".")[2], arguments[1] if event == "os.rename" else arguments[0])

    def _then_reported(self, move: Callable[..., None]) -> Callable[..., None]:
        def moved(source: Any, target: Any, **keywords: Any) -> None:
            move(source, target, **keywords)
            self._step("renamed", target)

        return moved

    def _step(self, what: str, path: Any) -> None:
        if isinstance(path, (str, os.PathLike)) and os.path.abspath(path).startswith(self._folder):  # noqa: PTH100
            self._count += 1
            self._act(self._count, what, os.path.abspath(path))  # noqa: PTH100


def do_harm(harm: dict[str, Any]) -> None:
    """Install what a request asks for.

    Attributes of a request
    -----------------------
    folder : where changes are counted, with one or more of
        ``log`` (file that lists every change), ``at`` (number of the change) with ``signal`` or ``errno``,
        ``from`` (number from which on each change fails with ``errno``)
    file_bytes : no file may grow larger
    clock : the wall clock jumps by days and years
    versions : versions that are given instead of the installed ones
    shuffle : seed of the order in which units are done
    """
    # No fault takes the power away, so nothing has to be on the disk before the next step.
    os.fsync = _forget
    if "folder" in harm:
        Steps(harm["folder"], _Act(harm)).install()
    if "file_bytes" in harm:
        resource.setrlimit(resource.RLIMIT_FSIZE, (harm["file_bytes"], harm["file_bytes"]))
    if harm.get("clock"):
        _let_the_clock_jump()
    if "versions" in harm:
        set_versions(harm["versions"])
    if "shuffle" in harm:
        _shuffle_units(harm["shuffle"])


def _forget(fd: Any) -> None:
    """Do nothing."""


class _Act:
    def __init__(self, harm: dict[str, Any]) -> None:
        self._harm = harm
        self._log = os.open(harm["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if "log" in harm else None

    def __call__(self, number: int, what: str, path: str) -> None:
        if self._log is not None:
            os.write(self._log, f"{what}\t{path}\n".encode())
        harm = self._harm
        if "signal" in harm and number == harm["at"]:
            os.kill(os.getpid(), harm["signal"])
        if "errno" in harm and (number == harm.get("at") or number >= harm.get("from", sys.maxsize)):
            raise OSError(harm["errno"], os.strerror(harm["errno"]), path)


def _let_the_clock_jump() -> None:
    jumps, now, now_ns = itertools.cycle(CLOCK_JUMPS_S), time.time, time.time_ns

    def jumping() -> float:
        return now() + next(jumps)

    def jumping_ns() -> int:
        return now_ns() + next(jumps) * 10**9

    time.time, time.time_ns = jumping, jumping_ns


def set_versions(versions: dict[str, str]) -> None:
    """Let the distributions of this process have other versions."""
    found = importlib.metadata.distribution

    class Other:
        def __init__(self, version: str) -> None:
            self.version = version

    def distribution(name: str) -> Any:
        return Other(versions[name]) if name in versions else found(name)

    setattr(importlib.metadata, "distribution", distribution)  # noqa: B010


def _shuffle_units(seed: int) -> None:
    running = importlib.import_module("hsmix_gen.pipeline.execution.units")
    in_order = running.SerialRunner.run
    generator = random.Random(seed)  # noqa: S311

    def run(runner: Any, units: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        waiting = iter(units)
        # Units come back in another order; more of them may be there afterwards.
        while taken := list(itertools.islice(waiting, 7)):
            generator.shuffle(taken)
            yield from in_order(runner, taken)

    running.SerialRunner.run = run


def _start(request: dict[str, Any]) -> int | None:
    """Return the id of a new process, or None in that process."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = os.open(Path(request["streams"]) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, number)
    return None


def _status(pid: int, timeout_s: float) -> int:
    """Wait for a process; one that is not gone in time is killed."""
    deadline = time.monotonic() + timeout_s
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return GIVEN_UP
        time.sleep(0.002)


def _note_imports(known: frozenset[str], streams: Path) -> None:
    """Leave the names of the modules that were imported since the start and can be found by their name."""
    specs = {name: getattr(sys.modules[name], "__spec__", None) for name in sys.modules.keys() - known}
    names = sorted(name for name, spec in specs.items() if spec is not None and spec.name == name)
    if names:
        (streams / IMPORTED).write_text("\n".join(names), encoding="utf-8")


def _import_what_was_imported(streams: Path) -> None:
    """Import what a driver that came to its end had imported; what lies in memory now is shared by all to come."""
    if (streams / IMPORTED).exists():
        for name in (streams / IMPORTED).read_text(encoding="utf-8").split():
            importlib.import_module(name)
        gc.freeze()


def serve() -> dict[str, Any] | None:
    """Answer requests until there are no more; returns the request in a process that was started for it."""
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = {"status": _status(request["wait"], request["timeout_s"])}
            _import_what_was_imported(Path(request["streams"]))
        else:
            pid = _start(request)
            if pid is None:
                return dict(request)
            answer = {"pid": pid}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return None


def main() -> None:
    """Serve; in a process that was started, call the command line as its script does."""
    sys.stdout.write(json.dumps({"ready": True}) + "\n")
    sys.stdout.flush()
    request = serve()
    if request is not None:
        sys.argv = ["hsmix-gen", *request["arguments"]]
        atexit.register(_note_imports, frozenset(sys.modules), Path(request["streams"]))
        do_harm(request.get("harm") or {})
        importlib.import_module("hsmix_gen.pipeline.__main__").main()


def kill_worker_once(orders: str) -> None:
    """Kill this process before it changes files, once for each order, whichever process comes first.

    Parameters
    ----------
    orders : str
        JSON: ``folder``, ``marks`` (a folder in which a file says that an order was carried out) and ``kill``, a list
        of changes, each with parts of its path.
    """
    order = json.loads(orders)

    def act(_number: int, what: str, path: str) -> None:
        for number, (change, *parts) in enumerate(order["kill"]):
            if what == change and all(part in path for part in parts):
                try:
                    os.close(os.open(Path(order["marks"]) / str(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
                except OSError as error:
                    assert error.errno == errno.EEXIST
                    continue
                os.kill(os.getpid(), signal.SIGKILL)

    Steps(order["folder"], act).install()


if __name__ == "__main__":
    main()
