"""nnU-Net's raw layout: lossless images, hard labels that are consecutive, and splits without leakage."""

import json
import os
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from hsmix_gen.pipeline.dataset.array_bytes import encode_npz
from hsmix_gen.pipeline.exports.base import DatasetExporter, Export, Sample, Shape, unit_image, write
from hsmix_gen.pipeline.exports.cases import case_notes, cases_of, has_volumes
from hsmix_gen.pipeline.exports.nnunet_files import LabelFiles, nifti, spacing_of
from hsmix_gen.pipeline.exports.nnunet_labels import ClassLabels, RegionLabels
from hsmix_gen.pipeline.exports.patches import write_companion
from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import ManifestRow

SPLITS = "splits_final.json"
_FOLDERS = {"train": "Tr", "val": "Tr", "test": "Ts"}

GUIDE = """
{folder} is a dataset of nnU-Net (v2): let nnUNet_raw be this folder, or move it into yours.
Images are lossless, labels are hard. labelsTs holds the labels of the test cases.{cases}

    export nnUNet_raw=$DATA
    nnUNetv2_plan_and_preprocess -d {number} --verify_dataset_integrity -c 2d && \\
{training}
{test}{soft}"""
_TEST = """
Test cases are measured as whole cases, by class in predicted/summary.json:

    nnUNetv2_predict -d {number} -c 2d -f {fold} -i $nnUNet_raw/{folder}/imagesTs -o predicted && \\
        nnUNetv2_evaluate_folder $nnUNet_raw/{folder}/labelsTs predicted -djfile predicted/dataset.json \\
        -pfile predicted/plans.json
"""
_SOFT = """
Its own trainer takes hard labels. For the soft ones of softTr there is a trainer of one file:

    nnUNet_extTrainer=$DATA/code nnUNetv2_train {number} 2d {fold} -tr nnUNetTrainerHsmix

"hsmix-gen: soft labels of ..." in its log proves that they are read.
"""
_CASES = """
A case of imagesTs is a whole volume, every slice of it; images of training and validation are slices, for 2d. Numbers
have their scale already (noNorm): nnU-Net's own would differ between a slice and its volume."""
_WITH_SPLITS = """\
        cp $nnUNet_raw/{folder}/splits_final.json $nnUNet_preprocessed/{folder}/ && \\
        nnUNetv2_train {number} 2d 0

Its log has to say "This split has {n_train} training and {n_val} validation cases". The copy is there already where
nnUNet_preprocessed was set while this was exported; without it nnU-Net draws folds by itself, with parents of
validation cases in training. It also draws folds that the file does not hold, which are those from {n_splits} on."""
_WITHOUT_SPLITS = """\
        nnUNetv2_train {number} 2d all

The dataset has no validation cases, so there are no splits: train with the fold `all`. Folds 0 to 4 would be drawn by
nnU-Net, with parents of validation cases in training."""


