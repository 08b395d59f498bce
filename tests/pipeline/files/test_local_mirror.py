"""Sources in a store are mirrored here: what changed is fetched again, nothing else is, and people see addresses."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.files import local_mirror
from hsmix_gen.pipeline.files.store_paths import StorePath, is_remote, location
from hsmix_gen.pipeline.sources import staging
from hsmix_gen.schemas.config import RunConfig, SourceConfig
from hsmix_gen.schemas.errors import SourceError
from tests.written import contents


@pytest.fixture
def photos(bucket: Any) -> Path:
    bucket.put("photos/images/a.png", b"image a")
    bucket.put("photos/masks/a.png", b"mask a")
    return location(f"{bucket.address}/photos")


def staged(source: Path) -> tuple[Path, list[str]]:
    """Return the local folder of a source, and what was reported meanwhile."""
    notes: list[str] = []
    path, _ = staging.stage(source, RunConfig(), notes.append)
    return path, notes


def test_a_source_is_mirrored_without_what_is_hidden(bucket: Any, photos: Path) -> None:
    bucket.put("photos/.cache/x", b"x")
    bucket.put("photos-neighbour/x", b"x")

    folder, notes = staged(photos)

    assert contents(folder) == {"images/a.png": b"image a", "masks/a.png": b"mask a"}
    assert notes == [f"fetching 2 of 2 files, 0.0 MB, into {local_mirror.staging_folder()}"]


def test_outputs_below_a_source_are_not_fetched(bucket: Any, photos: Path) -> None:
    """Finished or not; what lies beside them and is named alike is."""
    for name in ("mixed/.hsmix/lease.json", "mixed/webdataset/train-000000.tar", "mixed/a.png", "mixed2/b.png"):
        bucket.put(f"photos/{name}", b"x")

    folder, _ = staged(photos)

    assert contents(folder).keys() == {"images/a.png", "masks/a.png", "mixed2/b.png"}


def test_an_output_that_is_named_is_fetched(bucket: Any) -> None:
    bucket.put("mixed/.hsmix/lease.json", b"x")
    bucket.put("mixed/folder/images/a.png", b"x")

    folder, _ = staged(location(f"{bucket.address}/mixed"))

    assert contents(folder).keys() == {"folder/images/a.png"}


def test_a_local_source_stays_where_it_is(tmp_path: Path) -> None:
    assert staged(tmp_path) == (tmp_path, [])


def test_what_has_not_changed_is_not_fetched_again(photos: Path, proxy: Any) -> None:
    staged(photos)
    proxy.requests.clear()

    folder, notes = staged(photos)

    assert notes == []
    assert not any(path.partition("?")[0].endswith(".png") for _, path, _ in proxy.requests)
    assert len(contents(folder)) == 2


def test_an_object_that_changed_is_fetched_again_although_its_size_is_the_same(bucket: Any, photos: Path) -> None:
    staged(photos)
    bucket.put("photos/masks/a.png", b"mask b")

    folder, notes = staged(photos)

    assert contents(folder) == {"images/a.png": b"image a", "masks/a.png": b"mask b"}
    assert notes[0].startswith("fetching 1 of 2 files")


def test_a_copy_that_was_harmed_here_is_fetched_again(photos: Path) -> None:
    folder, _ = staged(photos)
    (folder / "images/a.png").write_bytes(b"harmed")

    assert contents(staged(photos)[0])["images/a.png"] == b"image a"


def test_what_is_no_longer_in_the_store_is_removed_here(bucket: Any, photos: Path) -> None:
    folder, _ = staged(photos)
    bucket.remove("photos/masks/a.png")

    staged(photos)

    assert contents(folder) == {"images/a.png": b"image a"}


def test_a_list_brings_the_files_that_it_names(bucket: Any, photos: Path) -> None:
    bucket.put("photos/train.csv", b"image,mask\nimages/a.png,masks/a.png\nimages/none.png,masks/none.png\n")
    bucket.put("photos/images/unnamed.png", b"x")

    path, _ = staged(photos / "train.csv")

    assert sorted(contents(path.parent)) == ["images/a.png", "masks/a.png", "train.csv"]


def test_a_list_may_lie_beside_its_data_where_a_root_is_named(bucket: Any, photos: Path) -> None:
    bucket.put("lists/train.csv", b"image,mask\n../photos/images/a.png,../photos/masks/a.png\n")
    config = RunConfig(source=SourceConfig(root=bucket.address))

    path, stated = staging.stage(location(f"{bucket.address}/lists/train.csv"), config, lambda _: None)

    assert contents(path.parents[1] / "photos") == {"images/a.png": b"image a", "masks/a.png": b"mask a"}
    assert stated.source.root == str(path.parents[1])


def test_an_object_that_is_a_folder_too_is_refused(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The server keeps objects on a disk, which cannot hold this; other stores can.
    name = bucket.folder.name
    entries = {f"{name}/{key}": {"type": "file", "size": 1, "ETag": "1"} for key in ("a", "a/b.png")}
    monkeypatch.setattr(StorePath, "ask", lambda _path, _request: entries)

    with pytest.raises(SourceError, match=f"{name}/a is a file and a folder at once, which no disk can hold; rename"):
        staged(location(bucket.address))


def test_a_source_that_is_not_there_is_reported(bucket: Any) -> None:
    for address in (f"{bucket.address}/none", "s3://no-such-bucket/photos"):
        with pytest.raises(SourceError, match=f"{address} holds nothing, or is not there; check bucket"):
            staged(location(address))


def test_a_full_disk_is_reported_before_anything_is_fetched(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 12})
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage)

    with pytest.raises(SourceError, match="name another folder in HSMIX_STAGING"):
        staged(photos)

    assert contents(local_mirror.staging_folder()) == {}


def test_staged_names_map_back_to_addresses(photos: Path) -> None:
    folder, _ = staged(photos)
    path = folder / "images" / "a.png"

    assert str(local_mirror.address_of(str(path))) == f"{photos}/images/a.png"
    assert local_mirror.address_of("/data/images/a.png") is None
    assert local_mirror.with_addresses(f"{path} is damaged") == f"{photos}/images/a.png is damaged"
    with pytest.raises(SourceError, match=f"^{photos}/images/a.png is damaged$"), local_mirror.naming_addresses():
        raise SourceError(f"{path} is damaged")


def test_buckets_of_one_name_at_two_endpoints_are_distinguished(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_remote(photos)
    first = local_mirror.staged_path(photos)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    second = local_mirror.staged_path(photos)

    assert first != second
    assert {str(local_mirror.address_of(str(path))) for path in (first, second)} == {str(photos)}


def test_a_unit_fetches_the_files_that_its_machine_lacks(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine of its own has another folder for staged files; paths are those of the driver."""
    folder, _ = staged(photos)
    image, mask = folder / "images/a.png", folder / "masks/a.png"
    image.unlink()
    monkeypatch.setenv("HSMIX_STAGING", str(tmp_path / "elsewhere"))

    local_mirror.ensure_local([str(image), str(mask), str(folder / "images/none.png"), str(tmp_path / "none.png")])

    assert contents(folder) == {"images/a.png": b"image a", "masks/a.png": b"mask a"}


