"""What a run promises of its files, read from them alone: no code of the product is imported here."""

import csv
import hashlib
import io
import json
import re
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from tests.pipeline.contract.outputs import COPIES, N_CLASSES, SELECT, TEST, TRAIN, VAL, Dataset

MANIFEST_COLUMNS = (
    "key", "split", "fold", "mode", "source_a", "source_b", "group_a", "group_b", "variant_a", "variant_b",
    "transform_a", "transform_b", "seed", "select_p", "area_b", "lambda_min", "lambda_mean", "lambda_max", "regions",
    "flags", "shard", "index", "bytes", "sha256", "spacing_a", "spacing_b",
    "method", "selection", "scale_b",
    "pixels_a", "pixels_b", "pixels", "fragments", "fragments_before", "objects", "cut", "small", "small_cut",
    "appearance", "contour",
    "contour_chance", "auc_a", "auc_b", "lambda_std", "augment",
)  # fmt: skip
MEASURES = MANIFEST_COLUMNS[MANIFEST_COLUMNS.index("pixels_a") :]
PLACE = ("shard", "index", "bytes", "sha256", *MEASURES)
"""What the manifest has and a sample does not carry: its place, and what was measured of it."""
UNSAID = ("method", "selection", "scale_b")  # absent from samples that hsmix mixed by the Bernoulli draw
MEMBERS = {"image.png", "mask.png", "soft.npz", "json"}


def test_cached_image_and_mask_are_those_of_the_files(dataset: Dataset) -> None:
    """At the native size nothing is resampled: the cache holds the very pixels, and greys became class ids."""
    assert [record["id"] for record in dataset.records] == [f"case_{i:02d}" for i in range(TRAIN + VAL + TEST)]
    for number, record in enumerate(dataset.records):
        name = f"{record['id']}.png"
        image = np.asarray(Pillow.open(dataset.source / "images" / name))
        mask = np.asarray(Pillow.open(dataset.source / "masks" / name))
        assert (dataset.images[number] == image).all()
        assert (np.array([0, 128, 255])[dataset.masks[number]] == mask).all()
        for kind in ("image", "mask"):
            data = (dataset.source / f"{kind}s" / name).read_bytes()
            assert record[f"{kind}_sha256"] == hashlib.sha256(data).hexdigest()
            assert Path(record[kind]) == dataset.source / f"{kind}s" / name
        assert (record["height"], record["width"], record["refusal"]) == (48, 64, None)


def test_cached_superpixels_are_numbered_without_gaps(dataset: Dataset) -> None:
    """Labels are 0 to R - 1 and `count` is R, so that tables by label need no search."""
    assert [str(array.dtype) for array in (dataset.labels, dataset.counts, dataset.saliency)] == [
        *("uint16", "uint16", "uint8")
    ]
    for maps, counts in zip(dataset.labels, dataset.counts, strict=True):
        for labels, count in zip(maps, counts, strict=True):
            assert np.unique(labels).tolist() == list(range(count))
            assert 2 <= count <= 40


def test_manifest_has_the_promised_columns_sorted_by_key(dataset: Dataset) -> None:
    """Other programs read these names; the order makes equal runs equal files."""
    keys = [row["key"] for row in dataset.rows]

    assert tuple(dataset.table.column_names) == MANIFEST_COLUMNS
    assert keys == sorted(set(keys))
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", key) for key in keys)


def test_every_sample_has_the_same_members_in_the_order_of_its_row(dataset: Dataset) -> None:
    """A loader that maps members to tensors must not meet a sample without one, or another sample."""
    assert sum(map(len, dataset.in_tars.values())) == len(dataset.rows)
    for row in dataset.rows:
        key, members = dataset.in_tars[row["shard"]][row["index"]]
        assert key == row["key"]
        assert members.keys() == MEMBERS


def test_rows_state_size_and_checksum_of_the_image_member(dataset: Dataset) -> None:
    """A damaged picture can be found without decoding anything."""
    for sample in dataset.samples:
        image = sample.members["image.png"]
        assert sample.row["bytes"] == len(image)
        assert sample.row["sha256"] == hashlib.sha256(image).hexdigest()


def test_json_member_repeats_the_row(dataset: Dataset) -> None:
    """A shard alone says how its samples came about."""
    for sample in dataset.samples:
        provenance = json.loads(sample.members["json"])
        assert provenance == {name: value for name, value in sample.row.items() if name not in (*PLACE, *UNSAID)}


