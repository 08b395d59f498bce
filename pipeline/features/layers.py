"""Layers of the cache and the units of work that fill two of them: a block of superpixels or of static saliency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.features import precomputed_maps
from hsmix_gen.pipeline.features.feature_cache import ArraySpec, FeatureCache, block_rows, block_size
from hsmix_gen.pipeline.files.store_paths import location
from hsmix_gen.schemas.arrays import Image, Labels, Saliency
from hsmix_gen.schemas.config import SaliencyConfig, SuperpixelsConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import BlockRecord, DatasetFacts, Refusal, SourceRecord
from hsmix_gen.stages.randomness import generator_for
from hsmix_gen.stages.saliency.backend import Subject, backend_of
from hsmix_gen.stages.superpixels import body_of, segment, square_grid, stratified_counts

COLOUR_COMPACTNESS = 10.0
GREY_COMPACTNESS = 0.1


@dataclass(frozen=True)
class Layers:
    """Where the features of one configuration lie in a cache, and what they are of."""

    root: Path
    images: str
    superpixels: str
    saliency: str
    facts: DatasetFacts
    n_rows: int
    variants: int

    @property
    def names(self) -> dict[str, str]:
        """The layers by kind."""
        return {"images": self.images, "superpixels": self.superpixels, "saliency": self.saliency}

    @property
    def block(self) -> int:
        """Images per block."""
        return block_size(self.facts.size, self.facts.channels * np.dtype(self.facts.dtype).itemsize, self.variants)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return -(-self.n_rows // self.block)

    def rows(self, block: int) -> range:
        """Return the rows of a block."""
        return block_rows(block, self.block, self.n_rows)

    @property
    def mask_shape(self) -> tuple[int, ...]:
        """Shape of one mask: (H, W), or (H, W, K) in multi-label."""
        return (*self.facts.size, self.facts.n_classes) if self.facts.multilabel else self.facts.size

    def arrays(self, layer: str) -> list[ArraySpec]:
        """Return the arrays of one of the three layers."""
        height, width = self.facts.size
        return {
            self.images: [
                ArraySpec("image", (height, width, self.facts.channels), self.facts.dtype),
                ArraySpec("mask", self.mask_shape, "uint8"),
            ],
            self.superpixels: [
                # A sample needs one granularity of each parent.
                ArraySpec("labels", (self.variants, height, width), "uint16", (1, height, width)),
                ArraySpec("count", (self.variants,), "uint16"),
            ],
            self.saliency: [ArraySpec("saliency", (height, width), "uint8")],
        }[layer]


@dataclass(frozen=True)
class ReusedRows:
    """Rows of a block that are taken over from features of the same images, instead of being computed again.

    Networks compute a batch not always to the last bit as they compute its images one by one, so that rows which a
    dataset was mixed from are copied when it is extended.

    Attributes
    ----------
    layers : Layers or None
        Where they lie; None where nothing is taken over.
    rows : dict
        Row in these layers by place in the block.
    """

    layers: Layers | None = None
    rows: Mapping[int, int] = field(default_factory=dict)

    def fill(self, kind: Literal["images", "superpixels", "saliency"], values: Mapping[str, npt.NDArray[Any]]) -> None:
        """Copy the rows of one layer into arrays of a block, by the names of its arrays."""
        if self.layers is None:
            return
        cache = FeatureCache(self.layers.root)
        for name, array in values.items():
            for place, row in self.rows.items():
                array[place] = cache.read(self.layers.names[kind], name, row)

    def computed(self, sources: Sequence[SourceRecord], only: int | None) -> list[tuple[int, SourceRecord]]:
        """Return the sources of a block that are to be computed, with their places in it; of a trial, the one it is of.

        Refused ones are left out.
        """
        return [
            (i, source)
            for i, source in enumerate(sources)
            if source.refusal is None and i not in self.rows and (only is None or only == i)
        ]


def make_superpixels(
    layers: Layers,
    block: int,
    sources: Sequence[SourceRecord],
    reused: ReusedRows,
    config: SuperpixelsConfig,
    only: int | None = None,
) -> BlockRecord:
    """Segment one block of cached images in every granularity; a trial is of one of them and writes nothing."""
    cache = FeatureCache(layers.root)
    rows = layers.rows(block)
    labels = np.zeros((len(rows), layers.variants, *layers.facts.size), dtype=np.uint16)
    count = np.zeros((len(rows), layers.variants), dtype=np.uint16)
    for i, source in reused.computed(sources, only):
        image = cache.read(layers.images, "image", rows[i])
        body = body_of(image) if config.body == "auto" and layers.facts.intensity.background else None
        # Keyed by the image alone: a new seed of the run keeps the superpixels.
        rng = generator_for(0, "regions", source.id)
        for g, wanted in enumerate(stratified_counts(*config.regions, layers.variants, rng)):
            labels[i, g] = _segmented(image, wanted, config, body)
            count[i, g] = int(labels[i, g].max()) + 1
    values = {"labels": labels, "count": count}
    reused.fill("superpixels", values)
    files = cache.write_block(layers.superpixels, block, rows, values) if only is None else ()
    return BlockRecord(layers.superpixels, block, files)


def make_static_saliency(
    layers: Layers,
    block: int,
    sources: Sequence[SourceRecord],
    reused: ReusedRows,
    config: SaliencyConfig,
    only: int | None = None,
) -> BlockRecord:
    """Compute one block of saliency maps that need no network; a trial is of one of them and writes nothing."""
    map_of = backend_of(config).map_of
    assert map_of is not None
    folder = location(config.folder or "")
    cache = FeatureCache(layers.root)
    rows = layers.rows(block)
    maps = np.zeros((len(rows), *layers.facts.size), dtype=np.uint8)
    refusals = []
    for i, source in reused.computed(sources, only):
        try:
            image = partial(cache.read, layers.images, "image", rows[i])
            brought = partial(precomputed_maps.read_map, folder, source.id)
            maps[i] = quantised(map_of(Subject(source.id, layers.facts.size, image, brought)))
        except SourceError as error:
            refusals.append(Refusal(source.id, source.image, "saliency", str(error)))
    reused.fill("saliency", {"saliency": maps})
    files = cache.write_block(layers.saliency, block, rows, {"saliency": maps}) if only is None else ()
    return BlockRecord(layers.saliency, block, files, tuple(refusals))


def _segmented(image: Image, n_regions: int, config: SuperpixelsConfig, body: npt.NDArray[np.bool_] | None) -> Labels:
    if config.method == "grid":
        return square_grid(image.shape[:2], n_regions=n_regions)
    compactness = config.compactness or (COLOUR_COMPACTNESS if image.shape[-1] == 3 else GREY_COMPACTNESS)
    return segment(image, n_regions=n_regions, compactness=compactness, sigma=config.sigma, mask=body)


def quantised(saliency: npt.NDArray[Any]) -> Saliency:
    """Return a float map in [0, 1] in 255ths, uint8."""
    levels: npt.NDArray[np.uint8] = np.rint(np.clip(saliency, 0, 1) * 255).astype(np.uint8)
    return levels
