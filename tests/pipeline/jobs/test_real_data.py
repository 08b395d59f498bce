"""Real collections, where developers have them beside the checkout: found, run and made again."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

Cli = Callable[..., click.testing.Result]


@dataclass(frozen=True)
class RealRun:
    """A finished dataset of real pictures."""

    source: Path
    output: Path

    def json(self, name: str) -> dict[str, Any]:
        """Return one of the JSON files."""
        value: dict[str, Any] = json.loads((self.output / name).read_text())
        return value

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of the manifest."""
        rows: list[dict[str, Any]] = pq.read_table(self.output / "manifest.parquet").to_pylist()
        return rows


def run_over(source: Path, output: Path, run_cli: Cli, *options: object) -> RealRun:
    """Do a small job over a real collection."""
    common = ("--size", 96, 96, "--saliency", "fine_grained", "--backend", "serial", "--copies", 2, "--variants", 2)
    result = run_cli("run", source, output, *common, *options)
    assert result.exit_code == 0, result.stderr
    return RealRun(source, output)


@pytest.fixture(scope="module")
def isic(shared_data: Path, run_cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> RealRun:
    """Skin lesions: JPEG of many sizes in the layout of the challenge."""
    output = tmp_path_factory.mktemp("isic") / "output"
    return run_over(shared_data / "isic2017", output, run_cli, "--regions", 20, 40, "-o", "source.limit=16")


@pytest.fixture(scope="module")
def cells(shared_data: Path, run_cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> RealRun:
    """White blood cells: BMP and PNG with one stem in one folder, three classes."""
    output = tmp_path_factory.mktemp("cells") / "output"
    return run_over(shared_data / "wbc_tecom", output, run_cli, "--regions", 20, 40, "--limit", 24)


@pytest.fixture(params=["isic", "cells"])
def real(request: pytest.FixtureRequest) -> RealRun:
    """Each of them."""
    run: RealRun = request.getfixturevalue(request.param)
    return run


def test_real_dataset_is_sound_and_made_again_from_its_rows(real: RealRun, run_cli: Cli) -> None:
    """Checksums, label sums, leakage, and five samples byte for byte."""
    result = run_cli("verify", real.output, "--replay", 5)

    assert result.exit_code == 0, result.stdout
    assert "5 replays" in result.stdout


def test_real_split_follows_its_lists(real: RealRun) -> None:
    """Every parent stands in the list of its split."""
    lists = {
        split: set((real.source / "splits" / f"{split}.txt").read_text().split()) for split in ("train", "val", "test")
    }
    rows = real.rows

    assert {row["split"] for row in rows} == {"train", "val", "test"}
    for row in rows:
        parents = {Path(row[name]).stem for name in ("source_a", "source_b") if row[name] is not None}
        assert parents <= {Path(name).stem for name in lists[row["split"]]}


def test_nothing_real_is_refused(real: RealRun) -> None:
    """Both collections are whole."""
    with (real.output / "refused.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == []


@pytest.mark.parametrize(("name", "images", "classes"), [("isic", 16, 2), ("cells", 24, 3)])
def test_real_images_and_classes_are_counted(
    request: pytest.FixtureRequest, name: str, images: int, classes: int
) -> None:
    """The limit takes so many pairs, and the greys of the masks tell the number of classes."""
    dataset = request.getfixturevalue(name).json("dataset.json")

    assert sum(split["images"] for split in dataset["splits"].values()) == images
    assert len(dataset["classes"]) == classes
    assert (dataset["channels"], dataset["dtype"], dataset["size"]) == (3, "uint8", [96, 96])


def test_greys_of_cell_masks_are_three_classes(shared_data: Path, run_cli: Cli) -> None:
    """0, 128 and 255 are background, cytoplasm and nucleus; pixels are counted as they lie in the files."""
    source = shared_data / "wbc_tecom"

    result = run_cli("inspect", source, "--size", 96, 96, "--limit", 24, "--json", "--progress", "none")

    found = json.loads(result.stdout)
    paths = sorted((source / "Dataset 1").glob("*.png"))
    chosen = [paths[i * len(paths) // 24] for i in range(24)]
    masks = [np.asarray(Pillow.open(path)) for path in chosen]
    assert (found["layout"], found["usable"], found["problems"]) == ("folder", 24, [])
    assert found["mask_values"] == {"0": 0, "128": 1, "255": 2}
    for value, told in zip((0, 128, 255), found["classes"], strict=True):
        assert told["pixels"] == sum(int((mask == value).sum()) for mask in masks)
