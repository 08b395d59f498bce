"""The three streams that a command is started with, whatever somebody made of them: closed, or on a full disk."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

EXIT_PROBLEM = 1


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Let a command write its results and words; results that cannot be written end it in one line.

    Words are for people: where they cannot be written they are lost, and the work goes on.
    """
    lossy = io.BufferedWriter(_Lossy(2, "wb", closefd=False))
    sys.stderr = io.TextIOWrapper(lossy, sys.stderr.encoding, sys.stderr.errors, line_buffering=True)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        # Files that a job writes are reported by the job; what comes through here is the stream.
        sys.stderr.write(
            f"error: the output cannot be written ({error.strerror or error}); write it to another place\n"
        )
        _discard(1)
        sys.exit(EXIT_PROBLEM)


class _Lossy(io.FileIO):
    """A file that takes everything, and loses what cannot be written."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


def open_closed() -> None:
    """Open what is closed on nothing: else the next file that is opened would be taken for it, and written into.

    It has to come before every other file of a process, the pipe of signals too: words in that would be signals.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            _discard(number)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False, encoding="utf-8"))  # noqa: SIM115


def _discard(number: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    if nothing != number:
        os.dup2(nothing, number)
        os.close(nothing)
