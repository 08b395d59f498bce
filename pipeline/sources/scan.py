"""First reading of every item: what images it gives, their checksums, sizes, intensities and mask values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.decoders.geometry.orientation import plane_axis
from hsmix_gen.pipeline.decoders.mask_fit import is_unturned
from hsmix_gen.pipeline.decoders.registry import open_pair
from hsmix_gen.pipeline.decoders.stack import ReadOptions, Stack
from hsmix_gen.pipeline.readers.paths.ids import safe_id
from hsmix_gen.pipeline.sources.perceptual_hash import cut, look_of
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.digests import sha256_of
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import IGNORE, Labelling, MaskForm, Part, ScanResult, SourceItem
from hsmix_gen.stages.imaging.tiling import tiles
from hsmix_gen.stages.labels.classes import is_open
from hsmix_gen.stages.labels.mask_areas import mask_form
from hsmix_gen.stages.labels.mask_values import value_counts
from hsmix_gen.stages.labels.objects import median_object_share

SCAN_BLOCK = 32
"""Items of a unit of work; volumes, which are read whole, go one by one."""


@dataclass(frozen=True)
class ScanOptions:
    """What decides which images an item gives."""

    how: ReadOptions
    min_foreground: int = 1
    every: int = 1
    """Rule by which slices of volumes are chosen for training."""
    folds: bool = False
    """Whether each image of training is validated on in one of the folds."""
    tile: tuple[int, int] | None = None
    """Height and width of tiles."""
    overlap: int = 0
    """Pixels that neighbouring tiles share."""
    instances: bool = False
    """Whether mask values are numbers of objects, all of class 1."""
    background: tuple[int, ...] = (0,)
    """Mask values that are no foreground."""
    is_open: bool = False
    """Whether mask values have to be understood from the files, for which the form of their areas counts."""
    has_palettes: bool = False
    """Whether mask values are class numbers, so that indices of palettes have to mean the same in all files."""


def scan_options(config: RunConfig, labelling: Labelling) -> ScanOptions:
    """Return the options of a configuration, completed by what the layout states about labels."""
    source, volume = config.source, config.volume
    values = dict(source.mask_values or (labelling.values if source.threshold is None else ()))
    background = {value for value, class_id in values.items() if class_id in (0, IGNORE)} or {0}
    if source.ignore is not None:
        background.add(source.ignore)
    return ScanOptions(
        how=read_options(config),
        min_foreground=volume.min_foreground,
        every=volume.every,
        folds=source.folds is not None,
        tile=config.image.tiles,
        overlap=config.image.overlap,
        instances=has_instances(config, labelling),
        background=tuple(sorted(background)),
        is_open=is_open(source, labelling),
        has_palettes=is_open(source, labelling) or source.mask_values is not None,
    )


def read_options(config: RunConfig) -> ReadOptions:
    """Return how files are opened."""
    source = config.source
    return ReadOptions(
        source.max_pixels, source.max_voxels, config.volume.axis,
        turn_masks=source.turn_masks, resize_masks=source.resize_masks, trust_voxels=source.trust_voxels,
        threshold=source.threshold,
    )  # fmt: skip


def has_instances(config: RunConfig, labelling: Labelling) -> bool:
    """Return whether mask values are numbers of objects."""
    if config.source.threshold is not None:
        return False
    return labelling.instances if config.source.instances is None else config.source.instances


def scan(items: Sequence[SourceItem], options: ScanOptions) -> list[list[ScanResult]]:
    """Read some items (a unit of work); return the images of each. A problem is part of a result, never raised."""
    return [_scan_item(item, options) for item in items]


def part_digest(stack: Stack, part: Part) -> str:
    """Return the sha256 of a part of a stack: that of the file for a whole picture, else of its pixels."""
    digest = stack.digest(part.plane)
    return digest if part.tile is None else sha256_of(f"{digest} {part.tile}".encode())


def mask_values_of(mask: Stack, part: Part, *, instances: bool) -> npt.NDArray[Any]:
    """Return the (H, W) mask values of a part; numbers of objects become 1."""
    values = cut(mask.plane(part.plane), part)
    return (values > 0).astype(np.uint8) if instances else values


def _scan_item(item: SourceItem, options: ScanOptions) -> list[ScanResult]:
    try:
        image, mask = open_pair(item, options.how)
        every_slice = options.folds or item.split in ("val", "test")
        cuts: Sequence[tuple[int, int, int, int] | None]
        cuts = [None] if options.tile is None else tiles(*image.size, options.tile, options.overlap)
        planes = [(plane, chosen) for plane, chosen in _planes(image, mask, options) if chosen or every_slice]
        is_whole = len(planes) == image.n_planes
        found = [
            _scan_part(item, image, mask, Part(plane, tile), options, chosen=chosen, whole=is_whole)
            for plane, chosen in planes
            for tile in cuts
        ]
    except SourceError as error:
        return [ScanResult(item.id, problem=item.without_hidden(str(error)))]
    if not found:
        problem = (
            f"{item.without_hidden(item.mask.uri)} has no slice with {options.min_foreground} foreground pixels; "
            "lower --min-foreground"
        )
        return [ScanResult(item.id, problem=problem)]
    return found


def _planes(image: Stack, mask: Stack, options: ScanOptions) -> Iterator[tuple[int, bool]]:
    """Yield the planes of an item, and whether each is chosen for training."""
    for plane in range(image.n_planes):
        if not image.is_volume:
            yield plane, True
        elif plane % options.every:
            yield plane, False
        elif not options.min_foreground:
            yield plane, True
        else:
            values = mask.plane(plane)
            foreground = values.size - int(np.isin(values, options.background).sum())
            yield plane, foreground >= options.min_foreground


def _scan_part(
    item: SourceItem, image: Stack, mask: Stack, part: Part, options: ScanOptions, *, chosen: bool, whole: bool
) -> ScanResult:
    values = mask_values_of(mask, part, instances=options.instances)
    counts = value_counts(values)
    low, high, zeros = _range(image, part)
    return ScanResult(
        id=_part_id(item.id, image, part),
        part=part,
        image_sha256=part_digest(image, part),
        mask_sha256=part_digest(mask, part),
        height=values.shape[0],
        width=values.shape[1],
        channels=image.channels,
        dtype=str(image.dtype),
        picture=image.is_picture,
        volume=image.is_volume,
        chosen=chosen,
        whole=whole,
        range=(low, high),
        zeros=zeros,
        body=image.body(part.plane) is not None,
        spacing=image.spacing,
        axis=plane_axis(image.frame) if image.is_volume and image.frame is not None else "",
        unturned=image.orientation if is_unturned(mask, image) else 1,
        turned=mask.orientation if mask.orientation != image.orientation else 1,
        mask_counts=counts,
        mask_form=_form(mask, values, [value for value, _ in counts], options),
        object_share=median_object_share(~np.isin(values, options.background)),
        look=look_of(image, part),
    )


def _form(mask: Stack, values: npt.NDArray[Any], found: Sequence[int], options: ScanOptions) -> MaskForm:
    form = mask_form(values, found) if options.is_open else MaskForm()
    palette = mask.palette if options.has_palettes else ()
    return replace(form, palette=tuple((value, palette[value]) for value in found if value < len(palette)))


def _range(image: Stack, part: Part) -> tuple[float, float, float]:
    """Return least and greatest value and the share of pixels that are 0 in all channels; of arrays only."""
    if image.is_picture:
        return 0.0, 0.0, 0.0
    plane = cut(image.plane(part.plane), part)
    body = image.body(part.plane)
    full = plane.any(axis=-1) if body is None else cut(body, part)
    return float(plane.min()), float(plane.max()), float((~full).mean())


def _part_id(item_id: str, image: Stack, part: Part) -> str:
    name = f"{item_id}-z{part.plane:03d}" if image.n_planes > 1 else item_id
    if part.tile is not None:
        name += f"-y{part.tile[0]:04d}-x{part.tile[1]:04d}"
    return safe_id(name)
