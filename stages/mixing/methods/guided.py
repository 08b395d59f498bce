"""Guided: lambda of each pixel is B's share of the smoothed saliency of both."""

import numpy as np

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import Mode
from hsmix_gen.stages.mixing.method import Method, Needs, Pair, Weights
from hsmix_gen.stages.mixing.regions import quantise
from hsmix_gen.stages.mixing.smoothing import blurred

SIGMA = 3.0
"""Pixels of the Gaussian that smooths saliency."""


class Guided(Method):
    """Soft mixing by a ratio of saliency for each pixel [1]_; `--partners guided` pairs as the paper does.

    A map that is 0 everywhere says nothing, and counts as one that is even.

    References
    ----------
    .. [1] Kang and Kim, "GuidedMixup", AAAI 2023, arXiv:2306.16612.
    """

    paper = (
        "Kang and Kim, GuidedMixup: An Efficient Mixup Strategy Guided by Saliency Maps, AAAI 2023, "
        "doi:10.1609/aaai.v37i1.25191, arXiv:2306.16612"
    )
    modes = ("soft",)
    formula = "lambda = s_B / (s_A + s_B), s = G * S / sum(G * S), S the saliency, G a Gaussian"

    def needs(self, mode: Mode, mix: MixConfig) -> Needs:  # noqa: ARG002 - it has one mode
        """Return that saliency is read."""
        return Needs(saliency=True)

    def weigh(self, pair: Pair) -> Weights:
        """Return the share of each pixel in 255ths."""
        flags = [f"flat_saliency_{name}" for name, one in (("a", pair.a), ("b", pair.b)) if not one.saliency.any()]
        a, b = (
            blurred(one.saliency if one.saliency.any() else np.ones_like(one.saliency), SIGMA).astype(np.float64)
            for one in (pair.a, pair.b)
        )
        # Sums of whole numbers below 2**53 are exact in any order.
        of_a, of_b = a * b.sum(), b * a.sum()
        both = of_a + of_b
        share = np.divide(of_b, both, out=np.full(pair.size, 0.5), where=both > 0)
        return Weights(quantise(share, pair.mix.lambda_range), flags)


METHOD = Guided()
