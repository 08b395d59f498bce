"""A signal ends a command in one line and in time, wherever it hits, and leaves nothing that others wait for."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command_line import TINY
from tests.small_sources import make_source

MOST_S = 3.0
WAIT_S = 60
STATUSES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGUSR1: 138}

INTERRUPTED = """
import asyncio, gc
from hsmix_gen.pipeline.cli.job_call import mended
from hsmix_gen.pipeline.execution.signals import Terminated

def work():
    loop = asyncio.new_event_loop()
    loop.create_future().set_exception(FileNotFoundError("of a task that nobody waits for"))
    gc.collect()
    raise {error}

mended(work)
"""


@pytest.mark.parametrize(
    ("error", "status", "word"), [("KeyboardInterrupt", 130, "interrupted"), ("Terminated", 143, "terminated")]
)
def test_what_an_interrupt_leaves_to_other_threads_is_not_reported(error: str, status: int, word: str) -> None:
    """Zarr reads in tasks; those that fail after an interrupt have nobody to fail to."""
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(error=error)], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stderr) == (status, f"{word}; run the same command again to finish\n")


LOST = """
import os, sys, time
from hsmix_gen.pipeline.execution.signals import ending_command

class Loser:
    def __del__(self):
        print("hit", flush=True)
        os.kill(os.getpid(), {number})
        time.sleep(0)

with ending_command(lambda: print("released", flush=True)):
    Loser()
    time.sleep(60)
"""
"""Python drops what is raised in a finaliser."""

CLEANING = """
import os, time
from hsmix_gen.pipeline.execution.signals import ending_command

with ending_command(lambda: print("too late", flush=True)):
    try:
        print("hit", flush=True)
        os.kill(os.getpid(), {number})
        time.sleep(60)
    finally:
        os.kill(os.getpid(), {number})
        time.sleep(0.5)
        print("cleaned up", flush=True)
"""
"""People press Ctrl-C twice."""


def word_of(number: int) -> str:
    """Return the word for a signal in the last line of a command."""
    return "interrupted" if number == signal.SIGINT else "terminated"


@pytest.mark.parametrize("number", STATUSES)
@pytest.mark.parametrize(
    ("program", "said"),
    [(LOST, "released"), (CLEANING, "cleaned up")],
    ids=["lost", "cleaning"],
)
def test_a_command_ends_in_time_with_one_line(program: str, said: str, number: signal.Signals) -> None:
    code = program.format(number=int(number))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "hit\n"
        hit = time.monotonic()
        stdout, stderr = command.communicate(timeout=WAIT_S)
        passed = time.monotonic() - hit

    assert (command.returncode, stderr) == (
        STATUSES[number],
        f"{word_of(number)}; run the same command again to finish\n",
    )
    assert stdout == f"{said}\n"
    assert passed < MOST_S


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_was_ignored_at_the_start_stays_so(number: signal.Signals) -> None:
    """A job in the background of a script, or under nohup, goes on."""
    ignoring = f'trap \'\' {number.name.removeprefix("SIG")}; exec "$0" -c "$1"'
    code = (
        "import os; from hsmix_gen.pipeline.cli.job_call import mended\n"
        "from hsmix_gen.pipeline.execution.signals import ending_command\n"
        f"with ending_command(print): mended(lambda: os.kill(os.getpid(), {int(number)})); print('went on')"
    )

    ended = subprocess.run(
        ["sh", "-c", ignoring, sys.executable, code], capture_output=True, text=True, check=False, timeout=WAIT_S
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "went on\n", "")


@pytest.mark.parametrize("number", STATUSES)
@pytest.mark.parametrize(("way", "status"), [("pass", 0), ("raise SystemExit(1)", 1)], ids=["returns", "exits"])
def test_a_signal_after_the_end_changes_nothing(number: signal.Signals, way: str, status: int) -> None:
    """All is written and said; an interpreter that is taken down would die of the signal without a word."""
    code = (
        "import atexit, os\n"
        "from hsmix_gen.pipeline.execution.signals import ending_command\n"
        f"atexit.register(os.kill, os.getpid(), {int(number)})\n"
        f"with ending_command(lambda: print('released')):\n    {way}\n"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=WAIT_S)

    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "", "")


def test_bars_are_left_before_the_last_line(command: Path, tmp_path: Path) -> None:
    """Else the terminal shows them twice, and the line is drawn over."""
    source, output = make_source(tmp_path / "source", train=40), tmp_path / "output"
    options = [option for option in TINY if option not in {"--progress", "plain"}]
    screen, terminal = pty.openpty()
    with subprocess.Popen(
        [str(command), "run", str(source), str(output), *options, "--copies", "9"],
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    ) as run:
        os.close(terminal)
        seen = b""
        while b"superpixels" not in seen:
            seen += os.read(screen, 65536)
        run.send_signal(signal.SIGINT)
        while piece := _read(screen):
            seen += piece
    os.close(screen)

    assert run.returncode == 130, seen
    assert seen.endswith(b"interrupted; run the same command again to finish\r\n")
    # What stays on the screen: what was written after the last time that the cursor was moved up.
    left = re.split(rb"\x1b\[\d*A", seen)[-1]
    assert left.count(b"superpixels") == 1, left
    assert list(output.rglob("lease.json")) == []


def _read(screen: int) -> bytes:
    """Return what a terminal shows next, nothing once its last program is gone."""
    try:
        return os.read(screen, 65536)
    except OSError:
        return b""
