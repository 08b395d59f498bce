"""TrivialAugment: one operation of fourteen, geometric or photometric, at a strength drawn evenly from all."""

import numpy as np

from hsmix_gen.stages.augmentation.augment import Augmentation, Augmented
from hsmix_gen.stages.augmentation.operations import LEVELS, LIBRARIES, apply_operation, draw_signed, words_of
from hsmix_gen.stages.mixing.mixing import Mixed
from hsmix_gen.stages.randomness import integer

_WIDE: dict[str, tuple[float, float]] = {
    "identity": (0, 0),
    "shear_x": (0, 0.99),
    "shear_y": (0, 0.99),
    "translate_x": (0, 32),
    "translate_y": (0, 32),
    "rotate": (0, 135),
    "brightness": (0, 0.99),
    "color": (0, 0.99),
    "contrast": (0, 0.99),
    "sharpness": (0, 0.99),
    "posterize": (8, 2),
    "solarize": (255, 0),
    "autocontrast": (0, 0),
    "equalize": (0, 0),
}
"""Least and greatest strength of each operation: shares, pixels, degrees, bits, and the grey that is inverted."""


class Trivial(Augmentation):
    """TrivialAugmentWide."""

    paper = "Mueller, Hutter, TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation, arXiv:2103.10158"
    libraries = LIBRARIES
    of_pictures = True

    def apply(self, mixed: Mixed, rng: np.random.Generator) -> Augmented:
        """Return the sample under one operation."""
        name = tuple(_WIDE)[integer(rng, 0, len(_WIDE) - 1)]
        low, high = _WIDE[name]
        strength = draw_signed(name, low + (high - low) * integer(rng, 0, LEVELS - 1) / (LEVELS - 1), rng)
        return Augmented(apply_operation(mixed, name, strength), words_of(name, strength))


AUGMENTATION = Trivial()
