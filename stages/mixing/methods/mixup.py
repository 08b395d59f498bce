"""Mixup: one lambda for the whole image."""

import numpy as np

from hsmix_gen.stages.mixing.method import Method, Pair, Weights
from hsmix_gen.stages.mixing.regions import quantise
from hsmix_gen.stages.mixing.selection import take


class Mixup(Method):
    """Soft mixing by one weight, uniform in [0, 1] (alpha = 1)."""

    paper = "Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018, arXiv:1710.09412"
    modes = ("soft",)
    formula = "lambda ~ U(0, 1), one for all pixels"
    options = ("area", "lambda_range")

    def weigh(self, pair: Pair) -> Weights:
        """Return one lambda for all pixels."""
        if pair.mix.area == "own":
            share = float(pair.generator("lambda").random())
        else:
            from_b, _ = take(pair)
            share = int(from_b.sum()) / from_b.size
        return Weights(np.full(pair.size, quantise(np.array([share]), pair.mix.lambda_range)[0], dtype=np.uint8))


METHOD = Mixup()
