"""Every real folder that developers hold: understood in each number that its README states, run, and verified."""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.command_line import inspected, run_cli


@dataclass(frozen=True)
class Folder:
    """A real folder, what `inspect` has to say of it, and the options that its run needs."""

    layout: str
    stated: dict[str, Any]
    """Entries of ``inspect --json``; of classes the pixels by name."""
    options: tuple[object, ...] = ()
    limit: int | None = None
    n_channels: int = 3
    classes: dict[str, int] = field(default_factory=dict)


FOLDERS: dict[str, Folder] = {
    "isic2017": Folder(
        "isic",
        {
            "pairs": 120,
            "usable": 120,
            "sizes": {
                "different": 31,
                "height": [542, 2304],
                "width": [576, 3072],
                "most_common": [[576, 767, 27], [768, 1024, 21], [802, 919, 15]],
            },
            "mask_values": {"0": 0, "255": 1},
            "splits": {"train": 84, "val": 12, "test": 24},
        },
        limit=12,
        classes={"background": 69486486, "lesion": 30549738},
    ),
    "wbc_tecom": Folder(
        "folder",
        {
            "pairs": 299,
            "usable": 299,
            "sizes": {"different": 30, "height": [88, 120], "width": [88, 120]},
            "mask_values": {"0": 0, "128": 1, "255": 2},
            "splits": {"train": 209, "val": 30, "test": 60},
        },
        limit=16,
        classes={"background": 2873813, "class_1": 789632, "class_2": 515659},
    ),
    "msd_hippocampus": Folder(
        "msd",
        {
            "pairs": 60,
            "volumes": True,
            "spacing": [[1.0, 1.0]] * 3,
            "groups": 60,
            "mask_values": {"0": 0, "1": 1, "2": 2},
        },
        ("--every", 8),
        limit=6,
        n_channels=1,
    ),
    "brats2021_case": Folder(
        "brats",
        {
            "pairs": 1,
            "images": 68,
            "volumes": True,
            "channels": 4,
            "spacing": [[1.0, 1.0]] * 3,
            "mask_values": {"0": 0, "1": 1, "2": 2, "4": 3},
            "values": [0.0, 15956.0],
        },
        ("--split", "1/0/0", "--partners", "any", "--every", 6),
        n_channels=4,
        classes={"necrotic core": 25506, "oedema": 85957, "enhancing tumour": 26448},
    ),
    "layouts/glas_warwick_qu": Folder(
        "glas",
        {
            "pairs": 6,
            "usable": 6,
            "mask_values": {"0": 0, "1": 1},
            "splits": {"train": 4, "val": 0, "test": 2},
            "sizes": {
                "different": 2,
                "height": [433, 522],
                "width": [574, 775],
                "most_common": [[522, 775, 5], [433, 574, 1]],
            },
        },
    ),
    "layouts/glas_img_labelcol": Folder(
        "glas",
        {
            "pairs": 3,
            "splits": {"train": 2, "val": 0, "test": 1},
            "sizes": {
                "different": 2,
                "height": [453, 522],
                "width": [589, 775],
                "most_common": [[522, 775, 2], [453, 589, 1]],
            },
        },
    ),
    "layouts/monuseg2018": Folder(
        "monuseg",
        {
            "pairs": 4,
            "images": 4,
            "usable": 4,
            "groups": 4,
            "splits": {"train": 2, "val": 0, "test": 2},
            "sizes": {"different": 1, "height": [1000] * 2, "width": [1000] * 2, "most_common": [[1000, 1000, 4]]},
        },
        ("--tiles", 512, 512, "--overlap", 24),
    ),
    "layouts/synapse_transunet": Folder(
        "synapse",
        {
            "pairs": 11,
            "images": 20,
            "groups": 2,
            "splits": {"train": 10, "val": 0, "test": 10},
            "dtype": "uint16",
            "values": [0.0, 1.0],
            "mask_values": {str(value): value for value in range(9)},
        },
        ("--partners", "any"),
        n_channels=1,
        classes={"gallbladder": 0, "left kidney": 0, "right kidney": 0},
    ),
    "layouts/brats2018_tiny": Folder(
        "brats",
        {"pairs": 2, "images": 32, "channels": 4, "groups": 2, "mask_values": {"0": 0, "1": 1, "2": 2, "4": 3}},
        ("--split", "1/0/0", "--preset", "brats2018", "--every", 4),
        n_channels=4,
    ),
    "layouts/brats2015_deepmedic": Folder(
        "brats",
        {
            "pairs": 1,
            "channels": 2,
            "mask_values": {str(value): value for value in range(5)},
        },
        ("--split", "1/0/0", "--partners", "any", "--every", 12),
        n_channels=2,
    ),
    "layouts/kvasir_seg_sample": Folder(
        "folder",
        {
            "pairs": 5,
            "usable": 5,
            "mask_values": {"0": 0, "255": 1},
            "sizes": {
                "different": 5,
                "height": [528, 1070],
                "width": [617, 1348],
            },
        },
    ),
}


