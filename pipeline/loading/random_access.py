"""Any sample of published files by shard and number, still encoded; made for loaders, safe to fork and to pickle."""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hsmix_gen.pipeline.dataset.folder_format import folder_files
from hsmix_gen.pipeline.dataset.output_folder import MANIFEST
from hsmix_gen.pipeline.files.tables import read_manifest
from hsmix_gen.schemas.digests import canonical_json
from hsmix_gen.schemas.errors import OutputError

Members = dict[str, bytes]
_TAR_BLOCK = 512
_TAR_SUM = slice(148, 156)
_MAX_REASON = 160
_WAY_OUT = "copy the file again, or run the command again that made the dataset"


class SampleFiles(Protocol):
    """The samples of a split in one format."""

    def file(self, shard: int, index: int, part: str = "image") -> Path:
        """Return where a part of a sample lies."""
        ...

    def read(self, shard: int, index: int) -> Members:
        """Return the members of a sample by name."""
        ...

    def keep(self, count: int) -> None:
        """Expect that `count` neighbours are asked for in any order."""
        ...


class TarFiles:
    """WebDataset shards. Members of a sample lie together, so that one read fetches them."""

    def __init__(
        self, root: Path, files: Sequence[Path], keys: Sequence[Sequence[str]], described: Mapping[str, Any]
    ) -> None:
        del root, described
        self._files, self._keys = files, keys

    def file(self, shard: int, index: int, part: str = "image") -> Path:  # noqa: ARG002 - all in one
        """Return the shard."""
        return self._files[shard]

    def read(self, shard: int, index: int) -> Members:
        """Return the members of a sample by name."""
        path, key = self._files[shard], self._keys[shard][index]
        with telling_of(path, key):
            places = _tar_index(path).get(key)
            if places is None:
                raise OutputError("is not in it")
            first = min(offset for offset, _ in places.values())
            last = max(offset + size for offset, size in places.values())
            with path.open("rb", buffering=0) as file:
                file.seek(first)
                block = file.read(last - first)
            if len(block) < last - first:
                raise OutputError(f"is cut off: it ends at byte {last}, the file at {first + len(block)}")
        return {name: block[at - first : at - first + size] for name, (at, size) in places.items()}

    def keep(self, count: int) -> None:
        """Do nothing: every sample is read alone."""


class ParquetFiles:
    """Parquet shards. Row groups that were read last are kept, as many as `keep` asks for."""

    def __init__(
        self, root: Path, files: Sequence[Path], keys: Sequence[Sequence[str]], described: Mapping[str, Any]
    ) -> None:
        del root
        self._files, self._keys = files, keys
        stored = described["soft"]
        self._soft_member = {"npy": "soft.npy"}.get(stored.get("parquet", "npy"), stored.get("member", "soft.npz"))
        self._groups: OrderedDict[tuple[int, int], _RowGroup] = OrderedDict()
        self._count = 1

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_groups": OrderedDict()}

    def file(self, shard: int, index: int, part: str = "image") -> Path:  # noqa: ARG002 - all in one
        """Return the shard."""
        return self._files[shard]

    def read(self, shard: int, index: int) -> Members:
        """Return the members of a sample by name."""
        path, key = self._files[shard], self._keys[shard][index]
        with telling_of(path, key):
            return self._row(shard, index, key)

    def _row(self, shard: int, index: int, key: str) -> Members:
        ends = _row_group_ends(self._files[shard])
        number = int(np.searchsorted(ends, index, side="right"))
        if number == len(ends):
            raise OutputError(f"is row {index} of a file that has {ends[-1] if number else 0}")
        group = self._groups.get((shard, number))
        if group is None:
            group = self._groups[shard, number] = _RowGroup(self._files[shard], number, self._soft_member)
        self._groups.move_to_end((shard, number))
        # Neighbours lie in whole groups and in parts of one before and one after.
        while sum(map(len, self._groups.values())) - 2 * len(group) >= self._count:
            self._groups.popitem(last=False)
        return group.members(index - int(ends[number]) + len(group), key)

    def keep(self, count: int) -> None:
        """Keep groups for `count` neighbours in any order."""
        self._count = count


class _RowGroup:
    """Rows in memory: what is encoded as Arrow buffers, the rest as JSON."""

    def __init__(self, path: Path, number: int, soft_member: str) -> None:
        with pq.ParquetFile(path, memory_map=True) as file:
            table = file.read_row_group(number, use_threads=False).combine_chunks()
        self._encoded = {soft_member: _column(table, "soft"), "mask.png": _column(table, "mask").field("bytes")}
        image = _column(table, "image")
        is_npy = pa.types.is_binary(image.type)
        self._encoded["image.npy" if is_npy else "image.png"] = image if is_npy else image.field("bytes")
        rows = table.drop_columns(["image", "mask", "soft"]).to_pylist()
        self._keys = [row["key"] for row in rows]
        self._rows = [canonical_json(row).encode() for row in rows]

    def __len__(self) -> int:
        return len(self._rows)

    def members(self, row: int, key: str) -> Members:
        if self._keys[row] != key:
            raise OutputError(f"is expected in a row that holds {self._keys[row]}")
        encoded = {name: column[row].as_py() for name, column in self._encoded.items()}
        missing = next((name for name, data in encoded.items() if data is None), None)
        if missing:
            raise OutputError(f"has a null where its {missing} belongs")
        return {**encoded, "json": self._rows[row]}


