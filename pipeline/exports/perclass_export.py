"""A grey mask for each class, as UNeXt and UNet++ read them: soft labels reach their loss without a change."""

from pathlib import Path

from hsmix_gen.pipeline.dataset.array_bytes import encode_png
from hsmix_gen.pipeline.exports.base import Dataset, Export, Sample, write
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.stages.labels.soft_pairs import shares_of

GUIDE = """
SPLIT/images/KEY.png is the image, SPLIT/masks/NUMBER/KEY.png the soft label of one class, 0 to 255 for 0 to 1:
{classes}.
{background}Ignored pixels are 0 in all of them. Loaders divide by 255, so BCE and Dice train on soft values.

    Dataset(img_ids, "train/images", "train/masks", ".png", ".png", num_classes={n_classes})

train.py of UNeXt and UNet++ draws its own split of one folder: give it the keys of train/images for training and those
of val/images for validation instead, or parents of validation images are trained on.
Forks with the lines "if mask.max() < 1: mask[mask > 0] = 1" make soft masks hard; remove them.
"""


class PerClassExport:
    """Writes images and one mask for each foreground class, by split."""

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        if dataset.dtype != "uint8" or dataset.channels not in (1, 3):
            raise OutputError(
                f"perclass holds 8-bit grey or RGB pictures, {dataset.root} has {dataset.channels} channels of "
                f"{dataset.dtype}; make it with --dtype uint8 and 1 or 3 channels"
            )
        self._folder = folder
        # The background of classes that exclude each other follows from the others, and has no folder.
        self._first = 0 if dataset.multilabel else 1
        names = dataset.classes[self._first :]
        self.guide = GUIDE.format(
            classes=", ".join(f"{number} = {name}" for number, name in enumerate(names)),
            background="" if dataset.multilabel else "The background has none: it is what is left to 255. ",
            n_classes=len(names),
        )

    def add(self, sample: Sample) -> None:
        """Write a picture and its masks."""
        folder = self._folder / sample.split
        write(folder / "images" / f"{sample.key}.png", sample.image_bytes)
        for number, share in enumerate(shares_of(sample.soft)[self._first :]):
            write(folder / "masks" / str(number) / f"{sample.key}.png", encode_png(share))

    def finish(self) -> list[str]:
        """Nothing is left to write."""
        return []


EXPORT = Export(lambda folder, datasets, _: PerClassExport(folder, datasets[0]))
