"""Train_Folder, Val_Folder and Test_Folder with img and labelcol, as UCTransNet and UDTransNet read them."""

import numpy as np

from hsmix_gen.pipeline.dataset.array_bytes import encode_png
from hsmix_gen.pipeline.exports.base import DatasetExporter, Export, Sample, check_pictures, write
from hsmix_gen.pipeline.exports.patches import UDTRANSNET, write_companion, write_patches

_FOLDERS = {"train": "Train_Folder", "val": "Val_Folder", "test": "Test_Folder"}

GUIDE = """
Train_Folder, Val_Folder and Test_Folder hold img/KEY.png and labelcol/KEY.png, {values}.
UCTransNet and loaders like its take the three folders as they are. In a clone of UDTransNet:

    git checkout -q {udtransnet} && git apply --unidiff-zero $DATA/code/udtransnet.patch && \\
        mv datasets/GlaS datasets/GlaS.theirs && ln -s $DATA datasets/GlaS && \\
        PYTHONPATH=$DATA/code python train_kfold.py

    PYTHONPATH=$DATA/code python test_kfold.py

Its log has to say "Total Nums: {n_train}", then "hsmix-gen: {n_train} images of ./datasets/GlaS/Train_Folder/" and
"hsmix-gen: {n_val} images of ./datasets/GlaS/Val_Folder/". Without the added lines it draws five folds of Train_Folder,
in which parents of validation images are trained on, and test_kfold.py divides its sums by 80, the test images of GlaS.
Config.py names n_labels (1 for two classes), epochs and the session that is tested.
These loaders set every value above 0 to 1: soft labels have no place in them, so masks are hard.
"""


class ImgLabelExport(DatasetExporter):
    """Writes pictures and masks, by split."""

    def __post_init__(self) -> None:
        # Loaders that cut at 127 see nothing of 0 and 1.
        self._scale = 255 if len(self.dataset.classes) + self.dataset.multilabel == 2 else 1

    @property
    def guide(self) -> str:
        """How the folders are read."""
        values = "0 and 255" if self._scale == 255 else "the class ids"
        return GUIDE.format(
            values=values,
            udtransnet=UDTRANSNET.commit[:7],
            n_train=self.dataset.splits.get("train", 0),
            n_val=self.dataset.splits.get("val", 0),
        )

    def add(self, sample: Sample) -> None:
        """Write a picture and its mask."""
        folder = self.folder / _FOLDERS[sample.split]
        mask = self._without_ignored(sample.mask) * np.uint8(self._scale)
        write(folder / "img" / f"{sample.key}.png", sample.image_bytes)
        write(folder / "labelcol" / f"{sample.key}.png", encode_png(mask))

    def finish(self) -> list[str]:
        """Write what UDTransNet needs."""
        write_patches(self.folder, UDTRANSNET)
        write_companion(self.folder, "hsmix_udtransnet")
        return self._notes("labelcol has")


EXPORT = Export(ImgLabelExport, check=check_pictures)
