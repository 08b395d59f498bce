"""Decathlon tasks of NIfTI files for MONAI: image, label and soft label align under its tutorials as they stand."""

from typing import Any

import numpy as np

from hsmix_gen.pipeline.exports.base import DatasetExporter, Export, Sample, unit_image, write
from hsmix_gen.pipeline.exports.cases import case_notes, cases_of, has_volumes
from hsmix_gen.pipeline.exports.nnunet_files import nifti, spacing_of
from hsmix_gen.pipeline.exports.patches import write_companion
from hsmix_gen.pipeline.files.atomic_files import json_bytes
from hsmix_gen.schemas import arrays
from hsmix_gen.stages.labels.soft_pairs import shares_of

GUIDE = """
{splits} are a Decathlon task each, a tree for each split, so that nothing is drawn from training for validation.
Their dataset.json lists image, label and soft under "training": image and soft are lists of files, one for each
channel, which LoadImaged stacks channels first. All files are NIfTI, so that no reader turns some of them only:

    import os
    import torch
    from monai.data import DataLoader, Dataset, load_decathlon_datalist
    from monai.losses import DiceLoss
    from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged
    data, keys = os.environ["DATA"], ["image", "label", "soft"]
    files = load_decathlon_datalist(f"{{data}}/train/dataset.json", True, "training")
    load = Compose([LoadImaged(keys), EnsureChannelFirstd(keys)])    # (C, W, H), (1, W, H) and (K, W, H)
    loader = DataLoader(Dataset(files, load), batch_size=8, shuffle=True)
    dice = DiceLoss({activation}=True, soft_label=True)     # without soft_label the minimum lies elsewhere
    for batch in loader:
        logits, soft = model(batch["image"]), batch["soft"]
        loss = dice(logits, soft) + torch.nn.functional.{loss}(logits, soft)
        loss.backward()

Spatial transforms take mode=("bilinear", "nearest", "bilinear") and padding_mode="border"; label has class ids.
monai.apps.DecathlonDataset knows its ten tasks only, and redraws validation out of training. Take the one of code/:

    from hsmix_monai import DecathlonDataset           # PYTHONPATH=$DATA/code
    train = DecathlonDataset(data, "train", transform=load)

{cases}"""
_VOLUMES = """\
Validation and test are whole volumes, (C, W, H, slices): predict them slice by slice with
monai.inferers.SliceInferer(roi_size=({width}, {height}), spatial_dim=2).
"""
_EXCLUSIVE = ("softmax", "cross_entropy")
_LICENCE = "that of the images it was made of"


class MonaiExport(DatasetExporter):
    """Writes a Decathlon task for each split."""

    def __post_init__(self) -> None:
        self._cases = cases_of(self.dataset, ("val", "test"))
        self._listed: dict[str, list[dict[str, Any]]] = {}
        self._of_volumes = has_volumes(self._cases)

    @property
    def guide(self) -> str:
        """How MONAI reads it."""
        height, width = self.dataset.size
        cases = _VOLUMES.format(width=width, height=height) if self._of_volumes else ""
        losses = ("sigmoid", "binary_cross_entropy_with_logits") if self.dataset.multilabel else _EXCLUSIVE
        splits = ", ".join(f"{split}/" for split in self._listed)
        return GUIDE.format(splits=splits, activation=losses[0], loss=losses[1], cases=cases)

    def add(self, sample: Sample) -> None:
        """Write a sample; a slice that is evaluated on is kept until its volume is whole."""
        if sample.split == "train":
            self._write(sample.key, [sample], None)
            return
        case, plane = self._cases[sample.key]
        if slices := case.add(plane, sample):
            self._write(case.name if case.wanted > 1 else sample.key, slices, case.thickness)

    def _write(self, name: str, slices: list[Sample], thickness: float | None) -> None:
        images = np.stack([self._numbers(sample) for sample in slices])
        softs = np.stack([shares_of(sample.soft).astype(np.float32) / 255 for sample in slices])
        parts = {
            "image": list(images.transpose(3, 0, 1, 2)),
            "label": [np.stack([sample.mask for sample in slices])],
            "soft": list(softs.transpose(1, 0, 2, 3)),
        }
        split, spacing = slices[0].split, (*spacing_of(slices[0].row), thickness)
        entry: dict[str, Any] = {}
        for part, volumes in parts.items():
            paths = [f"{part}s/{name}_{number:04d}.nii.gz" for number in range(len(volumes))]
            for path, volume in zip(paths, volumes, strict=True):
                write(self.folder / split / path, nifti(volume, spacing, flat=True))
            entry[part] = paths[0] if part == "label" else paths
        self._listed.setdefault(split, []).append(entry)

    def _numbers(self, sample: Sample) -> arrays.Image:
        """Return pixels in 0 to 1, or numbers that have no white as they are."""
        return sample.image if sample.image.dtype == np.float32 else unit_image(sample.image, self.dataset.shape)

    def finish(self) -> list[str]:
        """Write the lists and the class that reads them."""
        first = 1 if self.dataset.multilabel else 0
        names = {str(first + i): name for i, name in enumerate(self.dataset.classes)}
        for split, entries in self._listed.items():
            described = {
                "name": self.dataset.described["name"],
                "description": f"images and masks mixed by superpixels and saliency (hsmix-gen), {split}",
                "reference": "arXiv:2511.17614",
                "licence": _LICENCE,
                "release": "1.0",
                "tensorImageSize": "3D" if self._of_volumes and split != "train" else "2D",
                "modality": {str(channel): f"channel {channel}" for channel in range(self.dataset.shape.channels)},
                "labels": {**({"0": "background"} if first else {}), **names},
                "numTraining": len(entries),
                "numTest": 0,
                "training": entries,
                "test": [],
            }
            write(self.folder / split / "dataset.json", json_bytes(described))
        write_companion(self.folder, "hsmix_monai")
        return case_notes(self.dataset, self._cases)


EXPORT = Export(MonaiExport)
