"""WebDataset shards are read as sources: samples by key, image and mask by what follows the first dot."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsmix_gen.pipeline.dataset.array_bytes import encode_npy, encode_png
from hsmix_gen.pipeline.dataset.formats.webdataset_format import TarShard
from hsmix_gen.pipeline.decoders.packed_members import open_image, open_mask
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.pipeline.readers import webdataset_reader
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, SourceItem


def shard(path: Path, names: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"data"))
    return path


def find(source: Path, **options: Any) -> Found:
    return webdataset_reader.find(source, SourceConfig(layout="webdataset", **options))


def sides(found: Found) -> list[tuple[str, str, str]]:
    return [(item.id, item.image.key, item.mask.key) for item in found.items]


def test_samples_are_pairs_of_members_of_one_key(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", ["a.jpg", "a.json", "a.seg.png", "b/c.jpg", "b/c.cls", "b/c.seg.png"])

    assert webdataset_reader.recognises(path)
    assert find(path).items == (
        SourceItem("a", Content("member", (str(path),), "a.jpg"), Content("member", (str(path),), "a.seg.png")),
        SourceItem("b-c", Content("member", (str(path),), "b/c.jpg"), Content("member", (str(path),), "b/c.seg.png")),
    )


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("png", "mask.png"),
        ("JPEG", "Mask.PNG"),
        ("image.png", "mask.png"),
        ("img.tif", "label.tif"),
        ("npy", "mask.npy"),
        ("webp", "segmentation.png"),
        ("jpg", "png"),
        ("tiff", "jpg"),
    ],
)
def test_the_ending_of_a_member_distinguishes_image_from_mask(tmp_path: Path, image: str, mask: str) -> None:
    """Of a photograph and a lossless picture without further words the lossless one is the mask."""
    found = find(shard(tmp_path / "s.tar", [f"k.{mask}", f"k.{image}", "k.txt"]))

    expected = ("k", f"k.{image}", f"k.{mask}") if mask != "jpg" else ("k", "k.jpg", "k.tiff")
    assert sides(found) == [expected]


def test_options_name_the_members(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", ["k.he.png", "k.ihc.png", "k.cells.png", "k.mask.png"])

    assert sides(find(path, image_key="ihc", mask_key="cells.png")) == [("k", "k.ihc.png", "k.cells.png")]


def test_our_own_output_is_a_source(tmp_path: Path) -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    modalities = np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5)
    mask = np.array([[0, 1, 1], [2, 0, 0]], np.uint8)
    (tmp_path / "webdataset").mkdir()
    writer = TarShard(tmp_path / "webdataset/val-000000.tar")
    for key, name, data in (
        ("p1", "image.png", encode_png(image)),
        ("p2", "image.npy", encode_npy(modalities)),
    ):
        members = {name: data, "json": b"{}", "mask.png": encode_png(mask), "soft.npz": b"PK"}
        writer.add(key, members, {})
    writer.finish()

    first, second = find(tmp_path / "webdataset").items

    assert [(item.id, item.split) for item in (first, second)] == [("p1", "val"), ("p2", "val")]
    assert np.array_equal(open_image(first.image, ReadOptions()).plane(0), image)
    stack = open_image(second.image, ReadOptions())
    assert np.array_equal(stack.plane(0), modalities)
    assert np.array_equal(open_mask(second.mask, stack, ReadOptions()).plane(0), mask)


@pytest.mark.parametrize(
    ("name", "split"),
    [("train-000000.tar", "train"), ("x_validation_1.tar", "val"), ("test/00.tar", "test"), ("contest.tar", None)],
)
def test_the_name_of_a_shard_or_its_folder_states_the_split(tmp_path: Path, name: str, split: str | None) -> None:
    shard(tmp_path / "data" / name, ["a.jpg", "a.mask.png"])

    assert webdataset_reader.recognises(tmp_path / "data")
    assert [item.split for item in find(tmp_path / "data").items] == [split]


def test_keys_that_begin_anew_in_each_shard_are_distinguished(tmp_path: Path) -> None:
    for name in ("train-0.tar", "val-0.tar"):
        shard(tmp_path / name, ["0.jpg", "0.mask.png"])

    assert [item.id for item in find(tmp_path).items] == ["train-0-0", "val-0-0"]


def test_keys_of_a_lone_shard_that_differ_in_case_stay_as_they_are(tmp_path: Path) -> None:
    """There is no other shard whose name could distinguish them; who reads the source refuses both."""
    path = shard(tmp_path / "s.tar", ["a.jpg", "a.seg.png", "A.jpg", "A.seg.png"])

    assert [item.id for item in find(path).items] == ["a", "A"]
    assert [item.id for item in find(tmp_path).items] == ["a", "A"]


def test_keys_that_are_unique_stay_as_they_are(tmp_path: Path) -> None:
    shard(tmp_path / "train-0.tar", ["a.jpg", "a.mask.png"])
    shard(tmp_path / "train-1.tar", ["b.jpg", "b.mask.png"])

    assert [item.id for item in find(tmp_path).items] == ["a", "b"]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["k.jpg", "k.json"], "sample has no mask; name it KEY.mask.png, or give --mask-key"),
        (["k.mask.png"], "sample has no image; name it KEY.image.png or KEY.jpg, or give --image-key"),
        (["k.cls"], "sample has no image"),
        (["k.jpg", "k.image.png", "k.mask.png"], "sample has 2 members that may be its image: k.jpg, k.image.png"),
        (["k.jpg", "k.seg.png", "k.mask.png"], "sample has 2 members that may be its mask: k.seg.png, k.mask.png"),
        (["k.jpg", "k.mask.png", "k.jpg"], "member k.jpg occurs twice; give each sample a key of its own"),
    ],
)
def test_a_sample_that_is_no_pair_is_refused_and_the_others_stay(tmp_path: Path, names: list[str], reason: str) -> None:
    path = shard(tmp_path / "s.tar", ["a.jpg", "a.mask.png", *names])

    found = find(path)

    assert [item.id for item in found.items] == ["a"]
    ((refused_id, place, stage, stated),) = [(r.id, r.path, r.stage, r.reason) for r in found.refusals]
    assert (refused_id, place, stage) == ("k", f"{path}#{names[0]}", "discover")
    assert stated.startswith(reason)


def test_a_member_that_is_a_link_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("a.mask.png"))
        info = tarfile.TarInfo("a.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)

    found = find(tmp_path / "s.tar")

    assert found.items == ()
    assert [r.reason for r in found.refusals] == ["member a.jpg is a link, a device or sparse; pack the file itself"]


def test_hidden_files_of_a_mac_are_no_samples(tmp_path: Path) -> None:
    found = find(shard(tmp_path / "s.tar", ["./._a.jpg", "./a.jpg", "./a.mask.png", "LICENSE"]))

    assert (sides(found), found.refusals) == ([("a", "./a.jpg", "./a.mask.png")], ())


def test_of_a_shard_that_is_cut_short_the_rest_is_refused(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", ["a.jpg", "a.mask.png", "b.jpg", "b.mask.png"])
    path.write_bytes(path.read_bytes()[: 3 * 1024])

    found = find(path)

    assert [item.id for item in found.items] == ["a"]
    assert [refusal.id for refusal in found.refusals] == ["b", "s"]
    assert found.refusals[1].reason == (
        "is damaged or ends early at byte 3072; copy it again; the 3 members before it are used"
    )


def test_a_damaged_shard_is_refused_and_the_others_stay(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", ["a.jpg", "a.mask.png"])
    (tmp_path / "b.tar").write_bytes(b"no tar")

    found = find(tmp_path)

    assert [item.id for item in found.items] == ["a"]
    assert [refusal.path for refusal in found.refusals] == [str(tmp_path / "b.tar")]


def test_a_single_damaged_shard_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(b"no tar")

    with pytest.raises(SourceError, match=r"b\.tar is damaged"):
        find(tmp_path / "b.tar")


@pytest.mark.parametrize("name", ["s.tar.gz", "s.tgz", "s.tar.zst"])
def test_compressed_shards_are_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()

    assert webdataset_reader.recognises(tmp_path)
    with pytest.raises(SourceError, match=r"is compressed.*unpack it"):
        find(tmp_path)


def test_a_folder_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no \.tar file"):
        find(tmp_path)


@pytest.mark.parametrize("names", [[], ["a.png"], ["a.tar", "a.png"], ["a.tar", "train/a.nii.gz"], ["readme.txt"]])
def test_other_folders_are_not_taken_for_shards(tmp_path: Path, names: list[str]) -> None:
    """A download often lies beside what was unpacked from it."""
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert not webdataset_reader.recognises(tmp_path)


@pytest.mark.parametrize("name", ["none.tar", "a.png"])
def test_other_files_are_not_taken_for_shards(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.png").touch()

    assert not webdataset_reader.recognises(tmp_path / name)
