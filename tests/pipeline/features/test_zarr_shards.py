"""The cache's own reader and writer of Zarr v3 shards: Zarr is the judge, each reads what the other wrote."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from zarr.codecs import ZstdCodec

from hsmix_gen.pipeline.features.feature_cache import ArraySpec, FeatureCache
from hsmix_gen.pipeline.features.zarr_shards import ShardedArray, described
from hsmix_gen.schemas.errors import CacheError
from tests.written import contents

LAYER = "layer"
ARRAYS = [
    ShardedArray((5, 6, 7, 3), (2, 6, 7, 3), (1, 6, 7, 3), "uint8"),
    ShardedArray((5, 6, 7), (2, 6, 7), (1, 6, 7), "uint8"),
    ShardedArray((7, 4, 6, 5), (3, 4, 6, 5), (1, 1, 6, 5), "uint16"),
    ShardedArray((17, 5, 3, 3), (16, 5, 3, 3), (1, 1, 3, 3), "uint16"),
    ShardedArray((4, 6, 9), (4, 6, 9), (1, 2, 3), "float32"),
    ShardedArray((3, 8), (3, 8), (1, 8), "uint16"),
    ShardedArray((1, 1), (1, 1), (1, 1), "uint8"),
]
NAMES = ["image", "mask", "labels", "long labels", "parts of rows", "count", "one number"]


def values_of(array: ShardedArray) -> npt.NDArray[Any]:
    return np.random.default_rng(0).integers(0, 200, array.shape).astype(array.dtype)


def by_zarr(folder: Path, array: ShardedArray) -> Any:
    return zarr.create_array(
        folder / "layer.zarr" / "a",
        shape=array.shape,
        shards=array.shard,
        chunks=array.chunk,
        dtype=array.dtype,
        compressors=ZstdCodec(level=1, checksum=True),
        fill_value=0,
        config={"write_empty_chunks": True},
    )


def fill(folder: Path, array: ShardedArray, values: npt.NDArray[Any]) -> FeatureCache:
    cache = FeatureCache(folder)
    block = array.shard[0]
    cache.create(
        LAYER, [ArraySpec("a", array.shape[1:], array.dtype, array.chunk[1:])], n_rows=len(values), block=block
    )
    for number, start in enumerate(range(0, len(values), block)):
        rows = range(start, min(start + block, len(values)))
        cache.write_block(LAYER, number, rows, {"a": values[start : rows.stop]})
    return cache


@pytest.mark.parametrize("array", ARRAYS, ids=NAMES)
def test_zarr_reads_what_the_cache_writes(tmp_path: Path, array: ShardedArray) -> None:
    values = values_of(array)
    fill(tmp_path, array, values)

    found = zarr.open_array(tmp_path / "layer.zarr", path="a", mode="r")

    assert found.dtype == array.dtype
    np.testing.assert_array_equal(np.asarray(found), values)


@pytest.mark.parametrize("array", ARRAYS, ids=NAMES)
def test_the_cache_reads_what_zarr_writes(tmp_path: Path, array: ShardedArray) -> None:
    values = values_of(array)
    by_zarr(tmp_path, array)[:] = values

    found = [FeatureCache(tmp_path).read(LAYER, "a", row) for row in range(len(values))]

    assert found[0].dtype == array.dtype
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("array", ARRAYS, ids=NAMES)
def test_both_write_the_same_bytes(tmp_path: Path, array: ShardedArray) -> None:
    """So that caches of earlier versions keep their records, and blocks of zeros are written like any other."""
    values = values_of(array)
    values[0] = 0
    by_zarr(tmp_path / "zarr", array)[:] = values
    fill(tmp_path / "ours", array, values)

    theirs, ours = (contents(tmp_path / name / "layer.zarr" / "a") for name in ("zarr", "ours"))

    assert ours == theirs


def test_any_part_of_a_row_is_read(tmp_path: Path) -> None:
    array = ARRAYS[NAMES.index("parts of rows")]
    values = values_of(array)
    cache = fill(tmp_path, array, values)

    for index in [(3,), (3, 5), (3, 5, 8), (0, 1, 2)]:
        np.testing.assert_array_equal(cache.read(LAYER, "a", *index), values[index])


class Slow(io.BytesIO):
    """A file that gives a few bytes at once, as network file systems may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size, 7) if size is not None and size > 0 else size)


