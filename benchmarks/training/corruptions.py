"""Test images as other devices would have taken them: blur, bias field, noise, low contrast, by MONAI."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch


def _clean(images: torch.Tensor) -> torch.Tensor:
    return images


def _by_monai(kind: str, images: torch.Tensor) -> torch.Tensor:
    """Return (B, C, H, W) images in [0, 1] after a transform of a fixed seed, an image after the other."""
    transform = _transform(kind)
    if hasattr(transform, "set_random_state"):
        transform.set_random_state(seed=0)
    return torch.stack([torch.as_tensor(transform(image)).float() for image in images]).clamp(0, 1)


def _transform(kind: str) -> Any:
    # Imported here: two seconds that a listing of the plan need not wait.
    from monai.transforms.intensity.array import GaussianSmooth, RandBiasField, RandGaussianNoise

    if kind == "blur":
        return GaussianSmooth(sigma=1.0)
    if kind == "bias":
        return RandBiasField(prob=1.0, degree=3, coeff_range=(0.3, 0.3))
    assert kind == "noise"
    return RandGaussianNoise(prob=1.0, mean=0.0, std=0.08, sample_std=False)


def _low_contrast(images: torch.Tensor) -> torch.Tensor:
    mean = images.mean((2, 3), keepdim=True)
    return mean + 0.5 * (images - mean)


CORRUPTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "clean": _clean,
    "blur": partial(_by_monai, "blur"),
    "bias": partial(_by_monai, "bias"),
    "noise": partial(_by_monai, "noise"),
    "contrast": _low_contrast,
}
"""What is done to test images, by name; ``clean`` is nothing."""
