"""The small U-Net is MONAI's, and its Grad-CAM that of the library: both are judges here."""

from typing import Any

import numpy as np
import pytest
import pytorch_grad_cam
import torch
from monai.losses.dice import DiceLoss
from monai.networks.nets.basic_unet import BasicUNet
from torch.nn import functional

from hsmix_gen.stages.saliency.fitting import segmentation_loss
from hsmix_gen.stages.saliency.gradcam import CamMethod, CamOptions, GradCam
from hsmix_gen.stages.saliency.network_io import foreground_scores, predicted_foreground, to_input
from hsmix_gen.stages.saliency.torch_context import torch_threads
from hsmix_gen.stages.saliency.unet import SmallUNet

FEATURES = (4, 4, 8, 8, 8, 6)
JUDGES = {
    "gradcam": pytorch_grad_cam.GradCAM,
    "gradcam++": pytorch_grad_cam.GradCAMPlusPlus,
    "layercam": pytorch_grad_cam.LayerCAM,
    "hirescam": pytorch_grad_cam.HiResCAM,
    "xgradcam": pytorch_grad_cam.XGradCAM,
    "eigengradcam": pytorch_grad_cam.EigenGradCAM,
    "elementwise": pytorch_grad_cam.GradCAMElementWise,
}


def both() -> tuple[SmallUNet, BasicUNet]:
    """Ours and MONAI's, made from the same state of torch's generator."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        ours = SmallUNet(n_channels=2, n_classes=3, features=FEATURES)
        torch.default_generator.manual_seed(3)
        return ours, BasicUNet(spatial_dims=2, in_channels=2, out_channels=3, features=FEATURES)


@pytest.fixture(scope="module")
def network() -> SmallUNet:
    return both()[0].eval()


@pytest.fixture(scope="module")
def images() -> Any:
    return np.random.default_rng(0).integers(0, 255, (3, 48, 32, 2)).astype(np.uint8)


def test_its_weights_are_those_of_monai() -> None:
    """Equal seeds give equal weights, and files of one fit the other."""
    ours, monais = (network.state_dict() for network in both())

    assert list(ours) == list(monais)
    assert all(torch.equal(one, other) for one, other in zip(ours.values(), monais.values(), strict=True))


@pytest.mark.parametrize("size", [(32, 32), (48, 32), (33, 70)])
def test_its_logits_are_those_of_monai(size: tuple[int, int]) -> None:
    """Levels of odd size are filled up alike."""
    ours, monais = both()
    batch = torch.rand((2, 2, *size), generator=torch.Generator().manual_seed(0))

    with torch.no_grad(), torch_threads(1):
        assert torch.equal(ours(batch), monais(batch))


def test_its_loss_is_that_of_monai() -> None:
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    masks = torch.arange(40).reshape(2, 4, 5) % 3
    one_hot = functional.one_hot(masks, 3).permute(0, 3, 1, 2)

    loss = segmentation_loss(logits, masks)

    dice = DiceLoss(include_background=False, batch=True)(logits.softmax(dim=1), one_hot)
    torch.testing.assert_close(loss, functional.cross_entropy(logits, masks) + dice)


class _Foreground:
    """What the library is asked to explain: the predicted foreground of an image against its background."""

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        pixels = predicted_foreground(logits.detach())
        scores = foreground_scores(logits)
        return scores[pixels].sum() if bool(pixels.any()) else scores.sum()


@pytest.mark.parametrize(
    ("method", "layer"),
    [
        ("gradcam", "upcat_1"),
        ("gradcam++", "down_2"),
        ("layercam", "upcat_3"),
        ("hirescam", "conv_0"),
        ("xgradcam", "upcat_2"),
        ("eigengradcam", "down_2"),
        ("elementwise", "upcat_1"),
    ],
)
def test_maps_are_those_of_the_library(method: CamMethod, layer: str, network: SmallUNet, images: Any) -> None:
    judge = JUDGES[method](model=network, target_layers=[network.get_submodule(layer)])
    expected = judge(input_tensor=to_input(images), targets=[_Foreground() for _ in images])
    judge.activations_and_grads.release()

    maps = GradCam(network, [layer], CamOptions(method=method)).maps(images)

    np.testing.assert_allclose(maps, expected, atol=2e-3)
    assert np.ptp(maps) == 1


def test_layers_share_their_pass_and_give_the_maps_that_each_gives_alone(network: SmallUNet, images: Any) -> None:
    names = ["upcat_1", "down_2", "upcat_1.convs", "none", "conv_0"]
    cams = GradCam(network, names, CamOptions(batch=2))

    rows, shared = [], []
    for at, raw in cams.batches(images, None):
        rows.append((at.start, at.stop))
        shared.append({name: cams.finished(maps, images).numpy() for name, maps in raw.items()})

    assert rows == [(0, 2), (2, 3)]
    for name in ("upcat_1", "down_2", "upcat_1.convs", "conv_0"):
        alone = GradCam(network, [name], CamOptions(batch=2)).maps(images)
        np.testing.assert_allclose(np.concatenate([part[name] for part in shared]), alone, atol=1e-5)
    assert "none" not in shared[0]
