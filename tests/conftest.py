"""Fixtures that tests of the whole program share: finished datasets, the command, and real data."""

import functools
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import TINY, installed, run_cli
from tests.small_sources import make_source

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def signals_as_usual() -> None:
    """Let children be interrupted where a script started the tests in the background, with signals ignored."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def no_waits_for_disks() -> Iterator[None]:
    """Sync nothing: no test takes the power away, and a run syncs a hundred files."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _descriptor: None)
        yield


@dataclass(frozen=True)
class Finished:
    """A source and the dataset that a run made of it."""

    source: Path
    output: Path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Finished]:
    """Make a dataset, once for equal options and equal sources: ``finished("--copies", 2, train=8)``.

    All tests share it, so whoever spoils one takes a copy.
    """

    @functools.cache
    def make(*options: object, **source: Any) -> Finished:
        folder = tmp_path_factory.mktemp("finished")
        made = Finished(make_source(folder / "source", **source), folder / "output")
        run_cli("run", made.source, made.output, *TINY, *options)
        return made

    return make


@pytest.fixture(scope="session")
def command() -> Path:
    """The installed command."""
    return installed()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data, which lie beside the checkout where developers have them."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data: {os.path.relpath(SHARED_DATA, ROOT)} is not there")
    return SHARED_DATA
