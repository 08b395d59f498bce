"""Files that hold arrays (npy, npz, HDF5): what is in them by their headers, and one array read within bounds.

Nothing is unpickled, and no array is followed out of its file: links, external storage and virtual datasets of HDF5
are refused.
"""

import io
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.decoders.codecs.pointers import refuse_pointer
from hsmix_gen.pipeline.decoders.refusal_errors import first_bytes, refusing
from hsmix_gen.pipeline.execution.human_units import first_of
from hsmix_gen.schemas.errors import SourceError

ENDINGS = (".npz", ".npy", ".h5", ".hdf5")
"""Lower-case ends of names; TransUNet's ``.npy.h5`` is an ``.h5``."""

_SIGNATURES = {"npy": b"\x93NUMPY", "npz": b"PK", "h5": b"\x89HDF\r\n\x1a\n"}
_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_MAX_LISTED = 10_000
_MAX_HEADER = 1 << 16
# Of a member's own header: where the lengths of its last two parts, name and extra field, stand.
_ZIP_LENGTHS = 26
_KEPT_HEADERS = 64
# A zip member makes a new object of each read; beyond this size that is fresh memory, which takes twice the time.
_PIECE_BYTES = 1 << 18
# Each read of a part of a dataset costs HDF5 a tenth of a millisecond; larger parts leave the processor's cache.
_H5_PIECE_BYTES = 1 << 22
_MAX_NAMES_SHOWN = 12


