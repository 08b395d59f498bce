"""TransUNet's layout of Synapse: npz slices for training, volumes in HDF5 for testing, lists of names."""

import io
from dataclasses import replace
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.dataset.array_bytes import encode_npz
from hsmix_gen.pipeline.exports.base import DatasetExporter, Export, Sample, check_unit_image, unit_image, write
from hsmix_gen.pipeline.exports.cases import Case, case_notes, cases_of
from hsmix_gen.pipeline.exports.patches import HIFORMER, SWIN_UNET, TRANSUNET, write_companion, write_patches

LISTS = "lists/lists_Synapse"
_SWIN_LISTS = "lists/hsmix"
_VALIDATION_LISTS = "lists/validation"
_VOLUMES = {"val": "val_vol_h5", "test": "test_vol_h5"}
_SLICES = {"train": "train_npz", "val": "val_npz"}

_TRANSUNET = f"""\
        python train.py --root_path $DATA/train_npz --list_dir $DATA/{LISTS} --num_classes {{n_classes}}"""
_SWIN = f"""\
        mkdir -p lists && cp -r $DATA/{_SWIN_LISTS} lists/ && \\
        python train.py --dataset hsmix --root_path $DATA/train_npz --n_class {{n_classes}} --output_dir out \\
        --cfg configs/swin_tiny_patch4_window7_224_lite.yaml"""
_HIFORMER = f"""\
        python train.py --root_path $DATA/train_npz --test_path $DATA/val_vol_h5 --list_dir $DATA/{_VALIDATION_LISTS} \\
        --num_classes {{n_classes}}"""
GUIDE = f"""
train_npz/KEY.npz holds image (H, W) float32 in 0 to 1, label (H, W) class ids, and soft_label (H, W, C) float16, which
turns and flips as the label does. val_npz/KEY.npz holds slices for validation. test_vol_h5/CASE.npy.h5 holds image and
label of a volume, (slices, H, W), every slice of it; val_vol_h5 the same for validation.
{{size}}
Each command is for a clone, with the weights that the codebase's README names, and for its commit.

TransUNet overwrites --root_path, --list_dir and --num_classes: added lines read them again.

    git checkout -q {{transunet}} && git apply --unidiff-zero $DATA/code/transunet.patch && \\
{_TRANSUNET}

    python test.py --volume_path $DATA/test_vol_h5 --list_dir $DATA/{LISTS} --num_classes {{n_classes}} \\
        --vit_name R50-ViT-B_16 --max_epochs 150

The first line of its log, "Namespace(root_path=...", has to name $DATA/train_npz; "The length of train set is:
{{n_train}}" follows.

Swin-Unet validates on its training images, and its test stops at volumes: one added line takes val.txt, the other keeps
the axes of a volume.

    git checkout -q {{swin}} && git apply --unidiff-zero $DATA/code/swin-unet.patch && \\
{_SWIN}

    python test.py --dataset hsmix --root_path $DATA/test_vol_h5 --split_name test_vol --n_class {{n_classes}} \\
        --output_dir out --cfg configs/swin_tiny_patch4_window7_224_lite.yaml

Its log has to name $DATA/train_npz and to say "The length of train set is: {{n_train}}", as that of TransUNet.

HiFormer runs as it is; while it trains it evaluates, here on validation.

    git checkout -q {{hiformer}} && \\
{_HIFORMER}

    python test.py --test_path $DATA/test_vol_h5 --list_dir $DATA/{LISTS} --num_classes {{n_classes}} \\
        --model_weight results/hiformer-b/hiformer-b_epoch_400.pth

Its log has to name $DATA/train_npz and $DATA/val_vol_h5.

{{soft}}
"""
_SOFT = f"""\
Soft labels: their RandomGenerator and losses take class ids. code/hsmix_synapse.py has a dataset, their own turns and
flips with a linear resize, and the losses; another patch, in the place of that above, puts them in:

    git checkout -q {{transunet}} && git apply --unidiff-zero $DATA/code/transunet-soft.patch && \\
        export PYTHONPATH=$DATA/code && \\
{_TRANSUNET}

    git checkout -q {{swin}} && git apply --unidiff-zero $DATA/code/swin-unet-soft.patch && \\
        export PYTHONPATH=$DATA/code && \\
{_SWIN}

    git checkout -q {{hiformer}} && git apply --unidiff-zero $DATA/code/hiformer-soft.patch && \\
        export PYTHONPATH=$DATA/code && \\
{_HIFORMER}

Tests stay as above."""
_NO_SOFT = """\
Labels of several channels a pixel have no place in these codebases: label holds the last channel of at least one half,
counted from 1."""


