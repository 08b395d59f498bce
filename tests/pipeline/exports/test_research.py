"""Exports for research code, read back by datasets written to the contracts of TransUNet, UNeXt and MedSAM."""

import ast
import json
import textwrap
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow

from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.exports.base import Options
from hsmix_gen.pipeline.exports.export import export_output
from hsmix_gen.schemas.errors import OutputError
from tests.pipeline.exports.handmade import draw, export, make_output

Array = np.ndarray[Any, Any]


class SynapseRows:
    """As TransUNet reads: names from a list, npz slices for training, HDF5 volumes else."""

    def __init__(self, base: Path, lists: Path, split: str) -> None:
        self.base, self.split = base, split
        self.names = (lists / f"{split}.txt").read_text().splitlines()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        name = self.names[index]
        if self.split == "train":
            with np.load(self.base / f"{name}.npz") as data:
                return data["image"], data["label"]
        with h5py.File(self.base / f"{name}.npy.h5") as file:
            return file["image"][:], file["label"][:]


class PerClassRows:
    """As UNeXt and UNet++ read: an 8-bit picture, and one grey picture for each class, all divided by 255."""

    def __init__(self, keys: list[str], folder: Path, n_classes: int) -> None:
        self.keys, self.folder, self.n_classes = keys, folder, n_classes

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        name = f"{self.keys[index]}.png"
        image = np.asarray(Pillow.open(self.folder / "images" / name).convert("RGB"))
        masks = [np.asarray(Pillow.open(self.folder / "masks" / str(i) / name)) for i in range(self.n_classes)]
        return image.transpose(2, 0, 1).astype(np.float32) / 255, np.stack(masks).astype(np.float32) / 255


class NpyRows:
    """As MedSAM reads: every mask with an image of its name, one label drawn, and a box around it."""

    def __init__(self, root: Path) -> None:
        masks = sorted((root / "gts").glob("*.npy"))
        self.pairs = [(root / "imgs" / path.name, path) for path in masks if (root / "imgs" / path.name).is_file()]

    def __getitem__(self, index: int) -> tuple[Array, Array, list[int]]:
        image = np.load(self.pairs[index][0], "r").transpose(2, 0, 1)
        assert image.max() <= 1
        assert image.min() >= 0
        ids = np.load(self.pairs[index][1], "r")
        assert ids.shape == image.shape[1:]
        one: Array = (ids == np.random.default_rng(0).choice(np.unique(ids)[1:])).astype(np.uint8)
        assert (one.min(), one.max()) == (0, 1)
        rows, columns = np.where(one > 0)
        return image, one, [columns.min(), rows.min(), columns.max(), rows.max()]


def synapse(dest: Path, split: str) -> SynapseRows:
    folder = {"train": "train_npz", "test_vol": "test_vol_h5", "val_vol": "val_vol_h5"}[split]
    return SynapseRows(dest / folder, dest / "lists" / "lists_Synapse", split)


def test_synapse_slices_are_the_samples(tmp_path: Path) -> None:
    """Image in 0 to 1, class ids beside it, every training sample once."""
    samples = {key: draw(key, channels=1) for key in ("train-a", "train-b", "test-c")}
    export(make_output(tmp_path / "out", list(samples.values())), tmp_path / "dest", "synapse")

    rows = synapse(tmp_path / "dest", "train")
    assert rows.names == ["train-a", "train-b"]
    for index, name in enumerate(rows.names):
        image, label = rows[index]
        assert (image.dtype, image.shape, label.shape) == (np.float32, (6, 9), (6, 9))
        assert (np.rint(image * 255) == samples[name].image[..., 0]).all()
        assert (label == samples[name].mask).all()


def test_synapse_slices_carry_the_soft_label(tmp_path: Path) -> None:
    """Another entry of the npz: loaders that do not know it read on as before."""
    put = draw("train-a", channels=1)
    export(make_output(tmp_path / "out", [put]), tmp_path / "dest", "synapse")

    with np.load(tmp_path / "dest" / "train_npz" / "train-a.npz") as data:
        assert data["soft_label"].dtype == np.float16
        assert (data["soft_label"] == put.soft.transpose(1, 2, 0)).all()


