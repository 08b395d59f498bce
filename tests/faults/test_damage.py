"""Files that change after they were written: found by name, and only what is spoiled is made again."""

import itertools
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixture_types import Noted
from tests.written import flip, snapshot, truncate

Snapshot = dict[str, tuple[str, int]]


def flip_last(path: Path) -> None:
    """Change one bit of the last byte."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    """Keep the name only, as some file systems do after a crash."""
    os.truncate(path, 0)


def append(path: Path) -> None:
    """Let something be appended."""
    with path.open("ab") as file:
        file.write(b"\0junk")


def remove(path: Path) -> None:
    """Take the file away."""
    path.unlink()


DAMAGES = (flip, flip_last, truncate, empty, append, remove)


@pytest.fixture
def copied(tiny_job: Any, tmp_path: Path) -> Path:
    """A copy of the finished output, to be spoiled."""
    return Path(shutil.copytree(tiny_job.output, tmp_path / "output"))


def problems_of(job: Any, output: Path) -> list[str]:
    """Return what verify finds."""
    ended = job.drivers.run("verify", output, "--json")
    assert ended.stderr == "", ended.stderr
    report = json.loads(ended.stdout)
    assert (ended.status == 0) == (not report["problems"])
    problems: list[str] = report["problems"]
    return problems


def written(before: Snapshot, after: Snapshot) -> set[str]:
    """Return the shards and blocks that were written anew."""
    return {
        name for name, found in after.items() if before.get(name) != found and re.search(r"\.(tar|parquet)$|/c/", name)
    }


# Shards


@pytest.mark.faults
@pytest.mark.fault("F11")
def test_renamed_shard_is_named_twice_and_made_again(tiny_job: Any, copied: Path) -> None:
    """Under its old name it is missing, under its new one loaders would read it a second time."""
    old, new = "webdataset/train-000001.tar", "webdataset/train-000007.tar"
    (copied / old).rename(copied / new)

    problems = problems_of(tiny_job, copied)
    assert [problem.split()[0] for problem in problems][:2] == [new, old]

    assert tiny_job.run(copied).status == 0
    assert tiny_job.damages(copied) == {new: "extra"}
    assert [problem.split()[0] for problem in problems_of(tiny_job, copied)] == [new]
    (copied / new).unlink()
    assert problems_of(tiny_job, copied) == []


@pytest.mark.fault("F11")
def test_swapped_shards_are_both_named_and_made_again(tiny_job: Any, copied: Path) -> None:
    """Two sound files under each other's names, and one too many, which the glob of a loader takes as well."""
    names = ("webdataset/train-000000.tar", "webdataset/train-000001.tar")
    first, second = ((copied / name).read_bytes() for name in names)
    (copied / names[0]).write_bytes(second)
    (copied / names[1]).write_bytes(first)

    extra = "webdataset/train-000002.tar"
    shutil.copy(copied / names[0], copied / extra)

    assert {problem.split()[0] for problem in problems_of(tiny_job, copied)} >= {*names, extra}

    (copied / extra).unlink()
    tiny_job.finish(copied)


# Cache


def cache_file(output: Path, pattern: str) -> Path:
    """Return the one file of a pattern."""
    (found,) = (output / ".hsmix" / "cache").glob(pattern)
    return found


def spoil_a_shard(output: Path) -> None:
    """Let one shard be made again, so that the cache is read."""
    (output / "webdataset" / "train-000000.tar").unlink()


ARRAYS = ("images-*/image", "superpixels-*/labels", "saliency-*/saliency")
CHANGES: dict[str, Any] = {"shape": (2, 2), "data_type": "int8", "fill_value": 7}
"""Entries of a description and what they become; of a shape the second and third number."""


def change(path: Path, key: str) -> None:
    """Change an entry of the description of an array."""
    described, value = json.loads(path.read_text()), CHANGES[key]
    described[key] = [described[key][0], *value, *described[key][3:]] if key == "shape" else value
    path.write_text(json.dumps(described))


@pytest.mark.fault("F10")
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(keys, id="-".join(keys), marks=() if number == 0 else pytest.mark.faults)
        for number, keys in enumerate(itertools.permutations(CHANGES))
    ],
)
def test_changed_descriptions_of_arrays_never_change_a_byte(
    tiny_job: Any, copied: Path, record_property: Noted, keys: tuple[str, ...]
) -> None:
    """The description decides how the same chunks are read."""
    record_property("tried", len(ARRAYS))
    for array, key in zip(ARRAYS, keys, strict=True):
        change(cache_file(copied, f"{array.replace('/', '.zarr/')}/zarr.json"), key)
    spoil_a_shard(copied)

    tiny_job.finish(copied)


@pytest.mark.fault("F10")
def test_record_of_another_layer_does_not_count(tiny_job: Any, copied: Path) -> None:
    """A record of other files says nothing about this block, whose chunks may be missing."""
    place = cache_file(copied, "commits/superpixels-*/000000.json")
    shutil.copy(cache_file(copied, "commits/images-*/000000.json"), place)
    cache_file(copied, "superpixels-*.zarr/labels/c/0/0/0/0").unlink()
    for shard in (copied / "webdataset").glob("train-*.tar"):
        shard.unlink()

    tiny_job.finish(copied)


