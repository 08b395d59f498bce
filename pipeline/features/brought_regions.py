"""Superpixels that the user brings: a label map for each picture or volume and granularity, named by its id."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.decoders.registry import open_pair
from hsmix_gen.pipeline.decoders.stack import ReadOptions, Stack
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.image_units import stamp_of
from hsmix_gen.pipeline.features.layers import BlockTask
from hsmix_gen.pipeline.files.atomic_files import sha256_of_file
from hsmix_gen.pipeline.sources.inventory import ImageOrigin
from hsmix_gen.pipeline.sources.perceptual_hash import cut
from hsmix_gen.schemas.arrays import Image, Labels
from hsmix_gen.schemas.config import SuperpixelsConfig
from hsmix_gen.schemas.digests import digest_of
from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.families import SUPERPIXELS
from hsmix_gen.schemas.records import BlockRecord, Content, DatasetFacts, SourceItem
from hsmix_gen.stages.imaging import standardise

PRECOMPUTED = "precomputed"
_FORMATS = {
    ".png": "picture", ".tif": "picture", ".tiff": "picture", ".npy": "array", ".nii": "nifti", ".nii.gz": "nifti",
}  # fmt: skip
"""Endings of label maps and what decodes them."""
_PARAMETERS = {"compactness": "compactness", "sigma": "sigma", "body": "mask"}
"""Fields of `SuperpixelsConfig` that not all kinds read, and the parameters of their `segment`."""


def granularities(folder: Path) -> list[Path]:
    """Return the folders of label maps, one for each granularity: sub-folders by name, or the folder itself.

    Raises ConfigError if there is no such folder, or maps lie beside sub-folders.
    """
    if not folder.is_dir():
        raise ConfigError(f"--regions-dir {folder} is no folder; give one with a label map for each image")
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    below = [path for path in inside if path.is_dir()]
    beside = [path for path in inside if not path.is_dir() and path.name.endswith(tuple(_FORMATS))]
    if below and beside:
        raise ConfigError(
            f"--regions-dir {folder} holds {beside[0].name} beside the folder {below[0].name}; give each granularity a "
            "folder of its own"
        )
    return below or [folder]


def n_variants(config: SuperpixelsConfig) -> int:
    """Return how many granularities of each image are kept."""
    if config.method != PRECOMPUTED:
        return config.variants
    return len(granularities(Path(config.folder or "")))


def regions_key(config: SuperpixelsConfig, ids: Iterable[str]) -> dict[str, Any]:
    """Return what the superpixels of pictures and volumes depend on; of brought ones their content.

    What their kind does not read stands as its default, so that equal superpixels have equal keys.
    """
    key = config.model_dump(mode="json", exclude={"folder"})
    read = signature(SUPERPIXELS.module(config.method).segment).parameters
    unread = {name for name, parameter in _PARAMETERS.items() if parameter not in read}
    key |= SuperpixelsConfig().model_dump(mode="json", include=unread)
    if config.method != PRECOMPUTED:
        return key
    names = sorted(set(ids))
    maps = [
        [(name, sha256_of_file(path) if (path := _file(folder, name)) else None) for name in names]
        for folder in granularities(Path(config.folder or ""))
    ]
    return {**key, "maps": digest_of(maps)}


def make_brought_regions(
    task: BlockTask, origins: Sequence[ImageOrigin], how: ReadOptions, config: SuperpixelsConfig
) -> BlockRecord:
    """Read one block of label maps in every granularity; what is no label map of its image becomes a refusal."""
    folders = granularities(Path(config.folder or ""))
    # They are opened as masks are: turned and placed like the image, and of its size.
    how = dataclasses.replace(how, threshold=None)
    cache = FeatureCache(task.layers.root)

    def compute(place: int) -> dict[str, Any]:
        image = cache.read(task.layers.images, "image", task.rows[place])
        labels = np.stack([_read(folder, origins[place], image, task.layers.facts, how) for folder in folders])
        return {"labels": labels, "count": labels.max(axis=(1, 2)) + 1}

    return task.fill(compute)


def _read(folder: Path, origin: ImageOrigin, image: Image, facts: DatasetFacts, how: ReadOptions) -> Labels:
    """Return the superpixels of an image in one granularity; errors name the file and hide what is to be hidden."""
    segment: Callable[..., list[Labels]] = SUPERPIXELS.module(PRECOMPUTED).segment
    path = _file(folder, origin.item.id)
    if path is None:
        raise SourceError(f"{folder} has no label map {origin.item.id}{{{','.join(_FORMATS)}}}; add it")
    try:
        (labels,) = segment(image, [], brought=[_fitted(path, origin, facts, how)])
    except SourceError as error:
        text = str(error)
        raise SourceError(origin.item.without_hidden(text if str(path) in text else f"{path}: {text}")) from None
    return labels


def _fitted(path: Path, origin: ImageOrigin, facts: DatasetFacts, how: ReadOptions) -> npt.NDArray[np.int64]:
    """Return the labels of one image at its stored size; what the image does not cover has the number 0."""
    part = origin.part
    labels = cut(_opened(path, stamp_of(path), origin.item, how).plane(part.plane), part).astype(np.int64)
    return standardise.fit_labels(labels + 1, facts.size, facts.fit)


@lru_cache(maxsize=4)
def _opened(path: Path, _stamp: tuple[int, int], item: SourceItem, how: ReadOptions) -> Stack:
    """Return an open label map; the slices of a volume follow each other, in some granularities."""
    form = next(form for ending, form in _FORMATS.items() if path.name.endswith(ending))
    return open_pair(dataclasses.replace(item, mask=Content(form, (str(path),))), how)[1]


def _file(folder: Path, name: str) -> Path | None:
    return next((path for ending in _FORMATS if (path := folder / f"{name}{ending}").is_file()), None)
