"""Damages of a finished dataset, each with what `verify` tells of it, and how to edit what lies there."""

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

Spoil = Callable[[Path], None]
TRAIN, COPIES, SHARDS = 6, 2, 3
SAMPLES = TRAIN * COPIES + 2
"""What the dataset was made of that is damaged: it has one image in val and one in test."""
TAR = "webdataset/train-000001.tar"
TABLE = "parquet/val-00000-of-00001.parquet"
RECORD = ".hsmix/shards/train-000001.json"
MASK = "folder/masks/train-case_00-001.png"

# Editing


def read_json(path: Path) -> Any:
    """Return what a JSON file holds."""
    return json.loads(path.read_text())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(value))


def facts(path: Path) -> dict[str, Any]:
    """Return size and checksum of a file as the descriptions tell them."""
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def forge(output: Path) -> None:
    """Let all sizes and checksums tell of the files as they lie there, whatever was done to them."""
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


def change_json(output: Path, name: str, change: Callable[[Any], object]) -> None:
    """Change a JSON file in place."""
    value = read_json(output / name)
    change(value)
    write_json(output / name, value)


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


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# What names finds


def delete_a_tar(output: Path) -> None:
    (output / TAR).unlink()


def delete_a_table(output: Path) -> None:
    (output / TABLE).unlink()


def delete_a_loose_mask(output: Path) -> None:
    (output / MASK).unlink()


