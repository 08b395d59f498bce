"""One training, and what its network scores: equal steps, batches, schedule and seeds for every arm."""

import itertools
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hsmix_gen.stages.mixing.mixing import Mixed
from hsmix_gen.stages.randomness import derive_key
from training.corruptions import CORRUPTIONS
from training.layers import LAYERS
from training.metrics import Scores, scores_of
from training.networks import make_network

_WARM_UP = 0.1


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is equal for all arms.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    batch : int
    learning_rate : float
        Peak of AdamW's one-cycle schedule.
    """

    network: str
    steps: int
    batch: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    encoder_weights: Path | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Trained:
    """A network at the end of its training.

    Attributes
    ----------
    loss : float
        Mean of the last tenth of the steps.
    seconds : float
        Processor time on a CPU, wall time on a GPU.
    """

    network: nn.Module
    steps: int
    loss: float
    seconds: float


def train(
    samples: Iterable[Mixed], recipe: Recipe, *, channels: int, classes: int, seed: int, layer: str = ""
) -> Trained:
    """Train a network on a stream of samples, for exactly as many steps as the recipe has.

    Parameters
    ----------
    samples : iterable of Mixed
        At least ``steps * batch``.
    seed : int
        Of the initial weights and of the layer's draws.
    layer : str
        Key of `layers.LAYERS`; empty: none.
    """
    clock = time.perf_counter if recipe.device != "cpu" else time.process_time
    started = clock()
    network = make_network(
        recipe.network, channels, classes, seed=derive_key(seed, "weights"), encoder_weights=recipe.encoder_weights
    )
    network.to(recipe.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, foreach=True
    )
    rng = torch.Generator().manual_seed(derive_key(seed, "layer"))
    losses = []
    for step, (images, labels) in enumerate(_batches(samples, recipe)):
        images, labels = images.to(recipe.device), labels.to(recipe.device)  # noqa: PLW2901 - the batch itself moves
        if layer:
            images, labels = LAYERS[layer](images, labels, rng)  # noqa: PLW2901
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * share_of_peak((step + 0.5) / recipe.steps)
        loss = soft_loss(network(images.contiguous(memory_format=torch.channels_last)), labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    last = losses[-max(1, len(losses) // 10) :]
    return Trained(network.eval(), len(losses), float(np.mean(last)), clock() - started)


def _batches(samples: Iterable[Mixed], recipe: Recipe) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    stream = iter(samples)
    for step in range(recipe.steps):
        batch = list(itertools.islice(stream, recipe.batch))
        if len(batch) < recipe.batch:
            raise ValueError(f"step {step} of {recipe.steps} has {len(batch)} samples, expected {recipe.batch}")
        yield as_input(np.stack([one.image for one in batch])), _as_tensor(np.stack([one.soft for one in batch]))


def as_input(images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Return (B, H, W, C) uint8 images as (B, C, H, W) float32 in [0, 1]."""
    return _as_tensor(images).movedim(-1, 1) / 255


def _as_tensor(array: npt.NDArray[np.generic]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).float()


def share_of_peak(progress: float) -> float:
    """Return the learning rate as a share of its peak: a linear rise in the first tenth, a cosine fall to 0."""
    if progress < _WARM_UP:
        return progress / _WARM_UP
    return (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP))) / 2


def soft_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return cross-entropy plus Dice loss for (B, K, H, W) soft labels; where all are 0 a pixel is ignored."""
    known = labels.sum(1, keepdim=True)
    log_chances = logits.log_softmax(1)
    entropy = -(labels * log_chances).sum() / known.sum().clamp(min=1)
    chances = log_chances.exp() * (known > 0)
    both = (chances * labels).sum((0, 2, 3))
    total = (chances.square() + labels.square()).sum((0, 2, 3))
    # The squared form has its least value at equal soft labels, where the linear one asks for hard decisions.
    dice: torch.Tensor = (1 - (2 * both + 1) / (total + 1))[1:].mean()
    return entropy + dice


@torch.no_grad()
def evaluate(
    network: nn.Module, images: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8], *, n_classes: int, device: str
) -> dict[str, list[Scores]]:
    """Return the scores of each image, by what was done to the images; each corruption is the same for all runs."""
    found = {}
    for name, corrupted in CORRUPTIONS.items():
        inputs = corrupted(as_input(images))
        chunks = [network(chunk.to(device)).argmax(1).cpu() for chunk in torch.split(inputs, 16)]
        predictions = torch.cat(chunks).numpy()
        found[name] = [scores_of(one, truth, n_classes) for one, truth in zip(predictions, masks, strict=True)]
    return found
