"""Damages of a finished dataset, each with what `verify` reports of it, and how to edit what lies there."""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as Pillow

from hsmix_gen.pipeline.files.sealed_json import SEAL
from tests.written import flip, truncate

Spoil = Callable[[Path], object]
TRAIN, COPIES, SHARDS = 6, 2, 3
SAMPLES = TRAIN * COPIES + 2
"""What the dataset was made of that is damaged: it has one image in val and one in test."""
TAR = "webdataset/train-000001.tar"
TABLE = "parquet/val-00000-of-00001.parquet"
RECORD = ".hsmix/shards/train-000001.json"
INDEX = "webdataset/train-index.json"
LIST = "folder/dataset.json"
MASK = "folder/masks/train-case_00-001.png"

# Editing


def read_json(path: Path) -> Any:
    """Return what a JSON file holds."""
    return json.loads(path.read_text())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file."""
    if isinstance(value, dict):
        value.pop(SEAL, None)  # as who forges a value would
    path.write_text(json.dumps(value))


def change_a_value(output: Path) -> None:
    """Change a number in a record that nothing else states."""
    text = (output / RECORD).read_text()
    (output / RECORD).write_text(text.replace('"area_b": 0.', '"area_b": 0.1', 1))


def facts(path: Path) -> dict[str, Any]:
    """Return size and checksum of a file as the descriptions state them."""
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def forge(output: Path) -> None:
    """Let all sizes and checksums be those of the files as they lie there, whatever was done to them."""
    dataset = read_json(output / "dataset.json")
    for file in (*(file for files in dataset["formats"].values() for file in files), *dataset["indexes"]):
        file.update(facts(output / file["path"]))
    write_json(output / "dataset.json", dataset)
    for path in (output / ".hsmix" / "shards").iterdir():
        record = read_json(path)
        for file in record["files"]:
            file.update(facts(output / file["path"]))
        write_json(path, record)
    described = read_json(output / ".hsmix" / "described.json")
    for file in described:
        file.update(facts(output / file["path"]))
    write_json(output / ".hsmix" / "described.json", described)


def rewrite_table(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the rows of a Parquet file and keep its schema."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def forge_manifest(output: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change rows of the manifest, and let sizes and checksums agree."""
    rewrite_table(output / "manifest.parquet", change)
    forge(output)


def forge_tar(output: Path, change: Callable[[list[tuple[str, bytes]]], object]) -> None:
    """Edit the members of a tar file; each sample has four: image, json, mask and soft label."""
    with tarfile.open(output / TAR) as tar:
        members = [(info.name, (tar.extractfile(info) or io.BytesIO()).read()) for info in tar]
    change(members)
    with tarfile.open(output / TAR, "w", format=tarfile.USTAR_FORMAT) as tar:
        for member, data in members:
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    forge(output)


def remove(name: str) -> Spoil:
    """Return the damage that a file is missing."""
    return lambda output: (output / name).unlink()


def flip_in(name: str) -> Spoil:
    """Return the damage that a bit of a file is another one."""
    return lambda output: flip(output / name)


def copy(name: str, to: str) -> Spoil:
    """Return the damage that a file is there twice."""
    return lambda output: shutil.copy(output / name, output / to)


def write(name: str, data: bytes) -> Spoil:
    """Return the damage that a file holds something else, about which all sizes and checksums agree."""

    def spoil(output: Path) -> None:
        (output / name).write_bytes(data)
        forge(output)

    return spoil


def with_json(name: str, change: Callable[[Any], object]) -> Spoil:
    """Return the damage that a JSON file is another one."""

    def spoil(output: Path) -> None:
        value = read_json(output / name)
        change(value)
        write_json(output / name, value)

    return spoil


def with_rows(change: Callable[[list[dict[str, Any]]], object]) -> Spoil:
    """Return the damage that rows of the manifest are forged."""
    return lambda output: forge_manifest(output, change)


def with_members(change: Callable[[list[tuple[str, bytes]]], object]) -> Spoil:
    """Return the damage that members of a tar file are forged."""
    return lambda output: forge_tar(output, change)


def drop_a_format(output: Path) -> None:
    with_json("dataset.json", lambda dataset: dataset["formats"].pop("parquet"))(output)
    forge(output)


def name_method(name: str) -> Spoil:
    """Return the damage that another mixing method is named."""

    def spoil(output: Path) -> None:
        with_json("dataset.json", lambda dataset: dataset.update(method=name))(output)
        forge(output)

    return spoil


def describe_an_index_otherwise(files: list[dict[str, Any]]) -> None:
    first_row(files, path="webdataset/val-index.json").update(sha256="0" * 64)


