"""Soft labels under the augmentation of TransUNet, Swin-Unet and HiFormer, and the losses that go with them."""

import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from hsmix_gen.pipeline.exports.patches import write_companion
from tests.pipeline.exports.handmade import draw, export, make_output
from tests.written import module_of

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """An export to synapse, and the only sample of it."""
    folder = tmp_path_factory.mktemp("soft")
    put = draw("train-a", channels=1)
    return export(make_output(folder / "out", [put]), folder / "synapse", "synapse").dest, put


@pytest.fixture(scope="module")
def companion(exported: tuple[Path, Any]) -> ModuleType:
    """The module for soft labels in TransUNet, Swin-Unet and HiFormer."""
    return module_of(exported[0] / "code" / "hsmix_synapse.py")


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


@pytest.fixture
def trainer(exported: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module for nnU-Net, with names in the place of nnU-Net, which is not installed here."""
    write_companion(exported[0], "hsmix_nnunet")
    fakes: dict[str, dict[str, Any]] = {
        "paths": {"nnUNet_raw": "raw"},
        "training.loss.deep_supervision": {"DeepSupervisionWrapper": torch.nn.Module},
        "training.nnUNetTrainer.nnUNetTrainer": {"nnUNetTrainer": object},
    }
    for name, held in fakes.items():
        module = ModuleType(name)
        vars(module).update(held)
        monkeypatch.setitem(sys.modules, f"nnunetv2.{name}", module)
    return module_of(exported[0] / "code" / "hsmix_nnunet.py")


def test_nnunet_cases_get_their_shares_behind_the_class_ids(trainer: ModuleType, tmp_path: Path) -> None:
    """Cropped as nnU-Net cropped the image."""
    soft = np.random.default_rng(0).dirichlet([1, 1, 1], (6, 9)).transpose(2, 0, 1).astype(np.float16)
    np.savez(tmp_path / "train-a.npz", soft=soft)
    cropped = np.ones((1, 1, 4, 5), np.int8)

    def load(_name: str) -> tuple[Any, Any, Any, Any]:
        return "data", cropped, None, {"bbox_used_for_cropping": [[0, 1], [1, 5], [2, 7]]}

    data, seg, before, _ = trainer.with_soft(tmp_path, load, "train-a")

    assert (data, before, seg.dtype, seg.shape) == ("data", None, np.int16, (4, 1, 4, 5))
    assert (seg[0] == 1).all()
    assert np.array_equal(seg[1:, 0], np.rint(soft[:, 1:5, 2:7].astype(np.float32) * 255))


def test_the_loss_for_nnunet_is_least_at_the_label(trainer: ModuleType) -> None:
    """Soft or hard; what lies beside the image, where all shares are 0, is background."""
    loss = trainer.SoftLoss()
    share = torch.tensor([[0.2, 0.5, 0.3], [0.0, 0.0, 0.0]]).T[None, :, :, None]
    target = torch.cat([torch.ones(1, 1, 2, 1), (share * 255).round()], 1).to(torch.int16)
    right = torch.tensor([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]]).T[None, :, :, None].clamp_min(1e-6).log()

    assert loss(right, target) < loss(right + 0.5 * torch.randn(right.shape), target)
    ids = torch.tensor([[[[2], [0]]]], dtype=torch.int16)
    assert loss(torch.tensor([[[[-9.0], [9]], [[-9], [-9]], [[9], [-9]]]]), ids) < 1e-2


def test_ignored_pixels_are_left_out_of_the_loss_for_nnunet(trainer: ModuleType) -> None:
    """Their shares are all 0, which is background elsewhere."""
    target = torch.zeros(1, 3, 4, 1, dtype=torch.int16)
    target[:, 0, 2:], target[:, 2, :2] = 2, 255
    logits = torch.randn(1, 2, 4, 1)
    changed = logits.clone()
    changed[:, :, 2:] += torch.tensor([9.0, -9.0])[None, :, None, None]

    assert trainer.SoftLoss(2)(logits, target) == trainer.SoftLoss(2)(changed, target)
    assert trainer.SoftLoss(2)(logits, target[:, :1]) == trainer.SoftLoss(2)(changed, target[:, :1])
    assert trainer.SoftLoss()(logits, target) != trainer.SoftLoss()(changed, target)


def test_augmentation_of_nnunet_gets_shares_as_numbers(trainer: ModuleType) -> None:
    """Turned as the class ids are; smaller outputs of the network get the mean."""

    def theirs(image: Any, segmentation: Any, regression_target: Any) -> dict[str, Any]:
        assert (segmentation.dtype, regression_target.dtype) == (torch.int16, torch.float32)
        turned = segmentation.flip(2)
        scales = [turned, turned[:, ::2, ::2]]
        return {"image": image.flip(2), "segmentation": scales, "regression_target": regression_target.flip(2)}

    shares = torch.tensor([[255, 155, 55, -1], [0, 100, 200, -1]], dtype=torch.int16)[:, None].expand(2, 4, 4)
    ids = torch.tensor([0, 0, 1, -1], dtype=torch.int16)[None, None].expand(1, 4, 4)

    made = trainer.SoftTransforms(theirs)(image=torch.zeros(1, 4, 4), segmentation=torch.cat([ids, shares]))

    large, small = made["segmentation"]
    assert "regression_target" not in made
    assert large[:, 0].tolist() == [[-1, 1, 0, 0], [0, 55, 155, 255], [0, 200, 100, 0]]
    assert small[:, 0].tolist() == [[-1, 0], [28, 205], [100, 50]]
    assert large.dtype == small.dtype == torch.int16
