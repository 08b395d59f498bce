"""A grey mask for each class, as UNeXt and UNet++ read them: soft labels reach their loss without a change."""

from hsmix_gen.pipeline.dataset.array_bytes import encode_png
from hsmix_gen.pipeline.exports.base import DatasetExporter, Export, Sample, check_pictures, write
from hsmix_gen.pipeline.exports.patches import UNEXT, write_companion, write_patches
from hsmix_gen.stages.labels.soft_pairs import shares_of

GUIDE = """
{tree}images/KEY.png is the image, {tree}masks/NUMBER/KEY.png the soft label of one class, 0 to 255 for 0 to 1:
{classes}.
{background}Ignored pixels are 0 in all of them. Loaders divide by 255, so BCE and Dice train on soft values.
train.txt, val.txt and test.txt list the keys of each split.

{training}
Forks with the lines "if mask.max() < 1: mask[mask > 0] = 1" make soft masks hard; remove them.
"""
_BY_SPLIT = """\
    Dataset(img_ids, "train/images", "train/masks", ".png", ".png", num_classes={n_classes})

train.py and val.py of UNeXt and UNet++ draw a split of one folder, in which parents of validation images are trained
on. They find no such folder here and stop; with an added line they take train/ and val/. In a clone of UNeXt:

    git checkout -q {unext} && git apply --unidiff-zero $DATA/code/unext.patch && \\
        mkdir -p inputs && ln -s $DATA inputs/hsmix && \\
        PYTHONPATH=$DATA/code python train.py --dataset hsmix --num_classes {n_classes} --name hsmix

    PYTHONPATH=$DATA/code python val.py --name hsmix

Each prints "hsmix-gen: {n_train} training and {n_val} validation images, as exported"."""
_ONE_TREE = """\
Validation and test images lie in the same folders: a loader that draws a split of them trains on parents of validation
images. Give it the lists instead."""


class PerClassExport(DatasetExporter):
    """Writes images and one mask for each foreground class, by split or in one tree, and lists of keys."""

    def __post_init__(self) -> None:
        self._one_tree = self.options.one_tree
        # The background of classes that exclude each other follows from the others, and has no folder.
        self._first = 0 if self.dataset.multilabel else 1
        self._names = self.dataset.classes[self._first :]
        self._keys: dict[str, list[str]] = {"train": [], "val": [], "test": []}

    @property
    def guide(self) -> str:
        """How UNeXt is run."""
        return GUIDE.format(
            tree="" if self._one_tree else "SPLIT/",
            classes=", ".join(f"{number} = {name}" for number, name in enumerate(self._names)),
            background="The background has none: it is what is left to 255. " if self._first else "",
            training=(_ONE_TREE if self._one_tree else _BY_SPLIT).format(
                n_classes=len(self._names),
                unext=UNEXT.commit[:7],
                n_train=len(self._keys["train"]),
                n_val=len(self._keys["val"]),
            ),
        )

    def add(self, sample: Sample) -> None:
        """Write a picture and its masks."""
        folder = self.folder if self._one_tree else self.folder / sample.split
        self._keys[sample.split].append(sample.key)
        write(folder / "images" / f"{sample.key}.png", sample.image_bytes)
        for number, share in enumerate(shares_of(sample.soft)[self._first :]):
            write(folder / "masks" / str(number) / f"{sample.key}.png", encode_png(share))

    def finish(self) -> list[str]:
        """Write the lists, and what UNeXt needs."""
        for split, keys in self._keys.items():
            write(self.folder / f"{split}.txt", "".join(f"{key}\n" for key in keys).encode())
        if not self._one_tree:
            write_patches(self.folder, UNEXT)
            write_companion(self.folder, "hsmix_unext")
        return []


EXPORT = Export(PerClassExport, check=check_pictures)
