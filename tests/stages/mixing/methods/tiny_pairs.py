"""Small parents of chance, and each method weighed on a pair of them."""

from typing import Any

import numpy as np

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import IGNORE, Mode
from hsmix_gen.stages.mixing.method import Pair, Parent, Weights, method_named

SIZE = (11, 14)


def parent(number: int, *, size: tuple[int, int] = SIZE, channels: int = 3, dtype: str = "uint8") -> Parent:
    """Return a seeded parent: blobs of classes 1 to 3 with some ignored pixels, blocks of superpixels, any saliency."""
    rng = np.random.default_rng([77, number])
    height, width = size
    image = rng.integers(0, 256, (height, width, channels)).astype(dtype)
    coarse = rng.integers(0, 4, (height // 3 + 1, width // 3 + 1)) * (
        rng.random((height // 3 + 1, width // 3 + 1)) < 0.6
    )
    mask = np.repeat(np.repeat(coarse, 3, axis=0), 3, axis=1)[:height, :width].astype(np.uint8)
    mask[rng.random(size) < 0.04] = IGNORE
    blocks = (np.arange(height)[:, None] // 4) * (-(-width // 4)) + np.arange(width)[None, :] // 4
    saliency = rng.integers(0, 256, size).astype(np.uint8)
    return Parent(image, mask, blocks.astype(np.uint16), saliency)


def multilabel(one: Parent, n_channels: int = 3) -> Parent:
    """Return a parent with its class ids as nested channels, outer first."""
    channels = np.stack([one.mask > k for k in range(n_channels)], axis=2).astype(np.uint8)
    channels[one.mask == IGNORE] = IGNORE
    return Parent(one.image, channels, one.labels, one.saliency)


def configured(method: str, **mix: Any) -> MixConfig:
    """Return a configuration of one method, with chances of the modes that it has."""
    modes = method_named(method).modes
    return MixConfig.model_validate({"method": method, "probabilities": (0, "hard" in modes, "soft" in modes), **mix})


def weighed(method: str, mode: Mode, a: Parent, b: Parent, seed: int, **mix: Any) -> Weights:
    """Return the weights of a pair by a method."""
    return method_named(method).weigh(Pair(a, b, mode, seed, configured(method, **mix), 4))