@dataclass(frozen=True)
class ArrayForm:
    """Name, shape, type and order of an array as its header states; the name is empty in npy files."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool = False


@dataclass(frozen=True)
class OpenArray:
    """An array that is found but not read."""

    form: ArrayForm
    step: int
    """Values that are decompressed at once (a chunk of HDF5 may be larger than its array); 0 where nothing is."""
    read: Callable[[], npt.NDArray[Any]]
    """Returns the whole array."""
    pieces: Callable[[], Iterator[tuple[slice, npt.NDArray[Any]]]] | None = None
    """Yields slices of the first axis, in order, and the values there; the next piece takes the place of the last. None
    where only the whole is read."""
    row: Callable[[int], npt.NDArray[Any]] | None = None
    """Returns the values at one place of the first axis without reading others. None where that cannot be."""


def list_arrays(path: Path) -> tuple[ArrayForm, ...]:
    """Return the arrays of a file in the order of their names, from headers only.

    Raises
    ------
    SourceError
        If it is damaged or of another kind; the text begins with the path.
    """
    with refusing(path):
        refuse_pointer(str(path))
        kind = _kind_of(path)
        if kind == "npy":
            with path.open("rb") as file:
                return (_read_header(file, ""),)
        if kind == "npz":
            with zipfile.ZipFile(path) as packed:
                forms = []
                for name in _member_names(packed):
                    with packed.open(f"{name}.npy") as member:
                        forms.append(_read_header(member, name))
                return tuple(forms)
        with _open_h5(path) as file:
            return tuple(_h5_form(_h5_dataset(file, name)) for name in _h5_names(file))


@contextmanager
def open_array(path: Path, name: str, option: str) -> Iterator[OpenArray]:
    """Find one array of a file; use it within ``refusing``.

    Parameters
    ----------
    path : Path
    name : str
        Member of an npz, path of a dataset; empty: the only array there is. An npy has no names.
    option : str
        Option that names the array, for the message where it is missing.
    """
    kind = _kind_of(path)
    if kind == "npy":
        with path.open("rb") as file:
            form = _read_header(file, "")
            _check_length(form, path.stat().st_size - file.tell(), exact=False)
            row = None if form.fortran else partial(_read_row, file, file.tell(), form)
            yield OpenArray(form, 0, lambda: _read_values(file, form), row=row)
    elif kind == "npz":
        with path.open("rb") as file, zipfile.ZipFile(file) as packed:
            name = _chosen(name, _member_names(packed), option)
            info = packed.getinfo(f"{name}.npy")
            with packed.open(info) as member:
                form = _read_header(member, name)
                start = member.tell()
                _check_length(form, info.file_size - start, exact=True)
                if info.compress_type == zipfile.ZIP_STORED:
                    yield OpenArray(form, 0, lambda: _read_stored(file, info, start, form))
                else:
                    yield OpenArray(form, 0, lambda: _read_values(member, form))
    else:
        with _open_h5(path) as file:
            dataset = _h5_dataset(file, name.strip("/") or _chosen("", _h5_names(file), option), option)
            _check_filters(dataset)
            pieces = partial(_h5_pieces, dataset) if dataset.shape else None
            # A chunk is decompressed as a whole.
            row = dataset.__getitem__ if not dataset.chunks or dataset.chunks[0] == 1 else None
            yield OpenArray(_h5_form(dataset), math.prod(dataset.chunks or (0,)), lambda: dataset[()], pieces, row)


def _kind_of(path: Path) -> str:
    start = first_bytes(path, 8)
    for kind, signature in _SIGNATURES.items():
        if start.startswith(signature):
            return kind
    # HDF5 may begin later in the file, behind a block of the user's.
    if h5py.is_hdf5(path):
        return "h5"
    raise SourceError("is no npy, npz or HDF5 file; copy it again or check its ending")


def _chosen(name: str, names: list[str], option: str) -> str:
    if not name and len(names) == 1:
        return names[0]
    if name in names:
        return name
    if not names:
        raise SourceError("holds no arrays; save it again")
    shown = first_of(names, _MAX_NAMES_SHOWN, more=" ...")
    lacks = f"has no array {name}, got {shown}" if name else f"has several arrays: {shown}"
    raise SourceError(f"{lacks}; name the right one with {option}")


# -- npy and npz


def _read_header(stream: IO[bytes], name: str) -> ArrayForm:
    version = np.lib.format.read_magic(stream)
    if version not in _HEADER_READERS:
        raise SourceError(f"has an npy header of version {version[0]}.{version[1]}, expected 1.0 or 2.0; save it again")
    width = 2 if version == (1, 0) else 4
    length = stream.read(width)
    n_bytes = int.from_bytes(length, "little")
    if n_bytes > _MAX_HEADER:
        raise SourceError(f"has an npy header of {n_bytes} bytes, expected at most {_MAX_HEADER}; save it again")
    shape, fortran, dtype = _parsed(version, length + stream.read(n_bytes))
    return ArrayForm(name, shape, dtype, fortran)


@lru_cache(maxsize=_KEPT_HEADERS)
def _parsed(version: tuple[int, int], header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type; files of one set have few different headers, and numpy is slow to parse them."""
    # Files of Python 2 make numpy warn; they are read none the less.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return _HEADER_READERS[version](io.BytesIO(header))


def _check_length(form: ArrayForm, stored: int, *, exact: bool) -> None:
    """Compare the bytes that lie behind a header with those it announces; a zip may claim any size."""
    if form.dtype.hasobject:
        return
    announced = math.prod(form.shape) * form.dtype.itemsize
    if stored < announced or (exact and stored != announced):
        raise SourceError(f"is damaged: {stored} bytes where its header announces {announced}; copy it again")


def _read_values(stream: IO[bytes], form: ArrayForm) -> npt.NDArray[Any]:
    shape = form.shape
    values = np.empty(math.prod(shape), form.dtype)
    left = values.view(np.uint8)
    piece = _PIECE_BYTES if isinstance(stream, zipfile.ZipExtFile) else values.nbytes
    while left.size:
        size = stream.readinto(left[:piece])  # type: ignore[attr-defined]
        if not size:
            raise SourceError("is damaged: its data end early; copy it again")
        left = left[size:]
    return values.reshape(shape[::-1]).T if form.fortran else values.reshape(shape)


