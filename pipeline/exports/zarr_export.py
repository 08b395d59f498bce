"""A Zarr v3 store for each split: image, mask, soft label and key of all samples."""

import warnings
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.errors import ZarrUserWarning

from hsmix_gen.pipeline.exports.base import DatasetExporter, Export, Sample
from hsmix_gen.pipeline.exports.cases import Case, case_notes, cases_of

_SHARD_BYTES = 2**26
_MOST_IN_SHARD = 256
_KEYS_IN_CHUNK = 4096
_COMPRESSOR = ZstdCodec(level=3, checksum=True)

GUIDE = """
SPLIT.zarr is a Zarr v3 group with image (N, H, W, C), mask (N, H, W), soft (N, C, H, W) float16 and key (N): row i of
each is sample i. A sample is a chunk, {per_shard} samples are a file.

    class Rows(torch.utils.data.Dataset):
        def __init__(self, path):
            self.path, self.group = path, None
            self.length = zarr.open_group(path, mode="r")["key"].shape[0]
        def __len__(self):
            return self.length
        def __getitem__(self, i):
            self.group = self.group or zarr.open_group(self.path, mode="r")      # in the worker, not before the fork
            return self.group["image"][i], self.group["soft"][i]

Readers that take rows in blocks of {per_shard} open each file once.
{native}"""
_NATIVE = """\
Validation and test samples have their own size: val.zarr and test.zarr hold a group for each case, with the same
arrays; row i is slice i.
"""


class ZarrExport(DatasetExporter):
    """Writes SPLIT.zarr, one shard of samples, or of native size one case, at a time."""

    def __post_init__(self) -> None:
        dataset = self.dataset
        self._arrays = {
            "image": ((*dataset.size, dataset.shape.channels), dataset.shape.dtype),
            "mask": (dataset.size, "uint8"),
            "soft": ((dataset.shape.classes, *dataset.size), "float16"),
        }
        row_bytes = max(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in self._arrays.values())
        self._per_shard = max(1, min(_MOST_IN_SHARD, _SHARD_BYTES // row_bytes))
        self._splits: dict[str, _Split] = {}
        self._cases = cases_of(dataset, ("val", "test")) if dataset.is_native else {}
        self.guide = GUIDE.format(per_shard=self._per_shard, native=_NATIVE if dataset.is_native else "")

    def add(self, sample: Sample) -> None:
        """Take a sample, and write its shard or case where it is the last one of it."""
        if sample.key in self._cases:
            case, plane = self._cases[sample.key]
            if slices := case.add(plane, sample):
                self._write_case(case, slices)
            return
        if sample.split not in self._splits:
            self._splits[sample.split] = _Split(self._create(sample.split), self._per_shard)
        self._splits[sample.split].add(sample)

    def _group(self, split: str) -> Any:
        described = self.dataset.described
        kept = {name: described[name] for name in ("name", "classes", "label_mode", "ignore")}
        return zarr.open_group(str(self.folder / f"{split}.zarr"), mode="a", zarr_format=3, attributes=kept)

    def _write_case(self, case: Case, slices: list[Sample]) -> None:
        group = self._group(case.split).create_group(case.name)
        for name in self._arrays:
            rows = np.stack([getattr(sample, name) for sample in slices])
            group.create_array(name, data=rows, chunks=(1, *rows.shape[1:]), compressors=_COMPRESSOR)
        group.create_array("key", shape=(len(slices),), dtype=str)[:] = np.array([sample.key for sample in slices])

    def _create(self, split: str) -> dict[str, Any]:
        group = self._group(split)
        count = self.dataset.splits[split]
        made = {}
        for name, (row, dtype) in self._arrays.items():
            made[name] = group.create_array(
                name,
                shape=(count, *row),
                chunks=(1, *row),
                shards=(self._per_shard, *row),
                dtype=dtype,
                compressors=_COMPRESSOR,
                # A row of zeros is written as well, so that a missing file never passes for one. The setting is not
                # stored: arrays that are opened again forget it.
                config={"write_empty_chunks": True},
            )
        made["key"] = group.create_array("key", shape=(count,), chunks=(min(count, _KEYS_IN_CHUNK),), dtype=str)
        return made

    def finish(self) -> list[str]:
        """Write the last shards, the keys, and the metadata of all arrays in one place."""
        for split, rows in self._splits.items():
            rows.finish()
            with warnings.catch_warnings():
                # Others than zarr-python need not know consolidated metadata; they read the arrays' own, which stay.
                warnings.simplefilter("ignore", ZarrUserWarning)
                zarr.consolidate_metadata(str(self.folder / f"{split}.zarr"))
        return case_notes(self.dataset, self._cases)


class _Split:
    """The store of a split on its way."""

    def __init__(self, arrays: dict[str, Any], per_shard: int) -> None:
        self._arrays, self._per_shard = arrays, per_shard
        self._waiting: list[Sample] = []
        self._keys: list[str] = []

    def add(self, sample: Sample) -> None:
        """Keep a sample until its shard is full."""
        self._waiting.append(sample)
        self._keys.append(sample.key)
        if len(self._waiting) == self._per_shard:
            self._write()

    def _write(self) -> None:
        rows = slice(len(self._keys) - len(self._waiting), len(self._keys))
        for name in ("image", "mask", "soft"):
            self._arrays[name][rows] = np.stack([getattr(sample, name) for sample in self._waiting])
        self._waiting = []

    def finish(self) -> None:
        """Write the last shard and the keys."""
        if self._waiting:
            self._write()
        self._arrays["key"][:] = np.array(self._keys)


EXPORT = Export(ZarrExport)
