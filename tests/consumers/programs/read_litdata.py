"""litData: the export, shuffled, through its own loader."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from consuming import Report, main
from litdata import StreamingDataLoader, StreamingDataset
from PIL import Image


class Samples(StreamingDataset):
    def __getitem__(self, index: Any) -> Any:
        row = super().__getitem__(index)
        return {
            "key": row["key"],
            "image": np.array(Image.open(io.BytesIO(row["image"]))),
            "mask": np.array(Image.open(io.BytesIO(row["mask"]))),
            "soft": np.load(io.BytesIO(row["soft"]))["soft"],
        }


def consume(folder: Path) -> dict[str, Report]:
    rows = Samples(str(folder / "train"), shuffle=True)
    report = Report()
    for batch in StreamingDataLoader(rows, batch_size=4, num_workers=2):
        report.add_batch(batch)
    report.fit(batch["image"].movedim(-1, 1) / 255, batch["soft"].float())
    return {"epoch": report}


if __name__ == "__main__":
    main(consume)
