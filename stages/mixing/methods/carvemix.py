"""CarveMix: the objects of B stand in A, with a rim around them or without one inside."""

import math

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.mixing.distance import deepest, within
from hsmix_gen.stages.mixing.method import Method, Pair, Weights
from hsmix_gen.stages.mixing.objects import foreground


class CarveMix(Method):
    """Hard mixing by the signed distance to B's foreground.

    The distance D of a pixel is that to the nearest pixel of the other side, in pixels between their middles, negative
    inside. The limits of t are also those of the authors' script, which draws from U(-d/2, d) in one go.
    """

    paper = (
        "Zhang et al., CarveMix: A Simple Data Augmentation Method for Brain Lesion Segmentation, MICCAI 2021, "
        "doi:10.1007/978-3-030-87193-2_19, arXiv:2108.06883"
    )
    modes = ("hard",)
    formula = "M = 1 where D(y_B) <= t; t ~ U(-d/2, 0) or U(0, d), each with chance 1/2, d = |min D|"

    def weigh(self, pair: Pair) -> Weights:
        """Return whether each pixel lies inside of the drawn distance."""
        inside = foreground(pair.b.mask)
        if not inside.any():
            return Weights(inside, ("no_object",))
        if inside.all():
            return Weights(inside)
        box = box_of(inside)
        near = widened(box, 1)
        outside = ~inside[near]
        depth = math.sqrt(deepest(outside))
        rng = pair.generator("distance")
        grows, share = rng.random() < 0.5, rng.random()
        taken = np.zeros(pair.size, dtype=bool)
        if grows:
            near = widened(box, math.ceil(share * depth))
            taken[near] = within(inside[near], (share * depth) ** 2)
        else:
            least = max(1, math.ceil((share * depth / 2) ** 2))
            taken[near] = ~within(outside, least - 1)
        return Weights(taken)


def box_of(inside: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the first row of an area and the one after its last, and the same of its columns."""
    found = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    return [(int(lines[0]), int(lines[-1]) + 1) for lines in found]


def widened(box: list[tuple[int, int]], margin: int) -> tuple[slice, slice]:
    """Return the rows and columns of a box and of `margin` pixels around it."""
    rows, columns = (slice(max(0, begin - margin), end + margin) for begin, end in box)
    return rows, columns


METHOD = CarveMix()
