"""The feature cache in Zarr v3: arrays with one row per source, written in blocks, each with a commit record."""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy.typing as npt

from hsmix_gen.pipeline.features.zarr_shards import ShardedArray, described
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.commit_records import CommitRecords
from hsmix_gen.pipeline.files.store_paths import is_remote
from hsmix_gen.schemas.errors import CacheError
from hsmix_gen.schemas.records import BlockRecord, FileRecord
from hsmix_gen.stages.mixing.geometry import transform

BLOCK_IMAGES = 16
BLOCK_BYTES = 64 * 2**20
RECORDS = "commits"
_METADATA = "zarr.json"
_GROUP = {"attributes": {}, "zarr_format": 3, "node_type": "group"}


@dataclass(frozen=True)
class ArraySpec:
    """One array of a layer: shape and dtype of a row, and the part of a row that is read at once (all of it)."""

    name: str
    row: tuple[int, ...]
    dtype: str
    chunk: tuple[int, ...] | None = None


def block_size(size: tuple[int, int], pixel_bytes: int, variants: int, beside: int = 0) -> int:
    """Return how many images make a block: 16, or less where they, and the bytes beside each, are large."""
    per_image = size[0] * size[1] * (2 * pixel_bytes + 2 * variants + 2) + beside
    return max(1, min(BLOCK_IMAGES, BLOCK_BYTES // per_image))


def block_rows(block: int, size: int, n_rows: int) -> range:
    """Return the rows of a block."""
    return range(block * size, min((block + 1) * size, n_rows))


class FeatureCache:
    """Layers of a cache folder.

    Any Zarr reads a chunk that is missing as zeros without an error, so a block counts only with its commit record;
    index and chunks carry checksums, so a flipped bit is an error and never a pixel.

    `zarr_shards` reads and writes, out of an object store no more than index and chunk; files there stay open, as to
    open one is a request. Rows that were read last are kept in `kept_bytes` of memory, the channels of a picture one
    after the other, as mixing takes them; layers are named by their content, so that a row never changes.
    """

    def __init__(self, root: Path, *, kept_bytes: int = 0) -> None:
        self.root = root
        self._records = CommitRecords(root / RECORDS, root, BlockRecord, CacheError)
        self._arrays: dict[tuple[str, str], ShardedArray] = {}
        self._open: dict[Path, BinaryIO] = {}
        self._kept: OrderedDict[tuple[str | int, ...], npt.NDArray[Any]] = OrderedDict()
        self._kept_bytes = self._room = kept_bytes

    def create(self, layer: str, arrays: list[ArraySpec], *, n_rows: int, block: int) -> None:
        """Describe the arrays of a layer unless that is done already; nothing is filled.

        A description that is not as it would be written now decides wrongly how chunks are read, and is replaced.
        """
        atomic_files.write_whole(self._layer_path(layer) / _METADATA, _json(_GROUP))
        for spec in arrays:
            array = ShardedArray((n_rows, *spec.row), (block, *spec.row), (1, *(spec.chunk or spec.row)), spec.dtype)
            atomic_files.write_whole(self._metadata_path(layer, spec.name), _json(array.description()))

    def write_block(
        self, layer: str, block: int, rows: range, values: Mapping[str, npt.NDArray[Any]]
    ) -> tuple[FileRecord, ...]:
        """Write one block of every array of a layer and return its files, synced to disk."""
        files = []
        for name, value in values.items():
            array = self._described(layer, name)
            if value.shape != (len(rows), *array.shape[1:]):
                raise ValueError(f"{name} must be of shape {(len(rows), *array.shape[1:])}, got {value.shape}")
            path = self._shard_path(layer, name, block)
            atomic_files.write_anew(path, array.encode(value))
            files.append(atomic_files.file_record(path, self.root))
        return tuple(files)

    def read(self, layer: str, name: str, row: int, *index: int) -> npt.NDArray[Any]:
        """Return one row of an array, or the part of it that `index` names; do not write to it.

        Raises CacheError if the data are damaged.
        """
        key: tuple[str | int, ...] = (layer, name, row, *index)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        values = self._read(layer, name, (row, *index))
        if values.nbytes <= self._kept_bytes:
            values = transform(values, 0) if values.ndim == 3 else values
            self._kept[key] = values
            self._room -= values.nbytes
            while self._room < 0:
                _, oldest = self._kept.popitem(last=False)
                self._room += oldest.nbytes
        return values

    def _read(self, layer: str, name: str, index: tuple[int, ...]) -> npt.NDArray[Any]:
        row = index[0]
        try:
            array = self._described(layer, name)
            with self._opened(self._shard_path(layer, name, row // array.shard[0])) as file:
                return array.decode(file, row, index[1:])
        except (ValueError, RuntimeError, OSError) as error:
            raise CacheError(
                f"{self._layer_path(layer)} array {name} row {row} is damaged ({error}); "
                "run the same command again, it rebuilds what does not match its record"
            ) from None

    @contextmanager
    def _opened(self, path: Path) -> Iterator[BinaryIO]:
        kept = self._open.pop(path, None)
        with ExitStack() as closing:
            file = closing.enter_context(kept or path.open("rb", buffering=0))
            yield file
            if is_remote(path):
                # Where something is wrong it does not stay open: a block that is made anew may have another size.
                self._open[path] = file
                closing.pop_all()

    def records(self, layer: str) -> dict[int, BlockRecord]:
        """Return the finished blocks of a layer whose files match their record; others are forgotten."""
        return {record.block: record for record in self._records.sound(layer)}

    def check_blocks(self, layer: str, n_blocks: int, *, by_size: bool = False) -> None:
        """Refuse a layer of which blocks are missing or damaged, where they cannot be made again.

        Readers ask `by_size`: files are neither read nor removed, as their own checksums find what is damaged inside of
        one. Raises CacheError with the way out.
        """
        folder = self._layer_path(layer)
        if by_size:
            sizes = {f"{folder.name}/{path}": size for path, size in atomic_files.sizes_below(folder).items()}
            stated = self._records.stated(layer)
            n_present = sum(all(sizes.get(file.path) == file.bytes for file in record.files) for record in stated)
        else:
            n_present = len(self.records(layer))
        if n_present < n_blocks:
            raise CacheError(
                f"{folder}: {n_blocks - n_present} of {n_blocks} blocks are missing or do not match "
                "their record; run prepare again, it makes them anew"
            )

    def commit(self, record: BlockRecord) -> None:
        """Write the record that makes a block count; the driver alone calls this, after checking the files.

        Raises CacheError if a file does not match.
        """
        self._records.commit(record)

    def forget(self, layer: str) -> None:
        """Withdraw the records of all blocks of a layer, so that they are made again."""
        for path in self._records.paths(layer):
            path.unlink()

    def _layer_path(self, layer: str) -> Path:
        return self.root / f"{layer}.zarr"

    def _metadata_path(self, layer: str, name: str) -> Path:
        return self._layer_path(layer) / name / _METADATA

    def _shard_path(self, layer: str, name: str, block: int) -> Path:
        return self.root / f"{layer}.zarr/{name}/{self._described(layer, name).file_name(block)}"

    def _described(self, layer: str, name: str) -> ShardedArray:
        if (layer, name) not in self._arrays:
            try:
                self._arrays[layer, name] = described(self._metadata_path(layer, name).read_bytes())
            except FileNotFoundError:
                raise CacheError(f"{self._layer_path(layer)} has no array {name}; run prepare again") from None
        return self._arrays[layer, name]


def _json(described: Mapping[str, Any]) -> bytes:
    return json.dumps(described, indent=2).encode()
