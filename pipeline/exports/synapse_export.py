"""TransUNet's layout of Synapse: npz slices for training, volumes in HDF5 for testing, lists of names."""

import io
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.dataset.array_bytes import encode_npz
from hsmix_gen.pipeline.exports.base import (
    Dataset,
    Export,
    Sample,
    check_has_unit,
    unit_image,
    write,
)
from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import IGNORE

LISTS = "lists/lists_Synapse"
_VOLUMES = {"val": "val_vol_h5", "test": "test_vol_h5"}
_PLANE = re.compile(r"#plane=(\d+)")

GUIDE = f"""
train_npz/KEY.npz holds image (H, W) float32 in 0 to 1, label (H, W) class ids, and soft_label (C, H, W) float16, which
the loaders of TransUNet, Swin-Unet and HiFormer leave alone. test_vol_h5/CASE.npy.h5 holds image and label of a volume,
(slices, H, W) in the order of the slices that were kept; val_vol_h5 the same for validation.

    python train.py --dataset Synapse --root_path train_npz --list_dir {LISTS} --num_classes {{n_classes}}
    python test.py --dataset Synapse --volume_path test_vol_h5 --list_dir {LISTS} --num_classes {{n_classes}}

Slices have {{height}} x {{width}} pixels; the loader stretches them to its own square. Its loss takes class ids; to
train on soft_label, read it in place of label, interpolate it linearly, and drop .long() and the one-hot of its Dice
loss.
"""


@dataclass
class _Case:
    """A volume on its way: its slices so far, by plane."""

    name: str
    split: str
    wanted: int = 0
    slices: dict[int, tuple[npt.NDArray[np.float32], arrays.Mask]] = field(default_factory=dict)


class SynapseExport:
    """Writes train_npz, test_vol_h5, val_vol_h5 and lists."""

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        if dataset.channels != 1:
            raise OutputError(
                f"synapse holds images of 1 channel, {dataset.root} has {dataset.channels}; make it with --channels 1"
            )
        check_has_unit(dataset, "synapse")
        self._folder, self._dataset = folder, dataset
        self._cases = _cases_of(dataset)
        self._lists: dict[str, list[str]] = {"train": [], "val_vol": [], "test_vol": []}
        self._with_ignore = 0
        height, width = dataset.size
        n_classes = len(dataset.classes) + dataset.multilabel
        self.guide = GUIDE.format(n_classes=n_classes, height=height, width=width)

    def add(self, sample: Sample) -> None:
        """Write a slice for training, or keep one until its volume is whole."""
        image = unit_image(sample.image, self._dataset)[..., 0]
        ignored = sample.mask == IGNORE
        self._with_ignore += bool(ignored.any())
        label = np.where(ignored, np.uint8(0), sample.mask)
        if sample.split == "train":
            members = {"image": image, "label": label, "soft_label": sample.soft}
            write(self._folder / "train_npz" / f"{sample.key}.npz", encode_npz(members))
            self._lists["train"].append(sample.key)
            return
        case, plane = self._cases[sample.key]
        case.slices[plane] = (image, label)
        if len(case.slices) == case.wanted:
            self._write_volume(case)

    def _write_volume(self, case: _Case) -> None:
        planes = [case.slices[plane] for plane in sorted(case.slices)]
        case.slices = {}
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            file.create_dataset("image", data=np.stack([image for image, _ in planes]))
            file.create_dataset("label", data=np.stack([label for _, label in planes]))
        write(self._folder / _VOLUMES[case.split] / f"{case.name}.npy.h5", buffer.getvalue())
        self._lists[f"{case.split}_vol"].append(case.name)

    def finish(self) -> list[str]:
        """Write the lists."""
        for name, entries in self._lists.items():
            # Slices stay in the order of the shards, which was drawn; cases are listed by name.
            self._write_list(f"{name}.txt", entries if name == "train" else sorted(entries))
        volumes = sorted(self._lists["val_vol"] + self._lists["test_vol"])
        self._write_list("all.lst", [f"{name}.npy.h5" for name in volumes])
        if not self._with_ignore:
            return []
        return [f"{self._with_ignore} samples have ignored pixels, which this layout cannot mark: label has 0 there"]

    def _write_list(self, name: str, entries: list[str]) -> None:
        write(self._folder / LISTS / name, "".join(f"{entry}\n" for entry in entries).encode())


def _cases_of(dataset: Dataset) -> dict[str, tuple[_Case, int]]:
    """Return volume and plane of each sample that is not for training; a picture is a volume of one slice.

    A volume has the name of its group, where that has one volume only, else that of its first sample.
    """
    members: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    for row in sorted(dataset.rows.values(), key=lambda row: row.key):
        if row.split != "train":
            volume, plane = _place(dataset, row.source_a)
            members.setdefault((row.split, volume), []).append((plane, row.key, row.group_a))
    groups = Counter((split, slices[0][2]) for (split, _), slices in members.items())
    found: dict[str, tuple[_Case, int]] = {}
    used: set[str] = set()
    for (split, _), slices in members.items():
        _, first, group = min(slices)
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", group)
        name = name if len(slices) > 1 and groups[split, group] == 1 and name not in used else first
        used.add(name)
        case = _Case(name, split, len(slices))
        found |= {key: (case, plane) for plane, key, _ in slices}
    return found


def _place(dataset: Dataset, source: str) -> tuple[str, int]:
    """Return the volume that a source is a slice of, and which one; without its record it is one by itself."""
    record = dataset.sources.get(source)
    if record is None:
        return source, 0
    return _PLANE.sub("", record.image), record.plane


EXPORT = Export(lambda folder, datasets, _: SynapseExport(folder, datasets[0]))
