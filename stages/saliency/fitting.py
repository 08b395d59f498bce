"""A small U-Net, fitted in seconds, whose Grad-CAM serves as saliency where the user has no network."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from hsmix_gen.schemas.errors import ModelError
from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.randomness import derive_key
from hsmix_gen.stages.saliency.adamw import AdamW
from hsmix_gen.stages.saliency.fit_batches import ReducedSamples, Samples, draw_batches
from hsmix_gen.stages.saliency.network_io import logits_of, predicted_classes, resize_bilinear, to_input
from hsmix_gen.stages.saliency.quality import dice, mean_of_defined
from hsmix_gen.stages.saliency.torch_context import deterministic_algorithms, seeded_init, torch_threads
from hsmix_gen.stages.saliency.unet import SmallUNet

# Steps in which the learning rate rises; behind them it stays, so that a fit can go on for as long as it has to.
_WARM_UP = 10
# Share that the newest weights have in the average at least. The average stands in for a learning rate that falls, for
# which the last step would have to be known.
_NEWEST = 0.1
# Makes the Dice loss of a class that a batch lacks 0, and its gradient finite.
_SMOOTH = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """How the U-Net is fitted; the defaults are the smallest budget that was found to be reliable."""

    side: int = 80
    """Longest side of the network's input in pixels; raise it if objects span less than 1/20 of the image."""
    features: tuple[int, int, int, int, int, int] = (8, 16, 32, 64, 128, 8)
    """Channels of the five encoder levels and of the last decoder block."""
    steps: int = 100
    """Optimiser steps, at most."""
    batch: int = 8
    """Images per step."""
    learning_rate: float = 1e-2
    """Of AdamW, once it has risen."""
    weight_decay: float = 1e-4


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted U-Net and how it came about."""

    network: nn.Module
    """The average of the weights over the last steps, on the CPU, in evaluation mode."""
    n_channels: int
    n_classes: int
    config: FitConfig
    seed: int
    validation_dice: float
    """Mean Dice of the foreground in [0, 1]; NaN without validation images."""
    losses: tuple[float, ...]
    """Loss of every step that was taken."""


def build_unet(*, n_channels: int, n_classes: int, features: tuple[int, ...], seed: int) -> nn.Module:
    """Return a `SmallUNet` with weights drawn from `seed`."""
    with seeded_init(derive_key(seed, "fit-init")):
        return SmallUNet(n_channels=n_channels, n_classes=n_classes, features=features)


def fit_network(  # noqa: PLR0913 - all but the samples are named by keyword
    training: Samples,
    validation: Samples | None,
    *,
    n_channels: int,
    n_classes: int,
    config: FitConfig,
    seed: int,
    is_enough: Callable[[nn.Module], bool] = lambda _: False,
    ask_every: int = 20,
    device: torch.device | str = "cpu",
    threads: int = 1,
) -> Fitted:
    """Fit a small U-Net to the training images.

    Equal arguments give equal weights, bit for bit, on CPUs of one kind; torch's global generator, threads
    and determinism are as before afterwards. The weights after a number of steps depend neither on the steps that are
    allowed nor on whether anybody asked before.

    Parameters
    ----------
    training, validation : Samples
        Read lazily. Validation images are only measured, never fitted to.
    n_channels : int
        Channels of the images.
    n_classes : int
        Classes in the masks, 2 or more, the background 0 among them; 255 is ignored. K + 1 for multi-label masks
        of K channels, which are fitted as classes that exclude each other, see `labels.collapse`.
    config : FitConfig
        The budget.
    seed : int
        Seed of the run.
    is_enough : callable
        Given the network as it would be returned, on `device`; the fit ends where it returns True.
    ask_every : int
        Steps after which it is asked, again and again; it is asked after the last step too.
    device : device or str
        Where the fit runs.
    threads : int
        CPU threads of torch; the weights depend on their number.

    Returns
    -------
    Fitted
        The network and its record.

    Raises
    ------
    ModelError
        If there is no training image or the loss is not finite.
    """
    if training.count < 1:
        raise ModelError(
            "fitting a U-Net for Grad-CAM needs 1 training image or more, got 0; "
            "give a network with --model or choose another --saliency"
        )
    device = torch.device(device)
    network = build_unet(n_channels=n_channels, n_classes=n_classes, features=config.features, seed=seed)
    losses: list[float] = []
    with torch_threads(threads), deterministic_algorithms(device):
        average = Average(network.to(device).train())
        for loss in _optimise(network, training, config=config, seed=seed):
            losses.append(loss)
            average.update()
            asked = len(losses) % ask_every == 0 or len(losses) == config.steps
            if asked and is_enough(average.network):
                break
    score, fitted = math.nan, average.network
    if validation is not None:
        score = measure_dice(fitted, validation, n_classes=n_classes, side=config.side, device=device, threads=threads)
    return Fitted(fitted.cpu().eval(), n_channels, n_classes, config, seed, score, tuple(losses))


def measure_dice(
    network: nn.Module,
    samples: Samples,
    *,
    n_classes: int,
    side: int | None = None,
    batch: int = 8,
    device: torch.device | str = "cpu",
    threads: int = 1,
) -> float:
    """Measure the mean Dice of the foreground over images, at the size of their masks, by `quality.dice`.

    Parameters
    ----------
    network : Module
        See `GradCam`; moved to `device`.
    samples : Samples
        Images and true masks.
    n_classes : int
        Classes in the masks.
    side, device, threads
        See `CamOptions`.
    batch : int
        Images read and predicted at once.

    Returns
    -------
    float
        Mean over images in [0, 1]; NaN if no image shows or is predicted to show foreground.
    """
    network = network.to(device).eval()
    scores: list[float] = []
    with torch.no_grad(), torch_threads(threads):
        for start in range(0, samples.count, batch):
            images, masks = samples.load(range(start, min(start + batch, samples.count)))
            logits = logits_of(network(to_input(images, side=side).to(device)))
            predictions = predicted_classes(resize_bilinear(logits.cpu(), (masks.shape[1], masks.shape[2])))
            scores += [dice(one, mask, n_classes) for one, mask in zip(predictions.numpy(), masks, strict=True)]
    return mean_of_defined(scores)


def segmentation_loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return cross-entropy plus Dice loss of (N, K, h, w) logits and (N, h, w) int64 masks, 255 = ignore.

    The Dice term sums over the batch: image by image it is all or nothing for a class that an image lacks.
    """
    valid = masks != IGNORE
    if not bool((masks[valid] < logits.shape[1]).all()):
        raise ValueError(f"masks must hold classes 0 to {logits.shape[1] - 1} or 255, got {int(masks[valid].max())}")
    known = valid[:, None]  # (N, 1, h, w)
    one_hot = functional.one_hot(masks.where(valid, 0), logits.shape[1]).permute(0, 3, 1, 2) * known
    # Written with the one-hot mask because torch's own cross-entropy has no deterministic form on a GPU.
    log_probabilities = logits.log_softmax(dim=1)
    cross_entropy = -(one_hot * log_probabilities).sum() / valid.sum().clamp(min=1)
    predicted, true = (log_probabilities.exp() * known)[:, 1:], one_hot[:, 1:]
    overlap, total = ((part).sum(dim=(0, 2, 3)) for part in (predicted * true, predicted + true))
    dice_loss = 1 - (2 * overlap + _SMOOTH) / (total + _SMOOTH)
    return cross_entropy + dice_loss.mean()


