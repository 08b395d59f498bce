"""What is shipped: the wheel holds all of the package and nothing under a general name."""

import configparser
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("pipeline", "schemas", "stages")
KERNELS = "stages/kernels/_native.abi3.so"
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no compiler")


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what a wheel is made of, so that building leaves nothing in the checkout."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", ".*", "*.so"))
    return folder


def build_wheel(source: Path, target: Path, **environment: str) -> Path:
    """Build a wheel as a packager does."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = target.iterdir()
    return wheel


@pytest.fixture(scope="module")
def unpacked(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel and unpack it."""
    wheel = build_wheel(source, tmp_path_factory.mktemp("wheels"))
    # One file for this version of Python and all later ones; a build that is bound to one would be named after it.
    assert wheel.name.split("-")[2:4] == ["cp311", "abi3"]
    target = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(wheel, target, "zip")
    return target


def test_wheel_holds_every_file_and_no_general_name(source: Path, unpacked: Path) -> None:
    """All files of the three folders stand under hsmix_gen, and only hsmix_gen enters site-packages.

    A folder or a data file that pyproject.toml does not name is missing here. Sources of the kernels stay behind.
    """
    files = {f"{room}/{name}" for room in ROOMS for name in files_in(source / room)}
    expected = {name for name in files if not name.endswith((".c", ".h"))}

    assert files_in(unpacked / "hsmix_gen") - {KERNELS} == expected
    assert {f"{room}/py.typed" for room in ROOMS} <= expected
    assert sorted(path.name.partition("-")[0] for path in unpacked.iterdir()) == ["hsmix_gen", "hsmix_gen"]


@needs_compiler
def test_wheel_holds_the_kernels(unpacked: Path) -> None:
    assert (unpacked / "hsmix_gen" / KERNELS).is_file()


def test_without_a_compiler_the_wheel_is_built_all_the_same(source: Path, tmp_path: Path) -> None:
    """Superpixels then come from scikit-image, the same but slower."""
    copy = tmp_path / "source"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("build", "*.egg-info"))

    wheel = build_wheel(copy, tmp_path / "wheels", CC="false")

    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert "hsmix_gen/stages/kernels/compiled.py" in names
    assert f"hsmix_gen/{KERNELS}" not in names


def test_sources_hold_what_the_kernels_are_built_from(source: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (packed,) = tmp_path.iterdir()

    with tarfile.open(packed) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    folder = Path("stages", "kernels", "native")
    assert {(folder / name).as_posix() for name in files_in(source / folder)} <= names


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
