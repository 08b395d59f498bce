"""First look at every pair: checksums, sizes and mask values; what all images have in common follows from it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from hsmix_gen.pipeline import images
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.digests import sha256_of
from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.records import IGNORE, DatasetFacts, ScanResult, SourceItem
from hsmix_gen.stages.mask_values import describe, understand_values, unknown_values

SCAN_BLOCK = 32


def scan(items: Sequence[SourceItem], max_pixels: int) -> list[ScanResult]:
    """Look at some pairs (a unit of work); a problem is told in the result and never raised."""
    return [_scan_one(item, max_pixels) for item in items]


def _scan_one(item: SourceItem, max_pixels: int) -> ScanResult:
    subject = item.image
    try:
        image = images.read_bytes(Path(item.image))
        header = images.read_header(image, max_pixels=max_pixels)
        subject = item.mask
        mask = images.read_bytes(Path(item.mask))
        mask_header = images.read_header(mask, max_pixels=max_pixels)
        values = images.decode_mask(mask)
    except SourceError as error:
        return ScanResult(item.id, problem=f"{subject} {error}")
    if (mask_header.height, mask_header.width) != (header.height, header.width):
        problem = (
            f"{item.mask} is {mask_header.width} x {mask_header.height}, its image {header.width} x {header.height}; "
            "export the mask at the size of the image"
        )
        return ScanResult(item.id, problem=problem)
    counts = np.bincount(values.ravel(), minlength=256)
    return ScanResult(
        id=item.id,
        image_sha256=sha256_of(image),
        mask_sha256=sha256_of(mask),
        height=header.height,
        width=header.width,
        channels=header.channels,
        bits=header.bits,
        mask_counts=tuple((int(v), int(counts[v])) for v in np.flatnonzero(counts)),
    )


def understand(scans: Iterable[ScanResult], config: RunConfig) -> DatasetFacts:
    """Return what all images will have in common, from the scans that have no problem.

    Raises
    ------
    SourceError
        If the mask values follow no convention.
    ConfigError
        If the configured classes or mask values do not fit.
    """
    good = [result for result in scans if result.problem is None]
    if not good:
        raise SourceError("no pair of image and mask can be used; the reasons stand in refused.csv")
    wide = sum(result.bits == 16 for result in good)
    auto_channels = 3 if any(result.channels == 3 for result in good) else 1
    mapping = _mapping(good, config)
    return DatasetFacts(
        size=config.image.size,
        channels=auto_channels if config.image.channels == "auto" else int(config.image.channels),
        dtype="uint16" if wide * 2 > len(good) else "uint8",
        classes=_class_names(mapping, config.source.classes),
        mask_values=tuple(sorted(mapping.items())),
    )


def with_value_problems(
    scans: Sequence[ScanResult], facts: DatasetFacts, items: Sequence[SourceItem]
) -> list[ScanResult]:
    """Return the scans, those with a mask value that is no class turned into problems."""
    mapping = dict(facts.mask_values)
    checked = []
    for result, item in zip(scans, items, strict=True):
        unknown = unknown_values((value for value, _ in result.mask_counts), mapping)
        if result.problem is None and unknown:
            problem = (
                f"{item.mask} has values {_shortened(unknown)} that are no class, "
                f"expected {_shortened(sorted(mapping))}; correct the file or map them, "
                f"for example --mask-values {describe(mapping)},{unknown[0]}=1"
            )
            checked.append(ScanResult(result.id, result.image_sha256, result.mask_sha256, problem=problem))
        else:
            checked.append(result)
    return checked


def value_counts(scans: Iterable[ScanResult]) -> Counter[int]:
    """Return the pixels of each mask value over all usable masks."""
    total: Counter[int] = Counter()
    for result in scans:
        if result.problem is None:
            total.update(dict(result.mask_counts))
    return total


def _mapping(good: Sequence[ScanResult], config: RunConfig) -> dict[int, int]:
    given = config.source.mask_values
    if given is None:
        return understand_values([frozenset(value for value, _ in result.mask_counts) for result in good])
    ids = sorted(set(given.values()) - {IGNORE})
    if ids != list(range(len(ids))) or not all(0 <= value <= 255 for value in given):
        raise ConfigError(
            f"mask_values must map values 0..255 to class ids 0..K-1 without gaps (255 = ignore), got {describe(given)}"
        )
    return dict(given)


def _class_names(mapping: dict[int, int], names: tuple[str, ...] | None) -> tuple[str, ...]:
    n_classes = max(2, len(set(mapping.values()) - {IGNORE}))
    if names is None:
        return ("background", "foreground") if n_classes == 2 else (
            "background", *(f"class_{i}" for i in range(1, n_classes))
        )  # fmt: skip
    if len(names) != n_classes or len(set(names)) != len(names):
        raise ConfigError(
            f"classes must name each of the {n_classes} classes once, background first, got {', '.join(names)}"
        )
    return names


def _shortened(values: Sequence[int]) -> str:
    shown = ", ".join(str(value) for value in values[:8])
    return f"{shown}, …" if len(values) > 8 else shown