def test_parquet_rows_equal_the_tar_members(dataset: Dataset) -> None:
    """Both formats hold the same samples, byte for byte, with the metadata by which pictures decode."""
    rows: dict[str, dict[str, Any]] = {}
    for path in sorted((dataset.root / "parquet").glob("*.parquet")):
        table = pq.read_table(path)
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        assert features["image"]["_type"] == features["mask"]["_type"] == "Image"
        rows |= {row["key"]: row for row in table.to_pylist()}

    assert rows.keys() == {row["key"] for row in dataset.rows}
    for sample in dataset.samples:
        row = rows[sample.row["key"]]
        assert row["image"]["bytes"] == sample.members["image.png"]
        assert row["mask"]["bytes"] == sample.members["mask.png"]
        assert (np.load(io.BytesIO(row["soft"])) == sample.soft).all()
        stated = [name for name in MANIFEST_COLUMNS if name not in (*PLACE, *UNSAID)]
        assert {name: row[name] for name in stated} == {name: sample.row[name] for name in stated}
        assert not set(UNSAID) & row.keys()


def test_measures_are_those_of_the_stored_sample(dataset: Dataset) -> None:
    """Class sums can be counted again from the soft label; what needs both parents is there for mixes alone."""
    for sample in dataset.samples:
        row = sample.row
        assert row["pixels"] == pytest.approx(sample.soft.astype(np.float64).sum(axis=(1, 2)), abs=2)
        is_mixed = row["mode"] != "none"
        assert all((row[name] is not None) == is_mixed for name in ("pixels_b", "fragments", "cut", "appearance"))
        assert (row["auc_a"] is not None) == (row["mode"] == "soft")


def test_shard_names_count_without_gaps(dataset: Dataset) -> None:
    """Brace patterns such as train-{000000..000002}.tar have to hit every file."""
    tars = sorted(path.name for path in (dataset.root / "webdataset").iterdir() if path.suffix != ".json")
    tables = sorted(path.name for path in (dataset.root / "parquet").iterdir())

    assert tars == sorted(["test-000000.tar", "val-000000.tar", *(f"train-{number:06d}.tar" for number in range(3))])
    assert tables == sorted(
        [
            "test-00000-of-00001.parquet",
            "val-00000-of-00001.parquet",
            *(f"train-{number:05d}-of-00003.parquet" for number in range(3)),
        ]
    )


def test_tar_members_carry_no_time_and_no_owner(dataset: Dataset) -> None:
    """Clock and user would make equal runs differ."""
    for path in (dataset.root / "webdataset").glob("*.tar"):
        with tarfile.open(path) as tar:
            for info in tar:
                assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")
                assert info.isreg()


