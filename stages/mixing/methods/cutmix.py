"""CutMix: one rectangle of B stands in A."""

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.mixing.method import Method, Pair, Weights


class CutMix(Method):
    """Hard mixing by a rectangle [1]_.

    References
    ----------
    .. [1] Yun et al., "CutMix", ICCV 2019, doi:10.1109/ICCV.2019.00612.
    """

    paper = (
        "Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features, ICCV 2019, "
        "doi:10.1109/ICCV.2019.00612"
    )
    modes = ("hard",)

    def weigh(self, pair: Pair) -> Weights:
        """Return whether each pixel lies in the rectangle."""
        return Weights(draw_rectangle(pair.generator("rectangle"), pair.size))


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


METHOD = CutMix()
