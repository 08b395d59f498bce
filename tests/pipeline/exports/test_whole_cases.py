"""Validation and test in the exports: every slice, of native size where it is wanted, and metrics as of the source."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import zarr
from scipy import ndimage

from hsmix_gen.pipeline.files.tables import read_sources, write_sources
from tests.command_line import run_cli
from tests.pipeline.exports.handmade import draw, export, make_output

Volumes = dict[str, tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]]
SPACING = (0.8, 0.7, 3.0)
WINDOW = (-400, 400)


def draw_volume(number: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """Return an image and labels, (x, y, z), whose first and last slices have no foreground."""
    rng = np.random.default_rng([13, number])
    shape = (24 + number % 3, 20, 6)
    x, y, z = np.meshgrid(*map(np.arange, shape), indexing="ij")
    radius = ((x - 12) / 6) ** 2 + ((y - 9) / 5) ** 2 + ((z - 2.5) / 1.8) ** 2
    labels = (radius < 1).astype(np.uint8) + (radius < 0.4)
    image = -200 + 200.0 * labels + 60 * np.sin(x / 4) + rng.normal(0, 30, shape)
    image[..., 5] = -1000
    return image.astype(np.int16), labels.astype(np.uint8)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Volumes]:
    """A source of five volumes in a layout of Decathlon: three train, one validates, one tests."""
    root = tmp_path_factory.mktemp("volumes")
    drawn = {f"case_{number}": draw_volume(number) for number in range(5)}
    for folder in ("imagesTr", "labelsTr", "splits"):
        (root / folder).mkdir()
    for name, arrays in drawn.items():
        for folder, array in zip(("imagesTr", "labelsTr"), arrays, strict=True):
            image = nibabel.Nifti1Image(array, np.diag([*SPACING, 1]))  # type: ignore[no-untyped-call]
            nibabel.loadsave.save(image, root / folder / f"{name}.nii.gz")
    for split, members in {"train": "012", "val": "3", "test": "4"}.items():
        (root / "splits" / f"{split}.txt").write_text("".join(f"case_{number}\n" for number in members))
    return root, drawn


@pytest.fixture(scope="module")
def native(volumes: tuple[Path, Volumes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of every second slice in training, whose validation and test have their own size."""
    output = tmp_path_factory.mktemp("native") / "out"
    quick = ("--size", 16, 16, "--regions", 4, 8, "--variants", 1, "--saliency", "fine_grained", "--backend", "serial")
    chosen = ("--copies", 1, "--shards", 1, "--every", 2, "--intensity", "window", "--window", *WINDOW)
    run_cli(
        "run", volumes[0], output, *quick, *chosen, "--eval-size", "native", "--format", "folder",
        "--format", "parquet", "--format", "webdataset", "--progress", "none",
    )  # fmt: skip
    return output


