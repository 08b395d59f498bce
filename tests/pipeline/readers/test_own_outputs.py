"""What hsmix-gen wrote is never read as a source, wherever below a source it lies: mixed images would leak."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import pytest

from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.exports.export import export_output
from hsmix_gen.pipeline.readers.paths.folder_walk import walk
from tests.command_line import TINY, inspected, run_cli
from tests.pipeline.jobs.twins import picture_twins, volume_twins
from tests.pipeline.jobs.twins.twin import Twin
from tests.small_sources import make_source
from tests.written import shard_digests

WRITERS: dict[str, Callable[[Path], Twin]] = {**picture_twins.WRITERS, **volume_twins.WRITERS}
FORMATS = ("--format", "webdataset", "--format", "parquet", "--format", "folder")


@pytest.fixture(scope="module")
def written(finished: Callable[..., Any]) -> Path:
    """A dataset in all formats, its cache inside."""
    output: Path = finished(*FORMATS, "--copies", 2, "--shards", 3).output
    return output


def put(written: Path, source: Path, kind: str) -> str:
    """Copy something that was written into a source, and return its name there."""
    if kind == "export":
        export_output(written, source / "exported", "perclass", Reporter(SilentDisplay()))
        return "exported"
    if kind == "cache":
        shutil.copytree(written / ".hsmix" / "cache", source / "features")
        return "features"
    target = source / "old" / "mixed" if kind == "deep" else source / "mixed"
    shutil.copytree(written, target)
    if kind == "published":
        shutil.rmtree(target / ".hsmix")
    if kind == "unfinished":
        for name in ("manifest.parquet", "dataset.json", "run.json"):
            (target / name).unlink()
    return target.relative_to(source).as_posix()


def without_notes(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "notes"}


@pytest.mark.parametrize("name", WRITERS)
def test_a_source_of_any_layout_is_what_it_was_without_the_output_in_it(
    name: str, written: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    twin = WRITERS[name](folder)
    source = folder / "pairs.csv" if twin.layout == "list" else folder
    before = inspected(source, *twin.options)

    put(written, folder, "whole")

    assert without_notes(inspected(source, *twin.options)) == without_notes(before)


@pytest.mark.parametrize("kind", ["whole", "deep", "published", "unfinished", "cache", "export"])
def test_everything_that_was_written_is_left_alone_with_a_note(written: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.png").touch()
    name = put(written, tmp_path, kind)

    walked = walk(tmp_path)

    assert walked.files == ("a.png",)
    assert walked.notes == (f"left alone 1 folder that hsmix-gen wrote: {name}",)


def test_many_of_them_are_counted(written: Path, tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"run{number}" / ".hsmix").mkdir(parents=True)

    assert walk(tmp_path).notes == ("left alone 5 folders that hsmix-gen wrote: run0, run1, run2, ...",)


def test_samples_may_be_read_where_they_are_asked_for(written: Path) -> None:
    """The folder format is a source like any other to somebody who names it."""
    walked = walk(written / "folder")

    assert len([name for name in walked.files if name.startswith("images/")]) > 0
    assert walked.notes == ()


def test_the_same_command_finishes_an_output_inside_its_source(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source")

    def run() -> click.testing.Result:
        return run_cli("run", source, source / "mixed", *TINY, *FORMATS, "--copies", "1")

    run()
    before = shard_digests(source / "mixed")
    (source / "mixed" / "folder" / "images" / "train-case_00-000.png").unlink()

    run()

    assert shard_digests(source / "mixed") == before
