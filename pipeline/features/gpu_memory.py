"""Whether the GPU's memory holds the network: a step of Grad-CAM on empty images, before any work starts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hsmix_gen.pipeline.execution.human_units import size_text
from hsmix_gen.pipeline.features import networks
from hsmix_gen.pipeline.features.gradcam_units import cam_options, candidates, input_side
from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.pipeline.files.local_mirror import here
from hsmix_gen.pipeline.files.store_paths import location
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import ModelError
from hsmix_gen.stages.saliency.fitting import FitConfig, build_unet
from hsmix_gen.stages.saliency.gradcam import GradCam


@dataclass(frozen=True)
class GpuMemory:
    """Bytes of a GPU."""

    total: int
    free: int
    """What others left before the network came."""
    one: int | None
    """Most that was held in a step on one image; None if it did not fit."""
    batch: int | None
    """The same of a whole batch."""


def measure_steps(step: Callable[[int], None], batch: int, cuda: Any) -> GpuMemory:
    """Measure a step on one image and on a batch.

    `step` does a forward and a backward pass of so many images; `cuda` is ``torch.cuda``, or what stands for it.
    """
    free, total = cuda.mem_get_info()
    one = _peak(step, 1, cuda)
    return GpuMemory(total, free, one, None if one is None else _peak(step, batch, cuda))


def judge(memory: GpuMemory, config: RunConfig) -> str | None:
    """Return what the user should know of a measurement, or None.

    A batch that does not fit is halved by itself when maps are made, so it is reported and not refused. Raises
    ModelError if not even one image fits.
    """
    batch = config.saliency.batch
    has = f"{size_text(memory.free)} of {size_text(memory.total)} free"
    if memory.one is None:
        raise ModelError(
            f"the GPU has {has}, too little for the network on one image of {config.image.size[0]} x "
            f"{config.image.size[1]}; lower -o saliency.side or --size, end what else runs on it, or use another "
            "--saliency"
        )
    if memory.batch is None:
        return (
            f"the GPU has {has}, too little for saliency.batch {batch} (one image takes {size_text(memory.one)}): "
            "batches will be halved; -o saliency.batch or -o saliency.side lower than this spare the attempts"
        )
    return None


def try_network(layers: Layers, config: RunConfig, folder: Path) -> GpuMemory | None:
    """Measure the network of a run on this machine's GPU, None without one (a unit of work)."""
    device = networks.best_device()
    if device.type != "cuda":
        return None
    return measure_steps(gradcam_step(layers, config, folder, device), config.saliency.batch, torch.cuda)


def gradcam_step(layers: Layers, config: RunConfig, folder: Path, device: torch.device) -> Callable[[int], None]:
    """Return what makes the maps of so many empty images.

    The network layer is the first of the candidates, whose gradients reach back furthest. The module of the user's
    network is searched in `folder` first.
    """
    facts = layers.facts
    network = _network(layers, config, folder)
    side = input_side(config.saliency)
    blank = np.zeros((config.saliency.batch, *facts.size, facts.channels), dtype=facts.dtype)
    layer = config.saliency.layer
    if layer is None:
        layer = candidates(network, layers, config.saliency)[0]
    masks = np.zeros((config.saliency.batch, *layers.mask_shape), dtype=np.uint8)

    def step(count: int) -> None:
        options = cam_options(config.saliency, side, multilabel=facts.multilabel)
        GradCam(network, [layer], options, device=device).maps(blank[:count], masks[:count])

    return step


def _network(layers: Layers, config: RunConfig, folder: Path) -> nn.Module:
    saliency, facts = config.saliency, layers.facts
    if saliency.model is not None:
        weights = here(location(saliency.weights)) if saliency.weights else None
        return networks.load_user_network(saliency.model, weights, folder=folder)
    n_classes = facts.n_classes + facts.multilabel
    return build_unet(n_channels=facts.channels, n_classes=n_classes, features=FitConfig().features, seed=config.seed)


def _peak(step: Callable[[int], None], count: int, cuda: Any) -> int | None:
    """Return the most that a step holds; None where memory was short, whether it gave up or halved its batch."""
    cuda.empty_cache()
    cuda.reset_peak_memory_stats()
    before = cuda.memory_stats().get("num_ooms", 0)
    try:
        step(count)
    except (cuda.OutOfMemoryError, ModelError):
        # A step that catches it reports one image by an error for people.
        if cuda.memory_stats().get("num_ooms", 0) == before:
            raise
        return None
    if cuda.memory_stats().get("num_ooms", 0) > before:
        return None
    return int(cuda.max_memory_allocated())
