"""The contract of UNeXt's and UNet++'s dataset: a picture, and a grey mask for each class, all divided by 255."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from consuming import Report, main
from PIL import Image
from torch.utils.data import DataLoader, Dataset


class Pictures(Dataset[dict[str, Any]]):
    def __init__(self, folder: Path, n_classes: int) -> None:
        self.folder, self.n_classes = folder, n_classes
        self.names = sorted(path.stem for path in (folder / "images").glob("*.png"))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, number: int) -> dict[str, Any]:
        name = self.names[number]
        image = np.array(Image.open(self.folder / f"images/{name}.png"))
        masks = [np.array(Image.open(self.folder / f"masks/{c}/{name}.png")) for c in range(self.n_classes)]
        mask = np.dstack(masks).astype("float32") / 255
        return {"key": name, "image": image, "soft": mask.transpose(2, 0, 1)}


def bce_dice(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the loss of these repositories, which takes probabilities as they are."""
    bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    found, wanted = torch.sigmoid(logits).flatten(1), targets.flatten(1)
    dice = (2 * (found * wanted).sum(1) + 1e-5) / (found.sum(1) + wanted.sum(1) + 1e-5)
    return 0.5 * bce + 1 - dice.mean()


def consume(folder: Path) -> dict[str, Report]:
    n_classes = len(list((folder / "train/masks").iterdir()))
    report = Report()
    for batch in DataLoader(Pictures(folder / "train", n_classes), batch_size=4, shuffle=True, num_workers=2):
        report.add_batch(batch)
    report.fit(batch["image"].movedim(-1, 1) / 255, batch["soft"], bce_dice)
    return {"epoch": report}


if __name__ == "__main__":
    main(consume)