class SynapseExport(DatasetExporter):
    """Writes train_npz, val_npz, test_vol_h5, val_vol_h5, lists, and what the codebases need."""

    def __post_init__(self) -> None:
        self._cases = cases_of(self.dataset, ("val", "test"))
        self._slices: dict[str, list[str]] = {"train": [], "val": []}
        self._volumes: dict[str, list[str]] = {"val": [], "test": []}

    @property
    def guide(self) -> str:
        """How each codebase is run."""
        height, width = self.dataset.size
        size = f"Training slices have {height} x {width} pixels; the loaders stretch them to their own square."
        own = " Validation and test have their own size." if self.dataset.is_native else ""
        words = {
            "n_classes": len(self.dataset.classes) + self.dataset.multilabel,
            "transunet": TRANSUNET.commit[:7],
            "swin": SWIN_UNET.commit[:7],
            "hiformer": HIFORMER.commit[:7],
        }
        soft = (_NO_SOFT if self.dataset.multilabel else _SOFT).format(**words)
        return GUIDE.format(n_train=len(self._slices["train"]), size=size + own, soft=soft, **words)

    def add(self, sample: Sample) -> None:
        """Write a slice, and keep one that is evaluated on until its volume is whole."""
        label = self._without_ignored(sample.mask)
        if sample.split in _SLICES:
            members: dict[str, npt.NDArray[Any]] = {"image": self._numbers(sample), "label": label}
            if not self.dataset.multilabel:
                members["soft_label"] = sample.soft.transpose(1, 2, 0)
            write(self.folder / _SLICES[sample.split] / f"{sample.key}.npz", encode_npz(members))
            self._slices[sample.split].append(sample.key)
        if sample.split in _VOLUMES:
            case, plane = self._cases[sample.key]
            # Ignored pixels are background, as losses know no other value.
            if slices := case.add(plane, replace(sample, mask=label)):
                self._write_volume(case, slices)

    def _numbers(self, sample: Sample) -> npt.NDArray[np.float32]:
        return unit_image(sample.image, self.dataset.shape)[..., 0]

    def _write_volume(self, case: Case, slices: list[Sample]) -> None:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            file.create_dataset("image", data=np.stack([self._numbers(sample) for sample in slices]))
            file.create_dataset("label", data=np.stack([sample.mask for sample in slices]))
        write(self.folder / _VOLUMES[case.split] / f"{case.name}.npy.h5", buffer.getvalue())
        self._volumes[case.split].append(case.name)

    def finish(self) -> list[str]:
        """Write the lists, patches and the module for soft labels."""
        # Slices stay in the order of the shards, which was drawn; cases are listed by name.
        train, validation = self._slices["train"], [f"../val_npz/{key}" for key in self._slices["val"]]
        val, test = sorted(self._volumes["val"]), sorted(self._volumes["test"])
        for folder, lists in {
            LISTS: {"train": train, "val_vol": val, "test_vol": test},
            _SWIN_LISTS: {"train": train, "val": validation, "test_vol": test},
            _VALIDATION_LISTS: {"train": train, "test_vol": val},
        }.items():
            for name, entries in lists.items():
                self._write_list(f"{folder}/{name}.txt", entries)
        self._write_list(f"{LISTS}/all.lst", [f"{name}.npy.h5" for name in sorted(val + test)])
        write_patches(self.folder, TRANSUNET, SWIN_UNET, HIFORMER)
        write_companion(self.folder, "hsmix_synapse")
        return [*case_notes(self.dataset, self._cases), *self._notes("label has")]

    def _write_list(self, name: str, entries: list[str]) -> None:
        write(self.folder / name, "".join(f"{entry}\n" for entry in entries).encode())


EXPORT = Export(SynapseExport, check=lambda shape, kind: check_unit_image(shape, kind, 1))