def test_dataset_json_says_what_is_there(dataset: Dataset) -> None:
    """A trainer takes classes, size, counts and files from here, so they have to be true."""
    described = dataset.described
    counts = Counter(row["split"] for row in dataset.rows)

    assert isinstance(described["contract"], int)
    assert len(described["classes"]) == N_CLASSES
    assert (described["size"], described["channels"], described["dtype"]) == ([48, 64], 3, "uint8")
    assert described["label_mode"] == "exclusive"
    assert {name: split["samples"] for name, split in described["splits"].items()} == counts
    assert {name: split["images"] for name, split in described["splits"].items()} == {
        "train": TRAIN,
        "val": VAL,
        "test": TEST,
    }
    for form in ("webdataset", "parquet", "folder"):
        indexes = [file for file in described["indexes"] if file["path"].startswith(f"{form}/")]
        listed = {file["path"]: file for file in (*described["formats"][form], *indexes)}
        files = [path for path in (dataset.root / form).rglob("*") if path.is_file()]
        there = {str(path.relative_to(dataset.root)): path for path in files}
        assert listed.keys() == there.keys()
        for name, path in there.items():
            assert listed[name]["bytes"] == path.stat().st_size
            assert listed[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert described["config_digest"] == dataset.run["config_digest"]


def test_files_of_the_folder_are_the_tar_members(dataset: Dataset) -> None:
    """Nothing is mixed twice: all formats hold the same bytes."""
    folder = dataset.root / "folder"
    for sample in dataset.samples:
        key = sample.row["key"]
        found = {
            "image.png": (folder / "images" / f"{key}.png").read_bytes(),
            "mask.png": (folder / "masks" / f"{key}.png").read_bytes(),
            "soft.npz": (folder / "soft" / f"{key}.npz").read_bytes(),
        }
        assert found == {name: sample.members[name] for name in found}


def test_datalist_names_every_sample_once_in_the_order_of_the_shards(dataset: Dataset) -> None:
    """Decathlon readers take training, validation and test from it, with paths relative to the list."""
    listed = json.loads((dataset.root / "folder" / "dataset.json").read_text())
    for split, name in (("train", "training"), ("val", "validation"), ("test", "test")):
        rows = [row for row in dataset.rows if row["split"] == split]
        keys = [row["key"] for row in sorted(rows, key=lambda row: (row["shard"], row["index"]))]
        assert listed[name] == [
            {"image": f"images/{key}.png", "label": f"masks/{key}.png", "soft": f"soft/{key}.npz"} for key in keys
        ]
    assert (listed["numTraining"], listed["numTest"]) == (len(listed["training"]), TEST)
    assert list(listed["labels"]) == ["0", "1", "2"]
    assert listed["labels"]["0"] == "background"


def test_index_of_a_split_states_place_count_and_checksum_of_its_tar_files(dataset: Dataset) -> None:
    """Readers with random access (wids) know from it which file holds the n-th sample."""
    counts = Counter(row["shard"] for row in dataset.rows)
    for split in ("train", "val", "test"):
        index = json.loads((dataset.root / "webdataset" / f"{split}-index.json").read_text())
        tars = sorted((dataset.root / "webdataset").glob(f"{split}-*.tar"))
        assert (index["__kind__"], index["wids_version"]) == ("wids-shard-index-v1", 1)
        assert index["shardlist"] == [
            {
                "url": path.name,
                "nsamples": counts[path.stem],
                "md5sum": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest(),
                "filesize": path.stat().st_size,
            }
            for path in tars
        ]


def test_dataset_json_says_how_many_samples_a_shard_holds(dataset: Dataset) -> None:
    """Trainers set the length of an epoch from it."""
    counts = Counter(row["shard"] for row in dataset.rows)

    for split, described in dataset.described["splits"].items():
        held = [count for shard, count in counts.items() if shard.startswith(f"{split}-")]
        assert described["samples_per_shard"] == [min(held), max(held)]
    for file in (*dataset.described["formats"]["webdataset"], *dataset.described["formats"]["parquet"]):
        split, number = re.findall(r"/(\w+)-0*(\d+)", file["path"])[0]
        assert file["samples"] == counts[f"{split}-{int(number):06d}"]


def test_run_json_says_how_it_came_about(dataset: Dataset) -> None:
    """Configuration, versions, layers and counts are enough to make the same dataset again."""
    run = dataset.run
    mix = run["config"]["mix"]

    assert (mix["policy"], mix["copies"], mix["select"]) == (dataset.root.name, COPIES, SELECT)
    assert (run["seed"], run["config"]["seed"]) == (11, 11)
    assert run["layers"].keys() == {"images", "superpixels", "saliency"}
    assert all((dataset.cache / f"{name}.zarr").is_dir() for name in run["layers"].values())
    assert {"hsmix-gen", "numpy", "scikit-image", "zarr"} <= run["versions"].keys()
    assert run["samples"] == Counter(row["split"] for row in dataset.rows)
    assert run["modes"] == Counter(row["mode"] for row in dataset.rows if row["split"] == "train")
    assert (run["sources"], run["refused"]["total"]) == (TRAIN + VAL + TEST, 0)
    assert all(run["seconds"][stage] >= 0 for stage in ("images", "superpixels", "saliency", "mix"))


def test_refusals_are_listed_even_when_there_are_none(dataset: Dataset) -> None:
    """A program that reads refused.csv needs no special case."""
    with (dataset.root / "refused.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["id", "path", "stage", "reason"]]


def test_card_and_preview_are_there(dataset: Dataset) -> None:
    """The card opens with the header that hubs read, names every split, and shows the contact sheet."""
    card = (dataset.root / "README.md").read_text()
    with Pillow.open(dataset.root / "preview.png") as preview:
        preview.load()

    assert card.startswith("---\n")
    assert "\n---\n" in card[4:]
    assert "![preview](preview.png)" in card
    for name, split in dataset.described["splits"].items():
        assert f"| {name} | {split['images']} | {split['samples']} | {split['shards']} |" in card
    assert preview.format == "PNG"


def test_nothing_else_lies_in_the_output(dataset: Dataset) -> None:
    """A file that the contract does not name is debris, or a promise nobody made."""
    assert {path.name for path in dataset.root.iterdir()} == {
        *("dataset.json", "manifest.parquet", "run.json", "refused.csv", "README.md", "preview.png", "croissant.json"),
        *("webdataset", "parquet", "folder", ".hsmix"),
    }
