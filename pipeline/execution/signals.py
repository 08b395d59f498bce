"""Signals that stop a run: as exceptions, so that what is under way is cleaned up, and as the end of a command."""

import atexit
import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any, NoReturn

TERMINATING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""What schedulers send, and terminals that are closed."""
GRACE_S = 1.5
"""Seconds after which a command that was stopped ends wherever it is: a scheduler kills it some seconds later."""


class Terminated(BaseException):
    """A signal arrived that ends the run."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let the signals that end a run raise `Terminated`; afterwards they do what they did before."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may take signals: whoever calls jobs from another one ends them himself.
        yield
        return
    before = _taken(TERMINATING)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def take_again() -> None:
    """Take back the signals for which a library has set a handler in native code, which Python does not see.

    That of Ray prints a dump of its own before it hands a signal on.
    """
    if threading.current_thread() is threading.main_thread():
        for number in TERMINATING:
            handler = signal.getsignal(number)
            if callable(handler):
                signal.signal(number, handler)


def signal_of(error: BaseException) -> int | None:
    """Return the signal that an error comes from, if any; once a command was stopped, every error comes from that."""
    if _Command.stopped_by is not None:
        return _Command.stopped_by
    if isinstance(error, Terminated):
        return error.number
    return signal.SIGINT if isinstance(error, KeyboardInterrupt) else None


def report_stop(number: int) -> int:
    """Write the last line of a run that a signal stopped, in a command once only; return its exit status."""
    if _Command.takes_the_word():
        # Whoever closed the terminal reads nothing.
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(_line(number))
            sys.stderr.flush()
    return 128 + number


@contextlib.contextmanager
def ending_command(release: Callable[[], None]) -> Iterator[None]:
    """End this process with one line and the status of a signal within some seconds of it, whatever it does.

    An exception alone is not enough: libraries lose it in callbacks, native code returns when it likes, and threads
    of libraries crash an interpreter that is taken down below them.

    Parameters
    ----------
    release : callable
        Gives back what others wait for; called in a thread if the process does not end by itself.
    """
    numbers = (signal.SIGINT, *TERMINATING)
    wakes, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    threading.Thread(target=_end_in_time, args=(wakes, numbers, release), name="hsmix-signals", daemon=True).start()
    sys.unraisablehook = _unless_stopped(sys.unraisablehook)
    threading.excepthook = _unless_stopped(threading.excepthook)
    _Command.is_one = True
    handled = _taken(numbers)
    try:
        yield
        _leave(handled)
    except BaseException as error:
        _Command.is_over = True
        number = signal_of(error)
        if number is None:
            _leave(handled)
            raise
        status = report_stop(number)
        # What others registered, such as the removal of folders, but not the end of the interpreter.
        atexit._run_exitfuncs()
        _end(status)


class _Command:
    """Whether this process is a command, and whether a signal stopped it."""

    is_one = False
    is_over = False
    """Whether it has ended by itself, so that nothing is left to stop."""
    stopped_by: int | None = None
    _has_reported = False
    _lock = threading.Lock()

    @classmethod
    def takes_the_word(cls) -> bool:
        """Return whether the last line is still to be written, by whoever asks first."""
        with cls._lock:
            is_first, cls._has_reported = not cls._has_reported, cls.is_one
        return is_first


def _taken(numbers: Iterable[int]) -> dict[int, Any]:
    """Let signals raise `Terminated`; return the handlers that they had.

    What is ignored from the start stays so: a job in the background of a script, or under nohup, goes on.
    """
    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, _raise)
    return before


def _leave(handled: Iterable[int]) -> None:
    """Ignore signals from now on: all is done and said, and an interpreter that is taken down would die of them."""
    _Command.is_over = True
    for number in handled:
        signal.signal(number, signal.SIG_IGN)


def _raise(number: int, _frame: FrameType | None) -> None:
    if _Command.is_one:
        if _Command.stopped_by is not None or _Command.is_over:
            return  # what is cleaned up is left to it
        _Command.stopped_by = number
    raise Terminated(number)


def _end_in_time(wakes: int, numbers: tuple[int, ...], release: Callable[[], None]) -> None:
    """Wait for a signal, then for the end of the process; make one after the grace (runs in a thread)."""
    while (number := os.read(wakes, 1)[0]) not in numbers:
        pass
    time.sleep(GRACE_S)
    if _Command.is_over and _Command.stopped_by is None:
        return
    _Command.stopped_by = _Command.stopped_by or number
    with contextlib.suppress(Exception):
        release()
    if _Command.takes_the_word() and select.select([], [2], [], 0)[1]:
        # Not by way of Python's stream, which another thread may hold; below bars that were left as they are.
        with contextlib.suppress(OSError):
            os.write(2, ("\n" * os.isatty(2) + _line(_Command.stopped_by)).encode())
    _end(128 + _Command.stopped_by)


def _line(number: int) -> str:
    word = "interrupted" if number == signal.SIGINT else "terminated"
    return f"{word}; run the same command again to finish\n"


def _unless_stopped(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a hook that is silent once the command was stopped: what fails then, fails because of that."""
    return lambda failure: None if _Command.stopped_by is not None else hook(failure)


def _end(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
