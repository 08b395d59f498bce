"""TrivialAugment: one operation of fourteen, geometric or photometric, at a strength drawn evenly from all."""

import numpy as np

from hsmix_gen.stages.augmentation import operations
from hsmix_gen.stages.augmentation.augment import Augmentation, Augmented
from hsmix_gen.stages.mixing.mixing import Mixed
from hsmix_gen.stages.randomness import integer

_SPACE = operations.of_all(share=0.99, bits=2, shear=0.99, shift=32, turn=135)
"""Shifts are in pixels."""


class Trivial(Augmentation):
    """TrivialAugmentWide."""

    paper = "Mueller, Hutter, TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation, arXiv:2103.10158"
    libraries = operations.LIBRARIES
    of_pictures = True

    def apply(self, mixed: Mixed, rng: np.random.Generator) -> Augmented:
        """Return the sample under one operation."""
        name = operations.draw_name(_SPACE, rng)
        level = integer(rng, 0, operations.LAST_LEVEL) / operations.LAST_LEVEL
        strength = operations.draw_strength(_SPACE, name, level, rng)
        return Augmented(operations.apply_operation(mixed, name, strength), operations.words_of(name, strength))


AUGMENTATION = Trivial()
