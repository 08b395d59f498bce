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
    options = ("area",)

    def weigh(self, pair: Pair) -> Weights:
        """Return one lambda for all pixels."""
        if pair.mix.area == "own":
            share = draw_lambda(pair.generator("lambda"))
        else:
            taken = take(pair)
            share = int(taken.from_b.sum()) / taken.from_b.size
        return Weights(np.full(pair.size, quantise(np.array([share]), pair.mix.lambda_range)[0], dtype=np.uint8))


def draw_lambda(rng: np.random.Generator) -> float:
    """Draw the weight of B, in [0, 1)."""
    return float(rng.random())


METHOD = Mixup()
