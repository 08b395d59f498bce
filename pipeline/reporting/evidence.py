"""What a report rests on: the columns of the manifest, the sources, and measures of images from the cache."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from hsmix_gen.pipeline.dataset.output_folder import MANIFEST, read_dataset, read_run
from hsmix_gen.pipeline.dataset.run_history import kept_sources
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.features.cache_description import FeatureSet, Prepared, descriptions, load
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.pipeline.files.tables import manifest_columns
from hsmix_gen.pipeline.sources.perceptual_hash import hash_of
from hsmix_gen.pipeline.sources.splits import spread
from hsmix_gen.pipeline.verification.reopened import reopen
from hsmix_gen.schemas.arrays import Image
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import CacheError, OutputError
from hsmix_gen.schemas.records import SPLITS, SourceRecord
from hsmix_gen.stages.imaging.similarity import near_duplicates
from hsmix_gen.stages.measures.image_measures import ImageMeasures, measure_image

MOST_IMAGES = 300
"""Images that are measured with superpixels and saliency, evenly drawn: some 20 ms each."""
MOST_HASHED = 4000
"""Images that are compared for near duplicates: some 3 ms each."""
_FLAT = 2.0

Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Measured:
    """An image of a cache with its measures."""

    record: SourceRecord
    measures: ImageMeasures


@dataclass(frozen=True)
class Twins:
    """Two images of different splits that look alike."""

    a: SourceRecord
    b: SourceRecord
    bits: int


@dataclass(frozen=True)
class Evidence:
    """All that a report is made of."""

    root: Path
    kind: Literal["output", "cache"]
    name: str
    described: dict[str, Any]
    records: list[SourceRecord]
    """Usable sources; of an output those that its samples name."""
    samples: Columns
    """Columns of the manifest; none of a cache."""
    images: list[Measured]
    """A drawn part of the records."""
    twins: list[Twins]
    n_hashed: int
    """Images that were compared for near duplicates."""
    sources: int
    refused: int
    options: dict[str, Any]
    """The configuration by ``section.key``."""
    notes: tuple[str, ...] = field(default=())
    """What could not be measured, and why."""

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.samples.get("key", ()))

    @property
    def split_counts(self) -> dict[str, tuple[int, int, int]]:
        """Numbers of images, groups and samples of each split."""
        found = {}
        for split in SPLITS:
            groups = [record.group for record in self.records if record.split == split]
            n_samples = int((self.samples["split"] == split).sum()) if self.samples else 0
            found[str(split)] = len(groups), len(set(groups)), n_samples
        return found

    @property
    def classes(self) -> list[str]:
        """Names of the classes, background included, or of the channels."""
        return list(self.described["classes"])

    @property
    def has_background(self) -> bool:
        """Whether class 0 is the background."""
        return bool(self.described["label_mode"] == "exclusive")


def gather(
    root: Path, reporter: Reporter, *, cache: Path | None = None, most: tuple[int, int] = (MOST_IMAGES, MOST_HASHED)
) -> Evidence:
    """Return the evidence on a finished dataset, or on the features of a cache.

    `cache` is that of an output, if it was moved. `most` are the numbers of images that are measured, and that are
    compared with each other. Raises OutputError or CacheError if there is neither, or it is not finished.
    """
    if not (root / MANIFEST).is_file() and descriptions(root):
        return _of_cache(root, reporter, most)
    run, described, samples = read_run(root), read_dataset(root), manifest_columns(root / MANIFEST)
    notes: list[str] = []
    kept: list[SourceRecord] = []
    with suppress(OutputError):
        kept = kept_sources(root)
    try:
        opened = reopen(root, cache)
        config, layers, known = opened.config, opened.prepared.layers, opened.prepared.records
        # The dataset may divide a part of the cache into splits of its own.
        kept = kept or known
    except CacheError as error:
        config, layers, known = RunConfig.model_validate(run["config"]), None, kept
        notes.append(f"superpixels, saliency and near duplicates were not measured: {error}")
    used = {*samples["source_a"].tolist(), *samples["source_b"].tolist()}
    records = [record for record in kept if record.id in used]
    images, twins, n_hashed = _measured(layers, known, records, reporter, most)
    return Evidence(
        root, "output", described["name"], described, records, samples, images, twins, n_hashed,
        run["sources"], run["refused"]["total"], config.flat(), tuple(notes),
    )  # fmt: skip


def _of_cache(root: Path, reporter: Reporter, most: tuple[int, int]) -> Evidence:
    sets = []

    def newest(_: Path, found: list[FeatureSet]) -> FeatureSet:
        sets.extend(found)
        return found[-1]

    chosen = load(root, newest)
    prepared: Prepared = chosen.folds[0]
    facts = prepared.layers.facts
    records = [record for record in prepared.records if record.refusal is None]
    images, twins, n_hashed = _measured(prepared.layers, prepared.records, records, reporter, most)
    described = {
        "classes": list(facts.classes),
        "label_mode": "multilabel" if facts.multilabel else "exclusive",
        "size": list(facts.size),
        "channels": facts.channels,
        "dtype": facts.dtype,
        "method": "",
    }
    notes = (f"the cache holds {len(sets)} sets of features; this is the last of them",) if len(sets) > 1 else ()
    return Evidence(
        root, "cache", root.name, described, records, {}, images, twins, n_hashed,
        len(prepared.records) + len(prepared.unpaired), len(prepared.refusals), chosen.config.flat(), notes,
    )  # fmt: skip


def _measured(
    layers: Layers | None, known: Sequence[SourceRecord], records: Sequence[SourceRecord], reporter: Reporter,
    most: tuple[int, int],
) -> tuple[list[Measured], list[Twins], int]:  # fmt: skip
    """Return the measures of a part of the images, pairs that look alike, and how many were compared."""
    if layers is None:
        return [], [], 0
    row_of = {record.id: row for row, record in enumerate(known)}
    cache = FeatureCache(layers.root)
    drawn, hashed = (spread(records, count) for count in most)
    found, looks = [], []
    with reporter.stage("report", len(drawn) + len(hashed)) as stage:
        for record in drawn:
            found.append(Measured(record, _measure(cache, layers, row_of[record.id])))
            stage.advance()
        for record in hashed:
            looks.append(look_hash(cache.read(layers.images, "image", row_of[record.id])))
            stage.advance()
    pairs = near_duplicates(looks, [record.group for record in hashed])
    twins = [Twins(hashed[i], hashed[j], bits) for i, j, bits in pairs if hashed[i].split != hashed[j].split]
    return found, twins, len(hashed)


def _measure(cache: FeatureCache, layers: Layers, row: int) -> ImageMeasures:
    return measure_image(
        cache.read(layers.images, "image", row),
        cache.read(layers.images, "mask", row),
        # The finest map: what it does not follow no other follows.
        cache.read(layers.superpixels, "labels", row, layers.variants - 1),
        cache.read(layers.saliency, "saliency", row),
        n_classes=layers.facts.n_classes,
    )


def look_hash(image: Image) -> int | None:
    """Return the perceptual hash of a stored image, None where it is too flat to look like anything."""
    plane = image.astype(np.float32).mean(axis=-1)
    low, high = float(plane.min()), float(plane.max())
    scaled = plane if image.dtype == np.uint8 else (plane - low) * (255 / max(high - low, 1e-9))
    if scaled.std() < _FLAT:
        return None
    return hash_of(Pillow.fromarray(np.rint(scaled).astype(np.uint8)))
