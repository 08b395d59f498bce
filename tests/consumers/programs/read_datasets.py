"""HF datasets: tar or Parquet, as a stream or as a table in memory.

Without `features` the columns of tar files are inferred from five samples: provenance that is null in them has no type,
so that later samples fail, and soft labels become nested lists, which take ten times as long.
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from consuming import Report, main
from datasets import Array3D, Features, Image, Value, load_dataset

SPLITS = {"train": "train", "validation": "val", "test": "test"}


def of_tar(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": row["__key__"],
        "image": np.array(row["image.png"]),
        "mask": np.array(row["mask.png"]),
        "soft": np.array(row["soft.npz"]["soft"], np.float16),
    }


def of_parquet(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": row["key"],
        "image": np.array(row["image"]),
        "mask": np.array(row["mask"]),
        "soft": np.load(io.BytesIO(row["soft"])),
    }


def read(rows: Any, decode: Any) -> Report:
    loader = torch.utils.data.DataLoader(
        rows.shuffle(seed=0),
        batch_size=4,
        collate_fn=lambda batch: torch.utils.data.default_collate([decode(row) for row in batch]),
    )
    report = Report()
    for batch in loader:
        report.add_batch(batch)
    report.fit(batch["image"].movedim(-1, 1) / 255, batch["soft"].float())
    return report


def consume(folder: Path) -> dict[str, Report]:
    described = json.loads((folder / "dataset.json").read_text())
    soft = Array3D((len(described["classes"]), *described["size"]), "float16")
    features = Features(
        {"__key__": Value("string"), "image.png": Image(), "mask.png": Image(), "soft.npz": {"soft": soft}}
    )
    found = {}
    for way in ("streaming", "map"):
        tars = {split: str(folder / f"webdataset/{name}-*.tar") for split, name in SPLITS.items()}
        rows = load_dataset("webdataset", data_files=tars, features=features, streaming=way == "streaming")
        found[f"tar {way}"] = read(rows["train"], of_tar)
        tables = {split: str(folder / f"parquet/{name}-*.parquet") for split, name in SPLITS.items()}
        rows = load_dataset("parquet", data_files=tables, streaming=way == "streaming")
        found[f"parquet {way}"] = read(rows["train"], of_parquet)
    return found


if __name__ == "__main__":
    main(consume)