def _read_row(file: IO[bytes], start: int, form: ArrayForm, number: int) -> npt.NDArray[Any]:
    """Return the values at one place of the first axis of an array in C order whose values begin at `start`."""
    row = replace(form, shape=form.shape[1:])
    file.seek(start + number * math.prod(row.shape) * row.dtype.itemsize)
    return _read_values(file, row)


def _read_stored(file: IO[bytes], info: zipfile.ZipInfo, start: int, form: ArrayForm) -> npt.NDArray[Any]:
    """Return the values of a member that is not compressed, `start` bytes into it, without the copies of zipfile."""
    file.seek(info.header_offset + _ZIP_LENGTHS)
    file.seek(sum(struct.unpack("<HH", file.read(4))), io.SEEK_CUR)
    checksum = zlib.crc32(file.read(start))
    values = _read_values(file, form)
    stored = values.T if form.fortran else values
    if zlib.crc32(stored.data, checksum) != info.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {info.filename!r}")
    return values


def _member_names(packed: zipfile.ZipFile) -> list[str]:
    names = {name.removesuffix(".npy") for name in packed.namelist() if name.endswith(".npy")}
    return sorted(names)[:_MAX_LISTED]


# -- HDF5


def _open_h5(path: Path) -> h5py.File:
    # Locks fail on some network mounts, and a reader needs none.
    return h5py.File(path, "r", locking=False)


def _h5_names(file: h5py.File) -> list[str]:
    """Return the names of all datasets that hard links lead to; HDF5 visits each once, also in loops."""
    names: list[str] = []

    def visit(name: str, node: h5py.Group | h5py.Dataset) -> bool | None:
        if isinstance(node, h5py.Dataset):
            names.append(name)
        return True if len(names) >= _MAX_LISTED else None

    external = file.visititems_links(lambda name, link: name if isinstance(link, h5py.ExternalLink) else None)
    if external is not None:
        raise SourceError(_leaves_file(external))
    file.visititems(visit)
    return sorted(names)


def _h5_dataset(file: h5py.File, name: str, option: str = "") -> h5py.Dataset:
    node: Any = file
    for part in name.split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            _chosen(name, _h5_names(file), option)
        if not isinstance(link, h5py.HardLink):
            raise SourceError(_leaves_file(name))
        node = node[part]
    if not isinstance(node, h5py.Dataset):
        _chosen(name, _h5_names(file), option)
    # Asked before anything else: the shape of a virtual dataset may be looked up in other files.
    if node.is_virtual or node.external:
        raise SourceError(_leaves_file(name))
    return node


def _leaves_file(name: str) -> str:
    return f"has {name} as a link or in another file, which is not followed; copy the values into this file"


def _h5_pieces(dataset: h5py.Dataset) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
    """Yield the values in pieces that stay in the processor's cache, of whole chunks, none of which is read twice."""
    count, *sides = dataset.shape
    chunk = dataset.chunks[0] if dataset.chunks else 1
    step = chunk * max(1, _H5_PIECE_BYTES // max(1, chunk * math.prod(sides) * dataset.dtype.itemsize))
    buffer = np.empty((min(step, count), *sides), dataset.dtype)
    for start in range(0, count, step):
        rows = slice(start, min(start + step, count))
        values = buffer[: rows.stop - start]
        dataset.read_direct(values, rows)
        yield rows, values


def _h5_form(dataset: h5py.Dataset) -> ArrayForm:
    # An empty dataset (a null space) has no shape.
    return ArrayForm(str(dataset.name).strip("/"), dataset.shape or (), dataset.dtype)


def _check_filters(dataset: h5py.Dataset) -> None:
    settings = dataset.id.get_create_plist()
    for index in range(settings.get_nfilters()):
        code, _, _, label = settings.get_filter(index)
        if not h5py.h5z.filter_avail(code):
            known = label.decode("ascii", "replace") or "unnamed"
            raise SourceError(f"is compressed by filter {code} ({known}), which is not installed; repack it with gzip")
