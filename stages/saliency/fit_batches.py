"""Batches for fitting: drawn by key, read when needed, reduced once.

Images are neither turned nor mirrored: maps are made of upright images, and what lies where, in a body, is half of what
a network learns in few steps.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from hsmix_gen.stages.labels.labels import collapse_batch
from hsmix_gen.stages.randomness import generator_for, permutation
from hsmix_gen.stages.saliency.network_io import resize_mask, to_input

ReadSamples = Callable[[Sequence[int]], tuple[npt.NDArray[np.generic], npt.NDArray[np.integer]]]
"""Indices -> images (n, H, W, C), as `to_input` takes them, and masks (n, H, W), or (n, H, W, K) in multi-label, of
which `collapse_batch` makes K + 1 classes."""

# Enough for 2 000 RGB images at 80 x 80; what is beyond is read again when it is drawn again.
_KEPT_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Samples:
    """Images and masks of one size, read a batch at a time so that memory does not grow with them."""

    load: ReadSamples
    count: int
    """Indices are 0 to ``count - 1``."""


class ReducedSamples:
    """Samples at the size of the network's input; as many as fit into a fixed memory are kept."""

    def __init__(self, samples: Samples, *, side: int, kept_bytes: int = _KEPT_BYTES) -> None:
        self._samples = samples
        self._side = side
        self._room = kept_bytes
        self._kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def take(self, indices: Sequence[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return (C, h, w) float32 images and (h, w) int64 masks; those not kept are read in one call."""
        missing = sorted(set(indices) - self._kept.keys())
        fresh = dict(zip(missing, self._read(missing), strict=True)) if missing else {}
        for index, pair in fresh.items():
            n_bytes = sum(tensor.nbytes for tensor in pair)
            if n_bytes <= self._room:
                self._kept[index] = pair
                self._room -= n_bytes
        return [fresh[index] if index in fresh else self._kept[index] for index in indices]

    def _read(self, indices: Sequence[int]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        images, masks = self._samples.load(indices)
        tensors = to_input(images, side=self._side)
        size = (tensors.shape[2], tensors.shape[3])
        # Clones, so that keeping one sample does not keep the batch it came in.
        for image, mask in zip(tensors, resize_mask(collapse_batch(masks), size), strict=True):
            yield image.clone(), mask.clone()


def draw_batches(
    samples: ReducedSamples, count: int, *, batch: int, steps: int, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Draw batches for a number of optimiser steps.

    Parameters
    ----------
    samples : ReducedSamples
        Where the batches come from.
    count : int
        Number of samples; each is drawn once before any is drawn again.
    batch : int
        Samples in a batch; more than there are repeats some.
    steps : int
        Number of batches.
    seed : int
        Seed of the run; the order is a function of it alone.

    Yields
    ------
    (B, C, h, w) float32, (B, h, w) int64
        Images and masks.
    """
    orders = (permutation(generator_for(seed, "fit-order", epoch), count).tolist() for epoch in itertools.count())
    order = itertools.chain.from_iterable(orders)
    for _ in range(steps):
        images, masks = zip(*samples.take(list(itertools.islice(order, batch))), strict=True)
        yield torch.stack(images), torch.stack(masks)
