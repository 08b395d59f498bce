"""The samples of a training: planned, drawn and mixed by the product's own stages, in one order for all arms."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.layers import quantised
from hsmix_gen.pipeline.mixing.make_shard import read_parent
from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import SamplePlan
from hsmix_gen.stages.mixing.draws import draw_parent
from hsmix_gen.stages.mixing.method import needs
from hsmix_gen.stages.mixing.mixing import Mixed
from hsmix_gen.stages.mixing.sample import Sample, make_sample
from hsmix_gen.stages.planning.pairing import make_plan
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
        Training rows; nothing else is read.
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
        self._mix = arm.config.mix.model_copy(update={"copies": self._copies})
        self._plans = self._planned()
        self._features = _Features(prepared, rows, seed, saliency)

    def _planned(self) -> dict[tuple[int, int], SamplePlan]:
        """Return the plan of each image and copy, as the product makes it."""
        records = trained_on(self._prepared.records, self._rows)
        other_group = _is_grouped(self._prepared, self._mix)
        plan = make_plan(records, self._mix, seed=self._seed, shards=1, sample_bytes=1, other_group=other_group)
        part = next(part for part in plan.splits if part.split == "train")
        samples = plan.samples(part, 0, records)
        keys = zip(part.row_a.tolist(), part.copy.tolist(), strict=True)
        return dict(zip(keys, samples, strict=True))

    def __iter__(self) -> Iterator[Mixed]:
        """Yield the samples of the training: each epoch shows every image once, in its next copy."""
        for epoch in range(self._epochs):
            for place in permutation(generator_for(self._seed, "epoch", epoch), len(self._rows)):
                yield self._mixed(int(self._rows[place]), epoch % self._copies)

    def sample(self, row: int, copy: int) -> Sample:
        """Return one sample with the numbers of its provenance."""
        plan = self._plans[row, copy]
        a = self._parent(plan, "a", plan.row_a)
        b = None if plan.row_b is None else self._parent(plan, "b", plan.row_b)
        return make_sample(plan, a, b, self._mix, n_classes=self._prepared.n_classes)

    def _mixed(self, row: int, copy: int) -> Mixed:
        if self._kept is None:
            return self.sample(row, copy).mixed
        if (row, copy) not in self._kept:
            self._kept[row, copy] = self.sample(row, copy).mixed
        return self._kept[row, copy]

    def _parent(self, plan: SamplePlan, parent: str, row: int) -> Any:
        layers = self._prepared.layers
        draw = draw_parent(plan.seed, parent, variants=layers.variants, size=layers.facts.size, mix=self._mix)
        return read_parent(cast(FeatureCache, self._features), layers, plan, row, draw, self._mix)


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
    from hsmix_gen.stages.saliency.fit_batches import Samples as FitSamples
    from hsmix_gen.stages.saliency.fitting import FitConfig, fit_network
    from hsmix_gen.stages.saliency.gradcam import CamOptions, GradCamSaliency

    layers = prepared.layers
    path = folder / f"{layers.root.name}-{len(rows)}-{seed}.npy"
    with locked(path.with_suffix(".lock")):
        if not path.is_file():
            images, masks = prepared.images[rows], prepared.masks[rows]
            side = min(max(layers.facts.size), FitConfig().side)
            fitted = fit_network(
                FitSamples(lambda places: (images[list(places)], masks[list(places)]), len(rows)), None,
                n_channels=layers.facts.channels, n_classes=prepared.n_classes,
                config=FitConfig(side=side), seed=seed,
            )  # fmt: skip
            maps = GradCamSaliency(fitted.network, _CAM_LAYER, CamOptions(side=side)).maps(images, masks)
            part = path.with_suffix(".part.npy")
            np.save(part, np.stack(list(quantised(maps))))
            part.rename(path)
    found: npt.NDArray[np.uint8] = np.load(path)
    return found


def _is_grouped(prepared: Prepared, mix: MixConfig) -> bool:
    """Return whether partners are of other groups, as the product decides it; one group alone mixes with itself."""
    groups = {prepared.records[row].group for row in prepared.train}
    return mix.partners == "other-group" or (
        mix.partners == "auto" and prepared.layers.facts.volumes and len(groups) > 1
    )


def reads_saliency(mix: MixConfig) -> bool:
    """Return whether any of the samples reads saliency."""
    chances = dict(zip(("hard", "soft"), mix.probabilities[1:], strict=True))
    return any(chance and needs(mode, mix).saliency for mode, chance in chances.items())  # type: ignore[arg-type]
