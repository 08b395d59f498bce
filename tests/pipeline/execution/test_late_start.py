"""Ray is started for work, not for a mistake in a path; whoever waits for it reads so at once."""

import copy
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.execution.progress import Display, Reporter
from hsmix_gen.pipeline.execution.units import Runner, SerialRunner, Unit
from hsmix_gen.pipeline.jobs.run import run_all, running
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import OutputError, SourceError
from tests.small_sources import make_source


class Log(Display):
    """Keeps notes, and what the runner did, in order."""

    def __init__(self) -> None:
        self.stated: list[str] = []

    def note(self, text: str) -> None:
        self.stated.append(text)


class Announced(SerialRunner):
    """A runner that says when it starts, works and closes."""

    def __init__(self, stated: list[str]) -> None:
        super().__init__(has_gpu=False)
        self._stated = stated
        stated.append("started")

    def run(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        self._stated.append("ran")
        return super().run(units)

    def close(self) -> None:
        self._stated.append("closed")


def making(log: Log) -> Callable[[RunConfig], Runner]:
    return lambda _config: Announced(log.stated)


def test_ray_is_announced_and_started_by_the_first_unit() -> None:
    log = Log()

    with running(RunConfig(), Reporter(log), making(log)) as runner:
        assert log.stated == []
        assert [result for _, result in runner.run([Unit("one", abs, (-1,))])] == [1]

    assert log.stated == ["starting Ray", "started", "ran", "closed"]


def test_a_runner_that_nothing_asked_for_is_neither_started_nor_closed() -> None:
    log = Log()

    with running(RunConfig(), Reporter(log), making(log)):
        pass

    assert log.stated == []


def test_a_look_at_a_runner_does_not_start_it() -> None:
    """A copy asks for names of Python's own before there is anything in it; that ended in a recursion."""
    log = Log()

    with running(RunConfig(), Reporter(log), making(log)) as runner:
        assert not hasattr(runner, "__wrapped__")
        copy.copy(runner)

    assert log.stated == []


@pytest.mark.parametrize(("source", "error"), [("missing", SourceError), ("source", OutputError)])
def test_wrong_paths_are_refused_before_ray_starts(tmp_path: Path, source: str, error: type[Exception]) -> None:
    """Starting Ray takes seconds to a quarter of a minute; a slip of the finger should not."""
    make_source(tmp_path / "source")
    (tmp_path / "file").write_text("x")
    log = Log()
    output = Output(tmp_path / ("file" if source == "source" else "out"))

    with pytest.raises(error):
        run_all(tmp_path / source, output, RunConfig(), Reporter(log))

    assert "starting Ray" not in log.stated
