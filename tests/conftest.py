"""Fixtures that tests of the whole program share: small sources, the command, and digests of what it wrote."""

import functools
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click.testing
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow

from tests.fixture_types import Cli, Maker, Options

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
TIMEOUT_S = 240
SIZE = (48, 64)


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


def draw_pair(
    number: int, size: tuple[int, int], *, classes: int, grey: bool
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return an image and its mask, both asymmetric, so that every wrong turn or flip shows.

    Noise on every pixel makes pictures differ everywhere, so that "this pixel is B's" can be known from values.
    """
    rng = np.random.default_rng([2741, number])
    height, width = size
    y, x = np.mgrid[:height, :width]
    radius = ((y / height - rng.uniform(0.3, 0.5)) * 1.4) ** 2 + (x / width - rng.uniform(0.5, 0.7)) ** 2
    mask = np.where(radius < 0.08, 255, 0)
    if classes == 3:
        mask = np.where((radius < 0.08) & (radius >= 0.03), 128, mask)
    tint = rng.uniform(-0.4, 0.4, 3)
    planes = [
        90 + 0.9 * x * (1 - share) + 1.1 * y * share + tint[plane] * mask + rng.normal(0, 14, size)
        for plane, share in enumerate((0.2, 0.5, 0.8))
    ]
    image = np.clip(np.rint(np.stack(planes, axis=-1)), 0, 255).astype(np.uint8)
    return (image[..., 0] if grey else image), mask.astype(np.uint8)


@pytest.fixture(scope="session")
def make_source() -> Callable[..., Path]:
    """Write a seeded folder of images and masks: ``make_source(folder, train=6, val=1, test=1, ...)``.

    Images are named ``case_00``, ``case_01`` and so on; training ids come first, and lists in ``splits/`` name them.
    """

    def make(
        folder: Path,
        *,
        train: int = 6,
        val: int = 1,
        test: int = 1,
        size: tuple[int, int] = SIZE,
        classes: int = 3,
        grey: bool = False,
        splits: bool = True,
    ) -> Path:
        names = [f"case_{number:02d}" for number in range(train + val + test)]
        for kind in ("images", "masks", "splits"):
            (folder / kind).mkdir(parents=True)
        for number, name in enumerate(names):
            image, mask = draw_pair(number, size, classes=classes, grey=grey)
            Pillow.fromarray(image).save(folder / "images" / f"{name}.png")
            Pillow.fromarray(mask).save(folder / "masks" / f"{name}.png")
        lists = {"train": names[:train], "val": names[train : train + val], "test": names[train + val :]}
        for split, members in lists.items():
            (folder / "splits" / f"{split}.txt").write_text("".join(f"{name}\n" for name in members))
        if not splits:
            shutil.rmtree(folder / "splits")
        return folder

    return make


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Options of a job that takes a second: small images, few superpixels, no network, no Ray."""
    return (
        *("--size", "48", "64", "--regions", "6", "20", "--variants", "2"),
        *("--saliency", "fine_grained", "--backend", "serial", "--progress", "plain"),
    )


@pytest.fixture(scope="session")
def run_cli() -> Callable[..., click.testing.Result]:
    """Call the command line in this process; a traceback of the program is one of the test."""
    from hsmix_gen.pipeline.cli.commands import cli

    def run(*arguments: object) -> click.testing.Result:
        result = click.testing.CliRunner().invoke(cli, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@dataclass(frozen=True)
class Finished:
    """A source and the dataset that a run made of it."""

    source: Path
    output: Path


@pytest.fixture(scope="session")
def finished(
    make_source: Maker, run_cli: Cli, tiny: Options, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Finished]:
    """Make a dataset, once for equal options and equal sources: ``finished("--copies", 2, train=8)``.

    All tests share it, so whoever spoils one takes a copy.
    """

    @functools.cache
    def make(*options: object, **source: object) -> Finished:
        folder = tmp_path_factory.mktemp("finished")
        made = Finished(make_source(folder / "source", **source), folder / "output")
        result = run_cli("run", made.source, made.output, *tiny, *options)
        assert result.exit_code == 0, result.stderr
        return made

    return make


@pytest.fixture(scope="session")
def command() -> Path:
    """The installed command, for what needs a process of its own."""
    path = Path(sys.executable).with_name("hsmix-gen")
    assert path.is_file(), f"{path} is missing; install the package first"
    return path


@pytest.fixture(scope="session")
def run_command(command: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call the installed command in a process of its own."""

    def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(command), *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def shard_digests() -> Callable[[Path], dict[str, str]]:
    """Return the sha256 of each file that is the same for equal runs: all shards, and the manifest if it is there."""

    def digests(output: Path) -> dict[str, str]:
        places = [
            *((output / form).rglob("*") for form in ("webdataset", "parquet", "folder")),
            [output / "manifest.parquet"],
        ]
        files = [path for place in places for path in place if path.is_file()]
        return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}

    return digests


@pytest.fixture(scope="session")
def snapshot() -> Callable[[Path], dict[str, tuple[str, int]]]:
    """Return checksum and time of change of every file under a folder."""

    def take(folder: Path) -> dict[str, tuple[str, int]]:
        return {
            str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return take


@pytest.fixture(scope="session")
def leftovers() -> Callable[[Path], list[str]]:
    """Return what an interrupted write left under a temporary name, of ours or of Zarr."""

    def find(folder: Path) -> list[str]:
        return sorted(
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if "tmp-" in path.name or path.name.endswith(".partial")
        )

    return find


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data, which lie beside the checkout where developers have them."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data: {os.path.relpath(SHARED_DATA, ROOT)} is not there")
    return SHARED_DATA
