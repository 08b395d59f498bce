"""MosaicML Streaming: MDS shards, written by its own writer."""

import io
from typing import Any

from PIL import Image as Pillow

from hsmix_gen.pipeline.dataset.soft_encoding import SOFT_FORMS
from hsmix_gen.pipeline.exports.base import DatasetExporter, Export, Sample
from hsmix_gen.schemas.extras import load

_SHARD_BYTES = 2**26

GUIDE = """
SPLIT/ holds MDS shards with sha1 sums: key, image ({image}), mask (a picture of class ids), soft (npz bytes), json.

    from streaming import StreamingDataset
    rows = StreamingDataset(local="train", shuffle=True, batch_size=8, validate_hash="sha1")
    row = rows[0]
    image, mask = np.asarray(row["image"]), np.asarray(row["mask"])
    soft = np.load(io.BytesIO(row["soft"]))["soft"]        # (C, H, W) float16, for a loss that takes probabilities

From an object store: StreamingDataset(remote="s3://...", local="/scratch/...").
"""


class MdsExport(DatasetExporter):
    """Writes a folder of MDS shards for each split."""

    def __post_init__(self) -> None:
        self._make = load("streaming", "--to mds").MDSWriter
        dataset, self._has_png = self.dataset, self.dataset.has_png
        height, width = dataset.size
        shape = "" if dataset.is_native else f":{height},{width},{dataset.shape.channels}"
        image = "png" if self._has_png else f"ndarray:{dataset.shape.dtype}{shape}"
        self._columns = {"key": "str", "image": image, "mask": "png", "soft": "bytes", "json": "json"}
        self._writers: dict[str, Any] = {}
        self.guide = GUIDE.format(image="a picture" if self._has_png else f"(H, W, C) {dataset.shape.dtype}")

    def add(self, sample: Sample) -> None:
        """Give a sample to the writer of its split."""
        if sample.split not in self._writers:
            self._writers[sample.split] = self._make(
                out=str(self.folder / sample.split), columns=self._columns, hashes=["sha1"], size_limit=_SHARD_BYTES
            )
        self._writers[sample.split].write(
            {
                "key": sample.key,
                "image": Pillow.open(io.BytesIO(sample.image_bytes)) if self._has_png else sample.image,
                "mask": Pillow.fromarray(sample.mask),
                "soft": SOFT_FORMS["npz"].encode(sample.soft),
                "json": sample.provenance(),
            }
        )

    def finish(self) -> list[str]:
        """Write the last shards and the indexes."""
        for writer in self._writers.values():
            writer.finish()
        return []


EXPORT = Export(MdsExport)