def test_a_file_may_give_a_part_of_what_is_asked_for() -> None:
    array = ARRAYS[0]
    values = values_of(array)[:2]

    np.testing.assert_array_equal(array.decode(Slow(array.encode(values)), 1, ()), values[1])


def test_no_bit_of_a_shard_can_be_flipped_unseen() -> None:
    """Bytes that nothing is read from may be; whatever is read is right."""
    array = ARRAYS[NAMES.index("count")]
    values = values_of(array)
    whole = array.encode(values)
    n_seen = 0
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = [array.decode(io.BytesIO(damaged), row, ()) for row in range(len(values))]
        except (ValueError, RuntimeError):
            n_seen += 1
        else:
            np.testing.assert_array_equal(found, values)

    assert n_seen > 7.9 * len(whole)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda data: data[:-1], "its index does not match its checksum"),
        (lambda data: data[:20], "it ends before its index"),
        (lambda data: data[:0], "it ends before its index"),
        (lambda data: data[-52:], ""),  # the index alone: whole, and of chunks that are gone
    ],
    ids=["shorter", "stump", "empty", "index alone"],
)
def test_a_damaged_shard_is_named_and_made_again(tmp_path: Path, harm: Any, reason: str) -> None:
    array = ARRAYS[NAMES.index("count")]
    values = values_of(array)
    cache = fill(tmp_path, array, values)
    path = tmp_path / "layer.zarr/a/c/0/0"
    path.write_bytes(harm(path.read_bytes()))

    with pytest.raises(CacheError, match=rf"layer\.zarr array a row 1 is damaged .*{reason}"):
        cache.read(LAYER, "a", 1)

    cache.write_block(LAYER, 0, range(3), {"a": values})
    np.testing.assert_array_equal(FeatureCache(tmp_path).read(LAYER, "a", 1), values[1])


def test_a_shard_or_chunk_that_is_missing_is_damage_and_never_zeros(tmp_path: Path) -> None:
    array = ARRAYS[NAMES.index("mask")]
    cache = fill(tmp_path, array, values_of(array))

    with pytest.raises(CacheError, match=r"row 5 is damaged .it holds no chunk of row 5"):
        cache.read(LAYER, "a", 5)
    (tmp_path / "layer.zarr/a/c/1/0/0").unlink()
    with pytest.raises(CacheError, match=r"row 2 is damaged .*No such file"):
        cache.read(LAYER, "a", 2)


def test_a_chunk_that_holds_too_little_is_damage() -> None:
    array, half = (ShardedArray((1, side, 4), (1, side, 4), (1, side, 4), "uint8") for side in (4, 2))

    with pytest.raises(ValueError, match="its chunk of row 0 is too short"):
        array.decode(io.BytesIO(half.encode(np.ones((1, 2, 4), np.uint8))), 0, ())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data_type", "int32"),
        ("fill_value", 7),
        ("codecs", []),
        ("shape", None),
        ("chunk_key_encoding", {"name": "v2"}),
        ("storage_transformers", [{"name": "other"}]),
        ("zarr_format", 2),
    ],
)
def test_a_description_that_reads_otherwise_is_refused_by_name(tmp_path: Path, key: str, value: Any) -> None:
    array = ARRAYS[NAMES.index("mask")]
    fill(tmp_path, array, values_of(array))
    path = tmp_path / "layer.zarr/a/zarr.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    with pytest.raises(CacheError, match=r"layer\.zarr array a row 0 is damaged"):
        FeatureCache(tmp_path).read(LAYER, "a", 0)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff"])
def test_a_description_that_cannot_be_read_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"its zarr\.json cannot be read"):
        described(content)


def test_a_description_may_hold_what_decides_nothing() -> None:
    """Other versions of Zarr add attributes and leave out what is empty."""
    array = ARRAYS[0]
    other = {key: value for key, value in array.description().items() if key != "storage_transformers"}

    assert described(json.dumps({**other, "attributes": {"made": "elsewhere"}}).encode()) == array


def test_rows_of_another_shape_are_not_written(tmp_path: Path) -> None:
    array = ARRAYS[NAMES.index("count")]
    cache = fill(tmp_path, array, values_of(array))

    with pytest.raises(ValueError, match=r"a must be of shape \(3, 8\), got \(2, 8\)"):
        cache.write_block(LAYER, 0, range(3), {"a": np.zeros((2, 8), np.uint16)})
