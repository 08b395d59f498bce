"""litData: chunks with an index, written by its own writer."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.dataset.array_bytes import encode_png
from hsmix_gen.pipeline.dataset.soft_encoding import SOFT_FORMS
from hsmix_gen.pipeline.exports.base import DatasetExporter, Export, Sample
from hsmix_gen.schemas.digests import canonical_json, sha256_of
from hsmix_gen.schemas.extras import load

_CHUNK_BYTES = 2**26
INDEX = "index.json"

GUIDE = """
SPLIT/ holds chunks of litData; a row has key, image ({image} bytes), mask (PNG bytes), soft (npz bytes), json (text).

    from litdata import StreamingDataset
    rows = StreamingDataset("train", shuffle=True)
    row = rows[0]
    image = {read}
    mask = np.asarray(Image.open(io.BytesIO(row["mask"])))
    soft = np.load(io.BytesIO(row["soft"]))["soft"]        # (C, H, W) float16, for a loss that takes probabilities
"""
_READ_PNG = 'np.asarray(Image.open(io.BytesIO(row["image"])))'
_READ_NPY = 'np.load(io.BytesIO(row["image"]))'


class LitdataExport(DatasetExporter):
    """Writes a folder of chunks for each split."""

    def __post_init__(self) -> None:
        self._make = load("litdata.streaming.writer", "--to litdata").BinaryWriter
        self._writers: dict[str, Any] = {}
        self._counts: Counter[str] = Counter()
        image, read = ("PNG", _READ_PNG) if self.dataset.has_png else ("npy", _READ_NPY)
        self.guide = GUIDE.format(image=image, read=read)

    def add(self, sample: Sample) -> None:
        """Give a sample to the writer of its split."""
        if sample.split not in self._writers:
            folder = str(self.folder / sample.split)
            self._writers[sample.split] = self._make(folder, chunk_bytes=_CHUNK_BYTES)
        self._writers[sample.split][self._counts[sample.split]] = {
            "key": sample.key,
            "image": sample.image_bytes,
            "mask": encode_png(sample.mask),
            "soft": SOFT_FORMS["npz"].encode(sample.soft),
            "json": canonical_json(sample.provenance()),
        }
        self._counts[sample.split] += 1

    def finish(self) -> list[str]:
        """Write the last chunks and the indexes."""
        for split, writer in self._writers.items():
            writer.done()
            writer.merge()
            _without_clock(self.folder / split / INDEX)
        return []


def _without_clock(index: Path) -> None:
    """Set the time of writing, by which readers name their caches, to a number that the content decides."""
    held = json.loads(index.read_bytes())
    del held["updated_at"]
    chunks = sorted(path for path in index.parent.iterdir() if path.suffix == ".bin")
    digests = [sha256_of(path.read_bytes()) for path in chunks]
    number = int(sha256_of(canonical_json([held, digests]).encode())[:12], 16)
    index.write_text(canonical_json({**held, "updated_at": str(number)}), encoding="utf-8")


EXPORT = Export(LitdataExport)