FEATURES = ("--size", "32", "40", "--regions", "4", "8", "--variants", "1", "--saliency", "fine_grained", "--seed", "5")
MIX = ("--copies", "1", "--shards", "2")
QUIETLY = ("--backend", "serial", "--progress", "none")


@pytest.fixture(scope="module")
def prepared(tiny_job: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished cache without a dataset."""
    cache = tmp_path_factory.mktemp("prepared") / "cache"
    tiny_job.drivers.run("prepare", tiny_job.source, "--cache", cache, *FEATURES, *QUIETLY).succeeded()
    return cache


@pytest.mark.fault("F10")
@pytest.mark.parametrize(
    "layer", ["superpixels-*.zarr/labels", pytest.param("images-*.zarr/mask", marks=pytest.mark.faults)]
)
def test_mixing_alone_never_takes_a_spoiled_chunk_for_features(
    tiny_job: Any,
    prepared: Path,
    tmp_path: Path,
    layer: str,
) -> None:
    """A chunk that is missing reads as zeros; `generate` has no images to make it again, `prepare` has."""
    cache, output = Path(shutil.copytree(prepared, tmp_path / "cache")), tmp_path / "output"
    (chunk,) = (path for path in cache.glob(f"{layer}/c/**/*") if path.is_file())
    chunk.unlink()

    line = tiny_job.drivers.run("generate", "--cache", cache, output, *MIX, *QUIETLY).error_line

    assert str(cache) in line
    assert not (output / "manifest.parquet").exists()
    tiny_job.drivers.run("prepare", tiny_job.source, "--cache", cache, *FEATURES, *QUIETLY).succeeded()
    tiny_job.drivers.run("generate", "--cache", cache, output, *MIX, *QUIETLY).succeeded()
    assert tiny_job.digests(output)["webdataset/train-000001.tar"] == tiny_job.files["webdataset/train-000001.tar"]


# Records and manifest


@pytest.mark.fault("F12")
def test_doubled_record_does_not_double_samples(tiny_job: Any, copied: Path) -> None:
    """Somebody copies files about; a record of a shard under a new name or that of another one does not count."""
    records = copied / ".hsmix" / "shards"
    for name in ("train-000099.json", "val-000000.json"):
        shutil.copy(records / "train-000001.json", records / name)

    tiny_job.finish(copied)

    assert problems_of(tiny_job, copied) == []


@pytest.mark.fault("F12")
def test_spoiled_record_costs_its_shard_only(tiny_job: Any, copied: Path) -> None:
    truncate(copied / ".hsmix" / "shards" / "train-000001.json")
    before = snapshot(copied)

    tiny_job.finish(copied)

    redone = written(before, snapshot(copied)) - {"manifest.parquet"}
    assert redone <= {"webdataset/train-000001.tar", "parquet/train-00001-of-00002.parquet"}


@pytest.mark.fault("F12")
def test_spoiled_manifest_is_never_called_sound(tiny_job: Any, copied: Path) -> None:
    flip(copied / "manifest.parquet")

    ended = tiny_job.drivers.run("verify", copied)

    assert ended.status == 1
    assert "manifest.parquet" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    tiny_job.finish(copied)


# Any file


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.fault("F10", "F11", "F12")
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("finished", [True, False], ids=["finished", "unfinished"])
def test_any_spoiled_file_is_made_again_or_named(
    tiny_job: Any,
    tmp_path: Path,
    record_property: Noted,
    damage: Callable[[Path], None],
    finished: bool,
) -> None:
    """Every file of an output in turn, the state of the program included, before and after the end of the run."""
    whole = tmp_path / "whole"
    shutil.copytree(tiny_job.output, whole)
    if not finished:
        (whole / "manifest.parquet").unlink()
        (whole / "webdataset" / "train-000000.tar").unlink()
    names = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    record_property("tried", len(names))
    wrong = {}
    for name in names:
        output = tmp_path / "output"
        shutil.copytree(whole, output)
        damage(output / name)
        kind = re.sub(r"[0-9a-f]{12}", "#", str(name))

        ended = tiny_job.run(output)

        lines = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
        if ended.status == 0:
            if tiny_job.damages(output) != {}:
                wrong[kind] = f"called complete with {tiny_job.damages(output)}"
        elif ended.status != 1 or len(lines) != 1 or "Traceback" in ended.stderr:
            wrong[kind] = f"{ended.status}: {ended.stderr.splitlines()[-1]}"
        elif str(output) not in lines[0]:
            wrong[kind] = lines[0]
        else:
            fresh = tiny_job.run(output, "--fresh")
            if fresh.status != 0 or tiny_job.damages(output) != {}:
                wrong[kind] = f"--fresh: {fresh.status}: {fresh.stderr.splitlines()[-1]}"
        shutil.rmtree(output)
    assert not wrong, "\n".join(f"{name}: {stated}" for name, stated in wrong.items())
