"""Files in an object store: whole or absent, found as on a disk, and unharmed by a store that misbehaves."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.features.feature_cache import ArraySpec, FeatureCache
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.object_stores import REQUESTS_VARIABLE, StoreError
from hsmix_gen.pipeline.files.store_paths import location
from hsmix_gen.schemas.errors import CacheError, OutputError
from hsmix_gen.schemas.records import BlockRecord, FileRecord

LAYER = "images-1"
ARRAYS = [ArraySpec("image", (3, 4, 1), "uint8"), ArraySpec("labels", (2, 3, 4), "uint16", (1, 3, 4))]
FAULTS = ("500", "503", "reset", "cut", "lost", "drip")


@pytest.fixture
def root(bucket: Any) -> Path:
    return location(f"{bucket.address}/out")


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def outgoing() -> list[str]:
    """Return the files of this process that wait to be sent."""
    folders = Path(tempfile.gettempdir()).glob(f"hsmix-gen-outgoing-{os.getpid()}-*")
    return [str(path) for folder in folders for path in folder.rglob("*")]


def values(block: int) -> dict[str, Any]:
    image = np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1) + np.uint8(100 * block)
    labels = np.arange(48, dtype=np.uint16).reshape(2, 2, 3, 4) + np.uint16(1000 * block)
    return {"image": image, "labels": labels}


def filled(root: Path) -> list[BlockRecord]:
    cache = FeatureCache(root)
    cache.create(LAYER, ARRAYS, n_rows=4, block=2)
    records = []
    for block in (0, 1):
        rows = range(2 * block, 2 * block + 2)
        records.append(BlockRecord(LAYER, block, cache.write_block(LAYER, block, rows, values(block))))
        cache.commit(records[-1])
    return records


def test_an_object_is_written_read_found_and_removed(bucket: Any, root: Path) -> None:
    atomic_files.write_whole(root / "a" / "b.json", b"data")

    path = root / "a" / "b.json"
    assert (bucket.folder / "out/a/b.json").read_bytes() == b"data"
    assert path.read_bytes() == b"data"
    assert (path.exists(), path.is_file(), path.is_dir()) == (True, True, False)
    assert (root.exists(), root.is_file(), root.is_dir()) == (True, False, True)
    assert path.stat().st_size == 4
    assert list(root.iterdir()) == [root / "a"]
    assert list((root / "a").glob("*.json")) == [path]
    assert list(root.rglob("*.json")) == [path]
    assert atomic_files.finished_files(root / "a", ".json") == [path]

    path.unlink()
    assert not path.exists()
    assert list((root / "a").glob("*")) == []


def test_what_is_not_there_is_reported_as_of_a_disk(root: Path) -> None:
    for call in (root.read_bytes, root.stat, root.unlink, lambda: root.open("rb"), lambda: list(root.iterdir())):
        with pytest.raises(FileNotFoundError):
            call()
    root.unlink(missing_ok=True)
    assert not atomic_files.matches(FileRecord("none", 1, "0"), root)


def test_an_object_is_opened_where_it_is_used(root: Path) -> None:
    data = bytes(range(256)) * 100
    atomic_files.write_whole(root / "f", data)

    with (root / "f").open("rb") as file:
        assert file.read(3) == data[:3]
        file.seek(-5, 2)
        assert file.read() == data[-5:]
        file.seek(1000)
        assert file.read(10) == data[1000:1010]
    with (root / "f").open("rb") as file:
        assert file.read() == data


def test_an_object_is_not_written_in_pieces(root: Path) -> None:
    with pytest.raises(ValueError, match="write it whole"):
        root.open("wb")


@pytest.mark.parametrize("size", [0, 1, 2**20 + 1])
def test_a_published_file_is_one_put_and_nothing_is_left_here(root: Path, proxy: Any, size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    temporary = atomic_files.temporary_beside(root / "shard.tar")
    temporary.write_bytes(data)

    atomic_files.publish(temporary, root / "shard.tar")

    assert [method for method, _, _ in proxy.requests] == ["PUT"]
    assert (root / "shard.tar").read_bytes() == data
    assert not temporary.exists()


def test_a_record_says_what_was_sent_and_matching_reads_it_back(bucket: Any, root: Path, proxy: Any) -> None:
    temporary = atomic_files.temporary_beside(root / "a" / "shard.tar")
    temporary.write_bytes(b"abc")
    atomic_files.publish(temporary, root / "a" / "shard.tar")
    sent = len(proxy.requests)

    record = atomic_files.file_record(root / "a" / "shard.tar", root)

    assert len(proxy.requests) == sent
    assert record == FileRecord("a/shard.tar", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    assert atomic_files.matches(record, root)
    bucket.put("out/a/shard.tar", b"abd")
    assert not atomic_files.matches(record, root)
    assert atomic_files.file_record(root / "a" / "shard.tar", root).sha256 != record.sha256


def test_a_file_with_the_same_bytes_is_not_sent_again(root: Path, proxy: Any) -> None:
    atomic_files.write_json(root / "f.json", {"a": 1})
    atomic_files.write_json(root / "f.json", {"a": 1})
    atomic_files.write_json(root / "f.json", {"a": 2})

    assert [method for method, _, _ in proxy.requests].count("PUT") == 2
    assert atomic_files.read_json(root / "f.json") == {"a": 2}


def test_a_tree_is_removed_and_its_neighbours_stay(bucket: Any, root: Path) -> None:
    for name in ("a/1", "a/b/2", "a-neighbour/3", "single"):
        atomic_files.write_whole(root / name, b"x")

    atomic_files.remove_tree(root / "a")
    atomic_files.remove_tree(root / "single")
    atomic_files.remove_tree(root / "none")

    assert names(bucket.folder) == ["out/a-neighbour/3"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_store_that_fails_now_and_then_harms_nothing(
    bucket: Any, root: Path, proxy: Any, in_turn: Callable[..., Any], fault: str
) -> None:
    """Every third request fails: refused, cut off on the way there or back, without an answer, or very slow."""
    data = bytes(i % 251 for i in range(100_000))
    proxy.script = in_turn(3, fault)

    temporary = atomic_files.temporary_beside(root / "shard.tar")
    temporary.write_bytes(data)
    atomic_files.publish(temporary, root / "shard.tar")
    atomic_files.write_json(root / "state.json", {"a": 1})

    assert atomic_files.matches(atomic_files.file_record(root / "shard.tar", root), root)
    assert (root / "shard.tar").read_bytes() == data
    assert atomic_files.read_json(root / "state.json") == {"a": 1}
    assert names(bucket.folder) == ["out/shard.tar", "out/state.json"]
    assert any(seen == fault for _, _, seen in proxy.requests)


@pytest.mark.parametrize("fault", ["500", "503", "reset"])
def test_a_store_that_always_fails_is_reported_and_no_part_is_seen(
    bucket: Any, root: Path, proxy: Any, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("HSMIX_STORE_ATTEMPTS", "2")
    proxy.script = lambda method, _path: fault if method == "PUT" else ""
    temporary = atomic_files.temporary_beside(root / "shard.tar")
    temporary.write_bytes(b"x" * 100_000)

    with pytest.raises(StoreError, match=r"out/shard.tar failed 2 times, .* run the same command again") as stated:
        atomic_files.publish(temporary, root / "shard.tar")

    assert "\n" not in str(stated.value)
    # A connection that is reset is opened once more by aiohttp itself.
    assert 2 <= len(proxy.requests) <= 4
    assert names(bucket.folder) == []
    temporary.unlink()


def test_requests_in_flight_are_bounded(root: Path, proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUESTS_VARIABLE, "3")
    paths = [root / f"{number:02d}" for number in range(20)]
    for path in paths:
        atomic_files.write_whole(path, path.name.encode())
    proxy.most_in_flight = 0
    proxy.script = lambda _method, _path: "drip"

    assert atomic_files.read_all(paths) == [path.name.encode() for path in paths]
    assert proxy.most_in_flight == 3


def test_a_cache_in_a_store_is_that_of_a_disk_byte_for_byte(bucket: Any, root: Path, tmp_path: Path) -> None:
    here, there = filled(tmp_path / "cache"), filled(root)

    assert here == there
    files = names(tmp_path / "cache")
    assert names(bucket.folder / "out") == files
    for name in files:
        assert (bucket.folder / "out" / name).read_bytes() == (tmp_path / "cache" / name).read_bytes()


def test_a_block_in_a_store_is_sent_whole(root: Path, proxy: Any) -> None:
    cache = FeatureCache(root)
    cache.create(LAYER, ARRAYS, n_rows=4, block=2)
    proxy.requests.clear()

    cache.write_block(LAYER, 0, range(2), values(0))

    assert sum(method == "PUT" for method, _, _ in proxy.requests) == len(ARRAYS)
    assert not any(method in ("POST", "DELETE") for method, _, _ in proxy.requests)


def test_a_layer_in_a_store_is_made_once(root: Path, proxy: Any) -> None:
    FeatureCache(root).create(LAYER, ARRAYS, n_rows=4, block=2)
    proxy.requests.clear()

    FeatureCache(root).create(LAYER, ARRAYS, n_rows=4, block=2)

    assert not any(method == "PUT" for method, _, _ in proxy.requests)


@pytest.mark.parametrize("harm", ["missing", "flipped", "shorter"])
def test_a_block_in_a_store_that_changed_does_not_count(bucket: Any, root: Path, harm: str) -> None:
    records = filled(root)
    name = f"out/{records[0].files[1].path}"
    data = bytearray((bucket.folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    if harm == "missing":
        bucket.remove(name)
    else:
        bucket.put(name, bytes(data if harm == "flipped" else data[:-1]))

    assert FeatureCache(root).records(LAYER) == {1: records[1]}
    assert names(bucket.folder / "out/commits") == [f"{LAYER}/000001.json"]


def test_damage_in_a_store_is_an_error_and_never_a_pixel(bucket: Any, root: Path) -> None:
    records = filled(root)
    name = f"out/{records[0].files[0].path}"
    data = bytearray((bucket.folder / name).read_bytes())
    data[4] ^= 0xFF
    bucket.put(name, bytes(data))

    with pytest.raises(CacheError, match=r"array image row [01] is damaged"):
        for row in (0, 1):
            FeatureCache(root).read(LAYER, "image", row)


def test_an_array_that_is_not_in_the_store_is_reported(root: Path) -> None:
    FeatureCache(root).create(LAYER, ARRAYS, n_rows=4, block=2)

    with pytest.raises(CacheError, match="has no array saliency; run prepare again"):
        FeatureCache(root).read(LAYER, "saliency", 0)
    with pytest.raises(CacheError, match="has no array saliency; run prepare again"):
        FeatureCache(root).write_block(LAYER, 0, range(2), {"saliency": values(0)["image"]})


@pytest.mark.parametrize("fault", ["503", "reset", "cut", "lost"])
def test_a_cache_is_written_and_read_through_faults(
    root: Path, proxy: Any, in_turn: Callable[..., Any], fault: str
) -> None:
    proxy.script = in_turn(9, fault)
    records = filled(root)
    cache = FeatureCache(root)

    assert cache.records(LAYER) == {0: records[0], 1: records[1]}
    for row in range(4):
        np.testing.assert_array_equal(cache.read(LAYER, "image", row), values(row // 2)["image"][row % 2])
    np.testing.assert_array_equal(cache.read(LAYER, "labels", 0, 1), values(0)["labels"][0, 1])
    assert outgoing() == []


def test_a_store_that_is_away_is_no_damage(root: Path, proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """To rebuild the cache because the network is down would be wrong."""
    monkeypatch.setenv("HSMIX_STORE_ATTEMPTS", "2")
    filled(root)
    cache = FeatureCache(root)
    cache.read(LAYER, "image", 0)
    proxy.script = lambda _method, _path: "503"

    with pytest.raises(StoreError, match="failed 2 times"):
        cache.read(LAYER, "image", 1)
    with pytest.raises(StoreError, match="failed 2 times"):
        cache.records(LAYER)
    proxy.script = lambda _method, _path: ""
    assert sorted(cache.records(LAYER)) == [0, 1]


def test_an_output_in_a_store_refuses_foreign_files(bucket: Any, root: Path) -> None:
    bucket.put("out/thesis.txt", b"x")

    with pytest.raises(OutputError, match=r"holds other files \(thesis.txt\)"):
        Output(root).check_own()


def test_an_output_may_be_a_whole_bucket(bucket: Any) -> None:
    output = Output(location(bucket.address))

    output.check_own()
    output.bindings.bind({"mix.copies": 1}, [])

    assert names(bucket.folder) == [".hsmix/identity.json", ".hsmix/sources.parquet"]
    output.clear()
    assert names(bucket.folder) == []


def test_clearing_an_output_leaves_foreign_objects(bucket: Any, root: Path) -> None:
    for name in ("run.json", "webdataset/a.tar", ".hsmix/identity.json", "fold-1/manifest.parquet", "mine.txt"):
        atomic_files.write_whole(root / name, b"x")

    Output(root).clear()

    assert names(bucket.folder) == ["out/mine.txt"]


@pytest.mark.parametrize(
    ("cache", "expected"),
    [
        ("s3://b/out/.hsmix/cache", ".hsmix/cache"),
        ("s3://b/features", "s3://b/features"),
        ("gs://b/out/features", "gs://b/out/features"),
        ("/local/features", "/local/features"),
    ],
)
def test_the_cache_of_an_output_in_a_store_is_named_so_that_it_is_found(cache: str, expected: str) -> None:
    assert Output(location("s3://b/out")).relative(location(cache)) == expected


def test_folds_in_a_store_find_the_cache_that_they_share() -> None:
    output = Output(location("s3://b/out"))

    assert output.fold(1).relative(output.default_cache) == "../.hsmix/cache"


def test_what_a_dead_process_had_not_sent_is_removed(root: Path, tmp_path: Path) -> None:
    dead = Path(tempfile.gettempdir()) / "hsmix-gen-outgoing-1-of-a-test"
    dead.mkdir()
    (dead / "half").write_bytes(b"x")
    mine = atomic_files.temporary_beside(root / "shard.tar")
    mine.write_bytes(b"x")

    atomic_files.remove_temporaries(root)

    assert not dead.exists()
    assert mine.exists()
    mine.unlink()
