"""Damaged and incomplete samples under the reading helper: one line with file, key, what is wrong and the way out."""

import io
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hsmix_gen.pipeline.dataset.array_bytes import encode_png
from hsmix_gen.pipeline.loading import HsmixDataset
from hsmix_gen.schemas.errors import OutputError
from tests.fixture_types import Maker

Damage = Callable[[Path, str], object]
ONE_PIXEL = encode_png(np.zeros((1, 1), np.uint8))


@pytest.fixture(scope="module")
def output(make_sharded: Maker) -> Path:
    """24 training samples in 4 shards of 6 and in all formats; 48 x 64 pixels, 3 classes."""
    return make_sharded("webdataset", "parquet", "folder")


def tar_with(path: Path, change: Callable[[str, str, bytes], bytes | None]) -> None:
    """Write a tar file again with other members; None leaves one out."""
    with tarfile.open(path) as archive:
        entries = [(info, archive.extractfile(info).read()) for info in archive]  # type: ignore[union-attr]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for info, data in entries:
            key, _, member = info.name.partition(".")
            changed = change(key, member, data)
            if changed is not None:
                info.size = len(changed)
                archive.addfile(info, io.BytesIO(changed))


def member_with(name: str, change: Callable[[bytes], bytes | None]) -> Damage:
    """Return a damage: one member of one sample is other than it was."""
    return lambda path, key: tar_with(
        path, lambda its_key, member, data: change(data) if (its_key, member) == (key, name) else data
    )


def rows_with(column: str, change: Callable[[Any], Any]) -> Damage:
    """Return a damage: a value of one row is other than it was."""

    def damage(path: Path, key: str) -> None:
        table = pq.read_table(path)
        rows = [{**row, column: change(row[column])} if row["key"] == key else row for row in table.to_pylist()]
        schema = pa.schema([field.with_nullable(True) for field in table.schema], table.schema.metadata)
        pq.write_table(pa.Table.from_pylist(rows, schema), path)

    return damage


def cut_to(share: float) -> Damage:
    """Return a damage: the file ends early."""
    return lambda path, _: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def other_array(data: bytes) -> bytes:
    """Return a soft label of another name and shape as an npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, labels=np.load(io.BytesIO(data))["soft"][:2])
    return buffer.getvalue()


def narrower(data: bytes) -> bytes:
    """Return a soft label without its last column as an npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, soft=np.load(io.BytesIO(data))["soft"][..., :-1])
    return buffer.getvalue()


def with_claimed_size(data: bytes) -> bytes:
    """Return an npz file that promises an array of 4 GB."""
    return data[:22] + (0xFFFFFFF0).to_bytes(4, "little") + data[26:]


def over_header(path: Path, key: str) -> None:
    """Write over the header of the first member of a sample."""
    data = path.read_bytes()
    at = data.index(f"{key}.image.png".encode())
    path.write_bytes(data[:at] + b"?" * 512 + data[at + 512 :])


def under_another_key(path: Path, key: str) -> None:
    """Put the second half of a table before the first."""
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table[3:], table[:3]]), path)


