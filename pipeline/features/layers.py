"""Layers of the cache and the units of work that fill two of them: a block of superpixels or of static saliency."""

from collections.abc import Callable, Mapping, Sequence
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
from hsmix_gen.schemas.families import SUPERPIXELS
from hsmix_gen.schemas.records import BlockRecord, DatasetFacts, Refusal, SourceRecord
from hsmix_gen.stages.randomness import generator_for
from hsmix_gen.stages.saliency.backend import Subject, backend_of
from hsmix_gen.stages.superpixels.body import body_of
from hsmix_gen.stages.superpixels.label_maps import stratified_counts

Kind = Literal["images", "superpixels", "saliency"]
NATIVE = "native_"
"""How the names of arrays begin that hold images and masks in their own size, pixel after pixel."""


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
    native: int = 0
    """Pixels of the largest image that is evaluated on, where these images are kept in their own size too; else 0."""

    @property
    def names(self) -> dict[Kind, str]:
        """The layers by kind."""
        return {"images": self.images, "superpixels": self.superpixels, "saliency": self.saliency}

    @property
    def block(self) -> int:
        """Images per block."""
        pixel_bytes = self.facts.channels * np.dtype(self.facts.dtype).itemsize
        return block_size(self.facts.size, pixel_bytes, self.variants, beside=self.native * (pixel_bytes + 1))

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
        layers = self.mask_shape[2] if self.facts.multilabel else 1
        return {
            self.images: [
                ArraySpec("image", (height, width, self.facts.channels), self.facts.dtype),
                ArraySpec("mask", self.mask_shape, "uint8"),
                ArraySpec("look", (2 * self.facts.channels,), "float32"),
                # Of several sizes, so that a row is as long as the longest and the rest of it is 0.
                ArraySpec(NATIVE + "image", (self.native * self.facts.channels,), self.facts.dtype),
                ArraySpec(NATIVE + "mask", (self.native * layers,), "uint8"),
            ][: 5 if self.native else 3],
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
    """

    layers: Layers | None = None
    """Where they lie; None where nothing is taken over."""
    rows: Mapping[int, int] = field(default_factory=dict)
    """Row in these layers by place in the block."""

    def fill(self, kind: Kind, values: Mapping[str, npt.NDArray[Any]]) -> None:
        """Copy the rows of one layer into arrays of a block, by the names of its arrays."""
        if self.layers is None:
            return
        cache = FeatureCache(self.layers.root)
        for name, array in values.items():
            for place, row in self.rows.items():
                known = cache.read(self.layers.names[kind], name, row)
                if name.startswith(NATIVE):  # as long as the largest image was that was there
                    array[place, : len(known)] = known[: array.shape[1]]
                else:
                    array[place] = known


@dataclass(frozen=True)
class BlockTask:
    """One block of a layer to fill; small, as it travels between processes."""

    layers: Layers
    kind: Kind
    number: int
    sources: Sequence[SourceRecord]
    """Those of the block; refused ones are rows of zeros."""
    reused: ReusedRows = field(default_factory=ReusedRows)
    """The rows that are known already."""
    only: int | None = None
    """Of a trial the place of the only row that is computed; nothing is written."""

    @property
    def rows(self) -> range:
        """Rows of the layer."""
        return self.layers.rows(self.number)

    @property
    def places(self) -> list[int]:
        """Places in the block that are to be computed; what is evaluated on only has no features."""
        usable = [
            i
            for i, source in enumerate(self.sources)
            if source.refusal is None and i not in self.reused.rows and (self.kind == "images" or source.chosen)
        ]
        return usable if self.only is None else [i for i in usable if i == self.only]

    def fill(self, compute: Callable[[int], Mapping[str, Any]]) -> BlockRecord:
        """Compute the block and write it.

        `compute` takes a place and returns its row of each array, by name; its ``SourceError`` refuses the source.
        """
        layer = self.layers.names[self.kind]
        specs = self.layers.arrays(layer)
        values = {spec.name: np.zeros((len(self.sources), *spec.row), spec.dtype) for spec in specs}
        refusals = []
        for place in self.places:
            try:
                for name, row in compute(place).items():
                    values[name][place] = row
            except SourceError as error:
                source = self.sources[place]
                refusals.append(Refusal(source.id, source.image, self.kind, str(error)))
        self.reused.fill(self.kind, values)
        cache = FeatureCache(self.layers.root)
        files = cache.write_block(layer, self.number, self.rows, values) if self.only is None else ()
        return BlockRecord(layer, self.number, files, tuple(refusals))


def make_superpixels(task: BlockTask, config: SuperpixelsConfig) -> BlockRecord:
    """Segment one block of cached images in every granularity."""
    layers, cache = task.layers, FeatureCache(task.layers.root)

    def compute(place: int) -> dict[str, Any]:
        image = cache.read(layers.images, "image", task.rows[place])
        body = body_of(image) if config.body == "auto" and layers.facts.intensity.background else None
        # Keyed by the image alone: a new seed of the run keeps the superpixels.
        rng = generator_for(0, "regions", task.sources[place].id)
        wanted = stratified_counts(*config.regions, layers.variants, rng)
        labels = np.stack(_segmented(image, wanted, config, body))
        return {"labels": labels, "count": labels.max(axis=(1, 2)) + 1}

    return task.fill(compute)


def make_static_saliency(task: BlockTask, config: SaliencyConfig) -> BlockRecord:
    """Compute one block of saliency maps that need no network."""
    map_of = backend_of(config).map_of
    assert map_of is not None
    layers, folder, cache = task.layers, location(config.folder or ""), FeatureCache(task.layers.root)

    def compute(place: int) -> dict[str, Any]:
        name = task.sources[place].id
        image = partial(cache.read, layers.images, "image", task.rows[place])
        brought = partial(precomputed_maps.read_map, folder, name)
        return {"saliency": quantised(map_of(Subject(name, layers.facts.size, image, brought)))}

    return task.fill(compute)


def _segmented(
    image: Image, counts: Sequence[int], config: SuperpixelsConfig, body: npt.NDArray[np.bool_] | None
) -> list[Labels]:
    """Return the superpixels of an image for each number of regions."""
    segment: Callable[..., list[Labels]] = SUPERPIXELS.module(config.method).segment
    return segment(image, counts, compactness=config.compactness, sigma=config.sigma, mask=body)


def quantised(saliency: npt.NDArray[Any]) -> Saliency:
    """Return a float map in [0, 1] in 255ths, uint8."""
    levels: npt.NDArray[np.uint8] = np.rint(np.clip(saliency, 0, 1) * 255).astype(np.uint8)
    return levels
