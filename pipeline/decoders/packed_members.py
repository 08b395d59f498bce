"""Pictures and masks that lie in a member of a tar file or in a row of a Parquet file; nothing is unpacked to disk.

It decodes the formats ``member`` and, of coloured masks, ``colourmember`` of ``schemas.records.Content``. The key is
the name of a member in a tar file, and ``ROW;COLUMN`` in a Parquet file (rows from 0). What is packed is a picture file
or an npy array.
"""

import io
import math
import os
import tarfile
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as Pillow

from hsmix_gen.pipeline.decoders.pictures import PictureStack, colours_of, mask_of, mask_of_file
from hsmix_gen.pipeline.decoders.refusal_errors import refusing
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions, Stack, check_plane, labels_of
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content
from hsmix_gen.stages.labels.grey_bands import colour_numbers

COLOURED = "colourmember"
_KEPT_TARS = 64
_KEPT_PARQUETS = 4
_KEPT_COLUMNS = 2
"""The images and the masks of one row group."""
_MAX_COLUMN_BYTES = 4 << 30
_BYTES_PER_PIXEL = 16
"""No picture or array file that is meant for us takes more."""
_BLOCK = tarfile.BLOCKSIZE
_NUMPY = b"\x93NUMPY"
_COMPRESSED = {b"\x1f\x8b": "gunzip", b"\xfd7zXZ": "unxz", b"BZh": "bunzip2", b"\x28\xb5\x2f\xfd": "unzstd"}
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class TarIndex:
    """Where the members of a tar file lie."""

    members: Mapping[str, tuple[int, int]]
    """First byte and size of each regular file by name."""
    twice: frozenset[str] = frozenset()
    """Names that occur more than once."""
    strange: tuple[str, ...] = ()
    """Members that are neither regular files nor folders: links, devices, sparse files."""
    problem: str = ""
    """Why the file could not be read to its end; empty if it could."""


def read_tar_index(path: str) -> TarIndex:
    """Return the index of a tar file; it is kept for the process until the file changes.

    Raises
    ------
    SourceError
        If the file is no plain tar file; the text begins with its path.
    """
    with refusing(path):
        return _tar_index(path, *_state(path))


def open_image(content: Content, how: ReadOptions) -> Stack:
    """Open a packed image: a picture file, or an (H, W, C) or (H, W) array.

    Raises
    ------
    SourceError
        If it cannot be decoded; the text begins with the path of the file it is packed in.
    """
    with refusing(content.uri):
        data = _packed(content, how)
        if not data.startswith(_NUMPY):
            return PictureStack(data, content.uri, how)
        values = _array(data, how)
        values = values if values.ndim == 3 else values[..., None]
        return ArrayStack(values[None], is_picture=values.dtype in (np.uint8, np.uint16))


def open_mask(content: Content, image: Stack, how: ReadOptions) -> Stack:  # noqa: ARG001 - part of the interface
    """Open a packed mask: a picture file, an (H, W) or (H, W, 1) array of whole numbers, or either with colours.

    Raises
    ------
    SourceError
        If it cannot be decoded; the text begins with the path of the file it is packed in.
    """
    with refusing(content.uri):
        data, is_coloured = _packed(content, how), content.format == COLOURED
        if not data.startswith(_NUMPY):
            return colours_of(data, content.uri, how) if is_coloured else mask_of(data, content.uri, how)
        values = _array(data, how)
        if is_coloured:
            return mask_of_file(_colours(values), data)
        if values.ndim == 3 and values.shape[2] != 1:
            raise SourceError(
                f"has the shape {values.shape}, expected one number a pixel; save class ids as (H, W), "
                "or name its colours with --colours"
            )
        return mask_of_file(labels_of(values.reshape(values.shape[:2]), content.uri, how), data)


def has_colours(content: Content, how: ReadOptions) -> bool:
    """Return whether a packed mask has a palette or more than one channel; false where it cannot be read."""
    try:
        data = _packed(content, how)
        if data.startswith(_NUMPY):
            values = _array(data, how)
            return values.ndim == 3 and values.shape[2] > 1
        with Pillow.open(io.BytesIO(data)) as opened:
            return opened.mode in ("RGB", "RGBA", "P")
    except Exception:  # what is damaged is refused when it is read
        return False


def _packed(content: Content, how: ReadOptions) -> bytes:
    (path,) = content.paths
    if path.lower().endswith(".parquet"):
        row, _, column = content.key.partition(";")
        data = _cell(path, int(row), column)
    else:
        data = _member(path, content.key, _BYTES_PER_PIXEL * how.max_pixels)
    if not data:
        raise SourceError("is empty (0 bytes); pack it again")
    return data


def _state(path: str) -> tuple[int, int]:
    state = Path(path).stat()
    return state.st_mtime_ns, state.st_size


def _member(path: str, name: str, most: int) -> bytes:
    place = read_tar_index(path).members.get(name)
    if place is None:
        raise SourceError("is not in the file; read the source again")
    start, size = place
    if size > most:
        raise SourceError(
            f"has {size} bytes, more than source.max_pixels = {most // _BYTES_PER_PIXEL} pixels can take; "
            "raise it if the file is genuine"
        )
    with Path(path).open("rb") as file:
        file.seek(start)
        return file.read(size)


