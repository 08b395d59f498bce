"""Processes: those below another one, as the kernel lists them, and a command under way in one of its own."""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

WAIT_S = 240


def descendants(pid: int) -> list[tuple[int, str]]:
    """Return id and title of all processes below one."""
    parents: dict[int, int] = {}
    titles: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(folder.name)] = (folder / "cmdline").read_text().rstrip("\0 ").replace("\0", " ")
        except (OSError, ValueError):
            continue
    found, frontier = [], {pid}
    while frontier:
        frontier = {child for child, parent in parents.items() if parent in frontier}
        found += [(child, titles.get(child, "")) for child in sorted(frontier)]
    return found


@dataclass
class Driver:
    """A command under way in a process of its own."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    """What it wrote to stderr so far."""

    @property
    def stated(self) -> str:
        """What it wrote to stderr so far, as one text."""
        return "".join(self.lines)

    @property
    def stage(self) -> str:
        """The stage that was begun last."""
        begun = [match[1] for line in list(self.lines) if (match := re.match(r"(\w+): \d+ to do", line))]
        return begun[-1] if begun else ""

    def wait(self) -> str:
        """Wait for its end and return what it wrote."""
        self.process.wait(timeout=WAIT_S)
        return self.stated

    def stop(self, number: signal.Signals) -> float:
        """Send a signal and return after how many seconds the process was gone."""
        sent = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=WAIT_S)
        return time.monotonic() - sent


@contextmanager
def driver(
    command: Path, *arguments: object, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Driver]:
    """Start the command and collect its stderr; whatever happens, it is gone afterwards."""
    process = subprocess.Popen(
        [str(command), *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    started = Driver(process)

    def collect() -> None:
        assert process.stderr is not None
        started.lines.extend(iter(process.stderr.readline, ""))

    reader = threading.Thread(target=collect, daemon=True)
    reader.start()
    try:
        yield started
    finally:
        process.terminate()
        process.wait(timeout=WAIT_S)
        reader.join(timeout=WAIT_S)
        assert process.stderr is not None
        process.stderr.close()