def truncate_a_tar(output: Path) -> None:
    data = (output / TAR).read_bytes()
    (output / TAR).write_bytes(data[: len(data) // 2])


def rename_a_tar(output: Path) -> None:
    (output / TAR).rename(output / "webdataset" / "train-000007.tar")


def add_a_tar(output: Path) -> None:
    shutil.copy(output / TAR, output / "webdataset" / "train-000003.tar")


def add_a_loose_file(output: Path) -> None:
    (output / "folder" / "soft" / "stranger.npz").write_bytes(b"")


def drop_a_format(output: Path) -> None:
    change_json(output, "dataset.json", lambda dataset: dataset["formats"].pop("parquet"))
    forge(output)


def lengthen_an_index(output: Path) -> None:
    with (output / "webdataset" / "train-index.json").open("a") as file:
        file.write(" ")


def remove(name: str) -> Spoil:
    """Return the damage that a file is missing."""

    def lose(output: Path) -> None:
        (output / name).unlink()

    lose.__name__ = f"lose_{name.rpartition('/')[2]}"
    return lose


def shorten_run_json(output: Path) -> None:
    change_json(output, "run.json", lambda run: run.pop("versions"))


def forget_a_row(output: Path) -> None:
    forge_manifest(output, lambda rows: rows.pop())


def forge_a_checksum_in_a_record(output: Path) -> None:
    change_json(output, RECORD, lambda record: record["files"][0].update(sha256="0" * 64))


def forge_a_size_in_a_record(output: Path) -> None:
    change_json(output, RECORD, lambda record: record["files"][0].update(bytes=7))


def forget_a_sample_in_a_record(output: Path) -> None:
    change_json(output, RECORD, lambda record: record["rows"].pop())


def add_a_file_to_a_record(output: Path) -> None:
    change_json(
        output, RECORD, lambda record: record["files"].append({"path": "parquet/x", "bytes": 1, "sha256": "0" * 64})
    )


def copy_a_record(output: Path) -> None:
    shutil.copy(output / RECORD, output / ".hsmix" / "shards" / "train-000099.json")


def truncate_a_record(output: Path) -> None:
    (output / RECORD).write_text((output / RECORD).read_text()[:200])


def forget_a_description(output: Path) -> None:
    change_json(output, ".hsmix/described.json", lambda files: files.pop(-1))


def describe_an_index_otherwise(output: Path) -> None:
    def forge_index(files: list[dict[str, Any]]) -> None:
        next(file for file in files if file["path"] == "webdataset/val-index.json").update(sha256="0" * 64)

    change_json(output, ".hsmix/described.json", forge_index)


# What checksums finds


def flip_in_a_tar(output: Path) -> None:
    flip(output / TAR)


def flip_in_a_table(output: Path) -> None:
    flip(output / TABLE)


def flip_in_a_loose_mask(output: Path) -> None:
    flip(output / MASK)


def flip_in_an_index(output: Path) -> None:
    flip(output / "webdataset" / "train-index.json")


def flip_in_refused_csv(output: Path) -> None:
    flip(output / "refused.csv")


def first_row(rows: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
    """Return the first row that has these values."""
    return next(row for row in rows if all(row[name] == value for name, value in values.items()))


def name_a_sample_twice(output: Path) -> None:
    forge_manifest(output, lambda rows: rows[1].update(key=rows[0]["key"]))


def move_a_row_to_another_shard(output: Path) -> None:
    forge_manifest(output, lambda rows: first_row(rows, shard="train-000001").update(shard="train-000002"))


def name_a_shard_that_is_not_there(output: Path) -> None:
    forge_manifest(output, lambda rows: first_row(rows, shard="train-000001").update(shard="train-000008"))


def call_a_training_sample_test(output: Path) -> None:
    forge_manifest(output, lambda rows: first_row(rows, split="train").update(split="test"))


def use_a_validation_parent(output: Path) -> None:
    def use(rows: list[dict[str, Any]]) -> None:
        val = first_row(rows, split="val")
        mixed = next(row for row in rows if row["split"] == "train" and row["source_b"])
        mixed.update(source_b=val["source_a"], group_b=val["group_a"])

    forge_manifest(output, use)


def share_a_group(output: Path) -> None:
    forge_manifest(
        output, lambda rows: first_row(rows, split="train").update(group_a=first_row(rows, split="val")["group_a"])
    )


def mix_with_itself(output: Path) -> None:
    def same(rows: list[dict[str, Any]]) -> None:
        mixed = next(row for row in rows if row["source_b"])
        mixed.update(source_b=mixed["source_a"])

    forge_manifest(output, same)


def name_a_method_without_hard_samples(output: Path) -> None:
    change_json(output, "dataset.json", lambda dataset: dataset.update(method="mixup"))
    forge(output)


def name_an_unknown_method(output: Path) -> None:
    change_json(output, "dataset.json", lambda dataset: dataset.update(method="blend"))
    forge(output)


def share_a_picture(output: Path) -> None:
    def share(rows: list[dict[str, Any]]) -> None:
        first_row(rows, split="val").update(image_sha256=first_row(rows, split="train")["image_sha256"])

    (stored,) = (output / ".hsmix").glob("sources*.parquet")
    rewrite_table(stored, share)


# What samples finds


def repeat_a_sample(output: Path) -> None:
    forge_tar(output, lambda members: members.extend(members[:4]))


def add_a_stranger(output: Path) -> None:
    forge_tar(
        output,
        lambda members: members.extend([("stranger." + name.partition(".")[2], data) for name, data in members[:4]]),
    )


def lose_a_sample(output: Path) -> None:
    forge_tar(output, lambda members: members.__delitem__(slice(-4, None)))


def lose_a_member(output: Path) -> None:
    forge_tar(output, lambda members: members.pop(1))


def exchange_two_images(output: Path) -> None:
    def exchange(members: list[tuple[str, bytes]]) -> None:
        (one, data_one), (other, data_other) = members[0], members[4]
        members[0], members[4] = (one, data_other), (other, data_one)

    forge_tar(output, exchange)


def change_a_soft_label(output: Path, change: Callable[[Any], object]) -> None:
    """Change the first soft label of a tar file."""

    def spoil(members: list[tuple[str, bytes]]) -> None:
        name, data = members[3]
        with np.load(io.BytesIO(data)) as archive:
            soft = archive["soft"]
        change(soft)
        buffer = io.BytesIO()
        np.savez(buffer, soft=soft)
        members[3] = (name, buffer.getvalue())

    forge_tar(output, spoil)


def halve_a_soft_label(output: Path) -> None:
    change_a_soft_label(output, lambda soft: np.divide(soft[:, :4, :4], 2, out=soft[:, :4, :4]))


def let_a_soft_label_be_no_number(output: Path) -> None:
    change_a_soft_label(output, lambda soft: soft[0].fill(np.nan))


def exchange_two_classes(output: Path) -> None:
    def exchange(members: list[tuple[str, bytes]]) -> None:
        name, data = members[2]
        buffer = io.BytesIO()
        Pillow.fromarray(2 - np.asarray(Pillow.open(io.BytesIO(data)))).save(buffer, "PNG")
        members[2] = (name, buffer.getvalue())

    forge_tar(output, exchange)


def write_a_mask_that_is_no_picture(output: Path) -> None:
    forge_tar(output, lambda members: members.__setitem__(2, (members[2][0], b"not a picture")))


def write_a_tar_that_is_none(output: Path) -> None:
    (output / TAR).write_bytes(b"not a tar file" * 1000)
    forge(output)


def write_a_table_that_is_none(output: Path) -> None:
    (output / TABLE).write_bytes(b"not a table" * 1000)
    forge(output)


def shift_lambda(output: Path) -> None:
    def shift(rows: list[dict[str, Any]]) -> None:
        first_row(rows, mode="soft")["lambda_mean"] += 0.01

    forge_manifest(output, shift)


def forge_the_checksum_of_an_image(output: Path) -> None:
    forge_manifest(output, lambda rows: rows[0].update(sha256="0" * 64))


FOUND: dict[str, dict[Spoil, tuple[str, ...]]] = {
    "names": {
        delete_a_tar: (f"{TAR} is missing; run",),
        delete_a_table: (f"{TABLE} is missing",),
        delete_a_loose_mask: (f"{MASK} is missing",),
        truncate_a_tar: (f"{TAR} has a size of", "dataset.json says"),
        rename_a_tar: (f"{TAR} is missing", "webdataset/train-000007.tar is not of this dataset"),
        add_a_tar: ("webdataset/train-000003.tar is not of this dataset, but loaders read it; remove it",),
        add_a_loose_file: ("folder/soft/stranger.npz is not of this dataset",),
        drop_a_format: (f"{TABLE} is not of this dataset", f"{RECORD} tells of parquet/train-00001-of-00003.parquet"),
        lengthen_an_index: ("webdataset/train-index.json has a size of",),
        remove("webdataset/val-index.json"): ("webdataset/val-index.json is missing",),
        remove("README.md"): ("README.md is missing; run",),
        remove("preview.png"): ("preview.png is missing; run",),
        remove("refused.csv"): ("refused.csv is missing",),
        remove("run.json"): ("run.json is missing",),
        shorten_run_json: ("run.json has a size of", ".hsmix/described.json says"),
        forget_a_row: (f"manifest.parquet has {SAMPLES - 1} rows, the splits of dataset.json have {SAMPLES} samples",),
        forge_a_checksum_in_a_record: (f"{RECORD} gives", f"the sha256 {'0' * 64}, dataset.json"),
        forge_a_size_in_a_record: (f"{RECORD} gives", "the bytes 7, dataset.json"),
        forget_a_sample_in_a_record: (f"{RECORD} has 3 samples, dataset.json gives {TAR} 4", "tell of 13 samples"),
        add_a_file_to_a_record: (f"{RECORD} tells of parquet/x, which dataset.json does not list",),
        remove(RECORD): ("14 files of dataset.json are in no record of .hsmix/shards, first folder/images/train-",),
        copy_a_record: (".hsmix/shards/train-000099.json tells of shard train-000001",),
        truncate_a_record: (f"{RECORD} is damaged",),
        remove(".hsmix/described.json"): (".hsmix/described.json is missing or damaged",),
        forget_a_description: (".hsmix/described.json lacks manifest.parquet",),
        describe_an_index_otherwise: ("webdataset/val-index.json is told differently by .hsmix/described.json",),
    },
    "checksums": {
        flip_in_a_tar: (f"{TAR} does not match its checksum",),
        flip_in_a_table: (f"{TABLE} does not match its checksum",),
        flip_in_a_loose_mask: (f"{MASK} does not match its checksum",),
        flip_in_an_index: ("webdataset/train-index.json does not match its checksum",),
        flip_in_refused_csv: ("refused.csv does not match its checksum",),
        name_a_sample_twice: ("manifest.parquet has 2 rows of sample test-case_07",),
        move_a_row_to_another_shard: (
            f"{TAR} has 4 samples, manifest.parquet has 3 rows of it",
            "parquet/train-00002-of-00003.parquet has 4 samples, manifest.parquet has 5 rows of it",
        ),
        name_a_shard_that_is_not_there: ("webdataset has no shard train 8, of which manifest.parquet has 1 rows",),
        call_a_training_sample_test: ("manifest.parquet has 11 train samples, dataset.json says 12",),
        use_a_validation_parent: ("leakage: source", "train and val"),
        share_a_group: ("leakage: group", "train and val"),
        share_a_picture: ("leakage: image content", "train and val"),
        mix_with_itself: ("both parents are case_0",),
        name_a_method_without_hard_samples: ("manifest.parquet: train-", " is hard, mixup has no such samples"),
        name_an_unknown_method: ("dataset.json names the mixing method blend, known are cutmix, hsmix, mixup",),
    },
    "samples": {
        repeat_a_sample: (f"{TAR}: sample", "occurs twice in webdataset"),
        add_a_stranger: (f"{TAR}: sample stranger is not in the manifest",),
        lose_a_sample: ("webdataset lacks 1 samples of the manifest, first train-",),
        lose_a_member: (f"{TAR}: sample", "has no member json"),
        exchange_two_images: (f"{TAR}: sample", "image does not match size and checksum of the manifest"),
        halve_a_soft_label: (f"{TAR}: sample", "channels of the soft label do not sum to 1"),
        let_a_soft_label_be_no_number: (f"{TAR}: sample", "channels of the soft label do not sum to 1"),
        exchange_two_classes: (f"{TAR}: sample", "mask is not the argmax of the soft label"),
        write_a_mask_that_is_no_picture: (f"{TAR}: sample", "mask cannot be decoded"),
        write_a_tar_that_is_none: (f"{TAR} cannot be read",),
        write_a_table_that_is_none: (f"{TABLE} cannot be read",),
        shift_lambda: ("provenance differs from the manifest",),
        forge_the_checksum_of_an_image: ("image does not match size and checksum of the manifest",),
    },
}
