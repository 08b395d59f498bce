"""Streams that are closed or cannot be written end a command in one line at most, with the right status."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import TINY
from tests.written import shard_digests

COMMAND = f"{sys.executable} -m hsmix_gen.pipeline"


def shell(words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", words], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", ["presets", "--help", "--version"])
def test_results_that_cannot_be_written_are_a_problem_of_one_line(words: str) -> None:
    done = shell(f"{COMMAND} {words} > /dev/full")

    assert done.returncode == 1
    assert done.stderr == ("error: the output cannot be written (No space left on device); write it to another place\n")


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_words_that_cannot_be_written_do_not_change_the_status(stderr: str) -> None:
    assert shell(f"{COMMAND} presets {stderr}").returncode == 0
    assert shell(f"{COMMAND} presets nosuch {stderr}").returncode == 1
    assert shell(f"{COMMAND} nosuch {stderr}").returncode == 2


@pytest.mark.parametrize(
    "streams",
    [">&- 2>&-", *(pytest.param(words, marks=pytest.mark.slow) for words in ("<&- >&- 2>&-", "2>&-", "2>/dev/full"))],
)
def test_a_run_without_streams_makes_the_same_files(finished: Callable[..., Any], tmp_path: Path, streams: str) -> None:
    """A closed stream leaves its number to the next file that is opened, and words would be written into that.

    With stdin open the pipe of signals took stderr's: the end of a line was SIGUSR1, and the status 138.
    """
    plain = finished("--copies", 1)

    done = shell(f"{COMMAND} run {plain.source} bare {' '.join(TINY)} --copies 1 {streams}", tmp_path)

    assert done.returncode == 0
    assert shard_digests(tmp_path / "bare") == shard_digests(plain.output)


def test_both_streams_full_still_give_the_status() -> None:
    assert shell(f"{COMMAND} presets > /dev/full 2>&1").returncode == 1
