"""MosaicML Streaming: the export, shuffled, through its own loader."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from consuming import Report, main

warnings.simplefilter("ignore")

from streaming import StreamingDataLoader, StreamingDataset  # noqa: E402 - its imports warn


class Samples(StreamingDataset):
    def __getitem__(self, number: int) -> Any:
        row = super().__getitem__(number)
        return {
            "key": row["key"],
            "image": np.array(row["image"]),
            "mask": np.array(row["mask"]),
            "soft": np.load(io.BytesIO(row["soft"]))["soft"],
        }


def consume(folder: Path) -> dict[str, Report]:
    rows = Samples(local=str(folder / "train"), shuffle=True, batch_size=4, validate_hash="sha1")
    report = Report()
    for batch in StreamingDataLoader(rows, batch_size=4, num_workers=2):
        report.add_batch(batch)
    report.fit(batch["image"].movedim(-1, 1) / 255, batch["soft"].float())
    return {"epoch": report}


if __name__ == "__main__":
    main(consume)
