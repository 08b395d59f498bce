"""MedSAM's npy folders: square RGB images in 0 to 1 and class ids of the same size."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hsmix_gen.pipeline.dataset.array_bytes import encode_npy
from hsmix_gen.pipeline.execution.human_units import size_text
from hsmix_gen.pipeline.exports.base import DatasetExporter, Export, Sample, check_unit_image, unit_image, write
from hsmix_gen.pipeline.exports.patches import MEDSAM, write_patches
from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.imaging.standardise import resize_image, resize_mask

_SIDES = (64, 4096)
_SHOWN_FIRST = 8
_FEW = "Its first lines draw one of 8 images and end with fewer: make more samples. "

GUIDE = """
SPLIT/imgs/KEY.npy is the image, ({side}, {side}, 3) float32 in 0 to 1; SPLIT/gts/KEY.npy the class ids, uint8.

The first lines of MedSAM read data/npy/CT_Abd, whatever -i says; here that is a link to train. The Dice loss of MONAI
takes no integers since 1.5, which MedSAM's masks are: an added line makes them numbers. In a clone of it, with the
weights that its README names:

    git checkout -q {medsam} && git apply --unidiff-zero $DATA/code/medsam.patch && ln -s $DATA/data . && \\
        python train_one_gpu.py -i $DATA/train

"number of images: {n_train}" has to stand twice in its first lines. {few}
Images of {height} x {width} pixels were stretched to the square, as MedSAM's own scripts do it; a pixel of the mask
takes the class that covers most of it. MedSAM wants 1024; LiteMedSAM resizes by itself, --image-size 256 spares the
disk.
The loader takes one {number} of an image at a time, drawn from all but the first value that occurs, and a box around
it: training samples without foreground would end it and are left out; validation and test keep every slice. Labels are
hard; MedSAM has no place for soft ones.
A sample takes {size}.
"""


class MedsamExport(DatasetExporter):
    """Writes imgs and gts, by split."""

    def __post_init__(self) -> None:
        side = self.options.side
        if not _SIDES[0] <= side <= _SIDES[1]:
            raise OutputError(f"--image-size must be {_SIDES[0]} to {_SIDES[1]} pixels, got {side}")
        self._size = side, side
        self._by_component = self.options.boxes == "component"
        self._n_train = 0

    @property
    def guide(self) -> str:
        """How MedSAM is run."""
        height, width = self.dataset.size
        return GUIDE.format(
            side=self._size[0],
            height=height,
            width=width,
            n_train=self._n_train,
            medsam=MEDSAM.commit[:7],
            few=_FEW if self._n_train < _SHOWN_FIRST else "",
            number="area, each with a number of its own," if self._by_component else "class",
            size=size_text(_bytes(self._size[0])),
        )

    def add(self, sample: Sample) -> str | None:
        """Write a sample; one for training has to have foreground."""
        self._without_ignored(sample.mask)
        mask = resize_mask(sample.mask, self._size)
        mask = np.where(mask == IGNORE, np.uint8(0), mask)
        if sample.split == "train" and len(np.unique(mask)) < 2:
            return "the mask has one value only, MedSAM's loader wants background and foreground"
        image = np.clip(resize_image(unit_image(sample.image, self.dataset.shape), self._size), 0, 1)
        rgb = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
        if self._by_component:
            mask = areas_of(mask)
        self._n_train += sample.split == "train"
        folder = self.folder / sample.split
        write(folder / "imgs" / f"{sample.key}.npy", encode_npy(rgb))
        write(folder / "gts" / f"{sample.key}.npy", encode_npy(mask))
        return None

    def finish(self) -> list[str]:
        """Link the folder that MedSAM looks into first, and write its patch."""
        link = self.folder / "data" / "npy" / "CT_Abd"
        link.parent.mkdir(parents=True)
        link.symlink_to(Path("..", "..", "train"))
        write_patches(self.folder, MEDSAM)
        return self._notes("gts have")


def areas_of(mask: arrays.Mask) -> npt.NDArray[Any]:
    """Return a mask in which each connected area of a class has a number of its own, from 1; 0 stays background."""
    areas = np.zeros(mask.shape, dtype=np.uint16)
    for value in np.unique(mask[mask > 0]):
        found, _ = ndimage.label(mask == value, structure=np.ones((3, 3)))
        areas += np.where(found > 0, found + areas.max(), 0).astype(np.uint16)
    return areas.astype(np.uint8) if areas.max() < 256 else areas


def _bytes(side: int) -> int:
    return side * side * (3 * 4 + 1)


EXPORT = Export(
    MedsamExport,
    check=lambda shape, kind: check_unit_image(shape, kind, 1, 3),
    sample_bytes=lambda options: _bytes(options.side),
)
