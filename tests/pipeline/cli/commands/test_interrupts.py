"""An interrupt is told in one line, whatever it leaves behind."""

import subprocess
import sys

import pytest

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
def test_what_an_interrupt_leaves_to_other_threads_is_not_told(error: str, status: int, word: str) -> None:
    """Zarr reads in tasks; those that fail after an interrupt have nobody to fail to."""
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(error=error)], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stderr) == (status, f"{word}; run the same command again to finish\n")
