"""The small U-Net [1]_ that is fitted where the user has no network: five levels, instance norm, leaky ReLU.

Layers, names and order of weights are those of MONAI's ``BasicUNet``, with which a test compares it, so that weights of
one fit the other; MONAI itself takes seconds and 400 MB to import.

References
----------
.. [1] Ronneberger, Fischer, Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI 2015,
   arXiv:1505.04597.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

_SLOPE = 0.1


class SmallUNet(nn.Module):
    """(N, C, H, W) float32 to (N, K, H, W) logits.

    Instance norm makes it indifferent to the intensity scale of the images, and equal in training and evaluation,
    however small the batch.

    Parameters
    ----------
    n_channels, n_classes : int
        C and K.
    features : sequence of int
        Channels of the five levels from the finest on, and of the last decoder block.
    """

    def __init__(self, *, n_channels: int, n_classes: int, features: Sequence[int]) -> None:
        super().__init__()
        first, second, third, fourth, fifth, last = features
        self.conv_0 = _convolutions(n_channels, first)
        self.down_1 = _down(first, second)
        self.down_2 = _down(second, third)
        self.down_3 = _down(third, fourth)
        self.down_4 = _down(fourth, fifth)
        self.upcat_4 = _Up(fifth, fifth // 2, fourth, fourth)
        self.upcat_3 = _Up(fourth, fourth // 2, third, third)
        self.upcat_2 = _Up(third, third // 2, second, second)
        self.upcat_1 = _Up(second, second, first, last)
        self.final_conv = nn.Conv2d(last, n_classes, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        levels = [self.conv_0(images)]
        for down in (self.down_1, self.down_2, self.down_3, self.down_4):
            levels.append(down(levels[-1]))
        features: torch.Tensor = levels.pop()
        for up in (self.upcat_4, self.upcat_3, self.upcat_2, self.upcat_1):
            features = up(features, levels.pop())
        logits: torch.Tensor = self.final_conv(features)
        return logits


class _Up(nn.Module):
    """Doubles the size of features and joins them with those of the encoder."""

    def __init__(self, n_in: int, n_up: int, n_encoder: int, n_out: int) -> None:
        super().__init__()
        self.upsample = nn.Sequential(OrderedDict(deconv=nn.ConvTranspose2d(n_in, n_up, 2, stride=2)))
        self.convs = _convolutions(n_encoder + n_up, n_out)

    def forward(self, features: torch.Tensor, encoded: torch.Tensor) -> torch.Tensor:
        """Return (N, n_out, h, w) features of the size of `encoded`."""
        larger = self.upsample(features)
        # A level of odd size lost a line on the way down.
        missing = [encoded.shape[axis] - larger.shape[axis] for axis in (3, 2)]
        if any(missing):
            larger = functional.pad(larger, (0, missing[0], 0, missing[1]), "replicate")
        joined: torch.Tensor = self.convs(torch.cat([encoded, larger], dim=1))
        return joined


def _down(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(max_pooling=nn.MaxPool2d(2), convs=_convolutions(n_in, n_out)))


def _convolutions(n_in: int, n_out: int) -> nn.Sequential:
    """Return two convolutions of 3 x 3, each with norm and activation."""
    return nn.Sequential(OrderedDict(conv_0=_convolution(n_in, n_out), conv_1=_convolution(n_out, n_out)))


def _convolution(n_in: int, n_out: int) -> nn.Sequential:
    behind = OrderedDict(N=nn.InstanceNorm2d(n_out, affine=True), A=nn.LeakyReLU(_SLOPE, inplace=True))
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(n_in, n_out, 3, padding=1), adn=nn.Sequential(behind)))
