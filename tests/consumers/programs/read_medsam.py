"""The contract of MedSAM's dataset: square npy images in 0 to 1, and one class of the ids at a time with its box."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from consuming import Report, main
from torch.utils.data import DataLoader, Dataset


class Prompts(Dataset[dict[str, Any]]):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = sorted((folder / "gts").glob("**/*.npy"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> dict[str, Any]:
        path = self.paths[number]
        image = np.load(self.folder / "imgs" / path.name, "r").transpose(2, 0, 1)
        labels = np.load(path, "r")
        if image.max() > 1 or image.min() < 0:
            raise ValueError("image should be normalized to [0, 1]")
        wanted = np.uint8(labels == random.choice(np.unique(labels)[1:].tolist()))  # noqa: S311 - a draw of training
        rows, columns = np.where(wanted > 0)
        return {
            "key": path.stem,
            "image": np.array(image.transpose(1, 2, 0)),
            "mask": np.array(labels),
            "wanted": torch.tensor(wanted[None]).float(),
            "box": torch.tensor([columns.min(), rows.min(), columns.max(), rows.max()]).float(),
        }


def consume(folder: Path) -> dict[str, Report]:
    random.seed(0)
    report = Report()
    for batch in DataLoader(Prompts(folder / "train"), batch_size=4, shuffle=True):
        report.add_batch(batch)
    report.fit(batch["image"].movedim(-1, 1), batch["wanted"], torch.nn.functional.binary_cross_entropy_with_logits)
    return {"epoch": report}


if __name__ == "__main__":
    main(consume)
