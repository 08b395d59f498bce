"""MedSAM's npy folders: square RGB images in 0 to 1 and class ids of the same size."""

from pathlib import Path

import numpy as np

from hsmix_gen.pipeline.dataset.array_bytes import encode_npy
from hsmix_gen.pipeline.exports.base import Dataset, Export, Sample, check_has_unit, unit_image, write
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.imaging.standardise import resize_image, resize_mask

_SIDES = (64, 4096)

GUIDE = """
SPLIT/imgs/KEY.npy is the image, ({side}, {side}, 3) float32 in 0 to 1; SPLIT/gts/KEY.npy the class ids, uint8.

    python train_one_gpu.py -i train

Images of {height} x {width} pixels were stretched to the square, as MedSAM's own scripts do it; a pixel of the mask
takes the class that covers most of it. MedSAM wants 1024; LiteMedSAM resizes by itself, --image-size 256 spares the
disk.
The loader takes one class of an image at a time, drawn from all but the first value that occurs: samples without
foreground would end it and are left out. Labels are hard; MedSAM has no place for soft ones.
"""


class MedsamExport:
    """Writes imgs and gts, by split."""

    def __init__(self, folder: Path, dataset: Dataset, side: int) -> None:
        if not _SIDES[0] <= side <= _SIDES[1]:
            raise OutputError(f"--image-size must be {_SIDES[0]} to {_SIDES[1]} pixels, got {side}")
        if dataset.channels not in (1, 3):
            raise OutputError(
                f"medsam holds grey or RGB images, {dataset.root} has {dataset.channels} channels; "
                "make it with --channels 1 or 3"
            )
        check_has_unit(dataset, "medsam")
        self._folder, self._dataset, self._size = folder, dataset, (side, side)
        self._with_ignore = 0
        height, width = dataset.size
        self.guide = GUIDE.format(side=side, height=height, width=width)

    def add(self, sample: Sample) -> str | None:
        """Write a sample that has foreground."""
        self._with_ignore += bool((sample.mask == IGNORE).any())
        mask = resize_mask(sample.mask, self._size)
        mask = np.where(mask == IGNORE, np.uint8(0), mask)
        if len(np.unique(mask)) < 2:
            return "the mask has one value only, MedSAM's loader wants background and foreground"
        image = np.clip(resize_image(unit_image(sample.image, self._dataset), self._size), 0, 1)
        rgb = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
        folder = self._folder / sample.split
        write(folder / "imgs" / f"{sample.key}.npy", encode_npy(rgb))
        write(folder / "gts" / f"{sample.key}.npy", encode_npy(mask))
        return None

    def finish(self) -> list[str]:
        """Nothing is left to write."""
        if not self._with_ignore:
            return []
        return [f"{self._with_ignore} samples have ignored pixels, which this layout cannot mark: gts have 0 there"]


EXPORT = Export(lambda folder, datasets, options: MedsamExport(folder, datasets[0], options.side))
