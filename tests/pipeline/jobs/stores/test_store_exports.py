"""A finished dataset in a store is exported to a local folder with the bytes of the export of a local copy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import error_of, run_cli
from tests.written import contents


@pytest.fixture(scope="module")
def make_output(finished: Callable[..., Any]) -> Callable[..., Path]:
    """Make a dataset on a disk."""
    return lambda *options: finished("--copies", 1, "--shards", 2, *options).output


@pytest.fixture(scope="module")
def output(make_output: Callable[..., Path]) -> Path:
    return make_output()


def assert_exports_agree(bucket: Any, output: Path, tmp_path: Path, kind: str) -> dict[str, bytes]:
    """Export a dataset from the store and from the disk, compare all files, and return them."""
    bucket.put_tree("sets/out", output)
    before = contents(bucket.folder)
    sources = {"store": f"{bucket.address}/sets/out", "disk": str(output)}
    for name, source in sources.items():
        result = run_cli("export", source, tmp_path / name / "export", "--to", kind)
        assert "Traceback" not in result.stderr
    from_store, from_disk = (contents(tmp_path / name / "export") for name in sources)
    assert from_store.keys() == from_disk.keys()
    assert [name for name in from_disk if from_store[name] != from_disk[name]] == []
    assert contents(bucket.folder) == before, "nothing is written to the store"
    return from_store


@pytest.mark.parametrize(
    ("kind", "options"), [("nnunet", ()), ("zarr", ("--format", "parquet")), ("nnunet", ("--folds", "2"))]
)
def test_an_export_from_a_store_has_the_bytes_of_one_from_a_disk(
    bucket: Any, make_output: Callable[..., Path], tmp_path: Path, kind: str, options: tuple[str, ...]
) -> None:
    """Images, labels, lists and what says how to read them; folders of folds are listed there."""
    files = assert_exports_agree(bucket, make_output(*options), tmp_path, kind)

    assert len(files) > 5
    assert "--folds" not in options or {"manifest-fold-0.parquet", "manifest-fold-1.parquet"} <= files.keys()


def test_a_sample_without_a_file_in_a_store_is_reported_in_one_line(
    bucket: Any, make_output: Callable[..., Path], tmp_path: Path
) -> None:
    """Of the folder format each file is an object of its own."""
    output = make_output("--format", "folder")
    bucket.put_tree("out", output)
    mask = min((output / "folder" / "masks").glob("train-*"))
    bucket.remove(f"out/folder/masks/{mask.name}")

    result = run_cli("export", f"{bucket.address}/out", tmp_path / "export", "--to", "nnunet", status=1)

    path = f"{bucket.address}/out/folder/masks/{mask.name}"
    assert f"error: {path}: sample {mask.stem} cannot be read (404 NoSuchKey); copy the file again" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "export").exists()


def test_a_damaged_shard_in_a_store_is_reported_in_one_line(bucket: Any, output: Path, tmp_path: Path) -> None:
    """It is compared with its checksum before anything of it is used."""
    bucket.put_tree("out", output)
    shard = next((output / "webdataset").glob("train-*.tar"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    bucket.put(f"out/webdataset/{shard.name}", bytes(data))

    result = run_cli("export", f"{bucket.address}/out", tmp_path / "export", "--to", "nnunet", status=1)

    line = error_of(result)
    assert line.startswith(f"error: {bucket.address}/out/webdataset/{shard.name} is missing or does not match its size")
    assert not (tmp_path / "export").exists()


def test_what_is_no_dataset_in_a_store_is_reported_in_one_line(bucket: Any, tmp_path: Path) -> None:
    """A misspelt name is the most frequent case."""
    result = run_cli("export", f"{bucket.address}/none", tmp_path / "export", "--to", "zarr", status=1)

    assert f"{bucket.address}/none does not exist; check its name" in result.stderr
    assert "Traceback" not in result.stderr
