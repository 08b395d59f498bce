"""One driver to a folder: a lease with a heartbeat, refused to a second driver and taken over once it is stale."""

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.schemas.errors import HsmixError, OutputError
from hsmix_gen.schemas.records import record_of

LEASE_FILE = "lease.json"
HEARTBEAT_S = 5.0
"""Seconds between two beats."""
TTL_BEATS = 6
"""Beats that may fail before a lease counts as stale."""
_LAST_BEAT_S = 0.3
_NAMESPACES = (Path("/proc/self/ns/pid"), Path("/proc/self/ns/time"))
"""Of the numbers of processes, and of the clock by which the kernel counts their start."""
_held: "set[Lease]" = set()


@dataclass(frozen=True)
class Holder:
    """Who holds a lease."""

    token: str
    """Of one run of one driver."""
    host: str
    pid: int
    """For messages; both may be the same in two containers, or on two machines."""
    born: str
    """When the process was started, as the kernel counts, so that a process of the same number is not taken for it."""
    beat: int = 0
    """Counts up while the driver lives; clocks of two machines are never compared."""
    kernel: str = ""
    """The boot of a kernel and the namespaces in which `pid` and `born` count; empty where they are not known."""


class Lease:
    """Keeps other drivers off a folder while it is entered.

    Parameters
    ----------
    folder : Path
        Where the lease lies, for example ``OUTPUT/.hsmix``.
    subject : str
        What is held, for messages.
    note : callable
        Called when a lease of another driver has to be watched.
    heartbeat_s : float
        Seconds between two beats.

    Raises
    ------
    OutputError
        On entering, if another driver is at work there.
    """

    def __init__(
        self, folder: Path, subject: str, note: Callable[[str], None], *, heartbeat_s: float = HEARTBEAT_S
    ) -> None:
        self._path = folder / LEASE_FILE
        self._subject, self._note, self._heartbeat_s = subject, note, heartbeat_s
        born, kernel = _status("self")[1], _kernel()
        self._mine = Holder(secrets.token_hex(8), socket.gethostname(), os.getpid(), born, kernel=kernel)
        self._ended = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._beat, name="hsmix-lease", daemon=True)

    def check_free(self) -> None:
        """Refuse a folder where another driver is at work.

        Raises
        ------
        OutputError
            If one is.
        """
        held = _read(self._path)
        if held is not None and not self._is_stale(held):
            raise OutputError(
                f"{self._subject} is being written by process {held.pid} on {held.host}; "
                "wait until it has ended, or choose another folder"
            )

    def __enter__(self) -> "Lease":
        self.check_free()
        _held.add(self)
        try:
            self._write(self._mine)
            # Of two drivers that found the same stale lease only the one that wrote last reads itself.
            time.sleep(min(0.2, self._heartbeat_s))
            self.check()
            self._thread.start()
        except BaseException:
            self.give_back()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def give_back(self, *, wait_s: float | None = None) -> None:
        """Let others enter, after a beat under way; `wait_s` bounds the wait for it."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(wait_s)
        _held.discard(self)
        # A store that is away must not hide why the job ended; without a beat the lease is stale soon.
        with contextlib.suppress(OSError, HsmixError):
            if self._is_mine(_read(self._path)):
                self._path.unlink(missing_ok=True)

    def check(self) -> None:
        """Refuse to go on if another driver has taken the lease over.

        Raises
        ------
        OutputError
            If it has: this driver was taken for dead, for example while its machine slept.
        """
        if self._lost or not self._is_mine(_read(self._path)):
            raise OutputError(
                f"{self._subject} was taken over by another driver, as this one gave no sign of life; "
                "let that one finish, then run the same command again"
            )

    def _beat(self) -> None:
        beat = 0
        while not self._ended.wait(self._heartbeat_s):
            try:
                if not self._is_mine(_read(self._path)):
                    self._lost = True
                    return
                beat += 1
                self._write(replace(self._mine, beat=beat))
            except (OSError, HsmixError):
                continue  # a full disk or a store that is away for a moment: the next beat may pass

    def _is_stale(self, held: Holder) -> bool:
        """Return whether the driver of a lease is dead: known here, or silent for so many beats elsewhere."""
        # The number of a process says something only in its own namespace of its own kernel.
        if held.kernel and held.kernel == self._mine.kernel and (is_dead := _is_dead(held)) is not None:
            return is_dead
        wait_s = TTL_BEATS * self._heartbeat_s
        self._note(f"a driver on {held.host} was at work here; watching for {wait_s:.0f} s whether it still is")
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            time.sleep(self._heartbeat_s / 5)
            now = _read(self._path)
            if now is None:
                return True
            if (now.token, now.beat) != (held.token, held.beat):
                return False
        return True

    def _is_mine(self, held: Holder | None) -> bool:
        return held is not None and held.token == self._mine.token

    def _write(self, holder: Holder) -> None:
        atomic_files.write_json(self._path, asdict(holder))


def _read(path: Path) -> Holder | None:
    """Return who holds a lease; one that cannot be read was torn by what killed its driver."""
    try:
        return record_of(Holder, atomic_files.read_json(path))
    except (FileNotFoundError, ValueError):
        return None


def token_in(folder: Path) -> str | None:
    """Return the token of the lease of a folder, which stays the same while a driver holds it; None if nobody does."""
    held = _read(folder / LEASE_FILE)
    return None if held is None else held.token


def give_back_all() -> None:
    """Give back the leases of this process, which is about to end."""
    for lease in list(_held):
        lease.give_back(wait_s=_LAST_BEAT_S)


def _kernel() -> str:
    """Return what names this boot of a kernel and this process's namespace of processes, empty if it is not known."""
    try:
        if Path("/proc/self").readlink().name != str(os.getpid()):
            return ""  # the numbers in /proc are those of another namespace
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return " ".join([boot, *(str(link.readlink()) for link in _NAMESPACES if link.is_symlink())])
    except OSError:
        return ""


def _is_dead(held: Holder) -> bool | None:
    """Return whether the driver is dead, or None if nothing is known of its process."""
    try:
        os.kill(held.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # of another user, whose processes /proc may hide
    state, born = _status(held.pid)
    if not state:
        return None
    # A zombie holds nothing any more.
    return state in "ZX" or born != held.born


def _status(pid: int | str) -> tuple[str, str]:
    """Return state and start, in ticks since boot, of a process; empty texts if it is not seen."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "", ""
    fields = status.rpartition(")")[2].split()
    return fields[0], fields[19]
