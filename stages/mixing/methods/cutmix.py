"""CutMix: one rectangle of B stands in A."""

import math

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.mixing.method import Method, Pair, Weights
from hsmix_gen.stages.mixing.selection import take
from hsmix_gen.stages.randomness import integer


class CutMix(Method):
    """Hard mixing by a rectangle."""

    paper = (
        "Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features, ICCV 2019, "
        "doi:10.1109/ICCV.2019.00612"
    )
    modes = ("hard",)
    formula = "M = 1 in a rectangle of the shape of the image with sides sqrt(r) H and sqrt(r) W, r ~ U(0, 1)"
    options = ("area",)

    def weigh(self, pair: Pair) -> Weights:
        """Return whether each pixel lies in the rectangle."""
        rng = pair.generator("rectangle")
        if pair.mix.area == "own":
            return Weights(draw_rectangle(rng, pair.size))
        from_b, _ = take(pair)
        return Weights(place_rectangle(rng, pair.size, int(from_b.sum())))


def draw_rectangle(rng: np.random.Generator, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Draw an (H, W) bool rectangle like the image: area share uniform, centre uniform, cut at the border."""
    share = float(np.sqrt(rng.random()))
    centre = (rng.random() * size[0], rng.random() * size[1])
    inside = np.zeros(size, dtype=bool)
    bounds = [
        slice(max(0, round(middle - share * length / 2)), min(length, round(middle + share * length / 2)))
        for middle, length in zip(centre, size, strict=True)
    ]
    inside[bounds[0], bounds[1]] = True
    return inside


def place_rectangle(rng: np.random.Generator, size: tuple[int, int], area: int) -> npt.NDArray[np.bool_]:
    """Place an (H, W) bool rectangle of `area` pixels, as near as whole sides allow, anywhere inside of the image."""
    height, width = size
    rows = min(height, math.isqrt(area * height // width) or min(area, 1))
    columns = min(width, (2 * area + rows) // (2 * rows)) if rows else 0
    top, left = integer(rng, 0, height - rows), integer(rng, 0, width - columns)
    inside = np.zeros(size, dtype=bool)
    inside[top : top + rows, left : left + columns] = True
    return inside


METHOD = CutMix()
