"""A finished output, read from its files alone: no code of the product is imported here."""

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import zarr
from PIL import Image as Pillow

Array = npt.NDArray[Any]

TRAIN, VAL, TEST, COPIES, BATCH, SELECT = 6, 2, 1, 5, 4, 0.3
N_CLASSES = 3
POLICIES = ("per-sample", "per-batch", "paired")


@dataclass(frozen=True)
class Sample:
    """A sample as it lies in a tar file, with its row of the manifest."""

    row: dict[str, Any]
    members: dict[str, bytes]

    @property
    def image(self) -> Array:
        """(H, W, C) pixels."""
        return np.asarray(Pillow.open(io.BytesIO(self.members["image.png"])))

    @property
    def mask(self) -> Array:
        """(H, W) class ids."""
        return np.asarray(Pillow.open(io.BytesIO(self.members["mask.png"])))

    @property
    def soft(self) -> Array:
        """(C, H, W) float16."""
        with np.load(io.BytesIO(self.members["soft.npz"]), allow_pickle=False) as archive:
            assert archive.files == ["soft"]
            soft: Array = archive["soft"]
        return soft


@dataclass(frozen=True)
class Parent:
    """Features of one parent, turned as its row says."""

    image: Array
    mask: Array
    labels: Array
    saliency: Array


class Dataset:
    """The files of one finished output."""

    def __init__(self, root: Path, source: Path) -> None:
        self.root, self.source = root, source
        self.described: dict[str, Any] = json.loads((root / "dataset.json").read_text())
        self.run: dict[str, Any] = json.loads((root / "run.json").read_text())
        self.table = pq.read_table(root / "manifest.parquet")
        self.rows: list[dict[str, Any]] = self.table.to_pylist()
        self.cache = root / ".hsmix" / "cache"
        self.records: list[dict[str, Any]] = pq.read_table(self.cache / "sources.parquet").to_pylist()
        self.row_of = {record["id"]: number for number, record in enumerate(self.records)}
        self.images = self._layer("images", "image")
        self.masks = self._layer("images", "mask")
        self.labels = self._layer("superpixels", "labels")
        self.counts = self._layer("superpixels", "count")
        self.saliency = self._layer("saliency", "saliency")
        self.in_tars = self._in_tars()
        self.samples = [Sample(row, self.in_tars[row["shard"]][row["index"]][1]) for row in self.rows]

    def _layer(self, layer: str, name: str) -> Array:
        return np.asarray(zarr.open_array(str(self.cache / f"{self.run['layers'][layer]}.zarr"), path=name, mode="r"))

    def _in_tars(self) -> dict[str, list[tuple[str, dict[str, bytes]]]]:
        """Return key and members of each sample, in order, by shard."""
        found: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        for path in sorted((self.root / "webdataset").glob("*.tar")):
            samples: list[tuple[str, dict[str, bytes]]] = []
            with tarfile.open(path) as tar:
                for info in tar:
                    key, _, member = info.name.partition(".")
                    file = tar.extractfile(info)
                    assert file is not None
                    if not samples or samples[-1][0] != key:
                        samples.append((key, {}))
                    samples[-1][1][member] = file.read()
            found[path.stem] = samples
        return found

    def of(self, *modes: str, split: str = "train") -> list[Sample]:
        """Return the samples of some modes in a split."""
        return [s for s in self.samples if s.row["split"] == split and s.row["mode"] in modes]

    def parent(self, row: dict[str, Any], which: str) -> Parent:
        """Return parent ``a`` or ``b`` of a sample."""
        number = self.row_of[row[f"source_{which}"]]
        turn = row[f"transform_{which}"]
        variant = row[f"variant_{which}"]
        features = (
            self.images[number],
            self.masks[number],
            self.labels[number, variant if variant is not None else 0],
            self.saliency[number],
        )
        return Parent(*(turned(array, turn) for array in features))


def turned(array: Array, number: int) -> Array:
    """Apply transform r + 4f as the contract words it."""
    result = np.rot90(array, number % 4)
    return np.fliplr(result) if number // 4 == 1 else result
