"""Networks by name, all small and from scratch: (B, C, H, W) images to (B, K, H, W) logits."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

Maker = Callable[[int, int], nn.Module]


class UNet(nn.Module):
    """A U-Net [1]_ with batch norm; with a stem it works at half the resolution, a quarter of the time.

    Parameters
    ----------
    channels, classes : int
    widths : sequence of int
        Channels of each level.
    stem : int
        Stride of the first convolution, 1 or 2.

    References
    ----------
    .. [1] Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015, arXiv:1505.04597.
    """

    def __init__(self, channels: int, classes: int, widths: tuple[int, ...] = (16, 32, 64, 128), stem: int = 1) -> None:
        super().__init__()
        self.stem = convolution(channels, widths[0], stride=stem)
        self.down = nn.ModuleList(double(a, b) for a, b in zip((widths[0], *widths), widths, strict=False))
        self.up = nn.ModuleList(double(a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        x, skipped = self.stem(images), []
        for level, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if level else x)
            skipped.append(x)
        return resized(self.head(decoded(self.up, x, skipped[:-1])), images)


class Hybrid(nn.Module):
    """Convolutions, a vision transformer at the bottleneck, and a decoder with skips, as in TransUNet [1]_.

    References
    ----------
    .. [1] Chen et al., "TransUNet", arXiv:2102.04306.
    """

    def __init__(self, channels: int, classes: int, widths: tuple[int, ...] = (16, 32, 64, 96), depth: int = 4) -> None:
        super().__init__()
        self.stem = convolution(channels, widths[0], stride=2)
        self.down = nn.ModuleList(double(a, b) for a, b in zip((widths[0], *widths), widths, strict=False))
        self.tokens = Tokens(widths[-1], depth)
        self.up = nn.ModuleList(double(a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        x, skipped = self.stem(images), []
        for level, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if level else x)
            skipped.append(x)
        return resized(self.head(decoded(self.up, self.tokens(x), skipped[:-1])), images)


class TwoScale(nn.Module):
    """Tokens of a fine and a coarse scale that exchange what they see, then are joined, as in HiFormer [1]_.

    References
    ----------
    .. [1] Heidari et al., "HiFormer", WACV 2023, arXiv:2207.08518.
    """

    def __init__(self, channels: int, classes: int, widths: tuple[int, ...] = (24, 48, 96), depth: int = 2) -> None:
        super().__init__()
        self.stem = convolution(channels, widths[0], stride=2)
        self.middle = double(widths[0], widths[1])
        self.fine, self.coarse = Tokens(widths[1], depth), Tokens(widths[2], depth)
        self.to_coarse = double(widths[1], widths[2])
        self.from_fine, self.from_coarse = nn.Conv2d(widths[1], widths[2], 1), nn.Conv2d(widths[2], widths[1], 1)
        self.joined = double(widths[0] + widths[1] + widths[2], widths[1])
        self.head = nn.Conv2d(widths[1], classes, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        first = self.stem(images)
        middle = self.middle(functional.max_pool2d(first, 2))
        coarse = self.to_coarse(functional.max_pool2d(middle, 4))
        fine = self.fine(functional.max_pool2d(middle, 2))
        coarse = self.coarse(coarse + self.from_fine(fine).mean((2, 3), keepdim=True))
        fine = fine + self.from_coarse(coarse).mean((2, 3), keepdim=True)
        parts = [first, *(resized(part, first) for part in (fine, coarse))]
        return resized(self.head(self.joined(torch.cat(parts, 1))), images)


class Tokens(nn.Module):
    """Transformer blocks over the pixels of a map, (B, C, h, w) to the same."""

    def __init__(self, width: int, depth: int, heads: int = 4) -> None:
        super().__init__()
        block = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, depth, enable_nested_tensor=False)
        # Where a token stands: a convolution sees it from the zeros around the map, at any size.
        self.places = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the map after all blocks."""
        x = x + self.places(x)
        tokens = self.blocks(x.flatten(2).transpose(1, 2))
        there: torch.Tensor = tokens.transpose(1, 2).unflatten(2, x.shape[2:]).contiguous()
        return there


def convolution(before: int, after: int, *, stride: int = 1) -> nn.Module:
    """Return a convolution with batch norm and activation."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


def double(before: int, after: int) -> nn.Module:
    """Return two convolutions."""
    return nn.Sequential(convolution(before, after), convolution(after, after))


def decoded(up: nn.ModuleList, x: torch.Tensor, skipped: list[torch.Tensor]) -> torch.Tensor:
    """Return the decoder's map, level by level with what was skipped."""
    for block, skip in zip(up, reversed(skipped), strict=True):
        x = block(torch.cat([functional.interpolate(x, size=skip.shape[2:]), skip], 1))
    return x


def resized(x: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Return a map at the size of the images."""
    if x.shape[2:] == images.shape[2:]:
        return x
    return functional.interpolate(x, size=images.shape[2:], mode="bilinear", align_corners=False)


def _from_smp(architecture: str, encoder: str) -> Maker:
    def make(channels: int, classes: int) -> nn.Module:
        import segmentation_models_pytorch as smp

        network: nn.Module = smp.create_model(
            architecture, encoder_name=encoder, encoder_weights=None, in_channels=channels, classes=classes
        )
        return network

    return make


NETWORKS: dict[str, Maker] = {
    "unet-half": lambda channels, classes: UNet(channels, classes, (16, 32, 64), stem=2),
    "unet": UNet,
    "unet-large": lambda channels, classes: UNet(channels, classes, (32, 64, 128, 256, 512)),
    "hybrid": Hybrid,
    "two-scale": TwoScale,
    "deeplabv3plus": _from_smp("deeplabv3plus", "resnet18"),
    "segformer": _from_smp("segformer", "mit_b0"),
}
"""Makers by name: channels and classes to a network; the last two need segmentation-models-pytorch."""
WITH_ENCODER = ("deeplabv3plus", "segformer")
"""Networks whose encoder may start from a file."""


def make_network(name: str, channels: int, classes: int, *, seed: int, encoder_weights: Path | None) -> nn.Module:
    """Return a network with weights drawn from a seed, equal for all arms, and the encoder's from a file.

    Parameters
    ----------
    name : str
        A key of `NETWORKS`; what follows an ``@`` is for people, the name of a file.
    encoder_weights : Path or None
        A state of ``torch.save`` for the network's ``encoder``; nothing in it is run.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[name.partition("@")[0]](channels, classes)
    if encoder_weights is not None:
        state = torch.load(encoder_weights, map_location="cpu", weights_only=True)
        network.get_submodule("encoder").load_state_dict(state)
    return network