def in_frame(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a volume as slices in the frame of the program: rows to the back, columns to the patient's left."""
    return array.transpose(2, 1, 0)[:, ::-1, ::-1]


def dice(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def hd95(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    """Return the 95th percentile of the distances between the surfaces of two objects, as medpy defines it."""

    def to(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        surfaces = [mask ^ ndimage.binary_erosion(mask) for mask in (first, second)]
        distances: npt.NDArray[np.float64] = ndimage.distance_transform_edt(~surfaces[1])[surfaces[0]]
        return distances

    return float(np.percentile(np.hstack([to(one, other), to(other, one)]), 95))


def predicted(image: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return what a trainer might predict of an image in 0 to 1."""
    found: npt.NDArray[np.bool_] = ndimage.gaussian_filter(image.astype(np.float64), 1) > 0.45
    return found


def test_training_slices_alone_are_chosen(native: Path, volumes: tuple[Path, Volumes]) -> None:
    rows = pq.read_table(native / "manifest.parquet").to_pylist()
    planes = {split: sorted(row["source_a"] for row in rows if row["split"] == split) for split in ("val", "test")}

    assert planes == {s: [f"case_{n}-z{z:03d}" for z in range(6)] for s, n in (("val", 3), ("test", 4))}
    assert {row["source_a"][-4:] for row in rows if row["split"] == "train"} == {"z002", "z004"}
    assert json.loads((native / "dataset.json").read_text())["eval_size"] == "native"


def test_all_formats_hold_the_same_and_can_be_made_again(native: Path) -> None:
    result = run_cli("verify", native, "--replay", 18)

    assert "54 replays checked" in result.stdout


@pytest.fixture(scope="module")
def synapse(native: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(native, tmp_path_factory.mktemp("exports") / "synapse", "synapse").dest


def test_published_metrics_of_test_volumes_are_those_of_the_source(
    synapse: Path, volumes: tuple[Path, Volumes]
) -> None:
    """Dice and HD95 of each class, over the whole volume in its own size."""
    raw, labels = (in_frame(array) for array in volumes[1]["case_4"])
    image = np.clip((raw - WINDOW[0]) / (WINDOW[1] - WINDOW[0]), 0, 1)
    with h5py.File(synapse / "test_vol_h5" / "case_4.npy.h5") as file:
        held, ids = file["image"][:], file["label"][:]

    assert np.array_equal(ids, labels)
    assert np.abs(held - image).max() < 1e-4
    for metric in (dice, hd95):
        assert metric(predicted(held), ids > 0) == metric(predicted(image), labels > 0)


def test_slices_for_validation_lie_where_swin_unet_looks(synapse: Path) -> None:
    """Entries of val.txt lead out of the folder of training slices."""
    names = (synapse / "lists" / "hsmix" / "val.txt").read_text().split()

    assert len(names) == 6
    for name in names:
        with np.load(synapse / "train_npz" / f"{name}.npz") as held:
            assert held["soft_label"].shape == (*held["label"].shape, 3)


def test_nnunet_tests_cases_and_not_slices(native: Path, volumes: tuple[Path, Volumes], tmp_path: Path) -> None:
    """With the spacing of the source, and numbers that slices and volumes have alike."""
    export(native, tmp_path / "dest", "nnunet")

    root = next((tmp_path / "dest").glob("Dataset*"))
    assert [path.name for path in (root / "imagesTs").iterdir()] == ["case_4_0000.nii.gz"]
    label: Any = nibabel.loadsave.load(root / "labelsTs" / "case_4.nii.gz")
    assert np.array_equal(np.asanyarray(label.dataobj).transpose(2, 1, 0), in_frame(volumes[1]["case_4"][1]))
    assert np.allclose(label.header.get_zooms(), SPACING)
    assert json.loads((root / "dataset.json").read_text())["channel_names"] == {"0": "noNorm"}
    assert all(path.name.startswith(("train", "val")) for path in (root / "imagesTr").iterdir())


def test_zarr_has_a_group_for_each_case(native: Path, volumes: tuple[Path, Volumes], tmp_path: Path) -> None:
    export(native, tmp_path / "dest", "zarr")

    case: Any = zarr.open_group(tmp_path / "dest" / "test.zarr", mode="r")["case_4"]
    assert np.array_equal(case["mask"][:], in_frame(volumes[1]["case_4"][1]))
    train: Any = zarr.open_group(tmp_path / "dest" / "train.zarr", mode="r")
    assert train["image"].shape[1:] == (16, 16, 1)


def test_monai_has_whole_volumes_and_a_tree_for_each_split(
    native: Path, volumes: tuple[Path, Volumes], tmp_path: Path
) -> None:
    export(native, tmp_path / "dest", "monai")

    described = json.loads((tmp_path / "dest" / "test" / "dataset.json").read_text())
    assert {"reference", "licence"} <= described.keys()
    assert described["tensorImageSize"] == "3D"
    assert "Validation and test are whole volumes" in (tmp_path / "dest" / "README.txt").read_text()
    (entry,) = described["training"]
    label: Any = nibabel.loadsave.load(tmp_path / "dest" / "test" / entry["label"])
    assert np.array_equal(np.asanyarray(label.dataobj).transpose(2, 1, 0), in_frame(volumes[1]["case_4"][1]))
    assert len(json.loads((tmp_path / "dest" / "train" / "dataset.json").read_text())["training"]) == 6


def slices_of_two(root: Path) -> Path:
    """Write an output of two test volumes of two slices each."""
    puts = [draw(f"test-{name}", channels=1, group_a=f"p{name[0]}") for name in ("a0", "a1", "b0", "b1")]
    planes = {put.key: (f"{put.key[5]}.nii", int(put.key[6])) for put in puts}
    return make_output(root, [draw("train-a", channels=1), *puts], planes=planes)


@pytest.mark.parametrize("kind", ["nnunet", "synapse", "monai"])
@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({}, None),
        ({"height": 12}, r"slices of whole volumes have 6 x 9 pixels.*--eval-size native"),
        ({"image": "a.nii#plane=1,tile=0,0,6,9"}, r"cases are tiles, as the dataset was made with --tiles"),
        (
            {"id": "test-a2-a", "image": "a.nii#plane=2,tile=0,0,6,9", "refusal": "scan: torn"},
            r"these cases lack 1 refused slice, first test-a2-a",
        ),
        (None, r"lacks its \.hsmix, which .* so each image is a case"),
    ],
    ids=["whole", "size", "tiles", "refused", "moved"],
)
def test_cases_that_are_not_those_of_the_source_are_named(
    tmp_path: Path, kind: str, change: dict[str, Any] | None, note: str | None
) -> None:
    """Metrics of them would be others; in README.txt it stands too."""
    root = slices_of_two(tmp_path / "out")
    table = root / ".hsmix" / "sources.parquet"
    if change is None:
        table.unlink()
    else:
        records = read_sources(table)
        (second,) = (record for record in records if record.id == "test-a1-a")
        changed = dataclasses.replace(second, **change)
        write_sources(table, [*(r for r in records if r.id != changed.id), changed])
    found = export(root, tmp_path / "dest", kind)

    said = [text for text in found.notes if "validation" not in text]
    assert len(said) == (note is not None)
    assert re.search(note or "", "".join(said))
    assert all(f"Mind: {text}" in (tmp_path / "dest" / "README.txt").read_text() for text in said)
