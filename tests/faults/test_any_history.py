"""Runs, kills, errors, damage and checks in any order: no wrong byte is ever called right, and all is mended."""

import errno
import os
import shutil
import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.fixture_types import Noted

DAMAGES = ("flip", "truncate", "empty", "append", "remove")
EXTEND = ("--extend", "--copies", "2")
EXTENSION = ".hsmix/extension-000001/"
KINDS = ("webdataset/*", "parquet/*", "*", ".hsmix/*", ".hsmix/shards/*", ".hsmix/cache/**/*", f"{EXTENSION}*")
WITHOUT_SECOND_COPY = (
    *(".hsmix/sources.parquet", ".hsmix/identity.json", ".hsmix/cache/sources.parquet"),
    *(f"{EXTENSION}sources.parquet", f"{EXTENSION}identity.json"),
)
"""Files against which changed inputs are found: where they are damaged themselves, a refusal is right as well."""


def spoil(path: Path, damage: str, place: float) -> None:
    """Damage a file somewhere."""
    data = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    elif damage == "append":
        path.write_bytes(data + b"\0junk")
    elif damage == "flip" and data:
        data[int(place * len(data))] ^= 1 << int(place * 8)
        path.write_bytes(data)
    else:
        os.truncate(path, int(place * len(data)) if damage == "truncate" else 0)


class History(RuleBasedStateMachine):
    """One output and everything that may happen to it."""

    job: ClassVar[Any]
    tried: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(prefix="hsmix-history-"))
        self._output = self._folder / "output"
        self._guard_spoiled = False

    @initialize(finished=st.booleans())
    def begin(self, finished: bool) -> None:
        """Half of the histories begin with a finished dataset, which would take most of their time to make."""
        if finished:
            shutil.copytree(self.job.output, self._output)

    @rule(share=st.floats(0, 1, exclude_max=True), signum=st.sampled_from([signal.SIGKILL, signal.SIGTERM]))
    def run_stopped(self, share: float, signum: signal.Signals) -> None:
        """Run and be killed or stopped before some change of a file."""
        number = 1 + int(share * len(self.job.steps))
        ended = self.job.run(self._output, folder=self._output, at=number, signal=int(signum))
        stopped = {-signal.SIGKILL} if signum == signal.SIGKILL else {143, -signal.SIGTERM}
        self._check_end(ended, stopped | ({1} if self._guard_spoiled else set()))

    @rule(
        share=st.floats(0, 1, exclude_max=True),
        error=st.sampled_from([errno.ENOSPC, errno.EIO]),
        when=st.sampled_from(["at", "from"]),
    )
    def run_failing(self, share: float, error: int, when: str) -> None:
        """Run on a disk that fails, once or from then on."""
        number = 1 + int(share * len(self.job.steps))
        self._check_end(self.job.run(self._output, folder=self._output, errno=error, **{when: number}), {1})

    @rule()
    def run_whole(self) -> None:
        """Run to the end: what is called complete is complete."""
        self._check_end(self.job.run(self._output), {1} if self._guard_spoiled else set())

    @precondition(lambda self: self._output.is_dir())
    @rule(
        choice=st.floats(0, 1, exclude_max=True),
        damage=st.sampled_from(DAMAGES),
        place=st.floats(0, 1, exclude_max=True),
        kind=st.sampled_from(KINDS),
    )
    def damage(self, choice: float, damage: str, place: float, kind: str) -> None:
        """Damage some file that is there."""
        files = sorted(path for path in self._output.glob(kind) if path.is_file())
        if files:
            path = files[int(choice * len(files))]
            spoil(path, damage, place)
            self._guard_spoiled |= path.relative_to(self._output).as_posix() in WITHOUT_SECOND_COPY

    @precondition(lambda self: self._output.is_dir())
    @rule()
    def verify(self) -> None:
        """What is called sound is sound."""
        ended = self.job.drivers.run("verify", self._output)
        assert ended.status in {0, 1}, ended.stderr
        assert "Traceback" not in ended.stderr, ended.stderr
        if ended.status == 0:
            assert self.job.damages(self._output) == {}, ended.stdout

    @invariant()
    def no_stranger_is_among_the_shards(self) -> None:
        """Whatever happened, a loader sees names of shards that the dataset has."""
        names = {name for name in self.job.digests(self._output) if "tmp-" not in name}
        assert names <= self.job.files.keys()

    def teardown(self) -> None:
        """The same command makes the undisturbed bytes, or says what to do."""
        try:
            ended = self.job.run(self._output)
            if self._guard_spoiled and ended.status == 1:
                assert "--fresh" in ended.stderr, ended.stderr
                self._check_end(ended, {1})
                ended = self.run_anew()
            assert ended.status == 0, ended.stderr
            assert self.job.damages(self._output) == {}
            verified = self.job.drivers.run("verify", self._output, "--replay", 2)
            assert verified.status == 0, verified.stdout + verified.stderr
            type(self).tried += 1
        finally:
            shutil.rmtree(self._folder)

    def run_anew(self) -> Any:
        """Remove everything and run."""
        return self.job.run(self._output, "--fresh")

    def _check_end(self, ended: Any, others: set[int]) -> None:
        assert ended.status in {0, *others}, (ended.status, ended.stderr)
        assert "Traceback" not in ended.stderr, ended.stderr
        if ended.status == 0:
            assert self.job.damages(self._output) == {}
        elif ended.status == 1:
            lines = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
            assert len(lines) == 1, ended.stderr
            assert str(self._output) in lines[0], lines[0]


class ExtendedHistory(History):
    """One output that is extended at some time."""

    extended: ClassVar[Any]

    def run_anew(self) -> Any:
        """Remove everything, run, and extend again what was extended."""
        ended = type(self).job.run(self._output, "--fresh")
        return self.job.run(self._output) if self.job is self.extended else ended

    @precondition(lambda self: self.job is not self.extended and not self._guard_spoiled)
    @rule()
    def extend(self) -> None:
        """Ask for more copies of everything, of a finished dataset; from then on they are wanted."""
        self._check_end(self.job.run(self._output), set())
        self.job = self.extended  # type: ignore[misc]
        self._check_end(self.job.run(self._output), set())


def extended(job: Any, folder: Path) -> Any:
    """Return the job of an extended dataset, made without disturbance."""
    output = Path(shutil.copytree(job.output, folder / "extended"))
    options = (*job.options, *EXTEND)
    job.drivers.run("run", job.source, output, *options).succeeded()
    return replace(job, options=options, output=output, files=job.digests(output))


def play(job: Any, record_property: Noted, folder: Path, *, histories: int, steps: int) -> None:
    """Try some histories of some steps each."""

    class Played(ExtendedHistory):
        pass

    Played.job = job
    Played.extended = extended(job, folder)
    chosen = settings(
        max_examples=histories,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=True,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Played, settings=chosen)
    record_property("tried", Played.tried)


@pytest.mark.fault("F2", "F10", "F11", "F12", "F13")
def test_short_histories_end_well(tiny_job: Any, record_property: Noted, tmp_path: Path) -> None:
    play(tiny_job, record_property, tmp_path, histories=2, steps=4)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.fault("F2", "F10", "F11", "F12", "F13")
def test_long_histories_end_well(tiny_job: Any, record_property: Noted, tmp_path: Path) -> None:
    play(tiny_job, record_property, tmp_path, histories=25, steps=8)
