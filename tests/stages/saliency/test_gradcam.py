"""Grad-CAM through the library, against a plain autograd oracle and against what goes wrong in practice."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from monai.networks.nets.basic_unet import BasicUNet
from torch import nn
from torch.nn import functional

from hsmix_gen.schemas.errors import ModelError
from hsmix_gen.stages.saliency.gradcam import CamMethod, CamOptions, CamTarget, GradCam
from hsmix_gen.stages.saliency.network_io import to_input
from hsmix_gen.stages.saliency.torch_context import torch_threads

Images = npt.NDArray[np.uint8]
Masks = npt.NDArray[np.uint8]


def tiny_unet(n_logits: int = 3) -> nn.Module:
    torch.manual_seed(1)
    network: nn.Module = BasicUNet(2, 3, n_logits, features=(8, 8, 8, 8, 8, 8))
    return network


@pytest.fixture(scope="module")
def images() -> Images:
    """Five images with a bright disc each, one of them at the border."""
    rows, columns = np.mgrid[:64, :64]
    noise = np.random.default_rng(0).integers(0, 60, (5, 64, 64, 3))
    discs = [np.hypot(rows - 12 * index, columns - 30) < 6 + 2 * index for index in range(5)]
    images: Images = (noise + 150 * np.stack(discs)[..., None]).astype(np.uint8)
    return images


@pytest.fixture(scope="module")
def masks(images: Images) -> Masks:
    """Class 2 in the upper half of the disc, class 1 in the lower, some ignored pixels."""
    masks: Masks = (images.mean(axis=3) > 120).astype(np.uint8)
    masks[:, :16][masks[:, :16] == 1] = 2
    masks[:, :, :2] = 255
    return masks


class Wrapped(nn.Module):
    """The tiny U-Net with its logits packed by `pack`."""

    def __init__(self, pack: Callable[[torch.Tensor], object], *, n_logits: int = 3) -> None:
        super().__init__()
        self.unet = tiny_unet(n_logits)
        self.pack = pack

    def forward(self, images: torch.Tensor) -> object:
        return self.pack(self.unet(images))


class Fixed(nn.Module):
    """Logits written down by the test, reached through a layer that multiplies by one weight."""

    def __init__(self, logits: Callable[[torch.Tensor], torch.Tensor], *, weight: float = 1.0) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.layer.weight, weight)
        self.logits = logits

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits(self.layer(images))


class Hungry(nn.Module):
    """Runs out of memory above so many images, as a GPU does."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.unet = tiny_unet()
        self.most = most
        self.seen: list[int] = []

    def forward(self, images: torch.Tensor) -> object:
        self.seen.append(len(images))
        if len(images) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return self.unet(images)


@torch_threads(1)
def oracle(
    network: nn.Module, layer: str, images: Images, pixels: Callable[[torch.Tensor], torch.Tensor]
) -> npt.NDArray[np.float32]:
    """Grad-CAM by its definition: weights, ReLU, bilinear upsampling, min-max; one image at a time."""
    maps = []
    for image in images:
        kept: list[torch.Tensor] = []
        handle = network.get_submodule(layer).register_forward_hook(lambda _m, _i, out: kept.append(out))  # noqa: B023
        logits = network.eval()(to_input(image[None]))
        handle.remove()
        scores = (logits - logits[:, :1])[:, 1:]
        (gradient,) = torch.autograd.grad((scores * pixels(logits)).sum(), kept[0])
        cam = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).relu()
        cam = functional.interpolate(cam, image.shape[:2], mode="bilinear")[0, 0]
        maps.append(((cam - cam.min()) / (cam.max() - cam.min())).detach().numpy())
    return np.stack(maps)


def correlation(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def maps_of(
    network: nn.Module, images: npt.NDArray[Any], masks: Masks | None = None, layer: str = "upcat_1", **options: Any
) -> npt.NDArray[np.float32]:
    return GradCam(network, [layer], CamOptions(**options)).maps(images, masks)


def hooks_in(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._backward_hooks) for module in network.modules())


