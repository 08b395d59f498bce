"""The samples of a training: planned, drawn and mixed by the product's own stages, in one order for all arms."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.layers import quantised
from hsmix_gen.pipeline.mixing.make_shard import mix_one
from hsmix_gen.pipeline.mixing.output_plan import needs_other_group
from hsmix_gen.schemas.config import SaliencyConfig
from hsmix_gen.stages.mixing.mixing import Mixed
from hsmix_gen.stages.mixing.sample import Sample
from hsmix_gen.stages.planning.endless_plan import EndlessPlan
from hsmix_gen.stages.randomness import generator_for, permutation
from training.arms import Arm
from training.datasets import Prepared, locked, trained_on

_Rows = npt.NDArray[np.int64]
_CAM_LAYER = "upcat_1"
"""Last decoder block of the U-Net that is fitted for Grad-CAM."""


class Samples:
    """What one arm shows of a subset.

    Parameters
    ----------
    prepared : Prepared
    rows : (n,) int64
        Training rows in rising order; nothing else is read.
    arm : Arm
    seed : int
        Of the run; equal seeds give all arms the same images in the same order.
    exposures : int
        Samples that the training takes.
    saliency : Path
        Folder where maps of a subset are kept.
    """

    def __init__(self, prepared: Prepared, rows: _Rows, arm: Arm, *, seed: int, exposures: int, saliency: Path) -> None:
        self._prepared, self._rows, self._seed = prepared, rows, seed
        self._epochs = math.ceil(exposures / len(rows))
        self._copies = min(arm.copies or self._epochs, self._epochs)
        self._kept: dict[tuple[int, int], Mixed] | None = {} if self._copies < self._epochs else None
        self._mix = arm.config.mix
        several = len({prepared.records[row].group for row in rows}) > 1  # slices of one patient mix with each other
        other_group = several and needs_other_group(prepared.layers.facts, arm.config)
        self._plan = EndlessPlan(
            trained_on(prepared.records, rows), self._mix, "train", seed=seed, other_group=other_group
        )
        self._features = _Features(prepared, rows, seed, saliency)

    def __iter__(self) -> Iterator[Mixed]:
        """Yield the samples of the training: each epoch shows every image once, in its next copy."""
        for epoch in range(self._epochs):
            for place in permutation(generator_for(self._seed, "epoch", epoch), len(self._rows)):
                yield self._mixed(int(place), epoch % self._copies)

    def sample(self, place: int, copy: int) -> Sample:
        """Return one sample of the image at a place of the rows, with the numbers of its provenance."""
        prepared, features = self._prepared, cast(FeatureCache, self._features)
        return mix_one(features, prepared.layers, self._plan.sample(copy, place), prepared.records, self._mix)[0]

    def _mixed(self, place: int, copy: int) -> Mixed:
        if self._kept is None:
            return self.sample(place, copy).mixed
        if (place, copy) not in self._kept:
            self._kept[place, copy] = self.sample(place, copy).mixed
        return self._kept[place, copy]


class _Features:
    """The features of a subset under the names of the cache; saliency is computed when it is first read."""

    def __init__(self, prepared: Prepared, rows: _Rows, seed: int, folder: Path) -> None:
        self._prepared, self._rows, self._seed, self._folder = prepared, rows, seed, folder
        self._maps: dict[int, npt.NDArray[np.uint8]] = {}

    def read(self, layer: str, name: str, row: int, *index: int) -> npt.NDArray[Any]:  # noqa: ARG002 - one set of layers
        """Return what `FeatureCache.read` does."""
        prepared = self._prepared
        if name == "saliency":
            return self._saliency(row)
        arrays: dict[str, npt.NDArray[Any]] = {
            "image": prepared.images, "mask": prepared.masks, "labels": prepared.labels
        }  # fmt: skip
        return cast(npt.NDArray[Any], arrays[name][(row, *index)])

    def _saliency(self, row: int) -> npt.NDArray[np.uint8]:
        if not self._maps:
            maps = _gradcam(self._prepared, self._rows, self._seed, self._folder)
            self._maps = dict(zip(self._rows.tolist(), maps, strict=True))
        return self._maps[row]


def _gradcam(prepared: Prepared, rows: _Rows, seed: int, folder: Path) -> npt.NDArray[np.uint8]:
    """Return Grad-CAM maps of the rows, by the product's U-Net fitted to these rows alone, (n, H, W) uint8.

    A network that has seen other training images would bring what the other arms do not have.
    """
    from hsmix_gen.stages.saliency.backends.gradcam import BACKEND
    from hsmix_gen.stages.saliency.fit_batches import Samples as FitSamples
    from hsmix_gen.stages.saliency.fitting import FitConfig, fit_network
    from hsmix_gen.stages.saliency.gradcam import CamOptions, GradCam

    layers, steps = prepared.layers, SaliencyConfig().fit_steps
    path = folder / f"{layers.root.name}-{len(rows)}-{seed}-{steps}-{BACKEND.version}.npy"
    with locked(path.with_suffix(".lock")):
        if not path.is_file():
            images, masks = prepared.images[rows], prepared.masks[rows]
            side = min(max(layers.facts.size), FitConfig().side)
            fitted = fit_network(
                FitSamples(lambda places: (images[list(places)], masks[list(places)]), len(rows)), None,
                n_channels=layers.facts.channels, n_classes=prepared.n_classes,
                config=FitConfig(side=side, steps=steps), seed=seed,
            )  # fmt: skip
            maps = GradCam(fitted.network, [_CAM_LAYER], CamOptions(side=side)).maps(images, masks)
            part = path.with_suffix(".part.npy")
            np.save(part, np.stack(list(quantised(maps))))
            part.rename(path)
    found: npt.NDArray[np.uint8] = np.load(path)
    return found