def test_synapse_stacks_the_slices_of_a_volume_in_order(tmp_path: Path) -> None:
    """Planes decide, not keys; plane 0 has the name of the volume alone; a picture is a volume by itself."""
    slices = [draw(f"test-{name}", channels=1, group_a="case/7") for name in "abc"]
    alone = draw("test-d", channels=1, group_a="other")
    planes = {"test-a": ("v.nii", 12), "test-b": ("v.nii", 3), "test-c": ("v.nii", 0), "test-d": ("d.png", 0)}
    root = make_output(tmp_path / "out", [draw("train-a", channels=1), *slices, alone], planes=planes)
    export(root, tmp_path / "dest", "synapse")

    rows = synapse(tmp_path / "dest", "test_vol")
    assert rows.names == ["case_7", "test-d"]
    image, label = rows[0]
    assert image.shape == (3, 6, 9)
    for plane, put in enumerate(reversed(slices)):
        assert (np.rint(image[plane] * 255) == put.image[..., 0]).all()
        assert (label[plane] == put.mask).all()
    assert rows[1][0].shape == (1, 6, 9)
    listed = (tmp_path / "dest" / "lists" / "lists_Synapse" / "all.lst").read_text()
    assert listed == "case_7.npy.h5\ntest-d.npy.h5\n"


def test_synapse_without_records_of_sources_has_volumes_of_one_slice(tmp_path: Path) -> None:
    """An output that was moved without its state says nothing of planes; a guess would mix them up."""
    samples = [draw(key, channels=1, group_a="p") for key in ("train-a", "val-b", "val-c", "test-d")]
    export(make_output(tmp_path / "out", samples), tmp_path / "dest", "synapse")

    assert synapse(tmp_path / "dest", "val_vol").names == ["val-b", "val-c"]
    assert synapse(tmp_path / "dest", "test_vol").names == ["test-d"]


def test_synapse_volumes_of_one_group_have_two_names(tmp_path: Path) -> None:
    """Two scans of one patient must not be written to one file."""
    samples = [draw(f"test-{name}", channels=1, group_a="p") for name in "abcd"]
    planes = {"test-a": ("v", 0), "test-b": ("v", 1), "test-c": ("w", 0), "test-d": ("w", 1)}
    root = make_output(tmp_path / "out", [draw("train-a", channels=1), *samples], planes=planes)
    export(root, tmp_path / "dest", "synapse")

    rows = synapse(tmp_path / "dest", "test_vol")
    assert rows.names == ["test-a", "test-c"]
    assert [rows[i][1].shape for i in range(2)] == [(2, 6, 9), (2, 6, 9)]


def test_synapse_takes_one_channel_only(tmp_path: Path) -> None:
    root = make_output(tmp_path / "out", [draw("train-a")])

    with pytest.raises(OutputError, match=r"synapse holds images of 1 channel, .* has 3; make it with --channels 1"):
        export(root, tmp_path / "dest", "synapse")
    assert not (tmp_path / "dest").exists()


@pytest.mark.parametrize(
    ("dtype", "kind", "expected"),
    [("uint16", "none", lambda image: image / 65535), ("float32", "window", lambda image: image)],
)
def test_synapse_scales_every_type_to_one(tmp_path: Path, dtype: str, kind: str, expected: Any) -> None:
    put = draw("train-a", channels=1, dtype=dtype)
    export(make_output(tmp_path / "out", [put], intensity={"kind": kind}), tmp_path / "dest", "synapse")

    image, _ = synapse(tmp_path / "dest", "train")[0]
    assert np.allclose(image, expected(put.image[..., 0]), atol=1e-6)


def test_synapse_spreads_a_z_score(tmp_path: Path) -> None:
    """-4, 0 and 4 deviations become 0, 0.5 and 1; what lies beyond is cut."""
    put = draw("train-a", channels=1, dtype="float32")
    put.image[0, :4, 0] = [-4, 0, 4, 9]
    export(make_output(tmp_path / "out", [put], intensity={"kind": "zscore"}), tmp_path / "dest", "synapse")

    image, _ = synapse(tmp_path / "dest", "train")[0]
    assert image[0, :4].tolist() == [0, 0.5, 1, 1]


def test_numbers_without_a_white_are_refused(tmp_path: Path) -> None:
    """Nobody knows what 0 to 1 should be of numbers as they were."""
    put = draw("train-a", channels=1, dtype="float32")
    root = make_output(tmp_path / "out", [put], intensity={"kind": "none"})

    for kind in ("synapse", "medsam"):
        with pytest.raises(OutputError, match=f"{kind} wants images in 0 to 1.*--intensity window"):
            export(root, tmp_path / "dest", kind)


