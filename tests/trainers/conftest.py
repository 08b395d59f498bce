"""Checkouts of other codebases, named by environment variables, and exports of a small dataset for them.

| variable | repository | commit that was tried |
|---|---|---|
| HSMIX_TRANSUNET | Beckschen/TransUNet | 02ef001 |
| HSMIX_SWIN_UNET | HuCaoFighting/Swin-Unet | f48f623 |
| HSMIX_HIFORMER | amirhossein-kz/HiFormer | 6726d28 |
| HSMIX_UNEXT | jeya-maria-jose/UNeXt-pytorch | 6ad0855 |
| HSMIX_UDTRANSNET | McGregorWwww/UDTransNet | 4657587 |
| HSMIX_MEDSAM | bowang-lab/MedSAM | d71e8a1 |
| HSMIX_NNUNET | MIC-DKFZ/nnUNet | 0e49508 |
"""

import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from hsmix_gen.pipeline.exports import patches
from hsmix_gen.pipeline.exports.patches import Codebase
from tests.command_line import run_cli
from tests.small_sources import make_source

RUN_ON_CPU = Path(__file__).with_name("run_on_cpu.py")
CODEBASES: dict[str, Codebase] = {
    name.lower(): value for name, value in vars(patches).items() if isinstance(value, Codebase)
}
TIMEOUT_S = 1200


@dataclass(frozen=True)
class Run:
    """What a script of a codebase printed, and the files that it read."""

    text: str
    files: frozenset[Path]

    def losses(self, pattern: str) -> list[float]:
        """Return the numbers that a pattern finds in what was printed."""
        return [float(number) for number in re.findall(pattern, self.text)]

    def assert_learns(self, pattern: str) -> None:
        """Losses are numbers, and the last one is below the first."""
        losses = self.losses(pattern)
        # For the table of docs/howto/trainers.md: pytest -rP --log-level=info.
        logging.getLogger(__name__).info("%d losses: %s", len(losses), losses)
        assert len(losses) > 1, self.text[-2000:]
        assert np.isfinite(losses).all()
        assert losses[-1] < losses[0], losses

    def below(self, folder: Path) -> set[Path]:
        """Return the files that were read below a folder."""
        return {path for path in self.files if path.is_relative_to(folder.resolve())}


@dataclass(frozen=True)
class Clone:
    """A clone of a codebase, and an export of ours."""

    name: str
    root: Path
    data: Path

    def follow(self, words: str, *more: object, **variables: Any) -> Run:
        """Copy the command of README.txt that has some words into a shell; `shell` has the rest."""
        printed = [part for part in (self.data / "README.txt").read_text().split("\n\n") if part.startswith("    ")]
        (command,) = (part for part in printed if words in part)
        return self.shell(command, *more, **variables)

    def shell(
        self,
        command: str,
        *more: object,
        scripts: Mapping[str, tuple[object, ...]] = MappingProxyType({}),
        succeeds: bool = True,
        **variables: str,
    ) -> Run:
        """Run a command in the clone, and return what its scripts did.

        Parameters
        ----------
        command : str
        *more : object
            Further arguments of its Python scripts, for short runs of small networks.
        scripts : mapping
            Other programs that it calls: the script that each is, and its further arguments.
        succeeds : bool
            Whether it has to.
        **variables : str
            Of the environment.
        """
        folder = self.root.parent / "bin"
        folder.mkdir(exist_ok=True)
        log = folder / "opened"
        log.unlink(missing_ok=True)
        for name, (script, *arguments) in {"python": ("", *more), **scripts}.items():
            runner = shlex.join([sys.executable, "-W", "ignore", *map(str, (RUN_ON_CPU, log, self.name))])
            (folder / name).write_text(f'#!/bin/sh\nexec {runner} {script} "$@" {shlex.join(map(str, arguments))}\n')
            (folder / name).chmod(0o755)
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=self.root,
            env={**os.environ, "PATH": path, "DATA": str(self.data), "OMP_NUM_THREADS": "1", **variables},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        text = done.stdout + done.stderr
        assert (done.returncode == 0) == succeeds, text[-4000:]
        return Run(text, frozenset(map(Path, log.read_text().splitlines())))


@pytest.fixture
def clone(tmp_path: Path) -> Callable[[str, Path], Clone]:
    """Copy the checkout that a variable names: ``clone("transunet", data)``; skips where there is none."""

    def make(name: str, data: Path) -> Clone:
        variable = f"HSMIX_{name.upper()}"
        given = os.environ.get(variable)
        if not given:
            pytest.skip(f"{variable} names no checkout of {CODEBASES[name].repository}")
        root = tmp_path / name
        subprocess.run(["git", "clone", "-q", "--shared", "--no-checkout", given, root], check=True)
        shutil.copytree(given, root, ignore=shutil.ignore_patterns(".git", "*.pth", "*.gif"), dirs_exist_ok=True)
        subprocess.run(["git", "reset", "-q"], cwd=root, check=True)
        return Clone(name, root, data)

    return make


QUICK = (
    *("--regions", 6, 20, "--variants", 1, "--saliency", "fine_grained", "--backend", "serial"),
    *("--copies", 2, "--shards", 1, "--progress", "none"),
)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of RGB pictures and two classes: 18 training samples, 3 for validation, 2 for testing."""
    folder = tmp_path_factory.mktemp("pictures")
    source = make_source(folder / "source", train=9, val=3, test=2, classes=2)
    run_cli("run", source, folder / "out", "--size", 48, 64, *QUICK)
    return folder / "out"


@pytest.fixture(scope="session")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of grey pictures and three classes, square; validation and test in their own size."""
    folder = tmp_path_factory.mktemp("grey")
    source = make_source(folder / "source", train=10, val=2, test=2, grey=True)
    run_cli("run", source, folder / "out", "--size", 32, 32, "--eval-size", "native", *QUICK)
    return folder / "out"


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Export a dataset: ``exported(output, "synapse", *options)``."""

    def make(output: Path, kind: str, *options: object) -> Path:
        dest = tmp_path_factory.mktemp("exports") / kind
        run_cli("export", output, dest, "--to", kind, "--progress", "none", *options)
        return dest

    return make


def assert_no_parents_cross(data: Path, trained: set[str], evaluated: set[str]) -> None:
    """No sample that was evaluated on has a parent, or a patient of one, among those that were trained on."""
    rows = {row["key"]: row for row in pq.read_table(data / "manifest.parquet").to_pylist()}
    assert trained
    assert evaluated
    parents = [
        {rows[key][name] for key in keys for name in ("source_a", "source_b", "group_a", "group_b")} - {None}
        for keys in (trained, evaluated)
    ]
    assert parents[0].isdisjoint(parents[1])
