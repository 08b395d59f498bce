"""What `inspect` says to somebody who sees the program for the first time."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.command_line import run_cli
from tests.small_sources import make_source

QUIETLY = ("--progress", "none")


def test_a_source_of_which_nothing_can_be_used_is_a_problem(tmp_path: Path) -> None:
    """A script that goes on after `inspect` must not; the report is printed all the same."""
    source = make_source(tmp_path / "source", train=3)

    result = run_cli("inspect", source, "--mask-values", "7=0,9=1", *QUIETLY, status=1)

    assert "0 usable" in result.stdout


def test_equal_problems_are_one_line(tmp_path: Path) -> None:
    """Thirty truncated files hid the one that is something else."""
    source = make_source(tmp_path / "source", train=8)
    for number in range(4):
        path = source / "images" / f"case_0{number}.png"
        path.write_bytes(path.read_bytes()[:60])
    (source / "masks" / "case_05.png").unlink()

    result = run_cli("inspect", source, *QUIETLY)

    lines = [line for line in result.stdout.splitlines() if line.startswith("  problem")]
    assert len(lines) == 2
    assert "case_00 and 3 more alike: " in lines[0]
    assert "case_05: " in lines[1]
    assert "5 problems in all; --json lists each" in result.stdout


def test_masks_that_show_nothing_are_named(tmp_path: Path) -> None:
    """Who exported masks lost some; only a count of masks with the class gave it away."""
    source = make_source(tmp_path / "source", train=3)
    whole = run_cli("inspect", source, *QUIETLY).stdout
    mask = source / "masks" / "case_01.png"
    Pillow.fromarray(np.zeros_like(np.asarray(Pillow.open(mask)))).save(mask)

    found = run_cli("inspect", source, *QUIETLY).stdout

    assert "without foreground" not in whole
    assert "  note     1 of 5 masks without foreground (case_01): kept, as there may be nothing to find; " in found


def test_what_is_noted_stands_in_the_result_alone(tmp_path: Path) -> None:
    """On a terminal both streams are one, where each note and warning stood twice."""
    result = run_cli("inspect", make_source(tmp_path / "source", train=1), "--progress", "plain")

    assert {line.partition(":")[0] for line in result.stderr.splitlines()} == {"scan"}
    assert "  note     each image is its own group; " in result.stdout


def test_what_was_noted_before_an_error_stands_before_it(tmp_path: Path) -> None:
    """What was understood of a source is what one needs where it could not be read to the end."""
    source = make_source(tmp_path / "source", train=4, splits=False)

    result = run_cli("inspect", source, "--dtype", "float32", "--progress", "plain", status=1)

    lines = result.stderr.splitlines()
    assert lines[-1].startswith("error: ")
    assert "splits were drawn 0.8/0.1/0.1 by group with seed 0" in lines[:-1]


def test_the_form_in_which_images_will_be_stored_is_none_of_the_files(tmp_path: Path) -> None:
    found = run_cli("inspect", make_source(tmp_path / "source"), "--size", 32, *QUIETLY).stdout

    assert "  images   3 channels, to be stored as uint8 of 32 x 32\n" in found


@pytest.mark.parametrize(("train", "warned"), [(1, True), (2, False)])
def test_too_few_images_for_run_are_a_warning(tmp_path: Path, train: int, *, warned: bool) -> None:
    """`run` starts Ray and reads all before it refuses them."""
    found = run_cli("inspect", make_source(tmp_path / "source", train=train), *QUIETLY).stdout

    assert ("  warning  run would refuse this: mixing needs 2 training images, 1 can be used; " in found) == warned


@pytest.fixture
def two_sets(tmp_path: Path) -> Path:
    for name in ("kvasir", "clinic"):
        source = make_source(tmp_path / "sets" / name, train=3, splits=False)
        for path in source.rglob("*.png"):
            path.rename(path.with_name(f"{name}_{path.name}"))
    return tmp_path / "sets"


def test_several_datasets_under_one_folder_are_a_warning(two_sets: Path) -> None:
    stated = run_cli("inspect", two_sets, *QUIETLY).stdout

    assert "2 folders have images and masks of their own (clinic, kvasir)" in stated
    assert f"name one of them as the source, such as {two_sets / 'clinic'}" in stated


def test_folders_of_splits_are_one_dataset(two_sets: Path) -> None:
    for name, split in (("kvasir", "train"), ("clinic", "test")):
        shutil.move(two_sets / name, two_sets / split)

    assert "of their own" not in run_cli("inspect", two_sets, *QUIETLY).stdout


@pytest.mark.parametrize(("side", "is_small"), [(2, True), (40, False)])
def test_small_objects_are_reported_in_plain_words_with_ways_out(tmp_path: Path, side: int, is_small: bool) -> None:
    """What a superpixel is has to be said to whoever has not read the paper."""
    rng = np.random.default_rng(4)
    for number in range(4):
        mask = np.zeros((64, 64), np.uint8)
        mask[8 : 8 + side, 9 : 9 + side] = 255
        for kind, array in (("images", rng.integers(0, 255, (64, 64, 3), np.uint8)), ("masks", mask)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Pillow.fromarray(array).save(tmp_path / kind / f"n{number}.png")

    stated = run_cli("inspect", tmp_path, *QUIETLY).stdout

    found = [line for line in stated.splitlines() if "objects are small" in line]
    assert bool(found) == is_small
    for words in ("the pieces that mixing moves", "--regions 100 400", "--profile robust") if is_small else ():
        assert words in found[0]
