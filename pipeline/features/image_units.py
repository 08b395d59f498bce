"""The unit of work that fills the images layer: one block of images and masks, read and standardised."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.decoders.registry import open_pair
from hsmix_gen.pipeline.decoders.stack import ReadOptions, Stack
from hsmix_gen.pipeline.features.layers import NATIVE, BlockTask
from hsmix_gen.pipeline.files.local_mirror import ensure_local
from hsmix_gen.pipeline.sources.inventory import ImageOrigin
from hsmix_gen.pipeline.sources.perceptual_hash import cut
from hsmix_gen.pipeline.sources.scan import mask_values_of, part_digest
from hsmix_gen.pipeline.sources.source_records import is_evaluated
from hsmix_gen.schemas.arrays import Image, Mask
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import BlockRecord, DatasetFacts, Intensity, Part, SourceItem, SourceRecord
from hsmix_gen.stages.imaging import intensity as intensities
from hsmix_gen.stages.imaging import standardise
from hsmix_gen.stages.labels.mask_values import to_channels, to_class_ids
from hsmix_gen.stages.measures.looks import look_vector

Body = npt.NDArray[np.bool_]
"""Where the body is on a plane."""


def make_images(task: BlockTask, origins: Sequence[ImageOrigin], how: ReadOptions) -> BlockRecord:
    """Read and standardise one block of pairs; what cannot be decoded becomes a refusal and a row of zeros."""

    def compute(place: int) -> dict[str, Any]:
        try:
            source, layers = task.sources[place], task.layers
            image, mask = _standardised(source, origins[place], layers.facts, how)
            row = {"image": image, "mask": mask, "look": look_vector(image)}
            if layers.native and is_evaluated(source):
                own = replace(layers.facts, size=(source.height, source.width), fit="stretch")
                image, mask = _standardised(source, origins[place], own, how)
                row |= {NATIVE + "image": _padded(image, layers.native), NATIVE + "mask": _padded(mask, layers.native)}
        except SourceError as error:
            raise SourceError(origins[place].item.without_hidden(str(error))) from None
        return row

    return task.fill(compute)


def _padded(array: npt.NDArray[Any], pixels: int) -> npt.NDArray[Any]:
    """Return an (H, W) or (H, W, C) array as a row of so many pixels, zeros behind its own."""
    per_pixel = array[0, 0].size
    row = np.zeros(pixels * per_pixel, array.dtype)
    row[: array.size] = array.ravel()
    return row


def _standardised(
    source: SourceRecord, place: ImageOrigin, facts: DatasetFacts, how: ReadOptions
) -> tuple[Image, Mask]:
    image, mask, scale = _opened(place.item, how, facts.intensity, facts.channels, _stamps(place.item))
    part = place.part
    if (part_digest(image, part), part_digest(mask, part)) != (source.image_sha256, source.mask_sha256):
        raise SourceError(f"{source.image} or its mask changed while the run was under way; leave it alone")
    values = mask_values_of(mask, part, instances=facts.instances)
    return _pixels(image, part, facts, scale), standardise.fit_mask(_labels(values, facts), facts.size, facts.fit)


def _pixels(image: Stack, part: Part, facts: DatasetFacts, scale: intensities.Scale | None) -> Image:
    """Return the pixels of a part in their stored size, type and channels, (H, W, C)."""
    pixels = cut(_plane(image, part.plane, facts.channels), part)
    if scale is None:
        return standardise.fit_image(standardise.set_dtype(pixels, facts.dtype), facts.size, facts.fit)
    body = image.body(part.plane)
    body = None if body is None else cut(body, part)
    # Numbers are rounded last, after they were resized.
    scaled = standardise.fit_image(intensities.apply(pixels, scale, facts.intensity, body), facts.size, facts.fit)
    return intensities.to_stored(scaled.astype(np.float32, copy=False), facts.dtype, facts.intensity)


def _plane(image: Stack, index: int, channels: int) -> npt.NDArray[Any]:
    plane = image.plane(index)
    return standardise.set_channels(plane, channels) if image.is_picture else plane


def _labels(values: npt.NDArray[Any], facts: DatasetFacts) -> Mask:
    mapping = dict(facts.mask_values)
    return to_channels(values, mapping, facts.n_classes) if facts.multilabel else to_class_ids(values, mapping)


@lru_cache(maxsize=1)
def _opened(
    item: SourceItem, how: ReadOptions, intensity: Intensity, channels: int, _stamp: tuple[tuple[int, int], ...]
) -> tuple[Stack, Stack, intensities.Scale | None]:
    """Return both sides of an item and the scale of its intensities; there is none for pictures as they are.

    The item that was opened last is kept, as the slices of a volume follow each other; the stamps of its files are
    part of the key, so that a file that changed is opened again.
    """
    image, mask = open_pair(item, how)
    if image.is_picture and intensity.kind == "none":
        return image, mask, None
    planes = (_plane(image, index, channels) for index in range(image.n_planes))
    has_bodies = image.body(0) is not None
    bodies = (cast(Body, image.body(index)) for index in range(image.n_planes)) if has_bodies else None
    return image, mask, intensities.measure(planes, intensity, bodies)


def _stamps(item: SourceItem) -> tuple[tuple[int, int], ...]:
    paths = [path for path in (*item.image.paths, *item.mask.paths, item.image.body) if path]
    ensure_local(paths)
    return tuple(map(stamp_of, paths))


def stamp_of(path: str | Path) -> tuple[int, int]:
    """Return time and size of a file, by which a changed one is known; raises SourceError if it is not there."""
    try:
        status = Path(path).stat()
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}); was it moved?") from None
    return status.st_mtime_ns, status.st_size
