"""What is shipped: the wheel holds all of the package and nothing under a general name."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("pipeline", "schemas", "stages")


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what a wheel is made of, so that building leaves nothing in the checkout."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return folder


@pytest.fixture(scope="module")
def unpacked(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel as a packager does and unpack it."""
    wheels = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    target = tmp_path_factory.mktemp("unpacked")
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def test_wheel_holds_every_file_and_no_general_name(source: Path, unpacked: Path) -> None:
    """All files of the three folders stand under hsmix_gen, and only hsmix_gen enters site-packages.

    A folder or a data file that pyproject.toml does not name is missing here.
    """
    expected = {f"{room}/{name}" for room in ROOMS for name in files_in(source / room)}

    assert files_in(unpacked / "hsmix_gen") == expected
    assert {f"{room}/py.typed" for room in ROOMS} <= expected
    assert sorted(path.name.partition("-")[0] for path in unpacked.iterdir()) == ["hsmix_gen", "hsmix_gen"]


def test_wheel_declares_the_command(unpacked: Path) -> None:
    """Installing the wheel gives `hsmix-gen`, and the licence goes with it."""
    (info,) = unpacked.glob("*.dist-info")
    scripts = configparser.ConfigParser()
    scripts.read(info / "entry_points.txt", encoding="utf-8")

    assert dict(scripts["console_scripts"]) == {"hsmix-gen": "hsmix_gen.pipeline.__main__:main"}
    assert (info / "licenses" / "LICENSE").is_file()


def test_unpacked_wheel_imports_from_anywhere(unpacked: Path, tmp_path: Path) -> None:
    """The package is found by its own name, without the checkout and without the editable install."""
    program = "import hsmix_gen.schemas.errors as errors; print(errors.__file__)"
    done = subprocess.run(
        # -S leaves site-packages out, and with it the import hook of the editable install, which would win.
        [sys.executable, "-S", "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert Path(done.stdout.strip()) == unpacked / "hsmix_gen" / "schemas" / "errors.py"
