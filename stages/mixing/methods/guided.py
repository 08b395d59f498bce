"""Guided: lambda of each pixel is B's share of the smoothed saliency of both."""

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import Mode
from hsmix_gen.stages.kernels.compiled import has, native
from hsmix_gen.stages.mixing.method import Method, Needs, Pair, Weights
from hsmix_gen.stages.mixing.regions import limited, quantise
from hsmix_gen.stages.mixing.smoothing import blurred

Smooth = npt.NDArray[np.float32]
SIGMA, RADIUS = 3.0, 3
"""Pixels of the Gaussian that smooths saliency, which ends with a window of 7 x 7."""


class Guided(Method):
    """Soft mixing by a ratio of saliency for each pixel; `--partners guided` pairs as the paper does.

    A map that is 0 everywhere says nothing, and counts as one that is even.
    """

    paper = (
        "Kang and Kim, GuidedMixup: An Efficient Mixup Strategy Guided by Saliency Maps, AAAI 2023, "
        "doi:10.1609/aaai.v37i1.25191, arXiv:2306.16612"
    )
    modes = ("soft",)
    formula = "lambda = s_B / (s_A + s_B), s = G * S / sum(G * S), S the saliency, G a Gaussian of 3 pixels, 7 x 7"
    options = ("lambda_range",)

    def needs(self, mode: Mode, mix: MixConfig) -> Needs:  # noqa: ARG002 - it has one mode
        """Return that saliency is read."""
        return Needs(saliency=True)

    def weigh(self, pair: Pair) -> Weights:
        """Return the share of each pixel in 255ths."""
        flags = [f"flat_saliency_{name}" for name, one in (("a", pair.a), ("b", pair.b)) if not one.saliency.any()]
        smooth_a, smooth_b = (
            blurred(one if one.any() else np.ones_like(one), SIGMA, RADIUS)
            for one in (pair.a.saliency, pair.b.saliency)
        )
        return Weights(limited(levels_of_b(smooth_a, smooth_b), pair.mix.lambda_range), flags)


def levels_of_b(smooth_a: Smooth, smooth_b: Smooth) -> npt.NDArray[np.uint8]:
    """Return ``s_B / (s_A + s_B)`` of maps of whole numbers, each over its sum, in 255ths, (H, W) uint8.

    It is one half where both are 0, and is rounded to nearest.
    """
    if not has("share_levels"):
        return quantise(_share_of_b(smooth_a, smooth_b), (0, 1))
    levels = np.empty(smooth_a.shape, dtype=np.uint8)
    native.share_levels(smooth_a, smooth_b, levels)
    return levels


def _share_of_b(smooth_a: Smooth, smooth_b: Smooth) -> npt.NDArray[np.float64]:
    a, b = (one.astype(np.float64) for one in (smooth_a, smooth_b))
    # Sums of whole numbers below 2**53 are exact in any order. Arrays are changed in place, as new ones cost more.
    whole_a, whole_b = a.sum(), b.sum()
    a *= whole_b
    b *= whole_a
    a += b
    nowhere = a == 0
    a[nowhere], b[nowhere] = 2.0, 1.0
    b /= a
    return b


METHOD = Guided()