class NnunetExport(DatasetExporter):
    """Writes ``DatasetNNN_NAME`` with imagesTr, labelsTr, imagesTs, labelsTs, dataset.json and splits_final.json."""

    def __post_init__(self) -> None:
        dataset, self._number = self.dataset, self.options.dataset_id
        if not 1 <= self._number <= 999:
            raise OutputError(f"--dataset-id must be 1 to 999, got {self._number}")
        name = re.sub(r"[^A-Za-z0-9]+", "_", self.options.name or dataset.described["name"]).strip("_") or "hsmix"
        self._root = self.folder / f"Dataset{self._number:03d}_{name}"
        self._cases = cases_of(dataset, ("test",))
        self._of_volumes = has_volumes(self._cases)
        self._labels = RegionLabels(dataset.classes) if dataset.multilabel else ClassLabels(dataset.classes)
        self._files = LabelFiles(is_png=dataset.has_png and not self._of_volumes)
        self._rows: dict[tuple[int, str], dict[str, ManifestRow]] = {}
        """Rows by key of the cases that train and that validate, by fold and split."""

    @property
    def guide(self) -> str:
        """How nnU-Net is run."""
        folds = self._folds()
        words = {
            "folder": self._root.name,
            "number": self._number,
            "n_splits": len(folds),
            "n_train": len(folds[0]["train"]) if folds else 0,
            "n_val": len(folds[0]["val"]) if folds else 0,
            "cases": _CASES if self._of_volumes else "",
            "fold": "0" if folds else "all",
        }
        words["test"] = _TEST.format(**words) if self._cases else ""
        words["soft"] = "" if self.dataset.multilabel else _SOFT.format(**words)
        training = (_WITH_SPLITS if folds else _WITHOUT_SPLITS).format(**words)
        return GUIDE.format(training=training, **words)

    def add(self, sample: Sample) -> None:
        """Write image and label of a sample; a slice of a test volume is kept until that is whole."""
        if sample.split != "test":
            self._write(sample.key, "Tr", [sample], None)
            if sample.split == "train" and not self.dataset.multilabel:
                write(self._root / "softTr" / f"{sample.key}.npz", encode_npz({"soft": sample.soft}))
            self._rows.setdefault((sample.fold or 0, sample.split), {})[sample.key] = sample.row
            return
        case, plane = self._cases[sample.key]
        if slices := case.add(plane, sample):
            self._write(case.name, "Ts", slices, case.thickness if case.wanted > 1 else None)

    def _write(self, name: str, part: str, slices: list[Sample], thickness: float | None) -> None:
        """Write a case for training or testing, of one slice or all."""
        spacing = (*spacing_of(slices[0].row), thickness or (1.0 if len(slices) > 1 else None))
        ending = self._files.ending
        if self._files.is_png:
            images = [slices[0].image_bytes]
        else:
            volume = np.stack([self._pixels(sample) for sample in slices])
            images = [nifti(volume[..., channel], spacing) for channel in range(volume.shape[-1])]
        for number, data in enumerate(images):
            write(self._root / f"images{part}" / f"{name}_{number:04d}{ending}", data)
        labels, ignored = zip(*(self._labels.of(sample) for sample in slices), strict=True)
        path = self._root / f"labels{part}" / f"{name}{ending}"
        self._files.write_label(path, np.stack(labels), np.stack(ignored), spacing)

    @property
    def _is_scaled(self) -> bool:
        """Whether numbers have their scale already: nnU-Net's own would differ between a slice and its volume."""
        shape = self.dataset.shape
        return self._of_volumes and (shape.dtype != "float32" or shape.intensity != "none")

    def _pixels(self, sample: Sample) -> arrays.Image:
        as_they_are = sample.image.dtype == np.float32 or not self._is_scaled
        return sample.image if as_they_are else unit_image(sample.image, self.dataset.shape)

    def finish(self) -> list[str]:
        """Write dataset.json, the splits, and the trainer for soft labels."""
        if not self.dataset.multilabel:
            write_companion(self._root.parent, "hsmix_nnunet")
        labels = self._labels.described()
        if self._files.with_ignore:
            labels["labels"]["ignore"] = self._labels.count
            self._files.set_ignore(self._labels.count)
        described = {
            "channel_names": self._channel_names(),
            **labels,
            "numTraining": sum(map(len, self._rows.values())),
            "file_ending": self._files.ending,
        }
        # The order of labels is that of regions_class_order, so keys are not sorted.
        write(self._root / "dataset.json", (json.dumps(described, indent=2) + "\n").encode())
        notes = case_notes(self.dataset, self._cases)
        folds = self._folds()
        if not folds:
            return [*notes, "there are no validation cases, so no splits: train nnU-Net with the fold `all`"]
        data = (json.dumps(folds, indent=2) + "\n").encode()
        write(self._root / SPLITS, data)
        return [*notes, *_put_beside_preprocessed(self._root.name, data)]

    def _channel_names(self) -> dict[str, str]:
        """Return names by number; none but noNorm is a normalisation of nnU-Net, so that it takes the z-score."""
        channels = self.dataset.shape.channels
        names = [f"channel_{i}" for i in range(channels)]
        if self._is_scaled:
            names = ["noNorm"] * channels
        elif self._files.is_png:
            names = ["grey"] if channels == 1 else ["R", "G", "B", "A"][:channels]
        return {str(i): name for i, name in enumerate(names)}

    def _folds(self) -> list[dict[str, list[str]]]:
        """Return the splits in the order of the folds, those that have both sides.

        Raises
        ------
        OutputError
            If an image or group is a parent on both sides.
        """
        found = []
        for fold in sorted({fold for fold, _ in self._rows}):
            train, val = (self._rows.get((fold, split), {}) for split in ("train", "val"))
            both = _parents(train.values()) & _parents(val.values())
            if both:
                raise OutputError(f"{min(both)} is in training and validation of split {fold}; see hsmix-gen verify")
            if train and val:
                found.append({"train": sorted(train), "val": sorted(val)})
        return found


def _parents(rows: Collection[ManifestRow]) -> set[str]:
    images = {f"image {name}" for row in rows for name in (row.source_a, row.source_b) if name is not None}
    return images | {f"group {name}" for row in rows for name in (row.group_a, row.group_b) if name is not None}


def _put_beside_preprocessed(name: str, splits: bytes) -> list[str]:
    """Write the splits where nnU-Net looks for them, if the environment names it; return what was done."""
    folder = os.environ.get("nnUNet_preprocessed")  # noqa: SIM112 - nnU-Net's own name
    if not folder:
        return []
    path = Path(folder) / name / SPLITS
    if path.is_file() and path.read_bytes() != splits:
        return [f"{path} holds other splits and was left alone; copy those of the export over it"]
    write(path, splits)
    return [f"the splits lie in {path} too, where nnU-Net looks for them"]


def check(shape: Shape, _kind: str) -> None:
    """Refuse labels that nnU-Net cannot hold."""
    (RegionLabels if shape.multilabel else ClassLabels)([""] * shape.classes)


EXPORT = Export(NnunetExport, takes_folds=True, check=check)
