"""A block of the cache counts only while its files are what its record says; damage is reported, never read."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.pipeline.features import feature_cache
from hsmix_gen.pipeline.features.feature_cache import ArraySpec, FeatureCache, block_rows, block_size
from hsmix_gen.schemas.errors import CacheError
from hsmix_gen.schemas.records import BlockRecord, FileRecord, Refusal
from tests.written import flip

LAYER = "images-0123456789ab"
SPECS = [ArraySpec("image", (4, 5, 3), "uint8"), ArraySpec("mask", (4, 5), "uint8")]
N_ROWS, BLOCK = 5, 2

Values = dict[str, npt.NDArray[Any]]


def values(block: int) -> Values:
    rng = np.random.default_rng(block)
    n_rows = len(block_rows(block, BLOCK, N_ROWS))
    return {spec.name: rng.integers(1, 256, (n_rows, *spec.row)).astype(spec.dtype) for spec in SPECS}


def created(root: Path) -> FeatureCache:
    cache = FeatureCache(root)
    cache.create(LAYER, SPECS, n_rows=N_ROWS, block=BLOCK)
    return cache


def write(cache: FeatureCache, block: int, held: Values | None = None) -> BlockRecord:
    rows = block_rows(block, BLOCK, N_ROWS)
    record = BlockRecord(LAYER, block, cache.write_block(LAYER, block, rows, held or values(block)))
    cache.commit(record)
    return record


def filled(root: Path) -> FeatureCache:
    cache = created(root)
    for block in range(3):
        write(cache, block)
    return cache


def test_a_block_is_one_file_of_each_array(tmp_path: Path) -> None:
    record = write(created(tmp_path), 1)

    assert [file.path for file in record.files] == [f"{LAYER}.zarr/image/c/1/0/0/0", f"{LAYER}.zarr/mask/c/1/0/0"]


def test_equal_blocks_are_equal_bytes_in_any_order(tmp_path: Path) -> None:
    there, back = created(tmp_path / "there"), created(tmp_path / "back")

    records = {b: write(there, b) for b in range(3)}

    assert {b: write(back, b) for b in (2, 0, 1)} == records


def test_writers_of_two_blocks_do_not_meet(tmp_path: Path) -> None:
    created(tmp_path)
    threads = [threading.Thread(target=write, args=(FeatureCache(tmp_path), block)) for block in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    cache = FeatureCache(tmp_path)

    assert sorted(cache.records(LAYER)) == [0, 1, 2]
    np.testing.assert_array_equal(cache.read(LAYER, "image", 3), values(1)["image"][1])


def test_creating_a_layer_again_keeps_what_it_holds(tmp_path: Path) -> None:
    filled(tmp_path)

    again = created(tmp_path)

    np.testing.assert_array_equal(again.read(LAYER, "mask", 0), values(0)["mask"][0])
    assert sorted(again.records(LAYER)) == [0, 1, 2]


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    cache = created(tmp_path)
    files = cache.write_block(LAYER, 0, range(2), values(0))
    record = BlockRecord(LAYER, 0, files, (Refusal("a", "a.png", "images", "is torn"),))

    cache.commit(record)

    assert FeatureCache(tmp_path).records(LAYER) == {0: record}


def test_a_layer_that_was_never_made_has_no_records(tmp_path: Path) -> None:
    assert FeatureCache(tmp_path).records("none") == {}


def test_a_block_without_a_record_does_not_count(tmp_path: Path) -> None:
    created(tmp_path).write_block(LAYER, 0, range(2), values(0))

    assert FeatureCache(tmp_path).records(LAYER) == {}


@pytest.mark.parametrize("array", [0, 1])
@pytest.mark.parametrize("harm", ["missing", "flipped", "shorter", "longer", "empty"])
def test_a_block_whose_file_changed_does_not_count(tmp_path: Path, harm: str, array: int) -> None:
    cache = created(tmp_path)
    record = write(cache, 0)
    write(cache, 1)
    path = tmp_path / record.files[array].path

    data = path.read_bytes()
    match harm:
        case "missing":
            path.unlink()
        case "flipped":
            flip(path)
        case "shorter":
            path.write_bytes(data[:-1])
        case "longer":
            path.write_bytes(data + b"\0")
        case _:
            path.write_bytes(b"")

    assert list(FeatureCache(tmp_path).records(LAYER)) == [1]


def test_a_block_that_does_not_count_is_forgotten_and_can_be_made_again(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    path = tmp_path / f"{LAYER}.zarr/mask/c/1/0/0"
    flip(path)

    cache.records(LAYER)
    again = write(FeatureCache(tmp_path), 1)

    assert FeatureCache(tmp_path).records(LAYER)[1] == again
    np.testing.assert_array_equal(FeatureCache(tmp_path).read(LAYER, "mask", 2), values(1)["mask"][0])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"null", b"\xff", b'{"layer": "x", "block": 0}'])
def test_a_record_that_cannot_be_read_does_not_count(tmp_path: Path, content: bytes) -> None:
    cache = filled(tmp_path)
    (tmp_path / "commits" / LAYER / "000001.json").write_bytes(content)

    assert sorted(cache.records(LAYER)) == [0, 2]


def test_a_block_that_its_worker_did_not_write_so_is_not_committed(tmp_path: Path) -> None:
    cache = created(tmp_path)
    (file, *others) = cache.write_block(LAYER, 0, range(2), values(0))
    wrong = FileRecord(file.path, file.bytes, "0" * 64)

    with pytest.raises(CacheError, match="image/c/0/0/0/0 does not match what its worker wrote"):
        cache.commit(BlockRecord(LAYER, 0, (wrong, *others)))

    assert cache.records(LAYER) == {}


def test_a_flipped_byte_in_a_chunk_is_an_error_and_never_a_pixel(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / f"{LAYER}.zarr/image/c/0/0/0/0"
    flip(path)

    with pytest.raises(CacheError, match=r"array image row [01] is damaged") as damaged:
        for row in (0, 1):
            FeatureCache(tmp_path).read(LAYER, "image", row)

    assert "run the same command again" in str(damaged.value)


@pytest.mark.parametrize(
    ("size", "channels", "variants", "expected"),
    [((224, 224), 3, 4, 16), ((1024, 1024), 3, 4, 4), ((2048, 2048), 3, 4, 1), ((9000, 9000), 3, 8, 1)],
)
def test_a_block_holds_16_images_or_less_where_they_are_large(
    size: tuple[int, int], channels: int, variants: int, expected: int
) -> None:
    assert block_size(size, channels, variants) == expected


def test_a_file_of_a_store_that_is_damaged_is_opened_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of stores stay open, and know their size; a block that was made anew may have another."""
    cache = filled(tmp_path)
    monkeypatch.setattr(feature_cache, "is_remote", lambda _: True)
    path = tmp_path / write(cache, 0).files[0].path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CacheError, match="array image row 0 is damaged"):
        cache.read(LAYER, "image", 0)

    write(cache, 0)

    for row in (0, 1, 0):
        np.testing.assert_array_equal(cache.read(LAYER, "image", row), values(0)["image"][row])
    (still_open,) = cache._open.values()
    still_open.close()


