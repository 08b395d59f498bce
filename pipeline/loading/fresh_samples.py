"""Samples mixed fresh while training: another one for every epoch and image, straight from a feature cache.

They are those of the offline way: the sample of image i in epoch e is copy e of it in a dataset that ``generate``
makes of the same cache with the same options and seed, before anything is encoded. Neither Ray nor PNG is involved,
and nothing is written.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hsmix_gen.pipeline.dataset.sample_members import PARTS
from hsmix_gen.pipeline.features.cache_description import FeatureSet, Prepared, feature_options, load
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.feature_choice import choose_features
from hsmix_gen.pipeline.files.store_paths import location
from hsmix_gen.pipeline.loading.torch_datasets import Sample, Sharded, as_floats, shared_number
from hsmix_gen.pipeline.mixing.make_shard import KEPT_BYTES, mix_one
from hsmix_gen.pipeline.mixing.output_plan import needs_other_group, wanted_looks
from hsmix_gen.schemas.checking import check_effects, checked
from hsmix_gen.schemas.config import MixConfig, RunConfig, values_of_method
from hsmix_gen.schemas.digests import canonical_json
from hsmix_gen.schemas.errors import CacheError, ConfigError
from hsmix_gen.schemas.families import nearest
from hsmix_gen.schemas.records import SPLITS, Split
from hsmix_gen.stages.augmentation.augment import augmented, check_augmentation
from hsmix_gen.stages.mixing.method import check_maps
from hsmix_gen.stages.mixing.mixing import Mixed
from hsmix_gen.stages.planning.endless_plan import EndlessPlan

_WITHOUT_MEANING = {"copies": "each epoch is a copy", "batch_size": "the loader makes batches"}


class HsmixFresh(Sharded):
    """The samples of a split by number, in the order of its images, mixed when they are asked for.

    Samples are dicts like those of `HsmixDataset`. Shuffle by the loader's sampler and call `set_epoch` before each
    epoch; or divide them over ranks and workers, and take up training inside of an epoch, by ``HsmixStream``::

        fresh = HsmixFresh("features", method="hsmix", seed=0)
        stream = HsmixStream(fresh, shuffle_seed=0)
        for epoch in range(stream.epoch, 100):
            stream.set_epoch(epoch)

    Parameters
    ----------
    cache : path
        A cache that ``hsmix-gen prepare`` finished, or that a run has left.
    method : str or None
        Mixing method; None takes that of the configuration that the cache was prepared with.
    seed : int or None
        Seed of the mixing; None takes that of the cache.
    epoch : int
        The first epoch.
    split : str
        ``train``, ``val`` or ``test``; images of the last two are passed through unmixed, the same in all epochs.
    fold : int or None
        Which fold, of a cache that has folds.
    features : mapping
        Values by ``section.key`` that say which set of features is meant, where a cache holds several:
        ``{"superpixels.method": "grid"}``.
    transform : callable or None
        From a sample to whatever the training needs.
    parts : sequence of str
        What is given of image, mask and soft.
    raw : bool
        Leave image, mask and soft in the types in which datasets store them.
    kept_bytes : int
        Memory of each worker for rows of the cache that were read last.
    **mix
        Other keys of the section ``mix`` of the configuration, such as ``probabilities``, ``select`` and ``policy``;
        what is not given is as the cache was prepared.

    Raises
    ------
    ConfigError
        If a value is wrong, or says no single set of features.
    CacheError
        If the cache is not finished, or holds no images of the split.
    SourceError
        If there is nothing to mix an image with.
    """

    def __init__(  # noqa: PLR0913 - all but the first four are named by keyword, as those of HsmixDataset
        self,
        cache: str | Path,
        method: str | None = None,
        seed: int | None = None,
        epoch: int = 0,
        *,
        split: Split = "train",
        fold: int | None = None,
        features: Mapping[str, Any] | None = None,
        transform: Callable[[Sample], Any] | None = None,
        parts: Sequence[str] = PARTS,
        raw: bool = False,
        kept_bytes: int = KEPT_BYTES,
        **mix: Any,
    ) -> None:
        _check_names(split, parts, mix, features or {})
        given = _given(method, seed, mix, features or {})
        root = location(cache)
        found = load(root, partial(choose_features, resolved=lambda base: checked({**(base or {}), **given})))
        config = checked({**found.inherited.flat(), **given})
        check_effects(config, {f"mix.{name}": value for name, value in mix.items()}, found.inherited.flat())
        check_maps(config)
        prepared = _fold(root, found, fold)
        self._layers, self._records, self._mix = prepared.layers, prepared.records, config.mix
        for layer in dict.fromkeys(self._layers.names.values()):
            FeatureCache(root).check_blocks(layer, self._layers.n_blocks, by_size=True)
        check_augmentation(config.mix, self._layers.facts.channels, self._layers.facts.dtype)
        other_group = needs_other_group(self._layers.facts, config)
        looks = wanted_looks(self._layers, self._records, config) if split == "train" else None
        self._plan = EndlessPlan(
            self._records, config.mix, split, seed=config.seed, other_group=other_group, looks=looks
        )
        if not len(self._plan):
            raise CacheError(f"{root} has no usable images of the split {split}; prepare others, or take another split")
        # Each sample is a shard of its own, as `HsmixStream` divides them.
        super().__init__([1] * len(self._plan), transform, parts, raw=raw)
        self._kept_bytes = kept_bytes
        self._opened: tuple[int, FeatureCache] | None = None
        self._epoch = shared_number(0)
        self.set_epoch(epoch)

    @property
    def epoch(self) -> int:
        """The epoch of the samples by number."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch, in workers that are there already too."""
        if epoch < 0:
            raise ValueError(f"epoch must be 0 or more, got {epoch}")
        self._epoch.fill_(epoch)

    def read(self, number: int, epoch: int) -> Sample:
        """Return a sample of any epoch, not transformed.

        Raises
        ------
        CacheError
            If a row of the cache is damaged.
        """
        plan = self._plan.sample(epoch, number)
        sample, row, _ = mix_one(self._cache(), self._layers, plan, self._records, self._mix)
        mixed = augmented(sample.mixed, plan, self._mix).mixed
        tensors = {part: _tensor(part, mixed, is_kept=plan.row_b is None) for part in self._parts}
        floats = tensors if self._raw else as_floats(tensors)
        return {"key": plan.key, **floats, "json": canonical_json(row.provenance())}

    def of_epoch(self, epoch: int) -> Callable[[int, int], Sample]:
        """Return what reads the samples of an epoch, whichever is set."""
        return lambda number, _: self.read(number, epoch)

    def check_ranks(self, world_size: int) -> None:
        """Refuse more ranks than there are samples.

        Raises
        ------
        CacheError
        """
        if len(self) < world_size:
            raise CacheError(f"{len(self)} samples cannot be divided over {world_size} ranks; take fewer of them")

    def _cache(self) -> FeatureCache:
        """Return the cache as this process opened it: what a forked worker inherits belongs to its parent."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), FeatureCache(self._layers.root, kept_bytes=self._kept_bytes)
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


def _tensor(part: str, mixed: Mixed, *, is_kept: bool) -> torch.Tensor:
    """Return a part as datasets give it; copied where it may be the row that the cache keeps: of unmixed images."""
    array = getattr(mixed, part)
    laid_out = np.ascontiguousarray(array.transpose(2, 0, 1) if part == "image" else array)
    return torch.from_numpy(laid_out.copy() if is_kept else laid_out)


def _given(method: str | None, seed: int | None, mix: Mapping[str, Any], features: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a caller has named, by ``section.key``."""
    given: dict[str, Any] = dict(features)
    if seed is not None:
        given["seed"] = seed
    if method is not None:
        given |= {"mix.method": method, **values_of_method(method)}
    return given | {f"mix.{name}": value for name, value in mix.items()}


def _fold(root: Path, found: FeatureSet, fold: int | None) -> Prepared:
    folds = {prepared.fold: prepared for prepared in found.folds}
    if fold not in folds:
        wanted = "no fold" if None in folds else f"fold 0 to {len(folds) - 1}"
        raise ConfigError(f"fold must be {wanted}, as the cache {root} was prepared, got {fold}")
    return folds[fold]


def _check_names(split: str, parts: Sequence[str], mix: Mapping[str, Any], features: Mapping[str, Any]) -> None:
    """Refuse names that mean nothing."""
    keys = [key for key in feature_options(RunConfig()) if key != "seed"]
    for title, names, known in (
        ("split", [split], SPLITS),
        ("parts", parts, PARTS),
        ("mix", mix, MixConfig.model_fields),
        ("features", features, keys),
    ):
        for name in names:
            if name not in known:
                raise ConfigError(f"{title} has no {name}{nearest(str(name), known) or '; see hsmix-gen init'}")
    for name in mix:
        if name in _WITHOUT_MEANING:
            raise ConfigError(f"{name} has no meaning for fresh samples: {_WITHOUT_MEANING[name]}; leave it out")
