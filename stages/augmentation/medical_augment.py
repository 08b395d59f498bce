"""Medical: bias field, blur, noise, contrast and Gibbs ringing of MONAI, for images of any depth and channels."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hsmix_gen.schemas.arrays import Image
from hsmix_gen.schemas.extras import load
from hsmix_gen.stages.augmentation.augment import Augmentation, Augmented
from hsmix_gen.stages.mixing.mixing import Mixed
from hsmix_gen.stages.randomness import integer
from hsmix_gen.stages.saliency.torch_context import torch_threads

_TRANSFORMS = "monai.transforms"
_CHANCE = 0.3
"""Of each operation."""
_Planes = npt.NDArray[np.float32]
Operation = tuple[Callable[[float, int], Any], float, float]
"""What makes a transform of (C, H, W) tensors for a strength and a seed, with the least and the greatest strength."""
_WHITE = {"uint8": 255.0, "uint16": 65535.0}
_LARGEST_SEED = 2**32 - 1


def _monai() -> Any:
    """Return MONAI's transforms; the import takes seconds and 400 MB."""
    return load(_TRANSFORMS, "augment medical")


def _bias(strength: float, seed: int) -> Any:
    field = _monai().RandBiasField(degree=3, coeff_range=(-strength, strength), prob=1.0, dtype=np.float32)
    return field.set_random_state(seed=seed)


def _noise(strength: float, seed: int) -> Any:
    return _monai().RandGaussianNoise(prob=1.0, std=strength, sample_std=False).set_random_state(seed=seed)


_OPERATIONS: dict[str, Operation] = {
    "bias": (_bias, 0.1, 0.3),
    "contrast": (lambda gamma, _: _monai().AdjustContrast(gamma=gamma), 0.7, 1.5),
    "blur": (lambda sigma, _: _monai().GaussianSmooth(sigma=sigma), 0.5, 1.5),
    "gibbs": (lambda alpha, _: _monai().GibbsNoise(alpha=alpha), 0.3, 0.7),
    "noise": (_noise, 0.01, 0.08),
}
"""What makes each, in the order of their physics, with the least and the greatest strength.

Coefficients of the field, gamma, pixels, share of the k-space, and share of the range of values.
"""


class Medical(Augmentation):
    """What scanners do to images: each operation with a chance of 0.3, at a strength drawn evenly.

    Values are stretched to [0, 1] and put back; a background of 0 in all channels of a float image stays 0.
    """

    libraries = ("monai", "torch")
    modules = (_TRANSFORMS,)

    def __init__(self, operations: Mapping[str, Operation] | None = None) -> None:
        self._operations = _OPERATIONS if operations is None else operations

    def apply(self, mixed: Mixed, rng: np.random.Generator) -> Augmented:
        """Return the sample with another image."""
        drawn = []
        for name, (make, low, high) in self._operations.items():
            chance, share, seed = rng.random(), rng.random(), integer(rng, 0, _LARGEST_SEED)
            if chance < _CHANCE:
                drawn.append((name, make, low + (high - low) * float(share), seed))
        if not drawn:
            return Augmented(mixed)
        black, extent = _range(mixed.image)
        planes = torch.from_numpy(((mixed.image.astype(np.float32) - black) / extent).transpose(2, 0, 1).copy())
        with torch_threads(1):
            for _, make, strength, seed in drawn:
                planes = make(strength, seed)(planes).as_subclass(torch.Tensor)
        image = _stored(planes.numpy().transpose(1, 2, 0), mixed.image, black, extent)
        words = "; ".join(f"{name} {strength:.4g}" for name, _, strength, _ in drawn)
        return Augmented(replace(mixed, image=image), words)


def _range(image: Image) -> tuple[np.float32, np.float32]:
    """Return black, and how far white is above it; of float images their least value and their range."""
    white = _WHITE.get(image.dtype.name)
    if white is not None:
        return np.float32(0), np.float32(white)
    return np.float32(image.min()), np.float32(np.ptp(image) or 1)


def _stored(values: _Planes, before: Image, black: np.float32, extent: np.float32) -> Image:
    """Return values of [0, 1] in the form of an image."""
    if before.dtype.name in _WHITE:
        return np.ascontiguousarray(np.rint(np.clip(values, 0, 1) * extent).astype(before.dtype))
    image: npt.NDArray[np.float32] = np.ascontiguousarray(values * extent + black, dtype=np.float32)
    image[(before == 0).all(axis=-1)] = 0
    return image


AUGMENTATION = Medical()
