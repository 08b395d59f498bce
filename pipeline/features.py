"""Units of work that fill the cache: one block of images, of superpixels or of saliency."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline import images, precomputed
from hsmix_gen.pipeline.cache import ArraySpec, FeatureCache, block_rows, block_size
from hsmix_gen.schemas.arrays import Image, Labels, Mask, Saliency
from hsmix_gen.schemas.config import SaliencyConfig, SuperpixelsConfig
from hsmix_gen.schemas.digests import sha256_of
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import BlockRecord, DatasetFacts, Refusal, SourceRecord
from hsmix_gen.stages import standardise, static_saliency
from hsmix_gen.stages.mask_values import to_class_ids
from hsmix_gen.stages.randomness import generator_for
from hsmix_gen.stages.superpixels import segment, square_grid, stratified_counts

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
        return block_size(self.facts.size, self.facts.channels, self.variants)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return -(-self.n_rows // self.block)

    def rows(self, block: int) -> range:
        """Return the rows of a block."""
        return block_rows(block, self.block, self.n_rows)

    def arrays(self, layer: str) -> list[ArraySpec]:
        """Return the arrays of one of the three layers."""
        height, width = self.facts.size
        return {
            self.images: [
                ArraySpec("image", (height, width, self.facts.channels), self.facts.dtype),
                ArraySpec("mask", (height, width), "uint8"),
            ],
            self.superpixels: [
                # A sample needs one granularity of each parent.
                ArraySpec("labels", (self.variants, height, width), "uint16", (1, height, width)),
                ArraySpec("count", (self.variants,), "uint16"),
            ],
            self.saliency: [ArraySpec("saliency", (height, width), "uint8")],
        }[layer]


def make_images(layers: Layers, block: int, sources: Sequence[SourceRecord], max_pixels: int) -> BlockRecord:
    """Read and standardise one block of pairs; what cannot be decoded becomes a refusal and a row of zeros."""
    height, width = layers.facts.size
    rows = layers.rows(block)
    image = np.zeros((len(rows), height, width, layers.facts.channels), dtype=layers.facts.dtype)
    mask = np.zeros((len(rows), height, width), dtype=np.uint8)
    refusals = []
    for i, source in enumerate(sources):
        if source.refusal is not None:
            continue
        try:
            image[i], mask[i] = _standardised(source, layers.facts, max_pixels)
        except SourceError as error:
            refusals.append(Refusal(source.id, source.image, "images", str(error)))
    files = FeatureCache(layers.root).write_block(layers.images, block, rows, {"image": image, "mask": mask})
    return BlockRecord(layers.images, block, files, tuple(refusals))


def make_superpixels(
    layers: Layers, block: int, sources: Sequence[SourceRecord], config: SuperpixelsConfig
) -> BlockRecord:
    """Segment one block of cached images in every granularity."""
    cache = FeatureCache(layers.root)
    rows = layers.rows(block)
    labels = np.zeros((len(rows), layers.variants, *layers.facts.size), dtype=np.uint16)
    count = np.zeros((len(rows), layers.variants), dtype=np.uint16)
    for i, (row, source) in enumerate(zip(rows, sources, strict=True)):
        if source.refusal is not None:
            continue
        image = cache.read(layers.images, "image", row)
        # Keyed by the image alone: a new seed of the run keeps the superpixels.
        rng = generator_for(0, "regions", source.id)
        for g, wanted in enumerate(stratified_counts(*config.regions, layers.variants, rng)):
            labels[i, g] = _segmented(image, wanted, config)
            count[i, g] = int(labels[i, g].max()) + 1
    files = cache.write_block(layers.superpixels, block, rows, {"labels": labels, "count": count})
    return BlockRecord(layers.superpixels, block, files)


def make_static_saliency(
    layers: Layers, block: int, sources: Sequence[SourceRecord], config: SaliencyConfig
) -> BlockRecord:
    """Compute one block of saliency maps that need no network."""
    cache = FeatureCache(layers.root)
    rows = layers.rows(block)
    maps = np.zeros((len(rows), *layers.facts.size), dtype=np.uint8)
    refusals = []
    for i, (row, source) in enumerate(zip(rows, sources, strict=True)):
        if source.refusal is not None:
            continue
        try:
            maps[i] = _static_map(cache, layers, row, source, config)
        except SourceError as error:
            refusals.append(Refusal(source.id, source.image, "saliency", str(error)))
    files = cache.write_block(layers.saliency, block, rows, {"saliency": maps})
    return BlockRecord(layers.saliency, block, files, tuple(refusals))


def _standardised(source: SourceRecord, facts: DatasetFacts, max_pixels: int) -> tuple[Image, Mask]:
    try:
        raw_image = images.read_bytes(Path(source.image))
        images.read_header(raw_image, max_pixels=max_pixels)
        image = images.decode_image(raw_image)
    except SourceError as error:
        raise SourceError(f"{source.image} {error}") from None
    raw_mask = images.read_bytes(Path(source.mask))
    if sha256_of(raw_image) != source.image_sha256 or sha256_of(raw_mask) != source.mask_sha256:
        raise SourceError(f"{source.image} or its mask changed while the run was under way; leave it alone")
    mask = to_class_ids(images.decode_mask(raw_mask), dict(facts.mask_values))
    image = standardise.set_dtype(standardise.set_channels(image, facts.channels), facts.dtype)
    return standardise.resize_image(image, facts.size), standardise.resize_mask(mask, facts.size)


def _segmented(image: Image, n_regions: int, config: SuperpixelsConfig) -> Labels:
    if config.method == "grid":
        return square_grid(image.shape[:2], n_regions=n_regions)
    compactness = config.compactness or (COLOUR_COMPACTNESS if image.shape[-1] == 3 else GREY_COMPACTNESS)
    return segment(image, n_regions=n_regions, compactness=compactness, sigma=config.sigma)


def _static_map(
    cache: FeatureCache, layers: Layers, row: int, source: SourceRecord, config: SaliencyConfig
) -> Saliency:
    if config.backend == "precomputed":
        return quantised(precomputed.read_map(Path(config.folder or ""), source.id, layers.facts.size))
    if config.backend == "uniform":
        return quantised(static_saliency.uniform(layers.facts.size))
    if config.backend == "random":
        return quantised(static_saliency.random_field(layers.facts.size, generator_for(0, "saliency", source.id)))
    compute = {
        "fine_grained": static_saliency.fine_grained,
        "spectral_residual": static_saliency.spectral_residual,
    }[config.backend]
    return quantised(compute(cache.read(layers.images, "image", row)))


def quantised(saliency: npt.NDArray[Any]) -> Saliency:
    """Return a float map in [0, 1] in 255ths, uint8."""
    levels: npt.NDArray[np.uint8] = np.rint(np.clip(saliency, 0, 1) * 255).astype(np.uint8)
    return levels
