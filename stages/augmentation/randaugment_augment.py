"""RandAugment: two operations of fourteen, one after the other, at a middling strength (N = 2, M = 9)."""

import numpy as np

from hsmix_gen.stages.augmentation import operations
from hsmix_gen.stages.augmentation.augment import Augmentation, Augmented
from hsmix_gen.stages.mixing.mixing import Mixed

_OPERATIONS, _LEVEL = 2, 9
_SPACE = operations.of_all(share=0.9, bits=4, shear=0.3, shift=150 / 331, turn=30)
"""Shifts are shares of the side."""


class RandAugment(Augmentation):
    """RandAugment."""

    paper = "Cubuk et al., RandAugment: Practical Automated Data Augmentation, NeurIPS 2020, arXiv:1909.13719"
    libraries = operations.LIBRARIES
    of_pictures = True

    def apply(self, mixed: Mixed, rng: np.random.Generator) -> Augmented:
        """Return the sample under the operations."""
        height, width = mixed.mask.shape
        applied = []
        for _ in range(_OPERATIONS):
            name = operations.draw_name(_SPACE, rng)
            side = {"translate_x": width, "translate_y": height}.get(name, 1)
            strength = operations.draw_strength(_SPACE, name, _LEVEL / operations.LAST_LEVEL, rng, side)
            mixed = operations.apply_operation(mixed, name, strength)
            applied.append(operations.words_of(name, strength))
        return Augmented(mixed, "; ".join(applied))


AUGMENTATION = RandAugment()
