"""CarveMix: the objects of B stand in A, with a rim around them or without one inside."""

import math

from hsmix_gen.stages.mixing.distance import squared_distance
from hsmix_gen.stages.mixing.method import Method, Pair, Weights
from hsmix_gen.stages.mixing.objects import foreground


class CarveMix(Method):
    """Hard mixing by the signed distance to B's foreground [1]_.

    The distance D of a pixel is that to the nearest pixel of the other side, in pixels between their middles, negative
    inside.

    References
    ----------
    .. [1] Zhang et al., "CarveMix", MICCAI 2021, arXiv:2108.06883.
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
        depth = squared_distance(~inside)
        rng = pair.generator("distance")
        grows, share = rng.random() < 0.5, rng.random()
        deepest = math.sqrt(int(depth.max()))
        if grows:
            return Weights(squared_distance(inside) <= (share * deepest) ** 2)
        return Weights(depth >= max(1.0, (share * deepest / 2) ** 2))


METHOD = CarveMix()
