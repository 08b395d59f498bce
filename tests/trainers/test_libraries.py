"""MONAI and segmentation_models.pytorch: transforms of tutorials on an export, and losses that take soft labels.

The transforms are those of 2d_segmentation/torch/unet_training_dict.py and of the tutorial of spleens, commit b3c6c99
of Project-MONAI/tutorials.
"""

import logging
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from tests.trainers.conftest import assert_no_parents_cross
from tests.written import module_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
KEYS = ("image", "label", "soft")


@pytest.fixture(scope="module")
def data(pictures: Path, exported: Callable[..., Path]) -> Path:
    return exported(pictures, "monai")


def loaded(data: Path, transforms: list[Any], task: str = "train") -> Any:
    """Return the samples of a task under transforms that come behind loading."""
    pytest.importorskip("monai")
    from monai.data.dataset import Dataset
    from monai.data.decathlon_datalist import load_decathlon_datalist
    from monai.transforms.compose import Compose
    from monai.transforms.io.dictionary import LoadImaged
    from monai.transforms.utility.dictionary import EnsureChannelFirstd

    files = load_decathlon_datalist(str(data / task / "dataset.json"), True, "training")
    return Dataset(files, Compose([LoadImaged(KEYS), EnsureChannelFirstd(KEYS), *transforms]))


def test_soft_labels_align_under_the_transforms_of_the_tutorials(data: Path) -> None:
    """Crops around labels, turns and flips move all three alike; of stretched pixels few change their class."""
    monai = pytest.importorskip("monai")
    of = monai.transforms
    monai.utils.set_determinism(0)
    crop = of.RandCropByPosNegLabeld(KEYS, label_key="label", spatial_size=(32, 32), pos=1, neg=1, num_samples=4)
    modes = ("bilinear", "nearest", "bilinear")
    exact = [
        of.ScaleIntensityd("image"),
        of.Orientationd(KEYS, axcodes="RAS"),
        crop,
        of.RandRotate90d(KEYS, prob=0.5, spatial_axes=(0, 1)),
        of.RandFlipd(KEYS, prob=0.5, spatial_axis=0),
    ]
    mixed = 0
    for crops in loaded(data, exact):
        for sample in crops:
            assert (sample["image"].shape, sample["soft"].shape) == ((3, 32, 32), (2, 32, 32))
            assert torch.equal(sample["soft"].argmax(0), sample["label"][0].long())
            mixed += int(((sample["soft"] > 0.1) & (sample["soft"] < 0.9)).any())
    assert mixed
    stretch = [
        of.Spacingd(KEYS, pixdim=(0.8, 0.8), mode=modes),
        of.RandAffined(KEYS, prob=1, rotate_range=0.3, scale_range=(0.1, 0.1), mode=modes, padding_mode="border"),
    ]
    for sample in loaded(data, stretch):
        assert (sample["soft"].argmax(0) == sample["label"][0].long()).float().mean() > 0.95
        assert sample["soft"].sum(0).sub(1).abs().max() < 1e-3


def test_a_network_of_monai_learns_from_soft_labels(data: Path) -> None:
    monai = pytest.importorskip("monai")
    torch.manual_seed(0)
    loader = monai.data.DataLoader(loaded(data, [monai.transforms.ScaleIntensityd("image")]), 6, shuffle=True)
    network = monai.networks.nets.UNet(2, 3, 2, (8, 16), (2,))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    dice = monai.losses.DiceLoss(softmax=True, soft_label=True)
    means = []
    for _ in range(4):
        losses = []
        for batch in loader:
            logits, soft = network(batch["image"]), batch["soft"]
            loss = dice(logits, soft) + torch.nn.functional.cross_entropy(logits, soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss))
        means.append(sum(losses) / len(losses))
    logging.getLogger(__name__).info("means of epochs: %s", means)
    assert means[-1] < 0.9 * means[0]


def test_the_program_of_the_guide_trains(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pasted from README.txt, with the second program, which reads by the class of the export."""
    monai = pytest.importorskip("monai")
    monkeypatch.setenv("DATA", str(data))
    monkeypatch.syspath_prepend(data / "code")
    parts = (data / "README.txt").read_text().split("\n\n")
    first, second = (textwrap.dedent(part) for part in parts if part.startswith(("    import os", "    from hsmix")))
    held: dict[str, Any] = {"model": monai.networks.nets.UNet(2, 3, 2, (8, 16), (2,))}

    exec(first, held)  # noqa: S102 - ours
    exec(second, held)  # noqa: S102 - ours

    assert float(held["loss"]) > 0
    assert len(held["train"]) == len(held["files"]) == 18


def test_tasks_of_monai_are_the_splits(data: Path) -> None:
    """The class of the export redraws nothing; each task has its samples, and no parent of another's."""
    pytest.importorskip("monai")
    module = module_of(data / "code/hsmix_monai.py")
    seen = {}
    for task in ("train", "val", "test"):
        rows = module.DecathlonDataset(str(data), task, transform=lambda entry: entry, progress=False)
        assert {"reference", "licence"} <= rows.properties.keys()
        seen[task] = {Path(entry["label"]).name.rpartition("_")[0] for entry in rows}
    stored = pq.read_table(data / "manifest.parquet", columns=["key", "split"]).to_pylist()
    assert seen == {task: {row["key"] for row in stored if row["split"] == task} for task in seen}
    assert_no_parents_cross(data, seen["train"], seen["val"] | seen["test"])


def test_losses_of_segmentation_models_that_take_soft_labels_and_that_do_not() -> None:
    """Those that the manual names are least at the label; where others stop raising, the manual has to follow."""
    losses = pytest.importorskip("segmentation_models_pytorch").losses
    torch.manual_seed(0)
    soft = torch.rand(2, 3, 8, 8).softmax(1)
    perfect, wrong = soft.log(), torch.randn(2, 3, 8, 8) * 3

    def advised(logits: torch.Tensor) -> float:
        dice = losses.DiceLoss("multilabel", from_logits=False)(logits.softmax(1), soft)
        return float(dice + torch.nn.functional.cross_entropy(logits, soft))

    assert advised(perfect) < advised(perfect + 0.3 * wrong) < advised(wrong)
    ids_only = [losses.SoftCrossEntropyLoss(smooth_factor=0.0)]
    ids_only += [
        getattr(losses, name)("multiclass") for name in ("DiceLoss", "JaccardLoss", "TverskyLoss", "FocalLoss")
    ]
    for loss in ids_only:
        with pytest.raises((RuntimeError, IndexError, ValueError)):
            loss(perfect, soft)
