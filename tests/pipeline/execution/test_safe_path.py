"""A dataset may hold modules by any name: none of them is imported, whatever a command starts beside it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import TINY
from tests.small_sources import make_source

NAMES = ("zarr", "numpy", "torch", "click", "yaml", "skimage", "ray", "random")
CHILD = """
import subprocess, sys
from hsmix_gen.pipeline.execution.safe_path import import_from_installation
import_from_installation()
import yaml, random
for words in (["-c", "import zarr"], ["-m", "json.tool", "--help"]):
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A source with modules in it; each leaves a mark where it is run."""
    folder = make_source(tmp_path / "dataset")
    for name in (*NAMES, "json"):
        (folder / f"{name}.py").write_text(f"open(__file__ + '.ran', 'w').close()\nraise ImportError({name!r})\n")
    return folder


def call(dataset: Path, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(word) for word in words],
        cwd=dataset,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert sorted(path.name for path in dataset.glob("*.ran")) == []
    return done


@pytest.mark.parametrize("backend", ["serial", pytest.param("ray", marks=pytest.mark.slow)])
def test_neither_driver_nor_workers_run_modules_of_a_dataset(dataset: Path, tmp_path: Path, backend: str) -> None:
    """`cd DATASET; hsmix-gen run . ../out`: an empty entry of PYTHONPATH stands for the current folder too."""
    done = call(
        dataset,
        *(sys.executable, "-m", "hsmix_gen.pipeline", "run", ".", tmp_path / "out"),
        *(*TINY, "--copies", "1", "--workers", "1", "--backend", backend),
        PYTHONPATH=os.pathsep.join(["", os.environ.get("PYTHONPATH", ""), ""]),
    )

    assert done.returncode == 0, done.stderr


def test_the_installed_command_runs_no_module_of_a_dataset(dataset: Path, command: Path) -> None:
    assert call(dataset, command, "presets").returncode == 0


def test_no_process_that_is_started_runs_modules_of_a_dataset(dataset: Path) -> None:
    """Libraries start others by ``python -c``, which searches the current folder first."""
    (dataset / "child.py").write_text(CHILD)
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), "."])

    done = call(dataset, sys.executable, "-P", "child.py", PYTHONPATH=path)

    assert done.returncode == 0, done.stderr


def test_a_command_that_is_started_in_the_installation_finds_it(tmp_path: Path) -> None:
    (tmp_path / "hsmix_gen").symlink_to(Path(__file__).parents[3] / ".typing" / "hsmix_gen")

    done = subprocess.run(
        [sys.executable, "-m", "hsmix_gen.pipeline", "presets"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