DAMAGED = r"has a damaged {} \(\w+.*\)"
DAMAGES: list[tuple[str, str, Damage, str]] = [
    ("webdataset", "image", member_with("image.png", lambda _: None), r"has no member image\.png"),
    ("webdataset", "mask", member_with("mask.png", lambda _: None), r"has no member mask\.png"),
    ("webdataset", "soft", member_with("soft.npz", lambda _: None), r"has no member soft\.npz"),
    ("webdataset", "image", member_with("json", lambda _: None), r"has no member json"),
    ("webdataset", "image", member_with("image.png", half), DAMAGED.format("image")),
    ("webdataset", "mask", member_with("mask.png", lambda _: b""), DAMAGED.format("mask")),
    ("webdataset", "soft", member_with("soft.npz", half), DAMAGED.format("soft label")),
    ("webdataset", "soft", member_with("soft.npz", lambda _: b""), "has a soft label without the array soft"),
    ("webdataset", "soft", member_with("soft.npz", other_array), "has a soft label without the array soft"),
    ("webdataset", "soft", member_with("soft.npz", with_claimed_size),
     r"has a soft label that cannot become 4294967280 bytes from \d+"),
    ("webdataset", "soft", member_with("soft.npz", narrower),
     r"has its soft label as \(3, 48, 63\) float16, expected \(3, 48, 64\) float16"),
    ("webdataset", "image", member_with("image.png", lambda _: ONE_PIXEL),
     r"has its image as \(1, 1, 1\) uint8, expected \(3, 48, 64\) uint8"),
    ("webdataset", "soft", cut_to(0.3), r"is not in it"),
    ("webdataset", "soft", lambda path, key: path.write_bytes(up_to(path, key)),
     r"is cut off: it ends at byte \d+, the file at \d+"),
    ("webdataset", "soft", over_header, r"cannot be found: byte \d+ of the file begins no tar header"),
    ("webdataset", "soft", lambda path, _: path.unlink(), r"cannot be read \(No such file or directory\)"),
    ("parquet", "image", rows_with("image", lambda _: None), r"has a null where its image\.png belongs"),
    ("parquet", "image", rows_with("image", lambda value: {**value, "bytes": None}),
     r"has a null where its image\.png belongs"),
    ("parquet", "mask", rows_with("mask", lambda _: None), r"has a null where its mask\.png belongs"),
    ("parquet", "soft", rows_with("soft", lambda _: None), r"has a null where its soft\.npy belongs"),
    ("parquet", "soft", rows_with("soft", half), DAMAGED.format("soft label")),
    ("parquet", "image", rows_with("image", lambda value: {**value, "bytes": half(value["bytes"])}),
     DAMAGED.format("image")),
    ("parquet", "image", cut_to(0.5), r"is damaged \(ArrowInvalid: .*\)"),
    ("parquet", "image", under_another_key, r"is expected in a row that holds [\w-]+"),
    ("parquet", "image", lambda path, _: pq.write_table(pq.read_table(path)[:2], path),
     r"is row 4 of a file that has 2"),
    ("parquet", "image", lambda path, _: pq.write_table(pq.read_table(path).drop_columns(["soft"]), path),
     r"is damaged \(KeyError: .*\)"),
    ("folder", "mask", lambda path, _: path.unlink(), r"cannot be read \(No such file or directory\)"),
    ("folder", "mask", cut_to(0.5), DAMAGED.format("mask")),
    ("folder", "soft", cut_to(0.5), DAMAGED.format("soft label")),
]  # fmt: skip


def up_to(path: Path, key: str) -> bytes:
    """Return a tar file up to the middle of a sample's soft label."""
    with tarfile.open(path) as archive:
        info = archive.getmember(f"{key}.soft.npz")
    return path.read_bytes()[: info.offset_data + info.size // 2]


@pytest.mark.parametrize(("form", "part", "damage", "reason"), DAMAGES)
def test_a_damaged_sample_is_reported_in_one_line(
    output: Path, tmp_path: Path, form: str, part: str, damage: Damage, reason: str
) -> None:
    """In the middle of a night of training only this line is left: file, key, what is wrong, and the way out."""
    folder = shutil.copytree(output, tmp_path / "output", ignore=shutil.ignore_patterns(".hsmix"))
    sound = HsmixDataset(output, form=form, parts=())
    key = sound[4]["key"]
    path = {
        "webdataset": folder / "webdataset" / "train-000000.tar",
        "parquet": folder / "parquet" / "train-00000-of-00004.parquet",
        "folder": next((folder / "folder").glob(f"{part}*/{key}.*"), folder),
    }[form]
    damage(path, key)
    dataset = HsmixDataset(folder, form=form, parts=(part,))

    with pytest.raises(OutputError) as caught:
        dataset[4]
    way_out = "copy the file again, or run the command again that made the dataset"
    assert re.fullmatch(rf"{re.escape(str(path))}: sample {key} {reason}; {way_out}", str(caught.value))
    assert dataset[23]["key"] == sound[23]["key"], "samples of other files are given as before"


def test_a_damaged_manifest_is_reported_in_one_line(output: Path, tmp_path: Path) -> None:
    """It is read before any sample."""
    folder = shutil.copytree(output, tmp_path / "output", ignore=shutil.ignore_patterns(".hsmix"))
    cut_to(0.5)(folder / "manifest.parquet", "")

    with pytest.raises(OutputError, match=rf"^{folder}/manifest.parquet cannot be read \(.*\); run .* again$"):
        HsmixDataset(folder)
