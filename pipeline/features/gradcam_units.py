"""Grad-CAM in units of work: a network is made or checked, its network layer chosen, then blocks are mapped."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.units import Runner, Unit
from hsmix_gen.pipeline.features import networks
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.layers import BlockTask, Layers, quantised
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.local_mirror import here
from hsmix_gen.pipeline.files.store_paths import location
from hsmix_gen.schemas.config import RunConfig, SaliencyConfig
from hsmix_gen.schemas.errors import ModelError
from hsmix_gen.schemas.records import BlockRecord, SourceRecord
from hsmix_gen.stages.planning.pairing import probe_rows
from hsmix_gen.stages.saliency.fit_batches import Samples
from hsmix_gen.stages.saliency.fitting import FitConfig, Fitted, fit_network
from hsmix_gen.stages.saliency.gradcam import CamOptions, GradCamSaliency
from hsmix_gen.stages.saliency.layer_ranking import rank_layers
from hsmix_gen.stages.saliency.network_io import to_input
from hsmix_gen.stages.saliency.network_layers import LayerInfo, candidate_layers, require_layer

GOOD_AUC = 0.7
"""Below this agreement of saliency and masks on training images the user is warned."""
THREADS = 1
"""CPU threads of torch: one everywhere, so that the bytes do not depend on how many workers share a machine."""


@dataclass(frozen=True)
class NetworkTask:
    """What making or checking the network and choosing its network layer depends on; rows are of usable sources."""

    layers: Layers
    saliency: SaliencyConfig
    seed: int
    folder: Path
    train_rows: tuple[int, ...]
    val_rows: tuple[int, ...]


class GradCam:
    """The Grad-CAM part of `prepare`.

    Parameters
    ----------
    layers : Layers
    config : RunConfig
    reporter : Reporter
        Shows how good the network and its maps are.
    earlier : Layers or None
        The features of a dataset that is extended; its network is taken over.
    """

    def __init__(self, layers: Layers, config: RunConfig, reporter: Reporter, earlier: Layers | None = None) -> None:
        self._layers, self._config, self._reporter, self._earlier = layers, config, reporter, earlier
        self._folder = Path.cwd()

    def check(self, runner: Runner) -> None:
        """Refuse a network of the user that cannot serve, before any work starts.

        Raises
        ------
        ModelError
            If it cannot be made, loaded or used, or has no such network layer.
        """
        if self._config.saliency.model is not None:
            unit = Unit(
                "check network",
                check_user_network,
                (self._layers, self._config.saliency, self._folder),
                uses_gpu=True,
            )
            for _ in runner.run([unit]):
                self._reporter.note(f"network {self._config.saliency.model} was checked")

    def network_units(self, records: Sequence[SourceRecord]) -> list[Unit]:
        """Return the unit that makes the network's record, or none if it is there."""
        if record_path(self._layers).is_file():
            return []
        if self._earlier is not None:
            return [Unit("network", take_over_network, (self._layers, self._earlier))]
        rows = {
            split: tuple(i for i, r in enumerate(records) if r.split == split and r.refusal is None)
            for split in ("train", "val")
        }
        task = NetworkTask(
            self._layers, self._config.saliency, self._config.seed, self._folder, rows["train"], rows["val"]
        )
        if self._config.saliency.model is None:
            self._reporter.note(
                "network: no --model was given, so a small U-Net is fitted on the training split for Grad-CAM; "
                "then its layers are ranked"
            )
        else:
            self._reporter.note(f"network: the layers of {self._config.saliency.model} are ranked")
        return [Unit("network", make_network, (task,), uses_gpu=True)]

    @property
    def worker(self) -> "partial[GradCamWorker]":
        """What makes a worker that holds the network, in whatever process calls it."""
        return partial(GradCamWorker, self._layers, self._config.saliency, self._folder)

    def report(self) -> dict[str, Any]:
        """Return what is recorded of the network, and warn if its maps mean little."""
        record = atomic_files.read_json(record_path(self._layers))
        auc = record["layer_auc"]
        if auc is not None and auc < GOOD_AUC:
            self._reporter.warn(
                f"Grad-CAM at layer {record['layer']} agrees little with the masks (mean AUC {auc:.2f} on training "
                f"images, chance is 0.5); try another --layer, a better --model or --saliency fine_grained"
            )
        return {"backend": self._config.saliency.backend, **record}


class GradCamWorker:
    """Holds a network and maps blocks of cached images.

    Parameters
    ----------
    layers : Layers
    config : SaliencyConfig
    folder : Path
        Where the module of the user's network is searched first.
    """

    def __init__(self, layers: Layers, config: SaliencyConfig, folder: Path) -> None:
        record = atomic_files.read_json(record_path(layers))
        if config.model is None:
            network = networks.load_fitted(network_path(layers)).network
        else:
            network = _user_network(layers, config, folder)
        if networks.weights_digest(network) != record["weights"]:
            raise ModelError(
                f"the weights of {record['network']} differ from those that {record_path(layers)} was made with; "
                "bring them back, or remove that file to choose the layer again"
            )
        options = cam_options(config, record["side"], multilabel=layers.facts.multilabel)
        self._saliency = GradCamSaliency(network, record["layer"], options, device=networks.best_device())

    def process(self, task: BlockTask) -> BlockRecord:
        """Map one block."""
        maps: dict[int, Any] = {}
        if places := task.places:
            images, masks = _read(FeatureCache(task.layers.root), task.layers, [task.rows[i] for i in places])
            maps = dict(zip(places, quantised(self._saliency.maps(images, masks)), strict=True))
        return task.fill(lambda place: {"saliency": maps[place]})


