"""The table of faults that `make test-faults` prints, and drivers that suffer them.

Which tests stand for which row of the fault plan is said by the marker ``fault`` in this folder and by `rows.toml` for
tests elsewhere. ``--fault-table FILE`` writes the table as Markdown too.
"""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROWS = tomllib.loads((HERE / "rows.toml").read_text(encoding="utf-8"))
MARKERS = (
    "fault(*rows): stands for rows of the fault plan; all of them are run by `make test-faults`",
    "faults: minutes long; run by `make test-faults` only",
)
WAIT_S = 120
TINY = (
    *("--size", "32", "40", "--regions", "4", "8", "--variants", "1"),
    *("--saliency", "fine_grained", "--backend", "serial"),
)
AT_ONCE = 4
"""Drivers under way at once, as each waits for locks and for its lease at times."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the file of the table."""
    parser.addoption("--fault-table", metavar="FILE", help="write the table of faults as Markdown")


def pytest_configure(config: pytest.Config) -> None:
    """Register the table as a plugin, as hooks of this file hear of the tests in this folder only."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.pluginmanager.register(FaultTable(config.getoption("--fault-table", default=None)), "fault-table")


@dataclass
class Row:
    """What happened to the tests of a row."""

    outcomes: Counter[str] = field(default_factory=Counter)
    tried: int = 0
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """The outcome in words."""
        if self.outcomes["failed"]:
            return f"{self.outcomes['failed']} FAILED"
        if not self.outcomes["passed"]:
            return "not run here" if self.outcomes["skipped"] else "not run"
        open_ends = [f"{self.outcomes[kind]} {kind}" for kind in ("skipped", "xfailed") if self.outcomes[kind]]
        return ", ".join(["held", *open_ends])


class FaultTable:
    """Counts the outcomes of tests by the row of the fault plan that they stand for."""

    def __init__(self, target: str | None) -> None:
        self._target = target
        self._rows: dict[str, Row] = defaultdict(Row)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark the tests of other folders, before tests are chosen by markers."""
        homes = {(test, row) for row, stated in ROWS.items() for test in stated["tests"]}
        for item in items:
            path, _, name = item.nodeid.partition("::")
            function = name.partition("[")[0]
            for row in sorted({row for test, row in homes if test in {path, f"{path}::{function}"}}):
                item.add_marker(pytest.mark.fault(row))
            rows = {row for mark in item.iter_markers("fault") for row in mark.args}
            # With the report it reaches the process that prints the table, which may not be the one that ran the test.
            item.user_properties.append(("rows", tuple(sorted(rows & ROWS.keys()))))
            assert rows <= ROWS.keys(), f"{item.nodeid} stands for rows that the plan lacks: {rows - ROWS.keys()}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one test: its call, or a setup that failed or skipped it."""
        if report.when != "call" and report.outcome == "passed":
            return
        kind = "xfailed" if hasattr(report, "wasxfail") else report.outcome
        stated: dict[str, Any] = dict(report.user_properties)
        for row in stated.get("rows", ()):
            self._rows[row].outcomes[kind] += 1
            if report.outcome != "skipped":
                self._rows[row].tried += int(stated.get("tried", 1))
                self._rows[row].seconds += report.duration

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table, and write it where that was asked for."""
        if not self._rows:
            return
        table = [
            (
                name,
                stated["fault"],
                str(self._rows[name].tried),
                self._rows[name].verdict,
                f"{self._rows[name].seconds:.0f}",
            )
            for name, stated in ROWS.items()
        ]
        lines = _markdown([("", "fault", "times tried", "outcome", "seconds"), *table])
        terminalreporter.section("faults")
        terminalreporter.write("\n".join(lines) + "\n")
        if self._target:
            Path(self._target).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _markdown(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *body = (
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    )
    return [head, "|" + "|".join("-" * (width + 2) for width in widths) + "|", *body]


@dataclass(frozen=True)
class Ended:
    """How a driver ended: its exit status, or the number of the signal below 0, and what it wrote."""

    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def error_line(self) -> str:
        """The one line in which a driver that ended with status 1 says why."""
        assert self.status == 1, (self.status, self.stderr)
        assert "Traceback" not in self.stderr, self.stderr
        stated = [text for text in self.stderr.splitlines() if text.startswith("error: ")]
        assert len(stated) == 1, self.stderr
        return stated[0]

    def succeeded(self) -> None:
        """Check that a driver did what it was asked to do."""
        assert self.status == 0, self.stderr


@dataclass(frozen=True)
class Started:
    """A driver under way."""

    pid: int
    streams: Path
    since: float
    ask: Callable[[dict[str, Any]], dict[str, Any]]

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    @property
    def stderr(self) -> str:
        """What it wrote so far."""
        return (self.streams / "stderr").read_text()

    def wait(self) -> Ended:
        """Return how it ended."""
        status = self.ask({"wait": self.pid, "timeout_s": WAIT_S, "streams": str(self.streams)})["status"]
        seconds = time.monotonic() - self.since
        return Ended(status, (self.streams / "stdout").read_text(), self.stderr, seconds)


class Drivers:
    """Starts the command in processes of its own (see `programs/driver.py`), each with what harms it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._server = subprocess.Popen(
            [sys.executable, str(HERE / "programs" / "driver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == {"ready": True}

    def start(self, *arguments: object, **harm: Any) -> Started:
        """Start the command; ``harm`` is what `do_harm` understands."""
        self._count += 1
        streams = self._folder / str(self._count)
        streams.mkdir()
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in harm.items()}
        request = {"arguments": [str(argument) for argument in arguments], "harm": plain, "streams": str(streams)}
        since = time.monotonic()
        return Started(self._ask(request)["pid"], streams, since, self._ask)

    def run(self, *arguments: object, **harm: Any) -> Ended:
        """Start the command and wait for its end."""
        return self.start(*arguments, **harm).wait()

    def close(self) -> None:
        """End the server; drivers that are still under way go on."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(timeout=WAIT_S)
        self._server.stdout.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answer


@pytest.fixture(scope="session")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drivers]:
    """Drivers in fresh processes."""
    from tests.small_sources import make_source

    started = Drivers(tmp_path_factory.mktemp("streams"))
    # The first one imports for all: were it the undisturbed run, its lease would beat, and later ones have fewer steps.
    folder = tmp_path_factory.mktemp("rehearsal")
    source = make_source(folder / "source", train=2, size=(32, 40))
    ended = started.run("run", source, folder / "output", *TINY, "--format", "webdataset", "--format", "parquet")
    ended.succeeded()
    yield started
    started.close()


@dataclass(frozen=True)
class Job:
    """A source, the options of a run over it, what the undisturbed run made and the steps that it took.

    Attributes
    ----------
    files : dict
        Checksum of each shard and of the manifest.
    steps : list of (str, str)
        Each change of a file in the output: what and, relative to the output, where.
    """

    source: Path
    options: tuple[str, ...]
    output: Path
    files: dict[str, str]
    steps: list[tuple[str, str]]
    drivers: Drivers
    digests: Callable[[Path], dict[str, str]]

    def start(self, output: Path, *more: object, **harm: Any) -> Started:
        """Start the command on another output."""
        return self.drivers.start("run", self.source, output, *self.options, *more, **harm)

    def run(self, output: Path, *more: object, **harm: Any) -> Ended:
        """Call the command on another output."""
        return self.start(output, *more, **harm).wait()

    def damages(self, output: Path) -> dict[str, str]:
        """Return what differs from the undisturbed run; {} if nothing does."""
        found = self.digests(output)
        names = found.keys() | self.files.keys()
        stated = {
            name: "missing" if name not in found else "extra" if name not in self.files else "changed" for name in names
        }
        return {name: word for name, word in sorted(stated.items()) if found.get(name) != self.files.get(name)}

    def spoiled(self, output: Path) -> set[str]:
        """Return what has a final name and differs from the undisturbed run."""
        return {name for name, word in self.damages(output).items() if word != "missing" and "tmp-" not in name}

    def finish(self, output: Path) -> Ended:
        """Call the same command, without harm; check that it makes the output equal to the undisturbed one."""
        ended = self.run(output)
        self._check_finished(output, ended)
        return ended

    def run_together(self, harms: dict[Path, dict[str, Any]]) -> dict[Path, Ended]:
        """Call the command on several outputs, each with its harm, some of them at once."""
        outputs, ended = list(harms), {}
        for first in range(0, len(outputs), AT_ONCE):
            started = {output: self.start(output, **harms[output]) for output in outputs[first : first + AT_ONCE]}
            ended.update({output: each.wait() for output, each in started.items()})
        return ended

    def finish_together(self, outputs: Iterable[Path]) -> None:
        """Do as `finish` with several outputs, some of them at once."""
        for output, ended in self.run_together({output: {} for output in outputs}).items():
            self._check_finished(output, ended)

    def _check_finished(self, output: Path, ended: Ended) -> None:
        ended.succeeded()
        assert self.damages(output) == {}
        left = [path.name for path in output.rglob("*") if "tmp-" in path.name or path.name.endswith(".partial")]
        assert left == []


@pytest.fixture(scope="session")
def make_job(drivers: Drivers, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Job]:
    """Do an undisturbed run: ``make_job(*options, train=..., size=...)``; its changes of files are noted."""
    from tests.small_sources import make_source
    from tests.written import shard_digests

    def make(*options: str, size: tuple[int, int] = (32, 40), **source: Any) -> Job:
        folder = tmp_path_factory.mktemp("undisturbed")
        made, output, log = make_source(folder / "source", size=size, **source), folder / "output", folder / "log"
        every = (*TINY, "--size", *map(str, size), "--progress", "plain", *options)
        ended = drivers.run("run", made, output, *every, folder=output, log=log)
        ended.succeeded()
        steps = []
        for line in log.read_text().splitlines():
            what, _, path = line.partition("\t")
            steps.append((what, Path(path).relative_to(output).as_posix()))
        return Job(made, every, output, shard_digests(output), steps, drivers, shard_digests)

    return make


@pytest.fixture(scope="session")
def tiny_job(make_job: Callable[..., Job]) -> Job:
    """Four images, two shards of training samples in two formats: some tenths of a second."""
    return make_job(
        *("--copies", "1", "--shards", "2", "--seed", "5", "--format", "webdataset", "--format", "parquet"),
        train=3,
        val=1,
        test=0,
    )
