"""RandAugment: two operations of fourteen, one after the other, at a middling strength (N = 2, M = 9)."""

import numpy as np

from hsmix_gen.stages.augmentation.augment import Augmentation, Augmented
from hsmix_gen.stages.augmentation.operations import (
    LEVELS,
    LIBRARIES,
    STRENGTHS,
    apply_operation,
    draw_signed,
    words_of,
)
from hsmix_gen.stages.mixing.mixing import Mixed
from hsmix_gen.stages.randomness import integer

_OPERATIONS, _LEVEL = 2, 9
_SHIFT = 150 / 331
"""Greatest shift as a share of the side."""
_SPACE: dict[str, tuple[float, float]] = {
    "identity": (0, 0),
    "shear_x": (0, 0.3),
    "shear_y": (0, 0.3),
    "translate_x": (0, _SHIFT),
    "translate_y": (0, _SHIFT),
    "rotate": (0, 30),
    **STRENGTHS,
}
"""Least and greatest strength of each operation; of shifts as shares of the side."""


class RandAugment(Augmentation):
    """RandAugment."""

    paper = "Cubuk et al., RandAugment: Practical Automated Data Augmentation, NeurIPS 2020, arXiv:1909.13719"
    libraries = LIBRARIES
    of_pictures = True

    def apply(self, mixed: Mixed, rng: np.random.Generator) -> Augmented:
        """Return the sample under the operations."""
        height, width = mixed.mask.shape
        applied = []
        for _ in range(_OPERATIONS):
            name = tuple(_SPACE)[integer(rng, 0, len(_SPACE) - 1)]
            low, high = _SPACE[name]
            side = {"translate_x": width, "translate_y": height}.get(name, 1)
            strength = draw_signed(name, side * (low + (high - low) * _LEVEL / (LEVELS - 1)), rng)
            mixed = apply_operation(mixed, name, strength)
            applied.append(words_of(name, strength))
        return Augmented(mixed, "; ".join(applied))


AUGMENTATION = RandAugment()