def check_user_network(layers: Layers, config: SaliencyConfig, folder: Path) -> None:
    """Make the user's network, load its weights and try it on empty images (a unit of work)."""
    network = _user_network(layers, config, folder)
    if config.layer is not None:
        require_layer(network, config.layer, candidates=[c.name for c in _candidates(network, layers, config)])


def make_network(task: NetworkTask) -> None:
    """Fit or load the network, choose its network layer, and write its record (a unit of work)."""
    layers, config = task.layers, task.saliency
    started = time.monotonic()
    if config.model is None:
        fitted = _fit(task)
        networks.save_fitted(network_path(layers), fitted)
        network = fitted.network
        made = {
            "network": "fitted U-Net",
            "validation_dice": _number(fitted.validation_dice),
            "steps": fitted.config.steps,
        }
    else:
        network = _user_network(layers, config, task.folder)
        made = {"network": config.model, "validation_dice": None, "steps": None}
    side = input_side(config)
    fitted_at = time.monotonic()
    ranking = _ranking(network, task, side)
    best, auc = ranking[0]
    record = {
        **made,
        "weights": networks.weights_digest(network),
        "side": side,
        "layer": best,
        "layer_auc": auc,
        "layer_given": config.layer is not None,
        "candidates": [{"layer": name, "auc": value} for name, value in ranking],
        "seconds": {"fit": fitted_at - started, "layer": time.monotonic() - fitted_at},
    }
    atomic_files.write_json(record_path(layers), record)


def take_over_network(layers: Layers, earlier: Layers) -> None:
    """Copy the network behind the features of a dataset that is extended, and its record (a unit of work).

    Fitted anew, it would give other maps for images that are mixed already.
    """
    if network_path(earlier).is_file():
        atomic_files.write_whole(network_path(layers), network_path(earlier).read_bytes())
    atomic_files.write_whole(record_path(layers), record_path(earlier).read_bytes())


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


def record_path(layers: Layers) -> Path:
    """Return where the record of the network behind a saliency layer of the cache lies."""
    return layers.root / "networks" / f"{layers.saliency}.json"


def network_path(layers: Layers) -> Path:
    """Return where the fitted network behind a saliency layer of the cache lies."""
    return layers.root / "networks" / f"{layers.saliency}.pt"


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


def _fit(task: NetworkTask) -> Fitted:
    layers, config = task.layers, task.saliency
    cache = FeatureCache(layers.root)
    fit = replace(FitConfig(), steps=config.fit_steps, side=input_side(config) or FitConfig().side)
    return fit_network(
        _samples(cache, layers, task.train_rows),
        _samples(cache, layers, task.val_rows) if task.val_rows else None,
        n_channels=layers.facts.channels,
        # Channels of multi-label collapse to ids, with the background that they lack.
        n_classes=layers.facts.n_classes + layers.facts.multilabel,
        config=fit,
        seed=task.seed,
        device=networks.best_device(),
        threads=THREADS,
    )


def _ranking(network: nn.Module, task: NetworkTask, side: int | None) -> list[tuple[str, float | None]]:
    """Return the network layers that were measured on training images with their mean AUC, best first."""
    layers, config = task.layers, task.saliency
    cache = FeatureCache(layers.root)
    probes = probe_rows(np.array(task.train_rows), config.probe_images, seed=task.seed)
    images, masks = _read(cache, layers, [int(row) for row in probes])
    candidates = _candidates(network, layers, config)
    if config.layer is not None:
        candidates = [c for c in candidates if c.name == config.layer] or [LayerInfo(config.layer, "given", 0, 0, 0)]
    device = networks.best_device()
    options = cam_options(config, side, multilabel=layers.facts.multilabel)
    measured = rank_layers(network, candidates, images, masks, options=options, device=device)
    return [(layer.name, _number(auc)) for layer, auc in measured]


def _candidates(network: nn.Module, layers: Layers, config: SaliencyConfig) -> list[LayerInfo]:
    blank = np.zeros((1, *layers.facts.size, layers.facts.channels), dtype=layers.facts.dtype)
    example = to_input(blank, side=input_side(config)).to(next(network.parameters()).device)
    return candidate_layers(network, example, output_key=config.output_key)


def _samples(cache: FeatureCache, layers: Layers, rows: Sequence[int]) -> Samples:
    def load(indices: Sequence[int]) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
        return _read(cache, layers, [rows[i] for i in indices])

    return Samples(load, len(rows))


def _read(cache: FeatureCache, layers: Layers, rows: Sequence[int]) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    images = np.stack([cache.read(layers.images, "image", row) for row in rows])
    masks = np.stack([cache.read(layers.images, "mask", row) for row in rows])
    return images, masks


def input_side(config: SaliencyConfig) -> int | None:
    """Return the longest side of the network's input; None is the size of the images."""
    return config.side or (FitConfig().side if config.model is None else None)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