@pytest.mark.parametrize("kind", ["synapse", "medsam"])
def test_ignored_pixels_become_background_and_are_reported(tmp_path: Path, kind: str) -> None:
    """Losses of these trainers know no ignore: 255 would be a class out of range."""
    put = draw("train-a", channels=1, ignore=True)
    root = make_output(tmp_path / "out", [put, draw("train-b", channels=1)])
    found = export(root, tmp_path / "dest", kind, Options(side=64))

    assert "1 samples have ignored pixels" in found.text()
    if kind == "synapse":
        label = synapse(tmp_path / "dest", "train")[0][1]
        assert (label == np.where(put.mask == 255, 0, put.mask)).all()
    else:
        assert 255 not in np.load(tmp_path / "dest" / "train" / "gts" / "train-a.npy")


def test_perclass_masks_are_the_soft_label(tmp_path: Path) -> None:
    """In 255ths, without the background, pixel for pixel; images as they are."""
    samples = [draw(key) for key in ("train-a", "train-b")]
    export(make_output(tmp_path / "out", [*samples, draw("val-c")]), tmp_path / "dest", "perclass")

    rows = PerClassRows(["train-a", "train-b"], tmp_path / "dest" / "train", 2)
    for index, put in enumerate(samples):
        image, masks = rows[index]
        assert (np.rint(image.transpose(1, 2, 0) * 255) == put.image).all()
        assert np.abs(masks - put.soft[1:].astype(np.float32)).max() < 3e-4
        assert (np.rint(masks * 255) == np.rint(put.soft[1:].astype(np.float64) * 255)).all()
    assert not (tmp_path / "dest" / "train" / "masks" / "2").exists()
    assert [path.name for path in (tmp_path / "dest" / "val" / "images").iterdir()] == ["val-c.png"]


def test_perclass_has_every_channel_of_multi_label(tmp_path: Path) -> None:
    put = draw("train-a", channels=1)
    root = make_output(tmp_path / "out", [put], label_mode="multilabel", classes=["WT", "TC", "ET"])
    export(root, tmp_path / "dest", "perclass")

    _, masks = PerClassRows(["train-a"], tmp_path / "dest" / "train", 3)[0]
    assert np.abs(masks - put.soft.astype(np.float32)).max() < 3e-4
    assert "0 = WT, 1 = TC, 2 = ET" in (tmp_path / "dest" / "README.txt").read_text()


def test_perclass_takes_8_bit_pictures_only(tmp_path: Path) -> None:
    root = make_output(tmp_path / "out", [draw("train-a", channels=1, dtype="float32")])

    with pytest.raises(OutputError, match=r"perclass holds 8-bit grey or RGB pictures.*--dtype uint8"):
        export(root, tmp_path / "dest", "perclass")


def test_medsam_stretches_image_and_mask_alike(tmp_path: Path) -> None:
    """Blocks of one class and one colour stay on each other, and no class appears that was not there."""
    put = draw("train-a", channels=1)
    put.mask[:] = 0
    put.mask[:2, 6:] = 2
    put.image[:] = 0
    put.image[:2, 6:] = 255
    export(make_output(tmp_path / "out", [put]), tmp_path / "dest", "medsam", Options(side=72))

    image, one, box = NpyRows(tmp_path / "dest" / "train")[0]
    assert image.shape == (3, 72, 72)
    assert (image[0] == image[2]).all()
    assert np.unique(np.load(tmp_path / "dest" / "train" / "gts" / "train-a.npy")).tolist() == [0, 2]
    assert box == [48, 0, 71, 23]
    assert (one == (image[0] >= 0.5)).mean() > 0.99


def test_medsam_makes_1024_pixels_by_itself(tmp_path: Path) -> None:
    """What MedSAM's encoder takes; its loader does not resize."""
    export(make_output(tmp_path / "out", [draw("train-a")]), tmp_path / "dest", "medsam")

    image, one, _ = NpyRows(tmp_path / "dest" / "train")[0]
    assert (image.shape, one.shape) == ((3, 1024, 1024), (1024, 1024))
    assert image.dtype == np.float32


