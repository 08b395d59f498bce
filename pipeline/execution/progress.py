"""What a user sees while a run is under way: a bar, plain lines, JSON lines, or nothing; always on stderr."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_PLAIN_EVERY_S = 5.0


class Display:
    """Shows how far each stage is; this one shows warnings alone."""

    def start(self, stage: str, total: int, done: int) -> None:
        """Begin a stage of `total` things, `done` of which were there before."""

    def advance(self, stage: str, done: int, total: int, rate: float) -> None:
        """Show that `done` of `total` are finished, at `rate` things a second."""

    def note(self, text: str) -> None:
        """Show something worth knowing."""

    def warn(self, text: str) -> None:
        """Show something that the user should check."""
        sys.stderr.write(f"warning: {text}\n")

    def close(self) -> None:
        """Leave the screen tidy."""


class SilentDisplay(Display):
    """Warnings only."""


class Reporter:
    """Keeps time of the stages and hands their progress to a display.

    Attributes
    ----------
    seconds : dict
        Wall time of each stage so far.
    note, warn, close : callable
        Those of the display.
    """

    def __init__(self, display: Display) -> None:
        self.display = display
        self.seconds: dict[str, float] = {}
        self.note, self.warn, self.close = display.note, display.warn, display.close

    @contextmanager
    def of_stages(self) -> Iterator["Reporter"]:
        """Give a reporter that shows stages alone, for work whose result states its notes and warnings.

        Of work that fails, which has no result, they are shown in the end.
        """
        reporter = Reporter(self.display)
        kept: list[tuple[Callable[[str], None], str]] = []
        reporter.note = lambda text: kept.append((self.note, text))
        reporter.warn = lambda text: kept.append((self.warn, text))
        try:
            yield reporter
        except Exception:
            for show, text in kept:
                show(text)
            raise

    @contextmanager
    def stage(self, name: str, total: int, *, done: int = 0) -> Iterator["Stage"]:
        """Begin a stage; use it in a ``with`` block."""
        stage = Stage(self, name, total, done)
        self.display.start(name, total, done)
        try:
            yield stage
        finally:
            stage.end()


class Stage:
    """One stage under way."""

    def __init__(self, reporter: Reporter, name: str, total: int, done: int) -> None:
        self._reporter = reporter
        self._name, self._total, self._done, self._before = name, total, done, done
        self._started = time.monotonic()
        self._has_ended = False

    @property
    def has_advanced(self) -> bool:
        """Whether anything was finished since the stage began."""
        return self._done > self._before

    def restart(self) -> None:
        """Count time from now on: what was waited for has a stage of its own."""
        self._started = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Report that `count` more things are finished; with the last of them the time of the stage ends."""
        self._done += count
        passed = max(time.monotonic() - self._started, 1e-6)
        rate = (self._done - self._before) / passed
        self._reporter.display.advance(self._name, self._done, self._total, rate)
        if self._done >= self._total:
            self.end()

    def end(self) -> None:
        """Add the time since it began to that of stages of its name, once."""
        if not self._has_ended:
            self._has_ended = True
            passed = time.monotonic() - self._started
            self._reporter.seconds[self._name] = self._reporter.seconds.get(self._name, 0.0) + passed


class BarDisplay(Display):
    """Bars of rich on a terminal."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, Any] = {}
        self._progress.start()

    def start(self, stage: str, total: int, done: int) -> None:
        """Add a bar."""
        self._tasks[stage] = self._progress.add_task(stage, total=total, completed=done, rate="")

    def advance(self, stage: str, done: int, total: int, rate: float) -> None:  # noqa: ARG002 - bars know their total
        """Move a bar."""
        self._progress.update(self._tasks[stage], completed=done, rate=_pace(rate))

    def note(self, text: str) -> None:
        """Print above the bars."""
        self._progress.console.print(text, markup=False, highlight=False)

    def warn(self, text: str) -> None:
        """Print above the bars."""
        self._progress.console.print(f"warning: {text}", style="yellow", markup=False, highlight=False)

    def close(self) -> None:
        """Stop drawing."""
        self._progress.stop()


class LineDisplay(Display):
    """Plain lines, one at the start and end of a stage and one every few seconds between."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._last = 0.0

    def start(self, stage: str, total: int, done: int) -> None:
        """Print what begins."""
        left = f"{total - done} to do" if total > done else "nothing to do"
        self._print(f"{stage}: {left}, {done} done before" if done else f"{stage}: {left}")
        self._last = time.monotonic()

    def advance(self, stage: str, done: int, total: int, rate: float) -> None:
        """Print a line if the last is some seconds old or the stage is finished."""
        now = time.monotonic()
        if done < total and now - self._last < _PLAIN_EVERY_S:
            return
        self._last = now
        left = f", {(total - done) / rate:.0f} s left" if done < total and rate > 0 else ""
        self._print(f"{stage}: {done}/{total}, {_pace(rate)}{left}")

    def note(self, text: str) -> None:
        """Print a line."""
        self._print(text)

    def warn(self, text: str) -> None:
        """Print a line."""
        self._print(f"warning: {text}")

    def _print(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


class JsonDisplay(Display):
    """One JSON object a line, for programs that watch a run."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def start(self, stage: str, total: int, done: int) -> None:
        """Write a start event."""
        self._write("start", stage=stage, total=total, done=done)

    def advance(self, stage: str, done: int, total: int, rate: float) -> None:
        """Write a progress event."""
        self._write("progress", stage=stage, done=done, total=total, rate=round(rate, 3))

    def note(self, text: str) -> None:
        """Write a note event."""
        self._write("note", text=text)

    def warn(self, text: str) -> None:
        """Write a warning event."""
        self._write("warning", text=text)

    def _write(self, event: str, **values: Any) -> None:
        self._stream.write(json.dumps({"event": event, "time": round(time.time(), 3), **values}) + "\n")
        self._stream.flush()


def _pace(rate: float) -> str:
    """Return things a second, or seconds a thing where it takes long."""
    return f"{1 / rate:.0f} s each" if 0 < rate < 0.1 else f"{rate:.1f}/s"


def make_reporter(progress: Literal["auto", "plain", "none"], log_format: Literal["text", "json"]) -> Reporter:
    """Return the reporter for the options ``--progress`` and ``--log-format``."""
    if log_format == "json":
        return Reporter(JsonDisplay())
    if progress == "none":
        return Reporter(SilentDisplay())
    if progress == "auto" and sys.stderr.isatty():
        return Reporter(BarDisplay())
    return Reporter(LineDisplay())
