"""Shards are whole or absent, equal for equal samples, and readable without us."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from hsmix_gen.pipeline.dataset.array_bytes import encode_npy
from hsmix_gen.pipeline.dataset.formats.base import ShardWriter, TableForm, format_of
from hsmix_gen.pipeline.dataset.formats.parquet_format import GROUP_BYTES, ROW_GROUP
from hsmix_gen.pipeline.dataset.sample_members import encode_members
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.schemas.digests import canonical_json
from hsmix_gen.schemas.records import ManifestRow
from hsmix_gen.stages.mixing.mixing import Mixed

FORMS = ["webdataset", "parquet"]
EVERY_FORM = [*FORMS, "folder"]


def row(key: str) -> dict[str, Any]:
    return ManifestRow(
        key=key, split="train", fold=None, mode="soft", source_a="a", source_b="b", group_a="a", group_b="b",
        variant_a=0, variant_b=1, transform_a=3, transform_b=0, seed=2**62, select_p=0.2, area_b=0.25, lambda_min=0.0,
        lambda_mean=0.25, lambda_max=1.0, regions=9, flags=("even_saliency", "guarded"), shard="train-000000", index=0,
        bytes=1, sha256="0",
    ).provenance()  # fmt: skip


def as_json(key: str) -> bytes:
    return canonical_json(row(key)).encode()


def mixed(index: int, *, channels: int = 3, dtype: str = "uint8") -> Mixed:
    rng = np.random.default_rng(index)
    image = rng.integers(0, 256, (4, 5, channels)).astype(dtype)
    return Mixed(image, rng.integers(0, 2, (4, 5)).astype(np.uint8), rng.random((2, 4, 5)).astype(np.float16))


def add(writer: ShardWriter, key: str, sample: Mixed) -> Mapping[str, bytes]:
    members = encode_members(sample, row(key))
    writer.add(key, members, {"soft": lambda: encode_npy(sample.soft)})
    return members


def opened(root: Path, form: str, *, image_is_png: bool = True) -> ShardWriter:
    return format_of(form).writer(root, "train", 3, 12, TableForm(image_is_png))


def written(root: Path, form: str, n_samples: int = 3, **image: Any) -> Path:
    sample = mixed(0, **image)
    writer = opened(root, form, image_is_png=sample.image.dtype == np.uint8)
    for index in range(n_samples):
        add(writer, f"train-s{index}-000", mixed(index, **image))
    (finished,) = writer.finish()
    return finished


@pytest.mark.parametrize("form", EVERY_FORM)
def test_a_shard_has_its_final_names_only_when_it_is_finished(tmp_path: Path, form: str) -> None:
    writer = opened(tmp_path, form)
    add(writer, "k", mixed(0))
    before = files_under(tmp_path)
    finished = writer.finish()
    assert all(Path(name).name.startswith(atomic_files.TEMPORARY) for name in before)
    assert files_under(tmp_path) == sorted(path.relative_to(tmp_path).as_posix() for path in finished)


@pytest.mark.parametrize("form", EVERY_FORM)
@pytest.mark.parametrize("n_samples", [0, 2, ROW_GROUP + 1])
def test_an_abandoned_shard_leaves_nothing(tmp_path: Path, form: str, n_samples: int) -> None:
    writer = opened(tmp_path, form)
    for index in range(n_samples):
        add(writer, f"k{index}", mixed(0))

    writer.abandon()

    assert files_under(tmp_path) == []


@pytest.mark.parametrize("form", FORMS)
def test_equal_samples_are_equal_bytes(tmp_path: Path, form: str) -> None:
    one, other = (written(tmp_path / name, form) for name in ("one", "another-and-longer-name"))

    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("form", FORMS)
def test_an_older_shard_is_replaced(tmp_path: Path, form: str) -> None:
    fresh = written(tmp_path / "fresh", form, 2).read_bytes()
    written(tmp_path, form, 3)

    assert written(tmp_path, form, 2).read_bytes() == fresh


def test_a_tar_holds_the_members_of_each_sample_together_and_sorted(tmp_path: Path) -> None:
    path = written(tmp_path, "webdataset")

    with tarfile.open(path) as tar:
        names = tar.getnames()
    ends = ["image.png", "json", "mask.png", "soft.npz"]
    assert names == [f"train-s{index}-000.{end}" for index in range(3) for end in ends]


@pytest.mark.parametrize("sizes", [[], [0], [1], [511, 512, 513], [10240, 9000, 3]])
def test_a_tar_is_what_tarfile_writes(tmp_path: Path, sizes: list[int]) -> None:
    """Headers are written by hand because that is faster, not because they differ."""
    writer, by_tarfile = opened(tmp_path, "webdataset"), io.BytesIO()
    with tarfile.open(fileobj=by_tarfile, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, size in enumerate(sizes):
            info = tarfile.TarInfo(f"k{number}.json")
            info.size, info.mode = size, 0o444
            tar.addfile(info, io.BytesIO(b"x" * size))
            writer.add(f"k{number}", {"json": b"x" * size}, {})
    (path,) = writer.finish()

    assert path.read_bytes() == by_tarfile.getvalue()


def test_a_tar_with_npz_labels_is_taken_for_no_zip_archive(tmp_path: Path) -> None:
    """Readers that try zip first, such as mlcroissant, would find the last label there instead of the samples."""
    path = written(tmp_path, "webdataset", 1)
    assert tarfile.is_tarfile(path)
    assert not zipfile.is_zipfile(path)


def test_a_name_that_has_no_place_in_a_tar_is_refused(tmp_path: Path) -> None:
    writer = opened(tmp_path, "webdataset")

    with pytest.raises(ValueError, match=r"x\.json of 1 bytes has no place in a USTAR file"):
        writer.add("x" * 96, {"json": b"1"}, {})
    writer.abandon()


def test_the_longest_key_fits_into_a_tar(tmp_path: Path) -> None:
    """An id has at most 64 characters, a name in USTAR at most 100."""
    key = f"train-{'x' * 64}-9999-hard"
    writer = opened(tmp_path, "webdataset")
    add(writer, key, mixed(0))
    (path,) = writer.finish()

    with tarfile.open(path) as tar:
        assert tar.getnames()[0] == f"{key}.image.png"


def test_a_parquet_row_is_a_sample_with_its_provenance(tmp_path: Path) -> None:
    writer = opened(tmp_path, "parquet")
    sample = mixed(0)
    members = add(writer, "k", sample)
    (path,) = writer.finish()

    (stored,) = pq.read_table(path).to_pylist()

    assert stored.pop("image") == {"bytes": members["image.png"], "path": "k.image.png"}
    assert stored.pop("mask") == {"bytes": members["mask.png"], "path": "k.mask.png"}
    np.testing.assert_array_equal(np.load(io.BytesIO(stored.pop("soft"))), sample.soft)
    assert stored == row("k")


def test_an_image_that_png_cannot_hold_is_npy_in_parquet(tmp_path: Path) -> None:
    path = written(tmp_path, "parquet", 1, dtype="uint16")

    (stored,) = pq.read_table(path).to_pylist()

    image = np.load(io.BytesIO(stored["image"]))
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, mixed(0, dtype="uint16").image)


def columns(path: Path) -> dict[str, Any]:
    group = pq.read_metadata(path).row_group(0)
    return {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}


def row_groups(path: Path) -> list[int]:
    """Return how many rows each group of a table has."""
    metadata = pq.read_metadata(path)
    return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_pictures_are_stored_as_they_are_and_the_rest_is_compressed(tmp_path: Path, dtype: str) -> None:
    """PNG does not shrink twice, and readers can take its bytes without unpacking a page."""
    found = columns(written(tmp_path, "parquet", dtype=dtype))

    plain = {name for name, column in found.items() if column.compression == "UNCOMPRESSED"}
    pictures = {"mask.bytes", "mask.path"} | ({"image.bytes", "image.path"} if dtype == "uint8" else {"image"})
    assert plain == pictures
    assert {column.compression for name, column in found.items() if name not in pictures} == {"ZSTD"}


def test_every_column_has_a_page_index(tmp_path: Path) -> None:
    found = columns(written(tmp_path, "parquet"))

    assert all(column.has_offset_index for column in found.values())
    assert found["key"].has_column_index


def test_row_groups_are_bounded(tmp_path: Path) -> None:
    path = written(tmp_path, "parquet", ROW_GROUP + 1)

    assert row_groups(path) == [ROW_GROUP, 1]
    assert pq.read_table(path, columns=["key"])["key"].to_pylist() == [
        f"train-s{i}-000" for i in range(ROW_GROUP + 1)
    ]  # fmt: skip


def test_a_soft_label_is_not_encoded_for_a_tar_in_vain(tmp_path: Path) -> None:
    def never() -> bytes:
        raise AssertionError

    writer = opened(tmp_path, "webdataset")
    writer.add("k", {"image.png": b"1"}, {"soft": never})

    assert all(path.is_file() for path in writer.finish())


def test_a_tar_states_its_md5_for_the_index_and_others_none(tmp_path: Path) -> None:
    found = {}
    for form in ("webdataset", "parquet", "folder"):
        writer = opened(tmp_path, form)
        add(writer, "k", mixed(0))
        found[form] = writer.finish()

    ((path, md5),) = found["webdataset"].items()
    assert md5 == hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    assert set(found["parquet"].values()) == set(found["folder"].values()) == {None}


def test_row_groups_are_bounded_by_their_bytes_too(tmp_path: Path) -> None:
    """Float images of four channels would make groups of gigabytes, of which readers hold several."""
    writer = opened(tmp_path, "parquet")
    pictures = {"image.png": bytes(GROUP_BYTES // 5), "mask.png": bytes(GROUP_BYTES // 5)}
    for index in range(5):
        writer.add(f"k{index}", {**pictures, "json": as_json(f"k{index}")}, {"soft": lambda: bytes(GROUP_BYTES // 10)})
    (path,) = writer.finish()

    assert row_groups(path) == [2, 2, 1]


def test_a_sample_larger_than_a_row_group_has_one_of_its_own(tmp_path: Path) -> None:
    writer = opened(tmp_path, "parquet")
    for index, size in enumerate((1, GROUP_BYTES + 1, 1)):
        members = {"image.png": bytes(size), "mask.png": b"1", "json": as_json(f"k{index}")}
        writer.add(f"k{index}", members, {"soft": lambda: b"1"})
    (path,) = writer.finish()

    assert row_groups(path) == [1, 1, 1]


def files_under(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files_of_a_folder_are_the_members_under_the_key(tmp_path: Path) -> None:
    writer = opened(tmp_path, "folder")
    members = add(writer, "k", mixed(0))
    finished = writer.finish()

    names = {"image.png": "folder/images/k.png", "mask.png": "folder/masks/k.png", "soft.npz": "folder/soft/k.npz"}
    assert {name: (tmp_path / path).read_bytes() for name, path in names.items()} == {
        name: members[name] for name in names
    }
    assert files_under(tmp_path) == sorted(names.values())
    assert sorted(finished) == sorted(tmp_path / path for path in names.values())


@pytest.mark.parametrize(
    ("member", "file"),
    [
        ("soft.npy", "folder/soft/k.npy"), ("pair.npz", "folder/soft/k.npz"), ("soft.png", "folder/soft/k.png"),
        ("image.npy", "folder/images/k.npy"),
    ],
)  # fmt: skip
def test_a_file_of_a_folder_has_the_ending_of_its_member(tmp_path: Path, member: str, file: str) -> None:
    writer = opened(tmp_path, "folder")
    writer.add("k", {member: b"1", "json": b"{}"}, {"soft": lambda: b""})
    writer.finish()

    assert files_under(tmp_path) == [file]


def test_abandoning_a_folder_leaves_the_files_of_another_shard(tmp_path: Path) -> None:
    finished = opened(tmp_path, "folder")
    add(finished, "a", mixed(0))
    finished.finish()
    writer = opened(tmp_path, "folder")
    add(writer, "b", mixed(1))

    writer.abandon()

    assert files_under(tmp_path) == ["folder/images/a.png", "folder/masks/a.png", "folder/soft/a.npz"]
