"""The contract of TransUNet's Synapse dataset: a list of names, npz slices to train on, HDF5 volumes to test with."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from consuming import Report, main
from scipy.ndimage import zoom
from torch.utils.data import DataLoader, Dataset

SIDE = 32


class Slices(Dataset[dict[str, Any]]):
    """Names are lines of the list; training slices are stretched to a square as the repository does it."""

    def __init__(self, folder: Path, split: str) -> None:
        self.folder, self.split = folder, split
        self.names = (folder / f"lists/lists_Synapse/{split}.txt").read_text().splitlines()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, number: int) -> dict[str, Any]:
        name = self.names[number]
        if self.split != "train":
            with h5py.File(self.folder / self.split.replace("vol", "vol_h5") / f"{name}.npy.h5") as held:
                return {"key": name, "image": held["image"][:], "mask": held["label"][:]}
        held = np.load(self.folder / f"train_npz/{name}.npz")
        # Stored (H, W, C), so that the repository's turns and flips of the first two axes fit it too.
        image, label, soft = held["image"], held["label"], held["soft_label"].transpose(2, 0, 1)
        height, width = image.shape
        return {
            "key": name,
            "image": image,
            "mask": label,
            "soft": soft,
            "square image": zoom(image, (SIDE / height, SIDE / width), order=3)[None].astype(np.float32),
            "square label": torch.from_numpy(zoom(label, (SIDE / height, SIDE / width), order=0)).long(),
        }


def consume(folder: Path) -> dict[str, Report]:
    soft, hard, volumes = Report(), Report(), Report()
    for batch in DataLoader(Slices(folder, "train"), batch_size=4, shuffle=True, num_workers=2):
        soft.add_batch(batch)
    soft.fit(batch["image"][:, None], batch["soft"].float())
    hard.fit(batch["square image"], batch["square label"], n_outputs=3)
    for volume in Slices(folder, "test_vol"):
        volumes.add_batch({name: [value] for name, value in volume.items()})
    return {"slices": soft, "as published": hard, "volumes": volumes}


if __name__ == "__main__":
    main(consume)