def test_medsam_leaves_out_what_its_loader_cannot_use(tmp_path: Path) -> None:
    """No foreground, or nothing else: there is no label to draw. They are counted and named."""
    empty, full = draw("train-b"), draw("train-c")
    empty.mask[:] = 0
    full.mask[:] = 1
    root = make_output(tmp_path / "out", [draw("train-a"), empty, full])
    found = export(root, tmp_path / "dest", "medsam", Options(side=64))

    assert found.samples == {"train": 1}
    assert [refusal.id for refusal in found.left_out] == ["train-b", "train-c"]
    assert "left out 2" in found.text()
    lines = (tmp_path / "dest" / "left_out.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["id", "train-b", "train-c"]
    assert len(NpyRows(tmp_path / "dest" / "train").pairs) == 1


def test_medsam_keeps_every_slice_that_is_evaluated_on(tmp_path: Path) -> None:
    """Its loader reads training alone."""
    puts = [draw(key) for key in ("train-a", "val-b", "test-c")]
    for put in puts[1:]:
        put.mask[:] = 0
    found = export(make_output(tmp_path / "out", puts), tmp_path / "dest", "medsam", Options(side=64))

    assert (found.samples, found.left_out) == ({"train": 1, "val": 1, "test": 1}, [])
    assert not np.load(tmp_path / "dest" / "test" / "gts" / "test-c.npy").any()


@pytest.mark.parametrize("side", [0, 10_000])
def test_medsam_refuses_senseless_sizes(tmp_path: Path, side: int) -> None:
    root = make_output(tmp_path / "out", [draw("train-a")])

    with pytest.raises(OutputError, match=f"--image-size must be 64 to 4096 pixels, got {side}"):
        export(root, tmp_path / "dest", "medsam", Options(side=side))


def test_perclass_in_one_tree_is_told_apart_by_lists(tmp_path: Path) -> None:
    root = make_output(tmp_path / "out", [draw(key) for key in ("train-a", "val-b", "test-c")])
    export(root, tmp_path / "dest", "perclass", Options(one_tree=True))

    assert sorted(path.stem for path in (tmp_path / "dest" / "images").iterdir()) == ["test-c", "train-a", "val-b"]
    for key in ("train-a", "val-b", "test-c"):
        assert (tmp_path / "dest" / f"{key.partition('-')[0]}.txt").read_text() == f"{key}\n"


@pytest.mark.parametrize(("n_classes", "white"), [(2, 255), (3, 1)])
def test_imglabel_masks_of_two_classes_are_black_and_white(tmp_path: Path, n_classes: int, white: int) -> None:
    """Loaders that cut at 127 see nothing of 0 and 1; of more classes the ids are kept."""
    puts = {key: draw(key, n_classes=n_classes) for key in ("train-a", "val-b", "test-c")}
    export(make_output(tmp_path / "out", list(puts.values())), tmp_path / "dest", "imglabel")

    for key, folder in zip(puts, ("Train_Folder", "Val_Folder", "Test_Folder"), strict=True):
        mask = np.asarray(Pillow.open(tmp_path / "dest" / folder / "labelcol" / f"{key}.png"))
        assert (mask == puts[key].mask * white).all()
        assert (np.asarray(Pillow.open(tmp_path / "dest" / folder / "img" / f"{key}.png")) == puts[key].image).all()


def test_the_guide_of_imglabel_states_how_many_images_a_log_has_to_name(tmp_path: Path) -> None:
    puts = [draw(key) for key in ("train-a", "train-b", "train-c", "val-a", "val-b", "test-a")]
    export(make_output(tmp_path / "out", puts), tmp_path / "dest", "imglabel")

    guide = (tmp_path / "dest" / "README.txt").read_text()
    assert '"hsmix-gen: 3 images of ./datasets/GlaS/Train_Folder/"' in guide
    assert '"hsmix-gen: 2 images of ./datasets/GlaS/Val_Folder/"' in guide


def test_medsam_may_box_each_area(tmp_path: Path) -> None:
    """Two areas of one class and one of another are three numbers, and training lies where MedSAM looks first."""
    put = draw("train-a", channels=1)
    put.mask[:] = 0
    put.mask[:2, :2], put.mask[4:, 6:], put.mask[:2, 6:] = 1, 1, 2
    export(make_output(tmp_path / "out", [put]), tmp_path / "dest", "medsam", Options(side=72, boxes="component"))

    areas = np.load(tmp_path / "dest" / "data" / "npy" / "CT_Abd" / "gts" / "train-a.npy")
    assert [int((areas == number).any()) for number in range(5)] == [1, 1, 1, 1, 0]
    assert areas[5, 5] != areas[70, 70]


def test_an_export_that_the_disk_cannot_hold_is_refused_before_it_begins(tmp_path: Path) -> None:
    """12.6 MB for each image of 1024 pixels."""
    root = make_output(tmp_path / "out", [draw("train-a"), draw("train-b")])

    with pytest.raises(OutputError, match=r"as medsam takes 27.3 MB, 20.0 MB are free; .*lower --image-size"):
        export_output(root, tmp_path / "dest", "medsam", Reporter(SilentDisplay()), free=lambda _: 20_000_000)
    assert not (tmp_path / "dest").exists()


def test_fiftyone_lists_samples_with_their_measures(tmp_path: Path) -> None:
    """What is not known has no field, numbers that are none as little: its JSON has no place for them."""
    hard = draw(
        "train-a", ignore=True, mode="hard", flags=("guarded",), fragments=3, auc_a=float("nan"), augment="flip"
    )
    export(make_output(tmp_path / "out", [hard, draw("val-b", mode="none")]), tmp_path / "dest", "fiftyone")

    dest = tmp_path / "dest"
    samples = json.loads((dest / "samples.json").read_text())["samples"]
    first, second = sorted(samples, key=lambda sample: sample["filepath"])
    assert first["filepath"] == "data/train-a.png"
    assert (first["tags"], second["tags"]) == (["train", "hard", "guarded"], ["val", "none"])
    assert (first["fragments"], first["augment"], "auc_a" in first, "fragments" in second) == (3, "flip", False, False)
    assert first["ground_truth"] == {"_cls": "Segmentation", "mask_path": "fields/ground_truth/train-a.png"}
    assert (np.asarray(Pillow.open(dest / "fields/ground_truth/train-a.png")) == hard.mask).all()
    assert (np.asarray(Pillow.open(dest / "data/train-a.png")) == hard.image).all()
    targets = json.loads((dest / "metadata.json").read_text())["info"]["default_mask_targets"]
    assert targets == {"1": "class_1", "2": "class_2", "255": "ignore"}


def test_fiftyone_names_every_channel_of_multi_label(tmp_path: Path) -> None:
    """The mask counts its classes from 1, without a background among them."""
    put = draw("train-a", channels=1)
    export(
        make_output(tmp_path / "out", [put], label_mode="multilabel", classes=["WT", "TC", "ET"]),
        tmp_path / "dest",
        "fiftyone",
    )

    info = json.loads((tmp_path / "dest" / "metadata.json").read_text())["info"]
    assert info["default_mask_targets"] == {"1": "WT", "2": "TC", "3": "ET", "255": "ignore"}


def test_files_for_monai_align(tmp_path: Path) -> None:
    """Image, label and soft label have one order of axes, in one kind of file, so that no reader turns some of them."""
    put = draw("train-a")
    export(make_output(tmp_path / "out", [put]), tmp_path / "dest", "monai")

    def read(paths: list[str]) -> Array:
        files: list[Any] = [nibabel.loadsave.load(tmp_path / "dest" / "train" / path) for path in paths]
        return np.stack([np.asanyarray(file.dataobj) for file in files])

    (entry,) = json.loads((tmp_path / "dest/train/dataset.json").read_text())["training"]
    assert np.allclose(read(entry["image"]) * 255, put.image.transpose(2, 1, 0), atol=1e-3)
    assert np.array_equal(read([entry["label"]])[0], put.mask.T)
    assert np.allclose(read(entry["soft"]), put.soft.transpose(0, 2, 1), atol=1e-3)


@pytest.mark.parametrize(
    ("mode", "losses"),
    [
        ("exclusive", ("softmax=True", ".cross_entropy(")),
        ("multilabel", ("sigmoid=True", ".binary_cross_entropy_with")),
    ],
)
def test_the_program_for_monai_is_for_pasting(tmp_path: Path, mode: str, losses: tuple[str, str]) -> None:
    """A whole one, whose paths Python knows, with the losses of its labels."""
    root = make_output(tmp_path / "out", [draw("train-a")], label_mode=mode, classes=["a", "b", "c"])
    export(root, tmp_path / "dest", "monai")

    parts = (tmp_path / "dest" / "README.txt").read_text().split("\n\n")
    (program,) = (textwrap.dedent(part) for part in parts if part.startswith("    import os"))
    assert {node.id for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Name)} >= {"load", "model"}
    assert "$" not in program
    assert all(loss in program for loss in losses)
