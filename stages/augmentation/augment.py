"""What augments a finished sample; each is a module in `stages.augmentation`.

Geometry moves image, mask and soft label alike, photometry changes the image alone. Every pixel takes colour and label
from the same place, the nearest one where a turn needs a choice, so that labels stay what they were, in whole 255ths;
what comes from outside of the image is 0 and ignored.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.extras import load
from hsmix_gen.schemas.families import AUGMENTATIONS
from hsmix_gen.schemas.records import IGNORE, SamplePlan
from hsmix_gen.stages.mixing.mixing import Mixed
from hsmix_gen.stages.randomness import generator_for


@dataclass(frozen=True)
class Augmented:
    """An augmented sample and what was done to it, in words; None if nothing was."""

    mixed: Mixed
    applied: str | None = None


class Augmentation(ABC):
    """A way to augment a sample.

    Its module holds one as ``AUGMENTATION``; the first line of the module's docstring says what it does.
    """

    paper: ClassVar[str] = ""
    """Authors, title and number of the paper, if there is one."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions whose versions may change the bytes."""
    modules: ClassVar[tuple[str, ...]] = ()
    """What is imported late."""
    of_pictures: ClassVar[bool] = False
    """Whether it takes images of 8 bits with 1 or 3 channels only."""

    def refusal(self, channels: int, dtype: str) -> str | None:
        """Return why images of a form cannot be augmented, or None."""
        if self.of_pictures and (dtype != "uint8" or channels not in (1, 3)):
            return f"takes images of 8 bits with 1 or 3 channels, got {channels} of {dtype}"
        return None

    @abstractmethod
    def apply(self, mixed: Mixed, rng: np.random.Generator) -> Augmented:
        """Return a sample augmented by chance; equal generators give equal samples, and the sample is not changed."""


def augmentation_of(mix: MixConfig) -> Augmentation | None:
    """Return the augmentation that a configuration names, or None."""
    return None if mix.augment == "none" else _named(mix.augment)


def _named(name: str) -> Augmentation:
    """Return an augmentation; where its libraries are missing the error names their extra."""
    found: Augmentation = load(f"{AUGMENTATIONS.package}.{name}_augment", f"augment {name}").AUGMENTATION
    return found


def check_augmentation(mix: MixConfig, channels: int, dtype: str) -> None:
    """Refuse images that the augmentation of a configuration cannot take, before any work.

    Raises
    ------
    ConfigError
        With those that can.
    ExtraError
        If its libraries are not installed.
    """
    augmentation = augmentation_of(mix)
    if augmentation is None:
        return
    for module in augmentation.modules:
        load(module, f"augment {mix.augment}")
    reason = augmentation.refusal(channels, dtype)
    if reason is not None:
        others = [name for name in AUGMENTATIONS.names if _named(name).refusal(channels, dtype) is None]
        raise ConfigError(f"--augment {mix.augment} {reason}; choose {' or '.join(others)}, or leave it out")


def augmented(mixed: Mixed, plan: SamplePlan, mix: MixConfig) -> Augmented:
    """Return a training sample augmented as its key draws it; samples of other splits are left as they are."""
    augmentation = augmentation_of(mix)
    if augmentation is None or plan.split != "train":
        return Augmented(mixed)
    return augmentation.apply(mixed, generator_for(plan.seed, "augment"))


def moved(mixed: Mixed, origin: npt.NDArray[np.int64]) -> Mixed:
    """Return a sample whose pixels come from other places.

    Parameters
    ----------
    mixed : Mixed
    origin : (H, W) int64
        Number of the pixel, in reading order, that stands at each place; -1 for none.
    """
    is_outside = origin < 0
    source = np.where(is_outside, 0, origin).ravel()
    height, width = origin.shape
    image = mixed.image.reshape(-1, mixed.image.shape[-1])[source].reshape(height, width, -1)
    mask = mixed.mask.ravel()[source].reshape(height, width)
    soft = mixed.soft.reshape(len(mixed.soft), -1)[:, source].reshape(-1, height, width)
    if is_outside.any():
        image[is_outside], mask[is_outside], soft[:, is_outside] = 0, IGNORE, 0
    return Mixed(image, mask, soft)
