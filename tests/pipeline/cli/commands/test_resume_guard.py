"""A dataset is never finished from other sources or options than it was begun with, nor put over other files."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.command_line import TINY, error_of, run_cli
from tests.fixture_types import Options
from tests.pipeline.cli.commands.finished import Made
from tests.written import snapshot


def change_a_pixel(source: Path) -> None:
    path = source / "images" / "case_03.png"
    image = np.array(Pillow.open(path))
    image[5, 7] ^= 1
    Pillow.fromarray(image).save(path)


def keep(source: Path) -> None:
    """Change nothing."""


CHANGES: tuple[tuple[str, Callable[[Path], None], tuple[str, ...], tuple[str, ...]], ...] = (
    ("copies", keep, ("--copies", "3"), ("mix.copies (--copies) was 2, is 3",)),
    ("seed", keep, ("--seed", "8"), ("seed (--seed) was 0, is 8",)),
    ("regions", keep, ("--regions", "7", "20"), ("superpixels.regions (--regions) was 6 20, is 7 20",)),
    ("name", keep, ("-o", "output.name=other"), ("output.name was hsmix, is other",)),
    ("pixel", change_a_pixel, (), ("1 changed (case_03)",)),
)


@pytest.mark.parametrize(
    ("change", "options", "stated"), [entry[1:] for entry in CHANGES], ids=[entry[0] for entry in CHANGES]
)
def test_changed_input_or_option_is_refused_with_the_difference(
    copied: Made, job: Options, change: Callable[[Path], None], options: tuple[str, ...], stated: tuple[str, ...]
) -> None:
    """Half of a dataset made one way and half another cannot be distinguished later."""
    change(copied.source)
    before = snapshot(copied.output)

    result = run_cli("run", copied.source, copied.output, *job, *options, status=1)

    line = error_of(result)
    assert [text for text in (*stated, "--fresh", str(copied.output)) if text not in line] == [], line
    assert snapshot(copied.output) == before
    # Only what --extend would take depends on the sources.
    assert ("scan" in result.stderr) == (not options or options[0] == "--copies")


def test_a_profile_that_was_left_out_is_named_in_place_of_its_values(copied: Made, job: Options) -> None:
    """Nobody gave `mix.aggregate`; it was the profile that somebody forgot."""
    line = error_of(run_cli("run", copied.source, copied.output, *job, "--profile", "robust", "--seed", 8, status=1))

    assert "differently: profile (--profile) was paper, is robust (give --profile paper again); seed (--seed)" in line
    assert "aggregate" not in line


def test_changed_source_of_a_shared_cache_is_refused_with_a_way_out_that_works(copied: Made, tmp_path: Path) -> None:
    """A cache outside the output belongs to its sources; --fresh is offered only where it helps."""
    cache = tmp_path / "cache"
    run_cli("prepare", copied.source, "--cache", cache, *TINY)
    change_a_pixel(copied.source)

    line = error_of(run_cli("prepare", copied.source, "--cache", cache, *TINY, status=1))

    assert "1 changed (case_03)" in line
    assert str(cache) in line
    if "--fresh" in line:
        run_cli("run", copied.source, tmp_path / "other", *TINY, "--cache", cache, "--fresh", "--copies", 1)


def test_folder_with_other_files_is_refused_and_left_alone(made: Made, job: Options, tmp_path: Path) -> None:
    """A slip of the tab key must not bury a thesis under shards, nor --fresh remove it."""
    (tmp_path / "thesis.tex").write_text("x")
    for options in ((), ("--fresh",), ("--dry-run",)):
        line = error_of(run_cli("run", made.source, tmp_path, *job, *options, status=1))
        assert "thesis.tex" in line
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_fresh_removes_what_runs_left_and_nothing_else(copied: Made, job: Options) -> None:
    """Sources and options may be others then; notes that somebody put beside the dataset stay."""
    change_a_pixel(copied.source)
    (copied.output / "notes.txt").write_text("mine")
    (copied.output / "webdataset" / "train-000099.tar").write_bytes(b"old")

    run_cli("run", copied.source, copied.output, *job, "--copies", 1, "--fresh")

    assert (copied.output / "notes.txt").read_text() == "mine"
    assert not (copied.output / "webdataset" / "train-000099.tar").exists()
    run_cli("verify", copied.output, "--replay", 2)


@pytest.mark.parametrize(
    ("source", "options", "stated"),
    [
        ("uorce", (), "does not exist"),
        ("source/masks", (), "is of no known layout|holds no pair"),
        ("source", ("--split", "nowhere"), "split must be"),
        ("source", ("--limit", "1"), "mixing needs 2"),
        ("source", ("--limit", "1", "--folds", "2"), "2 folds"),
        ("output/webdataset", (), "lies in .*output, which --fresh empties"),
        ("uorce", ("--compare", "hsmix,cutmix"), "does not exist"),
        ("source", ("--saliency", "gradcam", "--model", "no.such:network"), "no.such"),
    ],
)
def test_fresh_keeps_what_is_there_where_the_new_cannot_be_made(
    copied: Made, job: Options, source: str, options: tuple[str, ...], stated: str
) -> None:
    """A slip in the name of the source cost the dataset, and the features of a night."""
    before = snapshot(copied.output)
    folders = {"source": copied.source, "output": copied.output}
    first, *inner = source.split("/")
    place = folders.get(first, copied.source.with_name(first)).joinpath(*inner)

    line = error_of(run_cli("run", place, copied.output, *job, "--fresh", *options, status=1))

    assert re.search(stated, line), line
    assert snapshot(copied.output) == before


def test_generate_afresh_keeps_what_is_there_where_its_cache_is_not(copied: Made, tmp_path: Path) -> None:
    """And the cache that lies in the output that would be emptied."""
    before = snapshot(copied.output)
    for cache, stated in (
        (tmp_path / "none", "holds no finished features"),
        (copied.output / ".hsmix" / "cache", "which --fresh empties"),
    ):
        line = error_of(
            run_cli("generate", "--cache", cache, copied.output, "--backend", "serial", "--fresh", status=1)
        )

        assert stated in line
        assert snapshot(copied.output) == before


def test_generate_writes_nothing_into_its_cache(copied: Made, tmp_path: Path) -> None:
    """It may be shared by many, from a disk that they may only read; a probe would change its folders' times."""
    cache = copied.output / ".hsmix" / "cache"

    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (cache, *cache.rglob("*"))}

    before = times()
    for more in ((), ("--fresh",)):
        run_cli("generate", "--cache", cache, tmp_path / "again", "--backend", "serial", *more)

        assert times() == before


def test_a_run_without_a_source_leaves_no_folder(job: Options, tmp_path: Path) -> None:
    """Who mistyped it has nothing to tidy up."""
    (tmp_path / "empty").mkdir()
    for source in ("none", "empty"):
        for more in ((), ("--cache", tmp_path / "features")):
            error_of(run_cli("run", tmp_path / source, tmp_path / "new" / "output", *job, *more, status=1))

    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("kind", ["a file", "below a file"])
def test_output_that_cannot_be_a_folder_is_refused(made: Made, job: Options, tmp_path: Path, kind: str) -> None:
    """Found before any work is done."""
    (tmp_path / "file").write_text("x")
    target = tmp_path / "file" if kind == "a file" else tmp_path / "file" / "output"

    result = run_cli("run", made.source, target, *job, status=1)

    assert str(target) in error_of(result)
    assert "choose" in result.stderr
    assert "scan" not in result.stderr