def test_the_target_all_sums_over_every_pixel(images: Images) -> None:
    maps = maps_of(tiny_unet(), images, target="all")

    expected = oracle(tiny_unet(), "upcat_1", images, lambda logits: torch.ones_like(logits[:, 1:]))
    np.testing.assert_allclose(maps, expected, atol=2e-3)


def test_the_target_truth_sums_each_class_over_its_true_pixels(images: Images, masks: Masks) -> None:
    maps = maps_of(tiny_unet(), images[3:4], masks[3:4], layer="upcat_2", target="truth")

    truth = torch.from_numpy(np.stack([masks[3:4] == 1, masks[3:4] == 2], axis=1))
    expected = oracle(tiny_unet(), "upcat_2", images[3:4], lambda _: truth)
    np.testing.assert_allclose(maps, expected, atol=2e-3)
    assert correlation(maps, maps_of(tiny_unet(), images[3:4], layer="upcat_2")) < 0.999


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam", "hirescam"])
def test_a_batch_gives_what_its_images_give_one_by_one(method: CamMethod, images: Images) -> None:
    batched = maps_of(tiny_unet(), images, method=method, batch=5)
    single = maps_of(tiny_unet(), images, method=method, batch=1)

    np.testing.assert_allclose(batched, single, atol=1e-5)


@pytest.mark.parametrize("side", [None, 32])
def test_maps_have_the_images_size_and_fill_zero_to_one(side: int | None) -> None:
    images = np.random.default_rng(0).integers(0, 65535, (2, 48, 80, 3), np.uint16)

    maps = maps_of(tiny_unet(), images, side=side)

    assert maps.shape == (2, 48, 80)
    assert maps.dtype == np.float32
    assert maps.min(axis=(1, 2)).tolist() == [0, 0]
    assert maps.max(axis=(1, 2)).tolist() == [1, 1]


def test_no_images_give_no_maps() -> None:
    result = GradCam(tiny_unet(), ["upcat_1"], CamOptions()).maps(np.zeros((0, 64, 48, 3), np.uint8))

    assert result.shape == (0, 64, 48)


@pytest.mark.parametrize(
    ("pack", "key"),
    [
        (lambda logits: {"aux": logits[:, :1], "out": logits}, None),
        (lambda logits: {"aux": logits[:, :1], "seg": logits}, "seg"),
        (lambda logits: (logits, logits[:, :, ::2, ::2]), None),
        (lambda logits: [logits[:, :1], logits], "1"),
    ],
)
def test_dictionaries_and_lists_give_the_maps_of_the_plain_logits(
    pack: Callable[[torch.Tensor], object], key: str | None, images: Images
) -> None:
    maps = maps_of(Wrapped(pack), images[:2], layer="unet.upcat_1", output_key=key)

    np.testing.assert_array_equal(maps, maps_of(tiny_unet(), images[:2]))


def test_one_channel_is_explained_like_the_two_of_a_softmax(images: Images) -> None:
    """Logits (0, z) and a single z are one network to a softmax and a sigmoid."""
    single = Wrapped(lambda logits: logits[:, 1:2] - logits[:, :1])
    double = Wrapped(lambda logits: logits[:, :2])

    np.testing.assert_allclose(
        maps_of(single, images, layer="unet.upcat_1"),
        maps_of(double, images, layer="unet.upcat_1"),
        atol=1e-4,
    )


