"""AdamW [1]_ with a schedule: what `torch.optim` computes, bit for bit on a CPU, without what it imports.

The first step of an optimiser of torch brings its compiler, which takes two seconds to import.

References
----------
.. [1] Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019, arXiv:1711.05101.
"""

from collections.abc import Iterable

import torch

_BETA_1, _BETA_2 = 0.9, 0.999
_EPS = 1e-8


class AdamW:
    """Moves parameters against their gradients.

    Parameters
    ----------
    parameters : iterable of Parameter
    weight_decay : float
        Share of a parameter that a step at learning rate 1 takes away.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], *, weight_decay: float) -> None:
        self._moments = [(p, torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
        self._weight_decay = weight_decay
        self._steps = 0

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Take a step and forget the gradients; a parameter without one stays."""
        self._steps += 1
        step_size = learning_rate / (1 - _BETA_1**self._steps)
        scale = (1 - _BETA_2**self._steps) ** 0.5
        for parameter, mean, square in self._moments:
            gradient, parameter.grad = parameter.grad, None
            if gradient is None:
                continue
            parameter.mul_(1 - learning_rate * self._weight_decay)
            mean.lerp_(gradient, 1 - _BETA_1)
            square.mul_(_BETA_2).addcmul_(gradient, gradient, value=1 - _BETA_2)
            parameter.addcdiv_(mean, (square.sqrt() / scale).add_(_EPS), value=-step_size)