@lru_cache(maxsize=_KEPT_TARS)
def _tar_index(path: str, changed_ns: int, size: int) -> TarIndex:  # noqa: ARG001 - a changed file is another key
    members: dict[str, tuple[int, int]] = {}
    twice: set[str] = set()
    strange: list[str] = []
    with Path(path).open("rb") as file:
        head = file.read(_BLOCK)
        file.seek(0)
        for magic, command in _COMPRESSED.items():
            if head.startswith(magic):
                raise SourceError(f"is compressed, and no member of it can be found; unpack it: {command} {path}")
        with tarfile.open(fileobj=file, mode="r:") as tar:
            # A file that is cut short still gives the members before the cut; the reader reports the rest.
            with suppress(Exception):
                for info in _infos(tar, size):
                    if info.name in members:
                        twice.add(info.name)
                    if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not info.issparse():
                        members[info.name] = (info.offset_data, info.size)
                    elif not info.isdir():
                        strange.append(info.name)
            problem = _end_problem(file, tar.offset)
    return TarIndex(members, frozenset(twice), tuple(strange), problem)


def _infos(tar: tarfile.TarFile, size: int) -> Iterator[tarfile.TarInfo]:
    """Yield the members that lie in the file as a whole."""
    before = -1
    while (info := tar.next()) is not None:
        # A negative size would send tarfile back over what it has read.
        if info.size < 0 or tar.offset <= before or info.offset_data + info.size > size:
            tar.offset = size
            return
        before = tar.offset
        # tarfile keeps every header for a later look-up by name.
        tar.members.clear()  # type: ignore[attr-defined]
        yield info


def _end_problem(file: io.BufferedReader, end: int) -> str:
    """Return what is wrong where reading stopped: there has to be a block of zeros."""
    file.seek(0, os.SEEK_END)
    if 0 <= end <= file.tell() - _BLOCK:
        file.seek(end)
        if not any(file.read(_BLOCK)):
            return ""
    return f"is damaged or ends early at byte {min(max(end, 0), file.tell())}; copy it again"


def _cell(path: str, row: int, column: str) -> bytes:
    with refusing(path):
        changed_ns, size = _state(path)
        _, starts = _parquet(path, changed_ns, size)
        group = bisect_right(starts, row) - 1
        if not 0 <= group < len(starts) - 1:
            raise SourceError(f"has {starts[-1]} rows, row {row} is not there; read the source again")
        value = _column(path, changed_ns, size, group, column)[row - starts[group]].as_py()
    if isinstance(value, dict):
        value = value["bytes"]
    if value is None:
        raise SourceError("is empty; if its pictures lie in files, put them into the table or give a list of paths")
    return bytes(value)


@lru_cache(maxsize=_KEPT_PARQUETS)
def _parquet(path: str, changed_ns: int, size: int) -> tuple[pq.ParquetFile, tuple[int, ...]]:  # noqa: ARG001
    """Return an open file, and the first row of each row group, then the number of rows."""
    file = pq.ParquetFile(path)
    rows = (file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups))
    return file, tuple(accumulate(rows, initial=0))


@lru_cache(maxsize=_KEPT_COLUMNS)
def _column(path: str, changed_ns: int, size: int, group: int, column: str) -> pa.ChunkedArray:
    file, _ = _parquet(path, changed_ns, size)
    is_struct = pa.types.is_struct(file.schema_arrow.field(column).type)
    leaf = f"{column}.bytes" if is_struct else column
    form = file.metadata.row_group(group)
    chunks = [form.column(i) for i in range(form.num_columns) if form.column(i).path_in_schema == leaf]
    if sum(chunk.total_uncompressed_size for chunk in chunks) > _MAX_COLUMN_BYTES:
        raise SourceError(f"has a row group of more than {_MAX_COLUMN_BYTES >> 30} GiB; write row groups of 100 rows")
    return file.read_row_group(group, columns=[leaf], use_threads=False).column(column)


def _array(data: bytes, how: ReadOptions) -> npt.NDArray[Any]:
    """Return an npy file as (H, W) or (H, W, C); its header is checked before anything is taken from it."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise SourceError(
            f"is an npy file of version {version[0]}.{version[1]}, expected 1.0 or 2.0; save numbers only"
        )
    shape, fortran_order, dtype = _HEADERS[version](file)
    if dtype.kind not in "buif":
        raise SourceError(f"holds {dtype}, expected numbers, as Python objects are never unpickled; save it as numbers")
    if len(shape) not in (2, 3) or 0 in shape:
        raise SourceError(f"has the shape {shape}, expected (H, W, C) or (H, W); save it so")
    check_plane(shape[1], shape[0], how.max_pixels)
    count = math.prod(shape)
    if len(data) - file.tell() != count * dtype.itemsize:
        raise SourceError(
            f"is damaged: {len(data) - file.tell()} bytes of numbers, not {count * dtype.itemsize}; pack it again"
        )
    values = np.frombuffer(data, dtype, count, file.tell()).reshape(shape, order="F" if fortran_order else "C")
    wanted = np.float32 if dtype == np.float16 else dtype.newbyteorder("=")
    return values.astype(wanted, copy=False)


def _colours(values: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    image = values if values.ndim == 3 else values[..., None]
    if image.dtype != np.uint8 or image.shape[2] not in (1, 3, 4):
        raise SourceError(
            f"has colours as {values.shape} {values.dtype}, expected (H, W, 3) uint8; save them so, "
            "or leave --colours away where these are class ids"
        )
    return colour_numbers(image)