@pytest.fixture(scope="module", params=list(FOLDERS))
def name(request: pytest.FixtureRequest) -> str:
    """Each of the folders."""
    return str(request.param)


@pytest.fixture(scope="module")
def found(name: str, shared_data: Path) -> dict[str, Any]:
    """What `inspect` says of the whole folder."""
    return inspected(shared_data / name)


@pytest.fixture(scope="module")
def output(name: str, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset that a small run makes of it."""
    folder = FOLDERS[name]
    output = tmp_path_factory.mktemp("real") / "output"
    small = (
        *("--size", 64, 64, "--regions", 20, 40, "--variants", 1, "--saliency", "fine_grained", "--copies", 1),
        *("--backend", "serial", "--progress", "none", "--policy", "paired"),
    )
    limit = () if folder.limit is None else ("--limit", folder.limit)
    run_cli("run", shared_data / name, output, *folder.options, *small, *limit)
    return output


def test_every_stated_number_is_understood(name: str, found: dict[str, Any]) -> None:
    folder = FOLDERS[name]

    assert (found["layout"], found["problems"]) == (folder.layout, [])
    for key, value in folder.stated.items():
        stated = {part: found[key][part] for part in value} if key == "sizes" else found[key]
        assert stated == value, key
    pixels = {entry["name"]: entry["pixels"] for entry in found["classes"]}
    assert {class_name: pixels[class_name] for class_name in folder.classes} == folder.classes


def test_the_run_is_complete_and_nothing_is_refused(name: str, output: Path) -> None:
    with (output / "refused.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == []
    dataset = json.loads((output / "dataset.json").read_text())
    assert dataset["channels"] == FOLDERS[name].n_channels
    n_rows = pq.read_table(output / "manifest.parquet").num_rows
    assert sum(split["samples"] for split in dataset["splits"].values()) == n_rows


def test_samples_stay_in_the_lists_of_their_split(name: str, shared_data: Path, output: Path) -> None:
    """Every parent stands in the list of its split."""
    lists = {path.stem: path.read_text().split() for path in (shared_data / name / "splits").glob("*.txt")}
    ids = {split: {Path(listed).stem for listed in lists[split]} for split in lists}

    rows = pq.read_table(output / "manifest.parquet").to_pylist() if lists else []

    for row in rows:
        parents = {row[key].partition("-z")[0] for key in ("source_a", "source_b") if row[key] is not None}
        assert parents <= ids[row["split"]]


def test_the_dataset_is_sound_and_made_again(output: Path) -> None:
    result = run_cli("verify", output, "--replay", 4)

    assert "4 replays" in result.stdout


@pytest.mark.slow
def test_all_slices_of_the_hippocampus_are_there(shared_data: Path) -> None:
    """Shapes 31..41 x 41..56 x 24..44; every label holds all three classes."""
    result = run_cli("inspect", shared_data / "msd_hippocampus", "--json", "--progress", "none", "--min-foreground", 0)

    found = json.loads(result.stdout)
    assert (found["sizes"]["width"], found["sizes"]["height"]) == ([31, 41], [41, 56])
    assert 60 * 24 <= found["images"] <= 60 * 44


@pytest.mark.slow
def test_the_tumour_lies_in_slices_44_to_111(shared_data: Path, tmp_path: Path) -> None:
    options = (
        *("--size", 32, 32, "--regions", 2, 4, "--variants", 1, "--saliency", "uniform", "--copies", 1),
        *("--backend", "serial", "--progress", "none", "--split", "1/0/0", "--partners", "any"),
    )

    run_cli("run", shared_data / "brats2021_case", tmp_path / "output", *options)

    rows = pq.read_table(tmp_path / "output" / "manifest.parquet").to_pylist()
    planes = sorted(int(row["source_a"].rpartition("-z")[2]) for row in rows)
    assert planes == list(range(44, 112))
    assert rows[0]["spacing_a"] == [240 / 32, 240 / 32]
