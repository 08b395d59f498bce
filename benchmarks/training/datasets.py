"""The data sets: where each lies in SOURCE, how the product prepares it, which of its images train and which test."""

import contextlib
import fcntl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from synthetic import write_source

from hsmix_gen.pipeline.cli.config_resolution import resolve
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.features import cache_description
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.pipeline.jobs.run import run_prepare
from hsmix_gen.schemas.config import SuperpixelsConfig
from hsmix_gen.schemas.digests import digest_of
from hsmix_gen.schemas.records import SourceRecord
from hsmix_gen.stages.randomness import generator_for, permutation

DRAWN = "drawn"
_GAP = 5
"""Planes of a single volume that are left out between training and test."""


@dataclass(frozen=True)
class Dataset:
    """A data set of the plan.

    Attributes
    ----------
    folder : str
        Below SOURCE; empty: drawn by the project.
    options : mapping
        For ``prepare``, by ``section.key``.
    has_slices : bool
        Whether its images are slices of patients, whose ids end with ``-z`` and a number.
    by_plane : bool
        Whether it is one volume, whose upper planes are the test: neighbours, but no other patient.
    """

    name: str
    folder: str
    words: str
    options: Mapping[str, Any] = field(default_factory=dict)
    has_slices: bool = False
    by_plane: bool = False


DATASETS = {
    one.name: one
    for one in (
        Dataset("isic", "isic2017", "ISIC 2017, skin lesions; 84 train, 36 test"),
        Dataset(
            "glas",
            "glas_half",
            "GlaS, glands; 85 train, 80 test, the official split",
            {"source.instances": True, "source.classes": ("background", "gland")},
        ),
        Dataset("cells", "wbc_tecom", "white blood cells, nucleus and cytoplasm; 209 train, 90 test"),
        Dataset(
            "hippocampus",
            "msd_hippocampus",
            "hippocampus MRI, two parts, every fourth slice; 40 patients train, 20 test",
            {"volume.every": 4, "volume.min_foreground": 20},
            has_slices=True,
        ),
        Dataset(
            "brats",
            "brats2021_case",
            "one BraTS case, four modalities; lower slices train, upper ones test",
            {"volume.min_foreground": 50, "source.labels": "exclusive"},
            by_plane=True,
        ),
        Dataset(DRAWN, "", "drawn ellipses in textures; 160 train, 48 test"),
    )
}
_DRAWN_IMAGES = 208
_DRAWN_SPLIT = "0.77/0.0/0.23"


def measured_unit(dataset: str, image: str) -> str:
    """Return the id of what is measured once: an image, or the patient of a slice, whose other slices are like it."""
    has_slices = dataset in DATASETS and DATASETS[dataset].has_slices
    return image.rpartition("-z")[0] if has_slices else image


@dataclass(frozen=True)
class Prepared:
    """A data set in memory.

    Attributes
    ----------
    images : (N, H, W, C) uint8
    masks : (N, H, W) uint8
        Class ids, 255 = ignore.
    labels : (N, V, H, W) uint16
        Superpixels.
    train, test : (…) int64
        Rows.
    """

    layers: Layers
    records: Sequence[SourceRecord]
    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint16]
    train: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]

    @property
    def n_classes(self) -> int:
        """Classes, background included."""
        return self.layers.facts.n_classes

    @cached_property
    def ids(self) -> list[str]:
        """Names of all rows."""
        return [record.id for record in self.records]

    def subset(self, n: int, seed: int) -> npt.NDArray[np.int64]:
        """Return `n` rows of the training images (all, if there are fewer); smaller draws are part of larger ones."""
        order = permutation(generator_for(seed, "subset"), len(self.train))
        return np.sort(self.train[order[:n]])

    def held_out(self, subset: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the training rows of other groups than a subset: what settings are searched on, never the test."""
        seen = {self.records[row].group for row in subset}
        return np.array([row for row in self.train if self.records[row].group not in seen], dtype=np.int64)


def prepare(dataset: Dataset, source: Path | None, cache: Path, size: int, superpixels: SuperpixelsConfig) -> Prepared:
    """Return a data set with some kind of superpixels, prepared by the product once for all processes."""
    features = {f"superpixels.{key}": value for key, value in superpixels.model_dump(mode="json").items()}
    options = {
        "image.size": (size, size),
        "saliency.backend": "fine_grained",  # Grad-CAM is fitted for each subset, see `saliency`
        "run.backend": "serial",
        **features,
        **dataset.options,
    }
    if not dataset.folder:
        options["source.split"] = _DRAWN_SPLIT
    root = cache / f"{dataset.name}-{size}-{digest_of(options)[:12]}"
    with locked(root.with_suffix(".lock")):
        if not cache_description.descriptions(root):
            folder = source / dataset.folder if dataset.folder and source else _drawn(cache)
            run_prepare(folder, root, resolve(options=options), Reporter(SilentDisplay()))
    (found,) = cache_description.load(root).folds
    return _in_memory(found.layers, found.records, by_plane=dataset.by_plane)


def _drawn(cache: Path) -> Path:
    folder = cache / "drawn-source"
    with locked(folder.with_suffix(".lock")):
        return folder if folder.is_dir() else write_source(folder, _DRAWN_IMAGES, side=96)


def _in_memory(layers: Layers, records: Sequence[SourceRecord], *, by_plane: bool) -> Prepared:
    read = FeatureCache(layers.root).read
    rows = range(len(records))
    train, test = _split(records, by_plane=by_plane)
    if not by_plane:
        torn = {records[row].group for row in train} & {records[row].group for row in test}
        assert not torn, f"groups in training and test: {sorted(torn)[:3]}"
    return Prepared(
        layers,
        records,
        np.stack([read(layers.images, "image", row) for row in rows]),
        np.stack([read(layers.images, "mask", row) for row in rows]),
        np.stack([read(layers.superpixels, "labels", row) for row in rows]),
        train,
        test,
    )


def _split(records: Sequence[SourceRecord], *, by_plane: bool) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return training and test rows; nothing is chosen on validation images, so that they test as well."""
    usable = [row for row, record in enumerate(records) if record.refusal is None]
    if by_plane:
        planes = np.array([records[row].plane for row in usable])
        middle = np.quantile(planes, 0.6)
        here = np.array(usable, dtype=np.int64)
        return here[planes < middle - _GAP], here[planes > middle + _GAP]
    split = np.array([records[row].split == "train" for row in usable])
    return np.array(usable, dtype=np.int64)[split], np.array(usable, dtype=np.int64)[~split]


def trained_on(records: Sequence[SourceRecord], rows: npt.NDArray[np.int64]) -> list[SourceRecord]:
    """Return the records with exactly these rows in the training split, as the planner reads it."""
    chosen = set(rows.tolist())
    return [replace(record, split="train" if row in chosen else "val") for row, record in enumerate(records)]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