@pytest.mark.parametrize("frozen", [True, False])
def test_nothing_stays_behind_on_the_network(frozen: bool, images: Images) -> None:
    network = tiny_unet().train()
    network.requires_grad_(not frozen)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    maps_of(network, images[:2])

    assert hooks_in(network) == 0
    assert all(parameter.requires_grad is not frozen for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not network.training


def test_partly_frozen_networks_stay_partly_frozen(images: Images) -> None:
    network = tiny_unet()
    network.get_submodule("down_1").requires_grad_(False)
    before = [parameter.requires_grad for parameter in network.parameters()]

    maps_of(network, images[:1])

    assert [parameter.requires_grad for parameter in network.parameters()] == before


def test_an_error_leaves_no_hook_and_no_frozen_parameter_behind(images: Images) -> None:
    """The library's context manager would swallow this IndexError and go on."""

    def fail(_logits: torch.Tensor) -> object:
        raise IndexError("from the network")

    network = Wrapped(fail)

    with pytest.raises(IndexError, match="from the network") as caught:
        maps_of(network, images, layer="unet.upcat_1")
    assert caught.tb is not None  # it keeps the library's object alive, whose destructor would tidy up as well
    assert hooks_in(network) == 0
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_maps_can_be_made_where_gradients_are_switched_off(images: Images) -> None:
    with torch.no_grad():
        maps = maps_of(tiny_unet(), images[:1])

    np.testing.assert_array_equal(maps, maps_of(tiny_unet(), images[:1]))


def test_layers_that_work_in_place_do_not_spoil_the_map() -> None:
    """The map of a layer shows its own output, not what an activation behind it made of it."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1)]
    images = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)

    maps = maps_of(nn.Sequential(*layers), images, layer="0", target="all")

    layers[1] = nn.ReLU(inplace=True)
    np.testing.assert_array_equal(maps_of(nn.Sequential(*layers), images, layer="0", target="all"), maps)


@pytest.mark.parametrize("target", ["predicted", "truth"])
def test_images_without_foreground_fall_back_to_all_pixels(target: CamTarget) -> None:
    """The first image has foreground by prediction and mask, the second by neither: no pixels would give no map."""
    images = np.linspace(0.1, 1, 2 * 64, dtype=np.float32).reshape(2, 8, 8, 1)
    images[0] *= 20
    masks = np.zeros((2, 8, 8), np.uint8)
    masks[0, 0, 0] = 1
    masks[1, 0, 0] = 255
    network = Fixed(lambda x: x - 5)

    maps = GradCam(network, ["layer"], CamOptions(target=target)).maps(images, masks)

    assert maps.max(axis=(1, 2)).tolist() == [1, 1]


def test_a_map_that_says_nothing_is_zero() -> None:
    """A constant image gives a constant map; a negative weight gives one that the ReLU empties."""
    images = np.ones((2, 8, 8, 1), np.float32)
    images[1] = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8, 1)

    constant = GradCam(Fixed(lambda x: x), ["layer"], CamOptions()).maps(images)
    emptied = GradCam(Fixed(lambda x: -x), ["layer"], CamOptions(target="all")).maps(images)

    assert constant.max(axis=(1, 2)).tolist() == [0, 1]
    assert emptied.max() == 0


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam", "hirescam"])
def test_overflow_becomes_a_zero_map_and_spares_the_batch(method: CamMethod) -> None:
    images = np.linspace(0, 1, 2 * 64, dtype=np.float32).reshape(2, 8, 8, 1)
    images[0, 0, 0] = 1e30
    network = Fixed(lambda x: x**3)

    result = GradCam(network, ["layer"], CamOptions(method=method)).maps(images)

    assert np.isfinite(result).all()
    assert result.max(axis=(1, 2)).tolist() == [0, 1]


def test_short_memory_halves_the_batch_and_keeps_the_maps(images: Images) -> None:
    network = Hungry(most=2)
    saliency = GradCam(network, ["unet.upcat_1"], CamOptions(batch=5))

    maps = saliency.maps(images)
    first = list(network.seen)
    saliency.maps(images[:3])

    assert first == [5, 2, 2, 1]
    assert network.seen[len(first) :] == [2, 1]  # what was learnt is kept
    np.testing.assert_allclose(maps, maps_of(tiny_unet(), images), atol=1e-5)
    assert hooks_in(network) == 0


def test_one_image_beyond_the_memory_is_refused_with_the_way_out(images: Images) -> None:
    network = Hungry(most=0)

    with pytest.raises(ModelError, match=r"batch of 1 image of 64 x 64 .* lower saliency.side"):
        maps_of(network, images, layer="unet.upcat_1", batch=4)
    assert network.seen == [4, 2, 1]


def test_masks_of_classes_that_the_network_lacks_are_refused(images: Images, masks: Masks) -> None:
    network = Wrapped(lambda logits: logits[:, :1])

    with pytest.raises(ModelError, match="classes 0 to 1, as the network has 1 logit channels, got 2"):
        maps_of(network, images, masks, layer="unet.upcat_1", target="truth")


def test_the_target_truth_needs_masks_of_the_images_size(images: Images, masks: Masks) -> None:
    for wrong in (None, masks[:, :32]):
        with pytest.raises(ValueError, match="masks"):
            maps_of(tiny_unet(), images, wrong, target="truth")


class Reused(nn.Module):
    """One activation after both convolutions; the auxiliary head leads nowhere; the pool gives a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)
        self.activation, self.auxiliary = nn.ReLU(), nn.Conv2d(4, 2, 1)
        self.unused, self.flatten = nn.Conv2d(3, 3, 1), nn.Flatten()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.activation(self.first(images))
        self.auxiliary(hidden)
        self.flatten(hidden)
        logits: torch.Tensor = self.activation(self.second(hidden))
        return logits


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("activation", "must run once"),
        ("auxiliary", "got no gradient"),
        ("unused", "got no gradient"),
        ("flatten", r"floats of shape \(N, C, h, w\), got \(1, 16384\)"),
        ("fist", "did you mean first"),
    ],
)
def test_layers_without_one_map_are_refused(layer: str, words: str, images: Images) -> None:
    network = Reused()

    with pytest.raises(ModelError, match=words):
        maps_of(network, images[:1], layer=layer)
    assert hooks_in(network) == 0


