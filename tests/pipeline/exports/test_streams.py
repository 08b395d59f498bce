"""Exports for streaming: MDS, litData and Zarr, read back with the readers that people use."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.pipeline.exports.handmade import draw, export, make_output

needs_streaming = pytest.mark.skipif(
    find_spec("streaming") is None, reason="mosaicml-streaming is not installed; it wants an environment of its own"
)
needs_litdata = pytest.mark.skipif(find_spec("litdata") is None, reason="litdata is not installed")

KEYS = ("train-a", "train-b", "train-c", "val-d")

# In a process of its own: these readers start threads and processes that stay.
READ_MDS = """
import io, sys, tempfile
import numpy as np
from streaming import StreamingDataset
rows = StreamingDataset(local=sys.argv[1] + "/" + sys.argv[2], batch_size=1, shuffle=False, validate_hash="sha1")
found = {}
for i in range(len(rows)):
    row = rows[i]
    found[row["key"] + " image"] = np.asarray(row["image"])
    found[row["key"] + " mask"] = np.asarray(row["mask"])
    found[row["key"] + " soft"] = np.load(io.BytesIO(row["soft"]))["soft"]
    assert row["json"]["key"] == row["key"]
np.savez(sys.argv[3], **found)
"""
READ_LITDATA = """
import io, json, sys
import numpy as np
from PIL import Image
from litdata import StreamingDataset
if __name__ == "__main__":
    rows = StreamingDataset(sys.argv[1] + "/" + sys.argv[2], shuffle=False)
    found = {}
    for row in rows:
        image = row["image"]
        is_npy = image[:6] == b"\\x93NUMPY"
        read = np.load if is_npy else Image.open
        found[row["key"] + " image"] = np.asarray(read(io.BytesIO(image)))
        found[row["key"] + " mask"] = np.asarray(Image.open(io.BytesIO(row["mask"])))
        found[row["key"] + " soft"] = np.load(io.BytesIO(row["soft"]))["soft"]
        assert json.loads(row["json"])["key"] == row["key"]
    np.savez(sys.argv[3], **found)
"""


def read_by(program: str, dest: Path, split: str, tmp_path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return what a reader makes of a split, by key and member."""
    target = tmp_path / "read.npz"
    done = subprocess.run(
        [sys.executable, "-c", program, str(dest), split, str(target)],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with np.load(target) as found:
        return dict(found)


def check_same(found: dict[str, np.ndarray[Any, Any]], samples: list[Any]) -> None:
    """Compare what was read with what was put in: every sample once, every pixel."""
    assert sorted(found) == sorted(f"{put.key} {member}" for put in samples for member in ("image", "mask", "soft"))
    for put in samples:
        assert (found[f"{put.key} image"].reshape(put.image.shape) == put.image).all()
        assert (found[f"{put.key} mask"] == put.mask).all()
        assert (found[f"{put.key} soft"] == put.soft).all()


PIXELS = [("uint8", 3), ("uint8", 1), ("float32", 2)]


@needs_streaming
@pytest.mark.parametrize(("dtype", "channels"), PIXELS)
def test_mosaics_reader_returns_the_samples(tmp_path: Path, dtype: str, channels: int) -> None:
    """By its own StreamingDataset with the check of sha1."""
    samples = [draw(key, channels=channels, dtype=dtype) for key in KEYS]
    export(make_output(tmp_path / "out", samples), tmp_path / "dest", "mds")

    check_same(read_by(READ_MDS, tmp_path / "dest", "train", tmp_path), samples[:3])


@needs_streaming
def test_mds_shards_have_sums_and_no_clock(tmp_path: Path) -> None:
    """`validate_hash` of the reader needs them; equal outputs give equal bytes."""
    root = make_output(tmp_path / "out", [draw(key) for key in KEYS])
    export(root, tmp_path / "first", "mds")
    export(root, tmp_path / "second", "mds")

    index = json.loads((tmp_path / "first" / "train" / "index.json").read_text())
    assert [len(shard["raw_data"]["hashes"]["sha1"]) for shard in index["shards"]] == [40]
    for name in ("train/index.json", "train/shard.00000.mds", "val/shard.00000.mds"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


@needs_litdata
@pytest.mark.parametrize(("dtype", "channels"), PIXELS)
def test_litdatas_reader_returns_the_samples(tmp_path: Path, dtype: str, channels: int) -> None:
    samples = [draw(key, channels=channels, dtype=dtype) for key in KEYS]
    export(make_output(tmp_path / "out", samples), tmp_path / "dest", "litdata")

    check_same(read_by(READ_LITDATA, tmp_path / "dest", "train", tmp_path), samples[:3])


@needs_litdata
def test_litdata_chunks_have_no_clock(tmp_path: Path) -> None:
    """litData writes the time into its index; readers name their caches by it, so it follows from the content."""
    first = make_output(tmp_path / "out", [draw(key) for key in KEYS])
    other = make_output(tmp_path / "other", [draw(key, channels=1) for key in KEYS])
    for name, root in (("a", first), ("b", first), ("c", other)):
        export(root, tmp_path / name, "litdata")

    a, b, c = ((tmp_path / name / "train" / "index.json").read_bytes() for name in "abc")
    assert a == b
    assert json.loads(a)["updated_at"] != json.loads(c)["updated_at"]


@pytest.mark.parametrize(("dtype", "channels"), [*PIXELS, ("uint16", 1)])
def test_zarr_holds_the_samples_in_rows(tmp_path: Path, dtype: str, channels: int) -> None:
    """Row i of each array is sample i, in the order of the shards."""
    samples = [draw(key, channels=channels, dtype=dtype) for key in KEYS]
    export(make_output(tmp_path / "out", samples), tmp_path / "dest", "zarr")

    group: Any = zarr.open_group(tmp_path / "dest" / "train.zarr", mode="r")
    assert group["key"][:].tolist() == ["train-a", "train-b", "train-c"]
    assert group["image"].dtype == dtype
    for name in ("image", "mask", "soft"):
        expected = np.stack([getattr(put, name) for put in samples[:3]])
        assert (np.asarray(group[name]) == expected).all()
    assert group.attrs["classes"] == ["background", "class_1", "class_2"]


def test_zarr_is_v3_sharded_by_sample_with_consolidated_metadata(tmp_path: Path) -> None:
    """One request opens all arrays; a sample is read alone; rows of zeros are there like others."""
    samples = [draw("train-a"), draw("train-b")]
    for put in samples:
        put.mask[:] = 0
    export(make_output(tmp_path / "out", samples), tmp_path / "dest", "zarr")

    store = tmp_path / "dest" / "train.zarr"
    held = json.loads((store / "zarr.json").read_text())
    assert held["zarr_format"] == 3
    assert sorted(held["consolidated_metadata"]["metadata"]) == ["image", "key", "mask", "soft"]
    image = zarr.open_array(store, path="image", mode="r")
    assert image.chunks == (1, 6, 9, 3)
    assert image.shards is not None
    assert [path.name for path in (store / "mask" / "c" / "0" / "0").iterdir()] == ["0"]


def test_zarr_writes_shard_after_shard(tmp_path: Path) -> None:
    """257 samples are one full shard and one of a single row; none is lost at the border."""
    samples = [draw(f"train-{number:03d}", channels=1) for number in range(257)]
    export(make_output(tmp_path / "out", samples), tmp_path / "dest", "zarr")

    image = zarr.open_array(tmp_path / "dest" / "train.zarr", path="image", mode="r")
    assert image.shards == (256, 6, 9, 1)
    assert (np.asarray(image[255]) == samples[255].image).all()
    assert (np.asarray(image[256]) == samples[256].image).all()
