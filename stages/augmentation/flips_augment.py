"""Flips: one of the right-angle turns and flips that keep the size, exact for image and labels."""

from dataclasses import replace

import numpy as np

from hsmix_gen.stages.augmentation.augment import Augmentation, Augmented
from hsmix_gen.stages.mixing.geometry import allowed, transform
from hsmix_gen.stages.mixing.mixing import Mixed
from hsmix_gen.stages.randomness import integer


class Flips(Augmentation):
    """The eight symmetries of a square, or the four of a rectangle, each with the same chance."""

    def apply(self, mixed: Mixed, rng: np.random.Generator) -> Augmented:
        """Return the sample under a transform that is drawn."""
        height, width = mixed.mask.shape
        choices = allowed((height, width))
        number = choices[integer(rng, 0, len(choices) - 1)]
        soft = np.moveaxis(transform(np.moveaxis(mixed.soft, 0, -1), number), -1, 0)
        turned = replace(
            mixed,
            image=transform(mixed.image, number),
            mask=transform(mixed.mask, number),
            soft=np.ascontiguousarray(soft),
        )
        return Augmented(turned, f"transform {number}" if number else None)


AUGMENTATION = Flips()
