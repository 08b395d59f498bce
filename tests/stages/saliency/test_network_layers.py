"""Which layers Grad-CAM may use, and which of them is best."""

import re
from itertools import pairwise

import pytest
import torch
from monai.networks.nets.basic_unet import BasicUNet
from monai.networks.nets.unet import UNet
from torch import nn

from hsmix_gen.schemas.errors import ModelError
from hsmix_gen.stages.saliency.network_layers import candidate_layers, require_layer

IMAGE = torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)


class Block(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, activation: nn.Module) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1), activation)


class SharedActivation(nn.Module):
    """Its only activation runs twice, its auxiliary head makes logits that nobody uses."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 5, 3, padding=1)
        self.activation = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.auxiliary = nn.Conv2d(4, 2, 1)
        self.head = nn.Conv2d(5, 2, 1)
        self.enlarge = nn.Upsample(scale_factor=2)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        first = self.activation(self.first(images))
        second = self.activation(self.second(first))
        self.pool(second)
        return {"aux": self.auxiliary(first), "out": self.enlarge(self.head(second))}


def tiny_unet() -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = BasicUNet(2, 3, 2, features=(8, 8, 8, 8, 8, 8))
    return network


def test_candidates_of_a_unet_are_its_blocks_in_the_order_they_run() -> None:
    down, up = [f"down_{level}" for level in (1, 2, 3, 4)], [f"upcat_{level}" for level in (4, 3, 2, 1)]

    assert candidate_layers(tiny_unet(), IMAGE) == ["conv_0", *down, *up]


def test_a_wrapper_does_not_hide_the_blocks() -> None:
    assert "0.upcat_1" in candidate_layers(nn.Sequential(tiny_unet(), nn.Identity()), IMAGE)


def test_maps_under_four_pixels_are_no_candidates() -> None:
    """At 48 pixels the bottleneck has 3."""
    assert "down_4" not in candidate_layers(tiny_unet(), IMAGE[..., :48, :48])


def test_nested_networks_have_candidates_at_several_resolutions() -> None:
    network = UNet(spatial_dims=2, in_channels=3, out_channels=2, channels=(4, 8, 16), strides=(2, 2))

    layers = [network.get_submodule(name) for name in candidate_layers(network, IMAGE)]
    heights: list[int] = []
    for layer in layers:
        layer.register_forward_hook(lambda _layer, _inputs, output: heights.append(output.shape[2]))
    network(IMAGE)

    assert {16, 32} <= {*heights}


def test_heads_reused_modules_and_small_maps_are_no_candidates() -> None:
    """A module that runs twice has two outputs, of which no name can choose one."""
    assert candidate_layers(SharedActivation(), IMAGE) == ["first", "second"]


def test_many_candidates_are_thinned_evenly_to_sixteen() -> None:
    blocks = [Block(3 if index == 0 else 4, 4, nn.ReLU()) for index in range(40)]

    found = candidate_layers(nn.Sequential(*blocks, nn.Conv2d(4, 2, 1)), IMAGE[..., :8, :8])

    assert len(found) == 16
    assert found[-1] == "39"
    gaps = {int(after) - int(before) for before, after in pairwise(found)}
    assert gaps <= {2, 3}


def test_a_network_without_maps_is_refused() -> None:
    with pytest.raises(ModelError, match="must have a layer"):
        candidate_layers(nn.Conv2d(3, 2, 1), IMAGE)


def test_looking_for_candidates_leaves_no_hook_behind() -> None:
    network = tiny_unet()

    candidate_layers(network, IMAGE)
    with pytest.raises(RuntimeError):
        candidate_layers(network, IMAGE[:, :2])

    assert not any(module._forward_hooks for module in network.modules())


def test_a_layer_is_found_by_its_dotted_name() -> None:
    network = tiny_unet()

    assert require_layer(network, "upcat_1.convs") is network.get_submodule("upcat_1.convs")


def test_a_wrong_layer_name_lists_near_names_and_candidates() -> None:
    with pytest.raises(ModelError) as caught:
        require_layer(tiny_unet(), "upcat1", candidates=["down_4", "upcat_1"])

    message = str(caught.value)
    assert message.startswith("layer 'upcat1' does not exist in BasicUNet; did you mean upcat_1")
    assert message.endswith("choose --layer among down_4, upcat_1")


def test_the_empty_name_is_no_layer() -> None:
    """It would be the network itself, whose output is the logits."""
    with pytest.raises(ModelError, match=re.escape("choose --layer among conv_0, down_1")):
        require_layer(tiny_unet(), "")


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("compiled", ["script", "trace"])
def test_torchscript_is_refused_with_the_way_out(compiled: str) -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1))
    network = torch.jit.script(plain) if compiled == "script" else torch.jit.trace(plain, IMAGE)  # type: ignore[no-untyped-call]

    for use in (lambda: require_layer(network, "0"), lambda: candidate_layers(network, IMAGE)):
        with pytest.raises(ModelError, match=r"TorchScript .* --model MODULE:CALLABLE"):
            use()