def test_a_network_that_switches_gradients_off_is_refused(images: Images) -> None:
    network = tiny_unet()
    network.forward = torch.no_grad()(network.forward)

    with pytest.raises(ModelError, match="switches gradients off"):
        maps_of(network, images[:1])


def test_a_network_without_parameters_is_refused() -> None:
    with pytest.raises(ModelError, match="must have parameters"):
        GradCam(nn.Sequential(nn.ReLU(), nn.ReLU()), ["0"], CamOptions())


def test_the_number_of_threads_is_put_back(images: Images) -> None:
    during: list[int] = []

    def note(logits: torch.Tensor) -> torch.Tensor:
        during.append(torch.get_num_threads())
        return logits

    with torch_threads(3):
        maps_of(Wrapped(note), images[:1], layer="unet.upcat_1", threads=1)

        assert during == [1]
        assert torch.get_num_threads() == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.999), ("bf16", 0.95), ("fp16", 0.99)])
def test_a_gpu_gives_the_maps_of_the_cpu(precision: str, least: float, images: Images) -> None:
    options = CamOptions(precision=precision)  # type: ignore[arg-type]

    maps = GradCam(tiny_unet(), ["upcat_1"], options, device="cuda").maps(images)

    assert correlation(maps, maps_of(tiny_unet(), images)) > least


def regions_of(masks: Masks) -> Masks:
    """Return (N, H, W, 2) nested channels of class ids: "1 or 2", "2"; ignored pixels in both."""
    channels = np.stack([masks >= 1, masks == 2], axis=3).astype(np.uint8)
    channels[masks == 255] = 255
    return channels


@pytest.mark.parametrize("multilabel", [False, True])
def test_logits_of_another_size_need_no_other_masks(images: Images, masks: Masks, *, multilabel: bool) -> None:
    network = Wrapped(lambda logits: logits[:, int(multilabel) :, ::4, ::4])
    given = regions_of(masks) if multilabel else masks

    maps = maps_of(network, images[3:], given[3:], layer="unet.upcat_1", target="truth", multilabel=multilabel)

    assert maps.shape == (2, 64, 64)


def sigmoid_oracle(
    layer: str, images: Images, pixels: Callable[[torch.Tensor], torch.Tensor]
) -> npt.NDArray[np.float32]:
    """Return the maps of a multi-label network of two regions.

    The oracle explains logits less the first one; a first one of zeros leaves the regions as they are.
    """
    padded = Wrapped(lambda logits: functional.pad(logits, (0, 0, 0, 0, 1, 0)), n_logits=2)
    return oracle(padded, f"unet.{layer}", images, lambda logits: pixels(logits[:, 1:]))


