"""Chance that several methods share: which variants, turns and superpixels, and weights by superpixel."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.stages.mixing import geometry
from hsmix_gen.stages.randomness import integer, passing_generator


@dataclass(frozen=True)
class ParentDraw:
    """How one parent enters: which granularity variant, and which transform 0 to 7."""

    variant: int
    transform: int


def draw_parent(seed: int, parent: str, *, variants: int, size: tuple[int, int], mix: MixConfig) -> ParentDraw:
    """Draw variant and transform of parent ``"a"`` or ``"b"`` of the sample whose generator has the key `seed`."""
    rng = passing_generator(seed, "parent", parent)
    variant = integer(rng, 0, variants - 1)
    choices = geometry.allowed(size) if mix.geometry == "flips" else (0,)
    return ParentDraw(variant, choices[integer(rng, 0, len(choices) - 1)])


def draw_selection(seed: int, n_regions: int, probability: float) -> npt.NDArray[np.bool_]:
    """Draw which superpixels of B are taken: Bernoulli per superpixel in rising order of label, (n_regions,) bool.

    If none or all come up (the mix would be A or B itself) the draw is repeated once.
    """
    return draw_regions(passing_generator(seed, "selection"), np.full(n_regions, probability))


def draw_regions(rng: np.random.Generator, chances: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Draw superpixels in rising order of label, (R,) bool; if none or all come up the draw is repeated once."""
    for _ in range(2):
        drawn = rng.random(len(chances)) < chances
        if drawn.any() and not drawn.all():
            break
    return drawn


def draw_weights(seed: int, n_regions: int) -> npt.NDArray[np.float64]:
    """Draw a uniform lambda for each superpixel of B: the published random variant, Beta(1, 1), (n_regions,)."""
    return passing_generator(seed, "weights").random(n_regions)
