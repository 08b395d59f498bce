"""Map-style `wids`, which left the package webdataset with its version 1.0: samples by number, through our index."""

import hashlib
import io
import tempfile
from pathlib import Path

import numpy as np
import wids
from consuming import Report, main
from PIL import Image


def read(index: Path) -> Report:
    report = Report()
    with tempfile.TemporaryDirectory() as cache:
        dataset = wids.ShardListDataset(str(index), keep=True, cache_dir=cache, transformations=[])
        for sample in (dataset[number] for number in range(len(dataset))):
            members = {name.removeprefix("."): sample[name].read() for name in sample if name.startswith(".")}
            report.add(
                sample["__key__"],
                image=Image.open(io.BytesIO(members["image.png"])),
                mask=Image.open(io.BytesIO(members["mask.png"])),
                soft=np.load(io.BytesIO(members["soft.npz"]))["soft"],
                digests=[hashlib.sha256(members[name]).hexdigest() for name in sorted(members)],
            )
    report.facts["members"] = sorted(members)
    return report


def consume(folder: Path) -> dict[str, Report]:
    return {split: read(folder / "webdataset" / f"{split}-index.json") for split in ("train", "val", "test")}


if __name__ == "__main__":
    main(consume)