def test_blocks_partition_the_rows() -> None:
    assert [row for block in range(4) for row in block_rows(block, 3, 11)] == list(range(11))


def test_rows_that_were_read_last_are_kept_within_their_memory(tmp_path: Path) -> None:
    """An image is a parent of many samples; memory must not grow with the number of images all the same."""
    FeatureCache(tmp_path).create("layer", [ArraySpec("a", (4,), "uint8")], n_rows=3, block=1)
    cache = FeatureCache(tmp_path, kept_bytes=8)
    for row in range(3):
        cache.write_block("layer", row, range(row, row + 1), {"a": np.full((1, 4), row + 1, np.uint8)})
    first = cache.read("layer", "a", 0)

    assert cache.read("layer", "a", 0) is first
    assert [cache.read("layer", "a", row).tolist() for row in (1, 2)] == [[2] * 4, [3] * 4]
    assert cache.read("layer", "a", 2) is cache.read("layer", "a", 2)
    assert cache.read("layer", "a", 0) is not first


def test_a_row_larger_than_the_memory_is_not_kept(tmp_path: Path) -> None:
    FeatureCache(tmp_path).create("layer", [ArraySpec("a", (9,), "uint8")], n_rows=1, block=1)
    cache = FeatureCache(tmp_path, kept_bytes=8)
    cache.write_block("layer", 0, range(1), {"a": np.ones((1, 9), np.uint8)})

    assert cache.read("layer", "a", 0) is not cache.read("layer", "a", 0)