def first_row(rows: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
    """Return the first row that has these values."""
    return next(row for row in rows if all(row[name] == value for name, value in values.items()))


def first_mixed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the first row with two parents."""
    return next(row for row in rows if row["source_b"])


def use_a_validation_parent(rows: list[dict[str, Any]]) -> None:
    val = first_row(rows, split="val")
    first_mixed(rows).update(source_b=val["source_a"], group_b=val["group_a"])


def share_a_picture(output: Path) -> None:
    def share(rows: list[dict[str, Any]]) -> None:
        first_row(rows, split="val").update(image_sha256=first_row(rows, split="train")["image_sha256"])

    (stored,) = (output / ".hsmix").glob("sources*.parquet")
    rewrite_table(stored, share)


def exchange_two_images(members: list[tuple[str, bytes]]) -> None:
    (one, data_one), (other, data_other) = members[0], members[4]
    members[0], members[4] = (one, data_other), (other, data_one)


def with_soft_label(change: Callable[[Any], object]) -> Spoil:
    """Return the damage that the first soft label of a tar file is another one."""

    def spoil(members: list[tuple[str, bytes]]) -> None:
        name, data = members[3]
        with np.load(io.BytesIO(data)) as archive:
            soft = archive["soft"]
        change(soft)
        buffer = io.BytesIO()
        np.savez(buffer, soft=soft)
        members[3] = (name, buffer.getvalue())

    return with_members(spoil)


def exchange_two_classes(members: list[tuple[str, bytes]]) -> None:
    name, data = members[2]
    buffer = io.BytesIO()
    Pillow.fromarray(2 - np.asarray(Pillow.open(io.BytesIO(data)))).save(buffer, "PNG")
    members[2] = (name, buffer.getvalue())


def shift_lambda(rows: list[dict[str, Any]]) -> None:
    first_row(rows, mode="soft")["lambda_mean"] += 0.01


FORGED = {"sha256": "0" * 64}
FOUND: dict[str, dict[str, tuple[Spoil, *tuple[str, ...]]]] = {
    "names": {
        "tar deleted": (remove(TAR), f"{TAR} is missing; run"),
        "table deleted": (remove(TABLE), f"{TABLE} is missing"),
        "loose mask deleted": (remove(MASK), f"{MASK} is missing"),
        "tar truncated": (lambda output: truncate(output / TAR), f"{TAR} has a size of", "dataset.json says"),
        "tar renamed": (
            lambda output: (output / TAR).rename(output / "webdataset" / "train-000007.tar"),
            f"{TAR} is missing",
            "webdataset/train-000007.tar is not of this dataset",
        ),
        "tar added": (
            copy(TAR, "webdataset/train-000003.tar"),
            "webdataset/train-000003.tar is not of this dataset, but loaders read it; remove it",
        ),
        "loose file added": (
            lambda output: (output / "folder" / "soft" / "stranger.npz").write_bytes(b""),
            "folder/soft/stranger.npz is not of this dataset",
        ),
        "format dropped": (
            drop_a_format,
            f"{TABLE} is not of this dataset",
            f"{RECORD} lists parquet/train-00001-of-00003.parquet",
        ),
        "list longer": (
            lambda output: write_json(output / LIST, read_json(output / LIST) | {"x": 1}),
            f"{LIST} has a size of",
        ),
        "index longer": (
            lambda output: write_json(output / INDEX, read_json(output / INDEX) | {"x": 1}),
            f"{INDEX} has a size of",
        ),
        "index deleted": (remove("webdataset/val-index.json"), "webdataset/val-index.json is missing"),
        "card deleted": (remove("README.md"), "README.md is missing; run"),
        "preview deleted": (remove("preview.png"), "preview.png is missing; run"),
        "refusals deleted": (remove("refused.csv"), "refused.csv is missing"),
        "run.json deleted": (remove("run.json"), "run.json is missing"),
        "run.json shorter": (
            with_json("run.json", lambda run: run.pop("versions")),
            "run.json has a size of",
            ".hsmix/described.json says",
        ),
        "row forgotten": (
            with_rows(lambda rows: rows.pop()),
            f"manifest.parquet has {SAMPLES - 1} rows, the splits of dataset.json have {SAMPLES} samples",
        ),
        "checksum in a record forged": (
            with_json(RECORD, lambda record: record["files"][0].update(FORGED)),
            f"{RECORD} gives",
            f"the sha256 {'0' * 64}, dataset.json",
        ),
        "size in a record forged": (
            with_json(RECORD, lambda record: record["files"][0].update(bytes=7)),
            f"{RECORD} gives",
            "the bytes 7, dataset.json",
        ),
        "sample in a record forgotten": (
            with_json(RECORD, lambda record: record["rows"].pop()),
            f"{RECORD} has 3 samples, dataset.json gives {TAR} 4",
            "count 13 samples",
        ),
        "file in a record added": (
            with_json(RECORD, lambda record: record["files"].append({"path": "parquet/x", "bytes": 1, **FORGED})),
            f"{RECORD} lists parquet/x, which dataset.json does not list",
        ),
        "record deleted": (
            remove(RECORD),
            "14 files of dataset.json are in no record of .hsmix/shards, first folder/images/train-",
        ),
        "record copied": (
            copy(RECORD, ".hsmix/shards/train-000099.json"),
            ".hsmix/shards/train-000099.json describes shard train-000001",
        ),
        "value in a record changed": (change_a_value, f"{RECORD} is damaged"),
        "record truncated": (lambda output: truncate(output / RECORD), f"{RECORD} is damaged"),
        "descriptions deleted": (
            remove(".hsmix/described.json"),
            ".hsmix/described.json is missing or damaged",
        ),
        "description forgotten": (
            with_json(".hsmix/described.json", lambda files: files.pop(-1)),
            ".hsmix/described.json lacks manifest.parquet",
        ),
        "index described otherwise": (
            with_json(".hsmix/described.json", describe_an_index_otherwise),
            "webdataset/val-index.json is described differently by .hsmix/described.json",
        ),
    },
    "checksums": {
        **{
            f"{name} flipped": (flip_in(name), f"{name} does not match its checksum")
            for name in (TAR, TABLE, MASK, INDEX, "refused.csv")
        },
        "sample named twice": (
            with_rows(lambda rows: rows[1].update(key=rows[0]["key"])),
            "manifest.parquet has 2 rows of sample test-case_07",
        ),
        "row in another shard": (
            with_rows(lambda rows: first_row(rows, shard="train-000001").update(shard="train-000002")),
            f"{TAR} has 4 samples, manifest.parquet has 3 rows of it",
            "parquet/train-00002-of-00003.parquet has 4 samples, manifest.parquet has 5 rows of it",
        ),
        "row in no shard": (
            with_rows(lambda rows: first_row(rows, shard="train-000001").update(shard="train-000008")),
            "webdataset has no shard train 8, of which manifest.parquet has 1 rows",
        ),
        "training sample called test": (
            with_rows(lambda rows: first_row(rows, split="train").update(split="test")),
            "manifest.parquet has 11 train samples, dataset.json says 12",
        ),
        "validation parent": (with_rows(use_a_validation_parent), "leakage: source", "train and val"),
        "group shared": (
            with_rows(
                lambda rows: first_row(rows, split="train").update(group_a=first_row(rows, split="val")["group_a"])
            ),
            "leakage: group",
            "train and val",
        ),
        "picture shared": (share_a_picture, "leakage: image content", "train and val"),
        "method without hard samples": (
            name_method("mixup"),
            "manifest.parquet: train-",
            " is hard, mixup has no such samples",
        ),
        "unknown method": (
            name_method("blend"),
            "dataset.json names the mixing method blend, known are cam-superpixels, carvemix, classmix, ",
        ),
        "mixed with itself": (
            with_rows(lambda rows: first_mixed(rows).update(source_b=first_mixed(rows)["source_a"])),
            "both parents are case_0",
        ),
    },
    "samples": {
        "sample repeated": (
            with_members(lambda members: members.extend(members[:4])),
            f"{TAR}: sample",
            "occurs twice in webdataset",
        ),
        "stranger added": (
            with_members(
                lambda members: members.extend(
                    [(f"stranger.{name.partition('.')[2]}", data) for name, data in members[:4]]
                )
            ),
            f"{TAR}: sample stranger is not in the manifest",
        ),
        "sample lost": (
            with_members(lambda members: members.__delitem__(slice(-4, None))),
            "webdataset lacks 1 samples of the manifest, first train-",
        ),
        "member lost": (with_members(lambda members: members.pop(1)), f"{TAR}: sample", "has no member json"),
        "images exchanged": (
            with_members(exchange_two_images),
            f"{TAR}: sample",
            "image does not match size and checksum of the manifest",
        ),
        "soft label halved": (
            with_soft_label(lambda soft: np.divide(soft[:, :4, :4], 2, out=soft[:, :4, :4])),
            f"{TAR}: sample",
            "channels of the soft label do not sum to 1",
        ),
        "soft label no number": (
            with_soft_label(lambda soft: soft[0].fill(np.nan)),
            f"{TAR}: sample",
            "channels of the soft label do not sum to 1",
        ),
        "classes exchanged": (
            with_members(exchange_two_classes),
            f"{TAR}: sample",
            "mask is not the argmax of the soft label",
        ),
        "mask no picture": (
            with_members(lambda members: members.__setitem__(2, (members[2][0], b"not a picture"))),
            f"{TAR}: sample",
            "has a damaged mask",
        ),
        "tar no tar": (write(TAR, b"not a tar file" * 1000), f"{TAR} cannot be read"),
        "table no table": (write(TABLE, b"not a table" * 1000), f"{TABLE} cannot be read"),
        "lambda shifted": (with_rows(shift_lambda), "provenance differs from the manifest"),
        "checksum of an image forged": (
            with_rows(lambda rows: rows[0].update(FORGED)),
            "image does not match size and checksum of the manifest",
        ),
    },
}
