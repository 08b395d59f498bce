"""WebDataset and torch: shards are divided over ranks, which the environment states, and over a loader's workers."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset as wds
from consuming import Report, main
from PIL import Image


def decoded(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": entry["__key__"],
        "image": np.array(Image.open(io.BytesIO(entry["image.png"]))),
        "mask": np.array(Image.open(io.BytesIO(entry["mask.png"]))),
        "soft": np.load(io.BytesIO(entry["soft.npz"]))["soft"],
    }


def read(folder: Path, *, n_workers: int, rank: int = 0, n_ranks: int = 1) -> Report:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(n_ranks)}
    shards = sorted(map(str, folder.glob("webdataset/train-*.tar")))
    dataset = wds.WebDataset(shards, shardshuffle=len(shards), nodesplitter=wds.split_by_node).shuffle(100).map(decoded)
    report = Report()
    for batch in torch.utils.data.DataLoader(dataset, batch_size=2, num_workers=n_workers):
        report.add_batch(batch)
    report.fit(batch["image"].movedim(-1, 1) / 255, batch["soft"].float())
    return report


def consume(folder: Path) -> dict[str, Report]:
    return {
        "0 workers": read(folder, n_workers=0),
        "2 workers": read(folder, n_workers=2),
        "rank 0": read(folder, n_workers=0, rank=0, n_ranks=2),
        "rank 1": read(folder, n_workers=2, rank=1, n_ranks=2),
    }


if __name__ == "__main__":
    main(consume)
