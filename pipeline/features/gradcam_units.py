"""Grad-CAM in units of work: a network is made or checked, its network layer chosen, then blocks are mapped.

Only processes that do these units import this module, as it brings torch; the driver has `gradcam_stage`.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from hsmix_gen.pipeline.features import networks
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.layers import BlockTask, Layers, quantised
from hsmix_gen.pipeline.features.network_task import (
    ASK_EVERY,
    NetworkTask,
    is_enough,
    network_path,
    read_record,
    record_path,
)
from hsmix_gen.pipeline.files.local_mirror import here
from hsmix_gen.pipeline.files.sealed_json import write_sealed
from hsmix_gen.pipeline.files.store_paths import location
from hsmix_gen.schemas.config import SaliencyConfig
from hsmix_gen.schemas.errors import ModelError
from hsmix_gen.schemas.records import BlockRecord
from hsmix_gen.stages.measures.sample_measures import rounded
from hsmix_gen.stages.planning.pairing import probe_rows
from hsmix_gen.stages.saliency.fit_batches import Samples
from hsmix_gen.stages.saliency.fitting import FitConfig, fit_network
from hsmix_gen.stages.saliency.gradcam import CamOptions, GradCam
from hsmix_gen.stages.saliency.layer_ranking import rank_layers
from hsmix_gen.stages.saliency.network_io import to_input
from hsmix_gen.stages.saliency.network_layers import candidate_layers, require_layer

THREADS = 1
"""CPU threads of torch: one everywhere, so that the bytes do not depend on how many workers share a machine."""

Ranking = list[tuple[str, float | None]]
"""Network layers with their AUC, best first."""

_kept: dict[tuple[Any, ...], "GradCamWorker"] = {}
"""The worker of this process, by all that it depends on."""


class GradCamWorker:
    """Holds a network and maps blocks of cached images.

    The module of the user's network is searched in `folder` first.
    """

    def __init__(self, layers: Layers, config: SaliencyConfig, folder: Path) -> None:
        record = read_record(layers)
        if config.model is None:
            network = networks.load_fitted(network_path(layers))
        else:
            network = _user_network(layers, config, folder)
        if networks.weights_digest(network) != record["weights"]:
            raise ModelError(
                f"the weights of {record['network']} differ from those that {record_path(layers)} was made with; "
                "bring them back, or remove that file to choose the layer again"
            )
        options = cam_options(config, record["side"], multilabel=layers.facts.multilabel)
        self._saliency = GradCam(network, [record["layer"]], options, device=networks.best_device())

    def process(self, task: BlockTask) -> BlockRecord:
        """Map one block."""
        maps: dict[int, Any] = {}
        if places := task.places:
            images, masks = _read(FeatureCache(task.layers.root), task.layers, [task.rows[i] for i in places])
            maps = dict(zip(places, quantised(self._saliency.maps(images, masks)), strict=True))
        return task.fill(lambda place: {"saliency": maps[place]})


def map_block(task: BlockTask, *, config: SaliencyConfig, folder: Path) -> BlockRecord:
    """Map one block by the worker of this process, made where that of another network, or none, was at work."""
    given = task.layers, config, folder
    key = *given, record_path(task.layers).read_bytes()
    if key not in _kept:
        # The other network goes first: two of a user's need not fit into memory.
        _kept.clear()
        _kept[key] = GradCamWorker(*given)
    return _kept[key].process(task)


def check_user_network(layers: Layers, config: SaliencyConfig, folder: Path) -> None:
    """Make the user's network, load its weights and try it on empty images (a unit of work)."""
    network = _user_network(layers, config, folder)
    if config.layer is not None:
        require_layer(network, config.layer, candidates=candidates(network, layers, config))


def make_network(task: NetworkTask) -> None:
    """Fit or load the network, choose its network layer, and write its record (a unit of work)."""
    layers, config = task.layers, task.saliency
    if config.model is None:
        made, network, ranking, seconds = _fitted(task)
    else:
        started = time.monotonic()
        network = _user_network(layers, config, task.folder)
        made = {"network": config.model, "validation_dice": None, "steps": None}
        loaded = time.monotonic()
        ranking = _ranking(network, task, config.side)
        seconds = {"fit": loaded - started, "layer": time.monotonic() - loaded}
    best, auc = ranking[0]
    record = {
        **made,
        "weights": networks.weights_digest(network),
        "side": input_side(config),
        "layer": best,
        "layer_auc": auc,
        "layer_given": config.layer is not None,
        "candidates": [{"layer": name, "auc": value} for name, value in ranking],
        "seconds": seconds,
    }
    write_sealed(record_path(layers), record)


