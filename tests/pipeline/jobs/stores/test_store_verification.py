"""`verify` of an output in a store: what it asks for at each depth, and that it finds what it finds on a disk."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.store_paths import location
from tests.command_line import run_cli

DEPTHS = ("names", "checksums", "samples")
FORMATS = ("--format", "webdataset", "--format", "parquet", "--format", "folder")


@pytest.fixture(scope="module")
def made(finished: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished dataset in all formats, without its cache."""
    output = finished(*FORMATS, "--copies", 2, "--shards", 3).output
    without = shutil.ignore_patterns("cache")
    return Path(shutil.copytree(output, tmp_path_factory.mktemp("stored") / "output", ignore=without))


@pytest.fixture
def stored(bucket: Any, made: Path) -> Any:
    """A bucket that holds it."""
    bucket.put_tree("out", made)
    return bucket


def problems_of(address: str, depth: str) -> list[str]:
    result = run_cli("verify", address, "--depth", depth, "--json", status=None)
    found: list[str] = json.loads(result.stdout)["problems"]
    assert result.exit_code == bool(found)
    return found


def test_sizes_in_a_store_are_those_on_the_disk(stored: Any, made: Path) -> None:
    there = location(f"{stored.address}/out")

    assert atomic_files.sizes_below(there) == atomic_files.sizes_below(made)
    assert atomic_files.sizes_below(there, deep=False) == atomic_files.sizes_below(made, deep=False)
    assert atomic_files.sizes_below(there / "nothing") == {}


def test_each_depth_calls_a_whole_dataset_sound_and_finds_what_is_its_own(stored: Any, made: Path) -> None:
    """A lost file, and one of the same size with another byte."""
    address = f"{stored.address}/out"
    sound = {depth: problems_of(address, depth) for depth in DEPTHS}
    mask = "folder/masks/train-case_00-001.png"
    data = bytearray((made / mask).read_bytes())
    data[len(data) // 2] ^= 1
    stored.put(f"out/{mask}", bytes(data))
    flipped = {depth: problems_of(address, depth) for depth in DEPTHS}
    stored.remove("out/preview.png")
    lost = problems_of(address, "names")

    assert sound == {depth: [] for depth in DEPTHS}
    assert flipped["names"] == []
    assert all(f"{mask} does not match its checksum" in "".join(flipped[depth]) for depth in DEPTHS[1:])
    assert lost == ["preview.png is missing; run the same command again"]


def test_names_asks_for_lists_and_never_for_a_sample(stored: Any, made: Path, proxy: Any) -> None:
    """Requests cost money and time; a list has a thousand names."""
    proxy.requests.clear()

    assert problems_of(f"{stored.address}/out", "names") == []

    asked = [path for _, path, _ in proxy.requests]
    files = {
        file["path"] for files in json.loads((made / "dataset.json").read_text())["formats"].values() for file in files
    }
    assert len(files) > 40
    assert len(asked) < 40
    assert not [path for path in asked if any(path.partition("?")[0].endswith(file) for file in files)]