class Average:
    """A network whose weights are the exponential average of those of another one.

    It reaches back a ninth of the steps that were taken, as weights change most in the beginning, and ten at most.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = copy.deepcopy(network).eval()
        self._pairs = list(zip(self.network.parameters(), network.parameters(), strict=True))
        self._steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self._steps += 1
        share = max(_NEWEST, 9 / (self._steps + 9))
        for average, newest in self._pairs:
            average.lerp_(newest, share)


def _optimise(network: nn.Module, training: Samples, *, config: FitConfig, seed: int) -> Iterator[float]:
    """Take step after step and yield the loss of each."""
    device = next(network.parameters()).device
    optimiser = AdamW(network.parameters(), weight_decay=config.weight_decay)
    reduced = ReducedSamples(training, side=config.side)
    batches = draw_batches(reduced, training.count, batch=config.batch, steps=config.steps, seed=seed)
    for step, (images, masks) in enumerate(batches):
        loss = segmentation_loss(network(images.to(device)), masks.to(device))
        if not bool(torch.isfinite(loss)):
            raise ModelError(
                f"the loss of the U-Net must be finite, got {loss.item()} in step {step + 1}; "
                "look for extreme pixel values in the images or give a network with --model"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step(config.learning_rate * min(1.0, (step + 0.5) / _WARM_UP))
        yield loss.item()
