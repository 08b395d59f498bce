"""Small outputs, what Pillow and numpy read of them, and programs of other trainers over them."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.command_line import TINY, run_cli, run_command
from tests.consumers.stored import Stored
from tests.small_sources import make_source

PROGRAMS = Path(__file__).with_name("programs")
COMMON = ("--copies", 2, "--shards", 4)


@dataclass(frozen=True)
class Given:
    """What a trainer's reader gave: keys in their order, arrays by part, losses of a fit, and other facts."""

    keys: list[str]
    parts: dict[str, npt.NDArray[Any]]
    losses: list[float]
    facts: dict[str, npt.NDArray[Any]]

    def part(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Return one part of the samples by key."""
        return dict(zip(self.keys, self.parts[name], strict=True))

    def assert_epoch_of(self, stored: dict[str, Stored], *parts: str) -> None:
        """Each sample came once, and parts of it are those in the tar file, to the pixel."""
        assert sorted(self.keys) == sorted(stored)
        for name in parts:
            for key, array in self.part(name).items():
                np.testing.assert_array_equal(array, getattr(stored[key], name), err_msg=f"{name} of {key}")

    def assert_learns(self) -> None:
        """Every loss is finite and the last ones are clearly below the first."""
        assert np.isfinite(self.losses).all()
        assert max(self.losses[-2:]) < 0.9 * self.losses[0]


@pytest.fixture(scope="session")
def make_output(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a dataset of 12 training samples, 48 x 64, 3 classes: ``make_output("--format", "folder", grey=False)``."""

    def make(*options: object, grey: bool = False) -> Path:
        folder = tmp_path_factory.mktemp("consumers")
        source = make_source(folder / "source", train=6, grey=grey)
        run_cli("run", source, folder / "output", *TINY, *COMMON, *options)
        return folder / "output"

    return make


@pytest.fixture(scope="session")
def output(make_output: Callable[..., Path]) -> Path:
    """A dataset in all formats."""
    return make_output("--format", "webdataset", "--format", "parquet", "--format", "folder")


@pytest.fixture(scope="session")
def grey_output(make_output: Callable[..., Path]) -> Path:
    """A dataset of one channel."""
    return make_output(grey=True)


@pytest.fixture(scope="session")
def consume(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Given]]:
    """Run a program of this folder, each once: what trainers leave in memory, threads and warnings stays in there.

    Skips where a package that it needs is not installed. An old release has a folder of its own in the environment,
    ``older="wids"``: its packages are found before those of the environment.
    """
    done: dict[tuple[str, Path], dict[str, Given]] = {}
    failed: dict[tuple[str, Path], str] = {}

    def run(program: str, folder: Path, *packages: str, older: str = "", timeout_s: float = 240) -> dict[str, Given]:
        missing = [name for name in packages if not _is_installed(name)]
        before = Path(sys.prefix, older)
        missing += [older] if older and not before.is_dir() else []
        if missing:
            pytest.skip(f"{', '.join(missing)} not installed here: `make test-slow` does it in .venv-consumers")
        called = program, folder
        if called not in done and called not in failed:
            results = tmp_path_factory.mktemp(program)
            stated = _call(program, folder, results, timeout_s, {"PYTHONPATH": str(before)} if older else {})
            if stated is None:
                done[called] = {path.stem: _given(path) for path in results.glob("*.npz")}
            else:
                failed[called] = stated
        assert called not in failed, failed[called]
        return done[called]

    return run


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is not there
        return False


def _call(program: str, folder: Path, results: Path, timeout_s: float, variables: dict[str, str]) -> str | None:
    """Run a program and return what it said where it failed."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(results / "hf"), "OMP_NUM_THREADS": "1"}
    called = subprocess.run(
        [sys.executable, str(PROGRAMS / f"{program}.py"), str(folder), str(results)],
        env={**os.environ, **offline, **variables},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return called.stdout + called.stderr if called.returncode else None


def _given(path: Path) -> Given:
    with np.load(path) as found:
        named: dict[str, dict[str, npt.NDArray[Any]]] = {"part": {}, "fact": {}}
        for name in found.files:
            kind, _, rest = name.partition(" ")
            if rest:
                named[kind][rest] = found[name]
        return Given(found["keys"].tolist(), named["part"], found["losses"].tolist(), named["fact"])


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Export a dataset: ``export(output, "nnunet", *options)``; vendors' writers warn, in their own process."""

    def run(folder: Path, kind: str, *options: object) -> Path:
        dest = tmp_path_factory.mktemp("exports") / kind
        asked = ("export", folder, dest, "--to", kind, *options)
        if kind in ("mds", "litdata"):
            done = run_command(*asked)
            assert done.returncode == 0, done.stderr
        else:
            run_cli(*asked)
        return dest

    return run
