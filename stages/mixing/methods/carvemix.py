"""CarveMix: the objects of B stand in A, with a rim around them or without one inside."""

import math

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.mixing.distance import squared_distance
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
        rows, columns = around(inside, 1)
        depth = squared_distance(~inside[rows, columns])
        rng = pair.generator("distance")
        grows, share = rng.random() < 0.5, rng.random()
        deepest = math.sqrt(int(depth.max()))
        taken = np.zeros(pair.size, dtype=bool)
        if grows:
            rows, columns = around(inside, math.ceil(share * deepest))
            taken[rows, columns] = squared_distance(inside[rows, columns]) <= (share * deepest) ** 2
        else:
            taken[rows, columns] = depth >= max(1.0, (share * deepest / 2) ** 2)
        return Weights(taken)


def around(inside: npt.NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """Return the rows and columns of a box around an area; what lies `margin` pixels from it is in the box."""
    found = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    rows, columns = (slice(max(0, int(lines[0]) - margin), int(lines[-1]) + 1 + margin) for lines in found)
    return rows, columns


METHOD = CarveMix()
