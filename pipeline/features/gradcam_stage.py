"""The driver's part of Grad-CAM: which units make or check a network and map blocks; it imports no torch.

What a unit does stands in `gradcam_units`, which only the processes that do it import.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.units import Runner, Unit
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.pipeline.features.network_task import NetworkTask, is_recorded, network_path, read_record, record_path
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.schemas.config import RunConfig, SaliencyConfig
from hsmix_gen.schemas.records import SourceRecord
from hsmix_gen.stages.saliency.backend import backend_of

GOOD_AUC = 0.7
"""Below this agreement of saliency and masks on training images the user is warned."""


def check_network(layers: Layers, config: SaliencyConfig, runner: Runner, reporter: Reporter) -> None:
    """Refuse a network of the user that cannot serve, before anything is removed or begun.

    Raises ModelError if it cannot be made, loaded or used, or has no such network layer.
    """
    if backend_of(config).has_network and config.model is not None:
        unit = Unit("check network", _by_torch, ("check_user_network", layers, config, Path.cwd()), uses_gpu=True)
        for _ in runner.run([unit]):
            reporter.note(f"network {config.model} was checked")


class GradCamStage:
    """The Grad-CAM part of `prepare`.

    The reporter shows how good the network and its maps are. `earlier` are the features of a dataset that is extended;
    its network is taken over.
    """

    def __init__(self, layers: Layers, config: RunConfig, reporter: Reporter, earlier: Layers | None = None) -> None:
        self._layers, self._config, self._reporter, self._earlier = layers, config, reporter, earlier
        self._folder = Path.cwd()

    def network_units(self, records: Sequence[SourceRecord]) -> list[Unit]:
        """Return the unit that makes the network's record, or none if it is there.

        A network is not always fitted to the last bit as it was, so that some maps of one that is not recorded any more
        are withdrawn; all of them stay.
        """
        if is_recorded(self._layers):
            return []
        cache, layer = FeatureCache(self._layers.root), self._layers.saliency
        if len(cache.records(layer)) < self._layers.n_blocks:
            cache.forget(layer)
        if self._earlier is not None:
            return [Unit("network", _take_over_network, (self._layers, self._earlier))]
        rows = (
            tuple(i for i, r in enumerate(records) if r.split == split and r.refusal is None and r.chosen)
            for split in ("train", "val")
        )
        task = NetworkTask(self._layers, self._config.saliency, self._config.seed, self._folder, *rows)
        if self._config.saliency.model is None:
            self._reporter.note(
                "network: no --model was given, so a small U-Net is fitted on the training split for Grad-CAM; "
                "then its layers are ranked"
            )
        else:
            self._reporter.note(f"network: the layers of {self._config.saliency.model} are ranked")
        return [Unit("network", _by_torch, ("make_network", task), uses_gpu=True)]

    @property
    def worker(self) -> "partial[Any]":
        """What makes a worker that holds the network on a GPU, in whatever process calls it."""
        return partial(_by_torch, "GradCamWorker", self._layers, self._config.saliency, self._folder)

    @property
    def on_processor(self) -> "partial[Any]":
        """What maps a block on a processor, in the process that fitted the network if that is free."""
        return partial(_by_torch, "map_block", config=self._config.saliency, folder=self._folder)

    def report(self) -> dict[str, Any]:
        """Return what is recorded of the network, and warn if its maps mean little."""
        record = read_record(self._layers)
        auc = record["layer_auc"]
        if auc is not None and auc < GOOD_AUC:
            self._reporter.warn(
                f"Grad-CAM at layer {record['layer']} agrees little with the masks (mean AUC {auc:.2f} on training "
                f"images, chance is 0.5); try another --layer, a better --model or --saliency fine_grained"
            )
        return {"backend": self._config.saliency.backend, **record}


def _by_torch(name: str, *arguments: Any, **options: Any) -> Any:
    """Call what has a name in `gradcam_units`, which is imported by the process that comes here (a unit of work)."""
    from hsmix_gen.pipeline.features import gradcam_units

    return getattr(gradcam_units, name)(*arguments, **options)


def _take_over_network(layers: Layers, earlier: Layers) -> None:
    """Copy the network behind the features of a dataset that is extended, and its record (a unit of work).

    Fitted anew, it would give other maps for images that are mixed already.
    """
    if network_path(earlier).is_file():
        atomic_files.write_whole(network_path(layers), network_path(earlier).read_bytes())
    atomic_files.write_whole(record_path(layers), record_path(earlier).read_bytes())