class FolderFiles:
    """Files of their own for image, mask and soft label; where they come from stands in the manifest."""

    def __init__(
        self, root: Path, files: Sequence[Path], keys: Sequence[Sequence[str]], described: Mapping[str, Any]
    ) -> None:
        del files
        self._root, self._keys, self._members = root, keys, described["members"]
        wanted = {key for shard in keys for key in shard}
        rows = (row for row in read_manifest(root / MANIFEST) if row.key in wanted)
        self._provenance = {row.key: canonical_json(row.provenance()).encode() for row in rows}

    def file(self, shard: int, index: int, part: str = "image") -> Path:
        """Return the file of a part."""
        paths = folder_files(self._keys[shard][index], self._members)
        names = {"soft": ("soft", "pair")}.get(part, (part,))
        return self._root / next(path for name, path in paths.items() if name.partition(".")[0] in names)

    def read(self, shard: int, index: int) -> Members:
        """Return the members of a sample by name."""
        key = self._keys[shard][index]
        members = {"json": self._provenance[key]}
        for name, path in folder_files(key, self._members).items():
            with telling_of(self._root / path, key):
                members[name] = (self._root / path).read_bytes()
        return members

    def keep(self, count: int) -> None:
        """Do nothing: every sample is read alone."""


Reader = Callable[[Path, Sequence[Path], Sequence[Sequence[str]], Mapping[str, Any]], SampleFiles]
READERS: dict[str, Reader] = {"webdataset": TarFiles, "parquet": ParquetFiles, "folder": FolderFiles}
"""Format -> reader, made from the root, its shards, the keys of each, and ``dataset.json``."""


@lru_cache(maxsize=10_000)
def _tar_index(path: Path) -> dict[str, dict[str, tuple[int, int]]]:
    """Return offset and size of the members of each sample.

    Ours are plain USTAR files. ``tarfile`` would take as long for this as decoding a tenth of the samples.
    """
    found: dict[str, dict[str, tuple[int, int]]] = {}
    with path.open("rb", buffering=0) as file:
        while (header := file.read(_TAR_BLOCK)).rstrip(b"\0"):
            if len(header) < _TAR_BLOCK:
                break  # the samples before it are whole
            if sum(header) - sum(header[_TAR_SUM]) + 8 * ord(" ") != _octal(header[_TAR_SUM]):
                raise OutputError(f"cannot be found: byte {file.tell() - _TAR_BLOCK} of the file begins no tar header")
            prefix, name = (header[begin:end].partition(b"\0")[0].decode() for begin, end in ((345, 500), (0, 100)))
            key, _, member = (f"{prefix}/{name}" if prefix else name).partition(".")
            size = _octal(header[124:136])
            found.setdefault(key, {})[member] = (file.tell(), size)
            file.seek(-(-size // _TAR_BLOCK) * _TAR_BLOCK, os.SEEK_CUR)
    return found


@lru_cache(maxsize=10_000)
def _row_group_ends(path: Path) -> npt.NDArray[np.int64]:
    """Return the number of the first row after each row group."""
    with pq.ParquetFile(path) as file:
        counts = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    return np.cumsum(counts, dtype=np.int64)


def _octal(digits: bytes) -> int:
    """Return a number of a tar header; -1 where there is none."""
    text = digits.rstrip(b" \0")
    return int(text, 8) if text.isdigit() else -1


def _column(table: pa.Table, name: str) -> pa.Array:
    return table[name].chunk(0)


@contextmanager
def telling_of(file: Path, key: str, otherwise: str = "is damaged") -> Iterator[None]:
    """Turn whatever is raised for a sample into an ``OutputError`` of one line.

    Parameters
    ----------
    file : Path
        Where the sample lies.
    key : str
        Its key. An ``OutputError`` that is raised within goes on from it: ``is not in it``.
    otherwise : str
        How the line goes on where a library raised something.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise OutputError(f"{file}: sample {key} {_said(error, otherwise)}; {_WAY_OUT}") from None


def _said(error: Exception, otherwise: str) -> str:
    if isinstance(error, OutputError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    lines = str(error).strip().splitlines()
    reason = " ".join(lines[0][:_MAX_REASON].split()) if lines else ""
    return f"{otherwise} ({type(error).__name__}{reason and f': {reason}'})"