def test_every_multilabel_channel_is_explained_where_its_own_logit_is_above_zero(images: Images) -> None:
    maps = maps_of(tiny_unet(2), images, multilabel=True)

    expected = sigmoid_oracle("upcat_1", images, lambda logits: logits > 0)
    np.testing.assert_allclose(maps, expected, atol=2e-3)
    assert all(correlation(*pair) < 0.999 for pair in zip(maps, maps_of(tiny_unet(2), images), strict=True))


def test_the_target_truth_of_multilabel_sums_each_channel_over_its_region(images: Images, masks: Masks) -> None:
    regions = regions_of(masks[3:])

    maps = maps_of(tiny_unet(2), images[3:], regions, layer="upcat_2", target="truth", multilabel=True)

    for row in range(2):
        truth = torch.from_numpy(np.moveaxis(regions[row : row + 1] == 1, 3, 1))
        expected = sigmoid_oracle("upcat_2", images[3 + row : 4 + row], lambda _, truth=truth: truth)  # type: ignore[misc]
        np.testing.assert_allclose(maps[row : row + 1], expected, atol=2e-3)


def test_a_network_of_classes_reads_channels_as_their_innermost_region(images: Images, masks: Masks) -> None:
    by_region = maps_of(tiny_unet(), images[3:], regions_of(masks[3:]), target="truth")

    np.testing.assert_array_equal(by_region, maps_of(tiny_unet(), images[3:], masks[3:], target="truth"))


def test_multilabel_images_without_region_fall_back_to_all_pixels() -> None:
    images = np.linspace(0.1, 1, 2 * 64, dtype=np.float32).reshape(2, 8, 8, 1)
    images[0] *= 20
    masks = np.zeros((2, 8, 8, 2), np.uint8)
    masks[0, 0, 0, 1] = 1
    masks[1, 0, 0] = 255
    network = Fixed(lambda x: torch.cat([x - 15, x - 5], dim=1))

    for target in ("predicted", "truth"):
        options = CamOptions(target=target, multilabel=True)
        maps = GradCam(network, ["layer"], options).maps(images, masks)
        assert maps.max(axis=(1, 2)).tolist() == [1, 1]


def test_a_multilabel_network_of_other_channels_than_the_masks_is_refused(images: Images, masks: Masks) -> None:
    with pytest.raises(ModelError, match="each of the 2 channels of the masks, got 3"):
        maps_of(tiny_unet(3), images, regions_of(masks), target="truth", multilabel=True)


def test_multilabel_truth_needs_channels(images: Images, masks: Masks) -> None:
    with pytest.raises(ValueError, match=r"must be \(N, H, W, K\), got \(5, 64, 64\)"):
        maps_of(tiny_unet(2), images, masks, target="truth", multilabel=True)


@pytest.mark.parametrize(("channels", "dtype"), [(4, np.float32), (4, np.uint16), (1, np.float32)])
@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam", "hirescam"])
def test_maps_are_made_of_any_channels_and_types(channels: int, dtype: type[np.generic], method: CamMethod) -> None:
    """Z-scores from -3 to 10 with a background of 0, and words."""
    z_scores = np.random.default_rng(0).normal(size=(3, 48, 32, channels)).clip(-3, 3)
    z_scores[:, 20:30, 10:20] = 10
    z_scores[:, :4] = 0
    images = (z_scores if dtype == np.float32 else (z_scores + 3) * 5000).astype(dtype)
    torch.manual_seed(1)
    network = BasicUNet(2, channels, 3, features=(8, 8, 8, 8, 8, 8))

    result = GradCam(network, ["upcat_1"], CamOptions(method=method, batch=2)).maps(images)

    assert result.shape == (3, 48, 32)
    assert result.min() == 0
    assert result.max(axis=(1, 2)).tolist() == [1, 1, 1]
