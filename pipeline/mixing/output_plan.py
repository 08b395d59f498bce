"""What an output is going to hold: bound to its options and sources, planned once, before any work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.dataset.array_bytes import ENCODING_VERSION
from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.dataset.run_history import EXTENSION, FEATURES, LAYER, SPLITS_AND_GROUPS, RunIdentity
from hsmix_gen.pipeline.dataset.soft_encoding import check_soft_encoding
from hsmix_gen.pipeline.execution import versions
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.schemas.arrays import Saliency
from hsmix_gen.schemas.config import RunConfig, SoftEncoding
from hsmix_gen.schemas.digests import digest_of
from hsmix_gen.schemas.records import DatasetFacts, SourceRecord
from hsmix_gen.stages.augmentation.augment import augmentation_of, check_augmentation
from hsmix_gen.stages.mixing.draws import draw_parent
from hsmix_gen.stages.mixing.geometry import N_TRANSFORMS, transform
from hsmix_gen.stages.planning.appearance import Looks
from hsmix_gen.stages.planning.guided import Maps, whole
from hsmix_gen.stages.planning.pairing import Plan, SplitPlan, make_plan, pair_key
from hsmix_gen.stages.randomness import derive_key

MAP_SIDE = 16
"""Side of the saliency maps by which partners are chosen."""

# Files are known by the layers that came of them.
_NO_BYTES = (
    "source.id_key",
    "saliency.weights",
    "saliency.folder",
    "superpixels.folder",
)


@dataclass(frozen=True)
class OutputPlan:
    """What an output, or one fold of it, is going to hold."""

    output: Output
    records: Sequence[SourceRecord]
    """The sources that are planned with; of an output that is bound with the refusals of when it was."""
    plan: Plan
    identity: dict[str, Any]
    """What decides its bytes besides the sources."""
    is_bound: bool
    """Whether its last run bound it to just this."""

    @property
    def shards(self) -> dict[str, tuple[SplitPlan, int]]:
        """Split and number of each shard by its name, in order."""
        return {part.shard_name(number): (part, number) for part in self.plan.splits for number in range(part.n_shards)}


def check_output(
    output: Output, layers: Layers, records: Sequence[SourceRecord], config: RunConfig, *, extend: bool
) -> OutputPlan:
    """Refuse an output that was begun with something else, or what cannot be mixed; return its plan.

    Raises OutputError, SourceError or ConfigError.
    """
    identity = identity_of(layers, records, config)
    output.bindings.check(identity, records, extend=extend, is_complete=lambda: output.is_complete)
    return plan_output(output, layers, records, config)


def plan_output(
    output: Output,
    layers: Layers,
    records: Sequence[SourceRecord],
    config: RunConfig,
    looks: Looks | Maps | None = None,
) -> OutputPlan:
    """Return the plan of an output; one that is bound is planned as it was.

    Without the `looks` that ``--partners similar`` and ``guided`` ask for, all but its partners is right.
    """
    identity, earlier = identity_of(layers, records, config), output.bindings.read()
    is_bound = output.bindings.hold(identity, records)
    if is_bound:
        records, earlier = output.bindings.pinned(records), earlier[:-1]
    plan = plan_samples(layers.facts, records, config, earlier, looks)
    return OutputPlan(output, records, plan, identity, is_bound)


def identity_of(layers: Layers, records: Sequence[SourceRecord], config: RunConfig) -> dict[str, Any]:
    """Return what decides the bytes of a dataset besides its sources: configuration, homes, features and versions.

    The names of the layers stand for the contents of weights and maps, wherever those files lie. Raises ConfigError if
    the configuration cannot hold the labels of the sources.
    """
    check_soft_encoding(config.output.soft_encoding, layers.facts)
    check_augmentation(config.mix, layers.facts.channels, layers.facts.dtype)
    features = {LAYER + kind: name for kind, name in layers.names.items()}
    features[FEATURES] = layers.root.name if layers.root.name.startswith(EXTENSION) else ""
    features[SPLITS_AND_GROUPS] = digest_of([(r.id, r.split, r.fold, r.group) for r in records])
    augmentation = augmentation_of(config.mix)
    libraries = (*versions.SHARDS, *(augmentation.libraries if augmentation else ()))
    found = {**versions.versions_of(libraries), "encoding": str(ENCODING_VERSION)}
    return {**options_of(config), **features, **{f"version of {name}": value for name, value in found.items()}}


def options_of(config: RunConfig) -> dict[str, Any]:
    """Return the options that decide the bytes of a dataset, as an output keeps them, by ``section.key``.

    The names of preset, profile and control, which are spelled out in the other keys, are among them for messages.
    """
    return {key: value for key, value in config.of_bytes().items() if key not in _NO_BYTES}


def sample_bytes(facts: DatasetFacts, soft_encoding: SoftEncoding = "npz") -> int:
    """Return a rough size of one encoded sample: half of the raw image, a tenth of the raw soft label or all of it."""
    height, width = facts.size
    depth = np.dtype(facts.dtype).itemsize
    soft = 2 * facts.n_classes if soft_encoding == "npy" else facts.n_classes // 5
    return height * width * (facts.channels * depth // 2 + 1 + soft) + 2048


def plan_samples(
    facts: DatasetFacts,
    records: Sequence[SourceRecord],
    config: RunConfig,
    earlier: Sequence[RunIdentity] = (),
    looks: Looks | Maps | None = None,
) -> Plan:
    """Return the plan of all samples, those first that a dataset held before it was extended.

    `earlier` is what the dataset was made of before; `looks` are those of `wanted_looks`. Raises SourceError if there
    is nothing to mix an image with, or there are more shards or readers than samples.
    """
    return make_plan(
        records,
        config.mix,
        seed=config.seed,
        shards=config.output.shards,
        sample_bytes=sample_bytes(facts, config.output.soft_encoding),
        other_group=needs_other_group(facts, config),
        readers=config.output.readers,
        earlier=[bound.generation(records) for bound in earlier],
        looks=looks,
    )


def wanted_looks(layers: Layers, records: Sequence[SourceRecord], config: RunConfig) -> Looks | Maps | None:
    """Return what partners are chosen by, of all images of a finished cache, if they are chosen by anything."""
    if config.mix.partners == "guided":
        return maps_of(layers, records, config)
    return looks_of(layers) if config.mix.partners == "similar" else None


def maps_of(layers: Layers, records: Sequence[SourceRecord], config: RunConfig) -> Maps:
    """Return small saliency maps of all images of a finished cache, in all turns; refused ones are even."""
    cache, size, mix = FeatureCache(layers.root), layers.facts.size, config.mix
    small = [_small(cache.read(layers.saliency, "saliency", row)) for row in range(layers.n_rows)]
    turned = np.array([[transform(one, turn).ravel() for turn in range(N_TRANSFORMS)] for one in small])

    def turn(row: int, copy: int, parent: str) -> int:
        key = derive_key(config.seed, "sample", pair_key("train", records[row].id, copy))
        return draw_parent(key, parent, variants=layers.variants, size=size, mix=mix).transform

    return Maps(whole(turned), turn)


def _small(saliency: Saliency) -> npt.NDArray[np.int64]:
    """Return the sums of a map over a grid of `MAP_SIDE` x `MAP_SIDE` parts."""
    height, width = saliency.shape
    rows, columns = (np.arange(MAP_SIDE) * length // MAP_SIDE for length in (height, width))
    return np.add.reduceat(np.add.reduceat(saliency.astype(np.int64), rows, 0), columns, 1)


def looks_of(layers: Layers) -> Looks:
    """Return how all images of a finished cache look; refused ones have zeros."""
    cache = FeatureCache(layers.root)
    vectors = [cache.read(layers.images, "look", row) for row in range(layers.n_rows)]
    return Looks(np.stack(vectors), has_white=layers.facts.dtype != "float32")


def needs_other_group(facts: DatasetFacts, config: RunConfig) -> bool:
    """Return whether partners have to be of another group: slices of a patient and tiles of a slide look alike."""
    if config.mix.partners in ("auto", "similar", "guided"):
        return facts.volumes or config.image.tiles is not None
    return config.mix.partners == "other-group"