def test_a_file_that_is_here_is_not_asked_for(photos: Path, proxy: Any) -> None:
    folder, _ = staged(photos)
    proxy.requests.clear()

    local_mirror.ensure_local([str(folder / "images/a.png")])

    assert proxy.requests == []


def test_a_file_that_a_unit_fetched_is_the_version_that_staging_wants(photos: Path) -> None:
    folder, _ = staged(photos)
    (folder / "images/a.png").unlink()

    local_mirror.ensure_local([str(folder / "images/a.png")])

    assert staged(photos)[1] == []


def test_a_single_object_is_here_in_its_newest_version(bucket: Any, photos: Path) -> None:
    path = photos / "images" / "a.png"
    assert local_mirror.here(path).read_bytes() == b"image a"
    bucket.put("photos/images/a.png", b"image b")

    assert local_mirror.here(path).read_bytes() == b"image b"
    with pytest.raises(FileNotFoundError):
        local_mirror.here(photos / "none.png")


@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_a_torn_answer_leaves_no_torn_copy(photos: Path, proxy: Any, in_turn: Any, fault: str) -> None:
    proxy.script = in_turn(3, fault)

    folder, _ = staged(photos)

    assert contents(folder) == {"images/a.png": b"image a", "masks/a.png": b"mask a"}
