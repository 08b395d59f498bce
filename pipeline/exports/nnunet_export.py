"""nnU-Net's raw layout: lossless images, hard labels that are consecutive, and splits without leakage."""

import json
import re
from pathlib import Path

import numpy as np

from hsmix_gen.pipeline.exports.base import Dataset, Export, Options, Sample, write
from hsmix_gen.pipeline.exports.nnunet_files import LabelFiles
from hsmix_gen.pipeline.exports.nnunet_labels import ClassLabels, RegionLabels
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import ManifestRow

SPLITS = "splits_final.json"
_FOLDERS = {"train": "Tr", "val": "Tr", "test": "Ts"}

GUIDE = """
{folder} is a dataset of nnU-Net (v2): put it into nnUNet_raw, or let nnUNet_raw be this folder.
Images are lossless, labels are hard, because nnU-Net cannot train on soft ones. labelsTs holds the labels of the test
cases, for nnUNetv2_evaluate_folder.

    nnUNetv2_plan_and_preprocess -d {number} --verify_dataset_integrity -c 2d
{training}
"""
_WITH_SPLITS = """\
    cp {folder}/splits_final.json $nnUNet_preprocessed/{folder}/
    nnUNetv2_train {number} 2d 0

Copy the splits: without them nnU-Net draws folds by itself, with parents of validation cases in training. It also draws
a fold that the file does not hold; there are {n_splits}, from 0."""
_WITHOUT_SPLITS = """\
    nnUNetv2_train {number} 2d all

The dataset has no validation cases, so there are no splits: train with the fold `all`. Folds 0 to 4 would be drawn by
nnU-Net, with parents of validation cases in training."""


class NnunetExport:
    """Writes ``DatasetNNN_NAME`` with imagesTr, labelsTr, imagesTs, labelsTs, dataset.json and splits_final.json."""

    def __init__(self, folder: Path, datasets: list[Dataset], options: Options) -> None:
        if not 1 <= options.dataset_id <= 999:
            raise OutputError(f"the number of an nnU-Net dataset must be 1 to 999, got {options.dataset_id}")
        self._number = options.dataset_id
        dataset = datasets[0]
        name = _plain(options.name or dataset.described["name"])
        self._root = folder / f"Dataset{self._number:03d}_{name}"
        self._channels = dataset.channels
        self._labels = RegionLabels(dataset.classes) if dataset.multilabel else ClassLabels(dataset.classes)
        self._files = LabelFiles(is_png=dataset.has_png)
        self._splits = _Splits()

    @property
    def guide(self) -> str:
        """How nnU-Net is run."""
        n_splits = len(self._splits.folds())
        words = {"folder": self._root.name, "number": self._number, "n_splits": n_splits}
        training = (_WITH_SPLITS if n_splits else _WITHOUT_SPLITS).format(**words)
        return GUIDE.format(training=training, **words)

    def add(self, sample: Sample) -> None:
        """Write image and label of a sample."""
        part, spacing = _FOLDERS[sample.split], _spacing(sample.row)
        ending = self._files.ending
        images = [sample.image_bytes] if self._files.is_png else self._files.planes(sample.image, spacing)
        for number, data in enumerate(images):
            write(self._root / f"images{part}" / f"{sample.key}_{number:04d}{ending}", data)
        label, ignored = self._labels.of(sample)
        self._files.write_label(self._root / f"labels{part}" / f"{sample.key}{ending}", label, ignored, spacing)
        if part == "Tr":
            self._splits.add(sample)

    def finish(self) -> list[str]:
        """Write dataset.json and the splits."""
        labels = self._labels.described()
        if self._files.with_ignore:
            labels["labels"]["ignore"] = self._labels.count
            self._files.set_ignore(self._labels.count)
        described = {
            "channel_names": _channel_names(self._channels, is_png=self._files.is_png),
            **labels,
            "numTraining": self._splits.count,
            "file_ending": self._files.ending,
        }
        # The order of labels is that of regions_class_order, so keys are not sorted.
        write(self._root / "dataset.json", (json.dumps(described, indent=2) + "\n").encode())
        folds = self._splits.folds()
        if not folds:
            return ["there are no validation cases, so no splits: train nnU-Net with the fold `all`"]
        write(self._root / SPLITS, (json.dumps(folds, indent=2) + "\n").encode())
        return []


class _Splits:
    """Collects which cases train and which validate, by fold, with the parents of each."""

    def __init__(self) -> None:
        self.count = 0
        self._keys: dict[tuple[int, str], list[str]] = {}
        self._parents: dict[tuple[int, str], set[str]] = {}

    def add(self, sample: Sample) -> None:
        """Take a case for training or validation."""
        self.count += 1
        place = (sample.fold or 0, sample.split)
        row = sample.row
        self._keys.setdefault(place, []).append(sample.key)
        parents = {f"image {name}" for name in (row.source_a, row.source_b) if name is not None}
        groups = {f"group {name}" for name in (row.group_a, row.group_b) if name is not None}
        self._parents.setdefault(place, set()).update(parents | groups)

    def folds(self) -> list[dict[str, list[str]]]:
        """Return the splits in the order of the folds, those that have both sides.

        Raises
        ------
        OutputError
            If an image or group is a parent on both sides.
        """
        found = []
        for fold in sorted({fold for fold, _ in self._keys}):
            train, val = (self._keys.get((fold, split), []) for split in ("train", "val"))
            both = self._parents.get((fold, "train"), set()) & self._parents.get((fold, "val"), set())
            if both:
                raise OutputError(f"{min(both)} is in training and validation of split {fold}; see hsmix-gen verify")
            if train and val:
                found.append({"train": sorted(train), "val": sorted(val)})
        return found


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "hsmix"


def _channel_names(channels: int, *, is_png: bool) -> dict[str, str]:
    """Return names by number; none is that of a normalisation of nnU-Net, so that it takes the z-score."""
    if is_png:
        return {str(i): name for i, name in enumerate(["grey"] if channels == 1 else ["R", "G", "B", "A"][:channels])}
    return {str(i): f"channel_{i}" for i in range(channels)}


def _spacing(row: ManifestRow) -> tuple[float, float]:
    """Return millimetres between rows and columns of a sample: those of A after its turn, or 1 where unknown."""
    if row.spacing_a is None or len(row.spacing_a) < 2 or not np.all(np.asarray(row.spacing_a[:2]) > 0):
        return 1.0, 1.0
    rows, columns = row.spacing_a[:2]
    return (columns, rows) if row.transform_a % 2 else (rows, columns)


EXPORT = Export(NnunetExport, takes_folds=True)
