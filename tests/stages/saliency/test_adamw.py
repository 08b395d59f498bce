"""AdamW of our own is torch's, bit for bit on a CPU."""

import torch
from torch import nn
from torch.optim.adamw import adamw

from hsmix_gen.stages.saliency.adamw import AdamW

RATES = (0.004, 0.01, 0.0)


def gradients() -> list[tuple[torch.Tensor, ...]]:
    generator = torch.Generator().manual_seed(1)
    return [tuple(torch.randn(size, generator=generator) for size in ((5, 7), (130,))) for _ in RATES]


def test_steps_are_those_of_torch() -> None:
    start = gradients()[0]
    ours, theirs = [nn.Parameter(one.clone()) for one in start], [one.clone() for one in start]
    means, squares = ([torch.zeros_like(one) for one in start] for _ in range(2))
    counts = [torch.tensor(0.0) for _ in start]
    optimiser = AdamW(ours, weight_decay=0.3)

    for rate, given in zip(RATES, gradients(), strict=True):
        for parameter, gradient in zip(ours, given, strict=True):
            parameter.grad = gradient.clone()
        optimiser.step(rate)
        adamw(
            theirs, list(given), means, squares, [], counts,
            amsgrad=False, beta1=0.9, beta2=0.999, lr=rate, weight_decay=0.3, eps=1e-8, maximize=False, foreach=False,
        )  # fmt: skip

        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
        assert not torch.equal(ours[0], start[0])
        assert all(parameter.grad is None for parameter in ours)


def test_a_parameter_without_a_gradient_stays() -> None:
    parameter = nn.Parameter(torch.ones(3))

    AdamW([parameter], weight_decay=0.3).step(0.1)

    assert torch.equal(parameter, torch.ones(3))
