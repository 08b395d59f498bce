"""Mixup: one lambda for the whole image."""

import numpy as np

from hsmix_gen.stages.mixing.method import Method, Pair, Weights
from hsmix_gen.stages.mixing.regions import quantise


class Mixup(Method):
    """Soft mixing by one weight [1]_, uniform in [0, 1] (alpha = 1).

    References
    ----------
    .. [1] Zhang et al., "mixup: Beyond empirical risk minimization", ICLR 2018, arXiv:1710.09412.
    """

    paper = "Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018, arXiv:1710.09412"
    modes = ("soft",)

    def weigh(self, pair: Pair) -> Weights:
        """Return one lambda for all pixels."""
        drawn = np.array([draw_lambda(pair.generator("lambda"))])
        return Weights(np.full(pair.size, quantise(drawn, pair.mix.lambda_range)[0], dtype=np.uint8))


def draw_lambda(rng: np.random.Generator) -> float:
    """Draw the weight of B, in [0, 1)."""
    return float(rng.random())


METHOD = Mixup()
