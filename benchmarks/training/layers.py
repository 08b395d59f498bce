"""What a trainer does to a batch after loading it, image and soft label alike: the layer that mixing stands on."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch.nn import functional

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images (B, C, H, W) float32 in [0, 1], and soft labels (B, K, H, W) float32, on any device; chance is on the CPU."""


def strong(images: torch.Tensor, labels: torch.Tensor, rng: torch.Generator) -> Batch:
    """Rotate, scale and shift half of the images, and change light, contrast, colour, sharpness and grain."""
    images, labels = _moved(images, labels, rng)
    return _relit(images, rng), labels


def planted_bad(images: torch.Tensor, labels: torch.Tensor, rng: torch.Generator) -> Batch:
    """Give half of the images the labels of their neighbours in the batch: a loss that is known to be there."""
    wrong = torch.rand(len(images), generator=rng) < 0.5
    return images, torch.where(wrong[:, None, None, None].to(labels.device), labels.roll(1, 0), labels)


def _from_torchvision(name: str) -> Callable[[torch.Tensor, torch.Tensor, torch.Generator], Batch]:
    def layer(images: torch.Tensor, labels: torch.Tensor, rng: torch.Generator) -> Batch:
        transform = _policy(name)
        made = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=rng)))
            for image, label in zip(images, labels, strict=True):
                transform.begin()
                as_bytes = (image * 255).round().to(torch.uint8)
                made.append((transform(as_bytes).float() / 255, transform.replay(label)))
        return torch.stack([image for image, _ in made]), torch.stack([label for _, label in made])

    return layer


@cache
def _policy(name: str) -> Any:
    """Return a policy of torchvision [1]_ that moves labels with their images.

    References
    ----------
    .. [1] TrivialAugment, arXiv:2103.10158; RandAugment, arXiv:1909.13719; AugMix, arXiv:1912.02781.
    """
    from torchvision.transforms import InterpolationMode, v2

    kinds: dict[str, Any] = {"trivial": v2.TrivialAugmentWide, "rand": v2.RandAugment, "augmix": v2.AugMix}

    class Joint(kinds[name]):  # type: ignore[misc, valid-type]
        """The policy, which notes its geometric steps and repeats them on a label."""

        def begin(self) -> None:
            self.steps: list[tuple[str, float]] = []

        def _apply_image_or_video_transform(
            self, image: Any, transform_id: str, magnitude: float, interpolation: Any, fill: Any
        ) -> Any:
            if transform_id in _GEOMETRIC:
                self.steps.append((transform_id, magnitude))
            return super()._apply_image_or_video_transform(
                image, transform_id, magnitude, interpolation=interpolation, fill=fill
            )

        def replay(self, label: torch.Tensor) -> torch.Tensor:
            background = [1.0] + [0.0] * (len(label) - 1)
            for transform_id, magnitude in self.steps:
                label = super()._apply_image_or_video_transform(
                    label, transform_id, magnitude, interpolation=InterpolationMode.BILINEAR,
                    fill={torch.Tensor: background, "others": background},
                )  # fmt: skip
            # At the border it blends with 0 and with the background, which together are less than 1.
            return label / label.sum(0, keepdim=True).clamp(min=1e-6)

    policy = Joint()
    if name == "augmix":  # it averages several chains, so that only light and colour keep one label true
        policy._AUGMENTATION_SPACE = {
            key: value for key, value in policy._AUGMENTATION_SPACE.items() if key not in _GEOMETRIC
        }
    return policy


_GEOMETRIC = {"ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"}

LAYERS: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Generator], Batch]] = {
    "strong": strong,
    "trivial": _from_torchvision("trivial"),
    "rand": _from_torchvision("rand"),
    "augmix": _from_torchvision("augmix"),
    "planted-bad": planted_bad,
}
"""Layers by name; each takes images, soft labels and a generator."""


def _moved(images: torch.Tensor, labels: torch.Tensor, rng: torch.Generator) -> Batch:
    """Turn by up to 45 degrees, scale by 0.75 to 1.33, shift by up to a tenth; the border is mirrored."""
    count = len(images)
    turn = (2 * torch.rand(count, generator=rng) - 1) * math.pi / 4
    scale = torch.exp((2 * torch.rand(count, generator=rng) - 1) * math.log(4 / 3))
    shift = (2 * torch.rand(count, 2, generator=rng) - 1) * 0.2
    still = torch.rand(count, generator=rng) < 0.5
    turn, scale = turn.where(~still, 0), scale.where(~still, 1)
    shift = shift.where(~still[:, None], 0)
    rows = torch.stack([scale * turn.cos(), -scale * turn.sin(), shift[:, 0]], 1)
    more = torch.stack([scale * turn.sin(), scale * turn.cos(), shift[:, 1]], 1)
    grid = functional.affine_grid(torch.stack([rows, more], 1), list(images.shape), align_corners=False)
    both = functional.grid_sample(
        torch.cat([images, labels], 1), grid.to(images.device), padding_mode="reflection", align_corners=False
    )
    return both[:, : images.shape[1]], both[:, images.shape[1] :]


def _relit(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Change gamma, contrast, brightness and the balance of colours; blur or roughen a fifth each."""

    def drawn(low: float, high: float, *shape: int) -> torch.Tensor:
        return (low + (high - low) * torch.rand(len(images), *shape, generator=rng)).to(images.device)

    images = images.clamp(1e-4, 1) ** torch.exp(drawn(-0.4, 0.4, 1, 1, 1))
    mean = images.mean((2, 3), keepdim=True)
    images = (images - mean) * drawn(0.7, 1.4, 1, 1, 1) + mean
    images = images * drawn(0.9, 1.1, images.shape[1], 1, 1) + drawn(-0.1, 0.1, 1, 1, 1)
    smooth = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    chance = drawn(0, 1, 1, 1, 1)
    images = torch.where(chance < 0.2, smooth, images)
    grain = torch.randn(images.shape, generator=rng).to(images.device) * drawn(0.01, 0.06, 1, 1, 1)
    return torch.where(chance > 0.8, images + grain, images).clamp(0, 1)
