"""Train_Folder, Val_Folder and Test_Folder with img and labelcol, as UCTransNet and UDTransNet read them."""

from collections import Counter
from typing import Any

import numpy as np

from hsmix_gen.pipeline.dataset.array_bytes import encode_png
from hsmix_gen.pipeline.exports.base import Export, OneDataset, Sample, check_pictures, write
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


class ImgLabelExport(OneDataset):
    """Writes pictures and masks, by split."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        # Loaders that cut at 127 see nothing of 0 and 1.
        self._scale = 255 if len(self._dataset.classes) + self._dataset.multilabel == 2 else 1
        self._counts: Counter[str] = Counter()

    @property
    def guide(self) -> str:
        """How the folders are read."""
        values = "0 and 255" if self._scale == 255 else "the class ids"
        return GUIDE.format(
            values=values,
            udtransnet=UDTRANSNET.commit[:7],
            n_train=self._counts["train"],
            n_val=self._counts["val"],
        )

    def add(self, sample: Sample) -> None:
        """Write a picture and its mask."""
        folder = self._folder / _FOLDERS[sample.split]
        self._counts[sample.split] += 1
        mask = self._without_ignored(sample.mask) * np.uint8(self._scale)
        write(folder / "img" / f"{sample.key}.png", sample.image_bytes)
        write(folder / "labelcol" / f"{sample.key}.png", encode_png(mask))

    def finish(self) -> list[str]:
        """Write what UDTransNet needs."""
        write_patches(self._folder, UDTRANSNET)
        write_companion(self._folder, "hsmix_udtransnet")
        return self._notes("labelcol has")


EXPORT = Export(ImgLabelExport, check=check_pictures)
