"""Mixup draws one lambda for the whole image."""

import numpy as np

from hsmix_gen.stages.mixing.method import Pair
from hsmix_gen.stages.mixing.methods import mixup
from tests.stages.mixing.methods.tiny_pairs import configured, parent

PARENTS = parent(0), parent(1)


def weight(seed: int) -> float:
    pair = Pair(*PARENTS, "soft", seed, configured("mixup"), 4)
    return float(mixup.METHOD.weigh(pair).weight_b[0, 0]) / 255


def test_the_lambda_of_one_key_is_pinned() -> None:
    """If this fails, datasets change for an equal seed: say so in the subject of the commit."""
    assert weight(1) == 128 / 255


def test_one_lambda_is_uniform_over_samples() -> None:
    drawn = [weight(seed) for seed in range(1000)]

    assert np.abs(np.quantile(drawn, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.05