def cam_options(config: SaliencyConfig, side: int | None, *, multilabel: bool = False) -> CamOptions:
    """Return how maps are computed: reduced precision on a GPU, one thread on a CPU.

    In multi-label a network of the user has a channel for each region; the fitted one has classes.
    """
    return CamOptions(
        multilabel=multilabel and config.model is not None,
        method=config.cam,
        target=config.target,
        side=side,
        batch=config.batch,
        output_key=config.output_key,
        precision="bf16",
        threads=THREADS,
    )


def _user_network(layers: Layers, config: SaliencyConfig, folder: Path) -> nn.Module:
    assert config.model is not None
    weights = here(location(config.weights)) if config.weights else None
    network = networks.load_user_network(config.model, weights, folder=folder)
    networks.check_network(
        network,
        n_channels=layers.facts.channels,
        n_classes=layers.facts.n_classes,
        multilabel=layers.facts.multilabel,
        size=layers.facts.size,
        side=config.side,
        output_key=config.output_key,
    )
    return network


def _fitted(task: NetworkTask) -> tuple[dict[str, Any], nn.Module, Ranking, dict[str, float]]:
    """Fit a network in as few steps as its maps need; return it with its record, its layers and the time it took."""
    measured: list[tuple[Ranking, float]] = []

    def finds_objects(network: nn.Module) -> bool:
        started = time.monotonic()
        ranking = _ranking(network, task, input_side(task.saliency))
        measured.append((ranking, time.monotonic() - started))
        return is_enough([best[1] for (best, *_), _ in measured])

    layers, config = task.layers, task.saliency
    cache = FeatureCache(layers.root)
    started = time.monotonic()
    fitted = fit_network(
        _samples(cache, layers, task.train_rows),
        _samples(cache, layers, task.val_rows) if task.val_rows else None,
        n_channels=layers.facts.channels,
        # Channels of multi-label collapse to ids, with the background that they lack.
        n_classes=layers.facts.n_classes + layers.facts.multilabel,
        config=replace(FitConfig(), steps=config.fit_steps, side=input_side(config) or FitConfig().side),
        seed=task.seed,
        is_enough=finds_objects,
        ask_every=ASK_EVERY,
        device=networks.best_device(),
        threads=THREADS,
    )
    took, layer_took = time.monotonic() - started, sum(seconds for _, seconds in measured)
    networks.save_fitted(network_path(layers), fitted)
    made = {
        "network": "fitted U-Net",
        "validation_dice": rounded(fitted.validation_dice),
        "steps": len(fitted.losses),
    }
    return made, fitted.network, measured[-1][0], {"fit": took - layer_took, "layer": layer_took}


def _ranking(network: nn.Module, task: NetworkTask, side: int | None) -> Ranking:
    """Return the network layers that were measured on training images with their mean AUC, best first."""
    layers, config = task.layers, task.saliency
    cache = FeatureCache(layers.root)
    probes = probe_rows(np.array(task.train_rows), config.probe_images, seed=task.seed)
    images, masks = _read(cache, layers, [int(row) for row in probes])
    names = candidates(network, layers, config) if config.layer is None else [config.layer]
    device = networks.best_device()
    options = cam_options(config, side, multilabel=layers.facts.multilabel)
    measured = rank_layers(network, names, images, masks, options=options, device=device)
    return [(name, rounded(auc)) for name, auc in measured]


def candidates(network: nn.Module, layers: Layers, config: SaliencyConfig) -> list[str]:
    """Return the network layers worth trying, by a forward pass of an empty image; see `candidate_layers`."""
    blank = np.zeros((1, *layers.facts.size, layers.facts.channels), dtype=layers.facts.dtype)
    example = to_input(blank, side=input_side(config)).to(next(network.parameters()).device)
    return candidate_layers(network, example, output_key=config.output_key)


def _samples(cache: FeatureCache, layers: Layers, rows: Sequence[int]) -> Samples:
    return Samples(lambda indices: _read(cache, layers, [rows[i] for i in indices]), len(rows))


def _read(cache: FeatureCache, layers: Layers, rows: Sequence[int]) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    images = np.stack([cache.read(layers.images, "image", row) for row in rows])
    masks = np.stack([cache.read(layers.images, "mask", row) for row in rows])
    return images, masks


def input_side(config: SaliencyConfig) -> int | None:
    """Return the longest side of the network's input; None is the size of the images."""
    return config.side or (FitConfig().side if config.model is None else None)
