"""Where files for object stores are written before they are sent: a folder per process, gone with it or after it."""

import atexit
import fcntl
import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

_PREFIX = "hsmix-gen-outgoing-"


def folder() -> Path:
    """Return the folder of this process, in the folder for temporary files that ``TMPDIR`` names."""
    path, _ = _locked_folder(os.getpid())
    path.mkdir(exist_ok=True)
    return path


def remove_dead() -> None:
    """Remove the folders of processes that are dead; nobody holds their locks any more."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            lock = os.open(path, os.O_RDONLY)
        except OSError:
            continue  # of another user, or gone meanwhile
        try:
            if _lock(lock):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


@lru_cache(maxsize=1)
def _locked_folder(pid: int) -> tuple[Path, int]:
    """Return a new folder and the descriptor that holds its lock as long as the process lives."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{pid}-"))
        lock = os.open(path, os.O_RDONLY)
        # Another process may have taken the new folder for a dead one and removed it.
        if _lock(lock) and path.is_dir():
            atexit.register(shutil.rmtree, path, ignore_errors=True)
            return path, lock
        os.close(lock)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
