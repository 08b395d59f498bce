"""Soft labels under the augmentation of TransUNet, Swin-Unet and HiFormer, and the losses that go with them."""

import importlib.util
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from hsmix_gen.pipeline.exports.export import Exported

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def exported(
    make_output: Callable[..., Path],
    draw: Callable[..., Any],
    export: Callable[..., Exported],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Any]:
    """An export to synapse, and the only sample of it."""
    folder = tmp_path_factory.mktemp("soft")
    put = draw("train-a", channels=1)
    return export(make_output(folder / "out", [put]), folder / "synapse", "synapse").dest, put


@pytest.fixture(scope="module")
def companion(exported: tuple[Path, Any]) -> ModuleType:
    """The module that the export brings."""
    path = exported[0] / "code" / "hsmix_synapse.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def turned(image: Array, label: Array) -> tuple[Array, Array]:
    """Turn and flip the first two axes, as these codebases do."""
    turns, axis = random.randrange(4), random.randrange(2)  # noqa: S311
    pair = [np.flip(np.rot90(array, turns), axis=axis).copy() for array in (image, label)]
    return pair[0], pair[1]


def kept(image: Array, label: Array) -> tuple[Array, Array]:
    return image, label


def test_a_soft_label_is_that_of_the_source_after_every_turn(exported: tuple[Path, Any], companion: ModuleType) -> None:
    """120 draws: each label is what was put in, turned as its image is."""
    dest, put = exported
    rows = companion.SoftSlices(str(dest / "train_npz"), str(dest / "lists/lists_Synapse"), "train", None)
    random.seed(0)
    stored = rows[0]
    shares = np.rint(put.soft.astype(np.float64) * 255)
    seen = set()
    for _ in range(120):
        image, soft = turned(stored["image"], stored["label"])
        made = companion.SoftGenerator(image.shape, (kept, kept))({"image": image, "label": soft})
        expected = {
            (np.flip(np.rot90(put.image[..., 0], k), axis).tobytes()): np.flip(np.rot90(shares, k, (1, 2)), axis + 1)
            for k in range(4)
            for axis in (0, 1)
        }
        found = np.rint(made["image"][0].numpy() * 255).astype(np.uint8)
        seen.add(found.tobytes())
        assert np.array_equal(made["label"].numpy(), expected[found.tobytes()])
    assert len(seen) == 4


def test_resized_soft_labels_sum_to_one_again(exported: tuple[Path, Any], companion: ModuleType) -> None:
    dest, _ = exported
    generator = companion.SoftGenerator((16, 16), (turned, turned))

    made = companion.SoftSlices(str(dest / "train_npz"), str(dest / "lists/lists_Synapse"), "train", generator)[0]

    assert (made["image"].shape, made["label"].shape, made["case_name"]) == ((1, 16, 16), (3, 16, 16), "train-a")
    assert made["label"].dtype == torch.int64
    assert set(made["label"].sum(0).unique().tolist()) == {255}
    assert len(made["label"].unique()) > 50


def test_what_a_rotation_brought_in_is_background(companion: ModuleType) -> None:
    assert companion.in_255ths(np.zeros((1, 1, 3)))[0, 0].tolist() == [255, 0, 0]
    assert companion.in_255ths(np.array([[[1, 1, 1.0]]]))[0, 0].tolist() == [85, 85, 85]


def test_losses_take_soft_labels_and_are_least_at_them(companion: ModuleType) -> None:
    """Also through `.long()`, which the trainers call."""
    torch.manual_seed(0)
    label = torch.tensor(companion.in_255ths(np.random.default_rng(0).dirichlet([1, 1, 1], (2, 4, 5))))
    label = label.permute(0, 3, 1, 2)
    right = (label / 255).clamp_min(1e-6).log()
    wrong = torch.randn_like(right)

    for loss in (companion.SoftCrossEntropy(), companion.SoftDice()):
        assert loss(right, label.long()) < loss(right + 0.3 * wrong, label.long()) < loss(wrong * 5, label.long())
    assert companion.SoftDice()(right, label, softmax=True) < 1e-4
    assert sys.modules.get("datasets.dataset_synapse") is None
