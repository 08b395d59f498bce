"""The feature cache in Zarr v3: arrays with one row per source, written in blocks, each with a commit record."""

import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import ZstdCodec
from zarr.storage import FsspecStore

from hsmix_gen.pipeline.files import atomic_files, object_stores, upload_folder
from hsmix_gen.pipeline.files.commit_records import CommitRecords
from hsmix_gen.pipeline.files.store_paths import is_remote
from hsmix_gen.schemas.errors import CacheError
from hsmix_gen.schemas.records import BlockRecord, FileRecord

BLOCK_IMAGES = 16
BLOCK_BYTES = 64 * 2**20
RECORDS = "commits"
_METADATA = "zarr.json"


@dataclass(frozen=True)
class ArraySpec:
    """One array of a layer: shape and dtype of a row, and the part of a row that is read at once (all of it)."""

    name: str
    row: tuple[int, ...]
    dtype: str
    chunk: tuple[int, ...] | None = None


def block_size(size: tuple[int, int], pixel_bytes: int, variants: int) -> int:
    """Return how many images make a block: 16, or less where they are large."""
    per_image = size[0] * size[1] * (2 * pixel_bytes + 2 * variants + 2)
    return max(1, min(BLOCK_IMAGES, BLOCK_BYTES // per_image))


def block_rows(block: int, size: int, n_rows: int) -> range:
    """Return the rows of a block."""
    return range(block * size, min((block + 1) * size, n_rows))


class FeatureCache:
    """Layers of a cache folder.

    A chunk that is missing reads as zeros without an error, so a block counts only with its commit record; chunk
    data carry a checksum, so a flipped bit is an error and never a pixel.

    In an object store Zarr only reads: blocks are written here, byte for byte as on a disk, and sent whole.

    Parameters
    ----------
    root : Path
        Folder of the cache.
    kept_bytes : int
        Memory for rows that were read last; layers are named by their content, so that a row never changes.
    """

    def __init__(self, root: Path, *, kept_bytes: int = 0) -> None:
        self.root = root
        self._records = CommitRecords(root / RECORDS, root, BlockRecord, CacheError)
        self._open: dict[tuple[str, str], Any] = {}
        self._kept: OrderedDict[tuple[str | int, ...], npt.NDArray[Any]] = OrderedDict()
        self._kept_bytes = self._room = kept_bytes

    def create(self, layer: str, arrays: list[ArraySpec], *, n_rows: int, block: int) -> None:
        """Describe the arrays of a layer unless that is done already; nothing is filled.

        A description that is not as it would be written now decides wrongly how chunks are read, and is replaced.
        """
        with _scratch() as scratch:
            group = zarr.open_group(str(scratch / f"{layer}.zarr"), mode="w", zarr_format=3)
            for spec in arrays:
                group.create_array(
                    spec.name,
                    shape=(n_rows, *spec.row),
                    chunks=(1, *(spec.chunk or spec.row)),
                    shards=(block, *spec.row),
                    dtype=spec.dtype,
                    compressors=ZstdCodec(level=1, checksum=True),
                    fill_value=0,
                )
            for path in sorted(scratch.rglob(_METADATA)):
                atomic_files.write_whole(self.root / path.relative_to(scratch).as_posix(), path.read_bytes())

    def write_block(
        self, layer: str, block: int, rows: range, values: Mapping[str, npt.NDArray[Any]]
    ) -> tuple[FileRecord, ...]:
        """Write one block of every array of a layer and return its files, synced to disk."""
        if is_remote(self.root):
            return self._send_block(layer, block, rows, values)
        files = []
        for name, value in values.items():
            array = self._array(layer, name)
            key = array.metadata.encode_chunk_key((block, *([0] * (array.ndim - 1))))
            path = self._layer_path(layer) / name / key
            # Zarr reads the index of a file that it is about to replace, and fails where that is damaged.
            path.unlink(missing_ok=True)
            with atomic_files.naming(path):
                array[rows.start : rows.stop] = value
                atomic_files.sync(path)
                atomic_files.sync(path.parent)
            files.append(atomic_files.file_record(path, self.root))
        return tuple(files)

    def _send_block(
        self, layer: str, block: int, rows: range, values: Mapping[str, npt.NDArray[Any]]
    ) -> tuple[FileRecord, ...]:
        with _scratch() as scratch:
            for name in values:
                metadata = self._layer_path(layer) / name / _METADATA
                try:
                    content = metadata.read_bytes()
                except FileNotFoundError:
                    raise self._has_no_array(layer, name) from None
                atomic_files.write_whole(scratch / metadata.relative_to(self.root), content)
            files = FeatureCache(scratch).write_block(layer, block, rows, values)
            for file in files:
                atomic_files.publish(scratch / file.path, self.root / file.path)
        return tuple(atomic_files.file_record(self.root / file.path, self.root) for file in files)

    def read(self, layer: str, name: str, row: int, *index: int) -> npt.NDArray[Any]:
        """Return one row of an array, or the part of it that `index` names; do not write to it.

        Raises
        ------
        CacheError
            If the data are damaged.
        """
        key: tuple[str | int, ...] = (layer, name, row, *index)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        values = self._read(layer, name, (row, *index))
        self._keep(key, values)
        return values

    def _read(self, layer: str, name: str, index: tuple[int, ...]) -> npt.NDArray[Any]:
        array = self._array(layer, name)
        try:
            if is_remote(self.root):
                return object_stores.patiently(lambda: np.asarray(array[index]), str(self._layer_path(layer)))
            return np.asarray(array[index])
        except (ValueError, RuntimeError, OSError) as error:
            raise CacheError(
                f"{self._layer_path(layer)} array {name} row {index[0]} is damaged ({error}); "
                "run the same command again, it rebuilds what does not match its record"
            ) from None

    def _keep(self, key: tuple[str | int, ...], values: npt.NDArray[Any]) -> None:
        if values.nbytes > self._kept_bytes:
            return
        self._kept[key] = values
        self._room -= values.nbytes
        while self._room < 0:
            _, oldest = self._kept.popitem(last=False)
            self._room += oldest.nbytes

    def records(self, layer: str) -> dict[int, BlockRecord]:
        """Return the finished blocks of a layer whose files match their record; others are forgotten."""
        return {record.block: record for record in self._records.sound(layer)}

    def check_whole(self, layer: str, n_blocks: int) -> None:
        """Refuse a layer of which blocks are missing or damaged, where they cannot be made again.

        Raises
        ------
        CacheError
            With the way out.
        """
        n_missing = n_blocks - len(self.records(layer))
        if n_missing:
            raise CacheError(
                f"{self._layer_path(layer)}: {n_missing} of {n_blocks} blocks are missing or do not match their "
                "record; run prepare again, it makes them anew"
            )

    def commit(self, record: BlockRecord) -> None:
        """Write the record that makes a block count; the driver alone calls this, after checking the files.

        Raises
        ------
        CacheError
            If a file does not match.
        """
        self._records.commit(record)

    def _store(self, layer: str) -> Any:
        path = self._layer_path(layer)
        if is_remote(path):
            return FsspecStore(
                object_stores.filesystem(path.protocol, asynchronous=True), read_only=True, path=path.key
            )
        return str(path)

    def _layer_path(self, layer: str) -> Path:
        return self.root / f"{layer}.zarr"

    def _array(self, layer: str, name: str) -> Any:
        if (layer, name) not in self._open:
            try:
                found = self._opened(layer, name)
            except FileNotFoundError:
                raise self._has_no_array(layer, name) from None
            # A block of zeros is written like any other, so that "missing" never means "zero". The setting is not
            # stored with the array, and `zarr.open_array` ignores it where the array is there.
            self._open[layer, name] = found.with_config({"write_empty_chunks": True})
        return self._open[layer, name]

    def _opened(self, layer: str, name: str) -> Any:
        if is_remote(self.root):
            return object_stores.patiently(
                lambda: zarr.open_array(self._store(layer), path=name, mode="r"), str(self._layer_path(layer))
            )
        return zarr.open_array(self._store(layer), path=name, mode="r+")

    def _has_no_array(self, layer: str, name: str) -> CacheError:
        return CacheError(f"{self._layer_path(layer)} has no array {name}; run prepare again")


@contextmanager
def _scratch() -> Iterator[Path]:
    """Give a local folder in which a layer can be written before it is sent."""
    with tempfile.TemporaryDirectory(dir=upload_folder.folder()) as folder:
        yield Path(folder)
