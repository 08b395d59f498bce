"""Arrays as the bytes of PNG, npy and npz files that are equal for equal arrays, and back by the fastest ways."""

import io
import math
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import imagecodecs
import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.stages.kernels.compiled import has, native

ENCODING_VERSION = 4
"""Raised when equal samples become other bytes. 2: images by libdeflate. 3, 4: npz by libdeflate, then by zlib-ng."""
_ZIP_ENTRY = struct.Struct("<4s5H3I2H")
_ZIP_LISTED = struct.Struct("<4s4B4H3I5H2I")
_ZIP_END = struct.Struct("<4s4H2IH")
_ZLIB_HEAD, _ZLIB_TAIL = 2, 4
"""Bytes around a deflated stream that zip files do without."""
_ENTRY_MARK = b"PK\x03\x04"
_ZIP_VERSION = 20
_UNIX = 3
_OWNER_ONLY = 0o600 << 16
_FIRST_DAY = 0x21
"""1 January 1980, the day zero of zip files."""
_DEFLATED = 8
_SIZE_FOLLOWS = 0x08
_PNG_MARK = b"\x89PNG\r\n\x1a\n"
_PNG_UP = 2
_PNG_GREY, _PNG_INDEXED = 0, 3
_PNG_TYPE = 25
"""Where the colour type stands in a PNG file."""
_PNG_HEADER = slice(16, 29)
_PNG_BODY = 33
_PNG_COLOURS: dict[tuple[int, ...], int] = {(): 0, (3,): 2, (4,): 6}
_DEFLATE_MOST = 1032
"""Times a packed size that its content can have."""


def encode_png(picture: npt.NDArray[Any]) -> bytes:
    """Return an (H, W) uint8 or uint16, or (H, W, 3 or 4) uint8 picture as PNG, without any metadata.

    Lines are stored as differences to the line above and only repetitions are compressed: best for masks.
    """
    encoded = imagecodecs.png_encode(
        np.ascontiguousarray(picture), level=1, strategy=imagecodecs.PNG.STRATEGY.RLE, filter=imagecodecs.PNG.FILTER.UP
    )
    return bytes(encoded)


def encode_photograph(picture: npt.NDArray[Any]) -> bytes:
    """Return a picture as `encode_png` does, in half the time where neighbours differ: best for photographs.

    Lines are stored as differences to the line above, and libdeflate compresses them: on photographs for 1.03 of the
    bytes. Its bytes do not depend on the processor, as those of ISA-L do; masks would take twice as long.
    """
    height, width, *colours = picture.shape
    depth = 8 * picture.dtype.itemsize
    lines = np.empty((height, 1 + width * math.prod(colours) * picture.dtype.itemsize), np.uint8)
    if has("difference_lines") and picture.dtype == np.uint8:
        native.difference_lines(picture if picture.ndim == 3 else picture[..., None], lines)
    else:
        write_lines(picture, lines)
    header = struct.pack(">2I5B", width, height, depth, _PNG_COLOURS[tuple(colours)], 0, 0, 0)
    packed = bytes(imagecodecs.deflate_encode(cast(Any, lines.data), level=1))
    return b"".join([_PNG_MARK, *_chunk(b"IHDR", header), *_chunk(b"IDAT", packed), *_chunk(b"IEND", b"")])


def write_lines(picture: npt.NDArray[Any], lines: npt.NDArray[np.uint8]) -> None:
    """Write each row of a picture as a line of a PNG file: 2, then the differences to the row above."""
    rows = np.ascontiguousarray(picture, picture.dtype.newbyteorder(">")).view(np.uint8).reshape(len(lines), -1)
    lines[:, 0] = _PNG_UP
    lines[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])


def with_palette(png: bytes, colours: npt.NDArray[np.uint8]) -> bytes:
    """Return an 8-bit grey PNG file as one whose values are numbers of `colours`, (256, 3) uint8."""
    return b"".join([*_retyped(png, _PNG_INDEXED), *_chunk(b"PLTE", colours.tobytes()), png[_PNG_BODY:]])


def without_palette(png: bytes) -> bytes:
    """Return an 8-bit PNG file with a palette as a grey one of the same values; others as they are.

    Decoders give colours where there is a palette, and values where there is none.
    """
    if png[_PNG_TYPE : _PNG_TYPE + 1] != bytes([_PNG_INDEXED]):
        return png
    # Without its palette too, of which a decoder prints a line where a file is grey.
    begin = _PNG_BODY
    while png[begin + 4 : begin + 8] not in (b"PLTE", b"IDAT", b""):
        begin = _chunk_end(png, begin)
    end = _chunk_end(png, begin) if png[begin + 4 : begin + 8] == b"PLTE" else begin
    return b"".join([*_retyped(png, _PNG_GREY), png[_PNG_BODY:begin], png[end:]])


def encode_npy(array: npt.NDArray[Any]) -> bytes:
    """Return an array as the bytes of an npy file."""
    return _npy_header(array.shape, array.dtype) + array.tobytes()


def encode_npz(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return arrays as the bytes of an npz file, the same for equal arrays.

    Level 1 of zlib-ng takes a third of zlib's time, and zlib, by which ``numpy.load`` reads, inflates both as fast.
    What libdeflate makes is smaller, but its matches are so near that zlib takes up to ten times as long for them.
    """
    parts, listed, at = [], [], 0
    for name, array in arrays.items():
        data, entry = encode_npy(array), f"{name}.npy".encode()
        packed = bytes(imagecodecs.zlibng_encode(data, level=1))[_ZLIB_HEAD:-_ZLIB_TAIL]
        crc = imagecodecs.deflate_crc32(data)
        sizes = crc, len(packed), len(data), len(entry), 0
        parts += [_ZIP_ENTRY.pack(_ENTRY_MARK, _ZIP_VERSION, 0, _DEFLATED, 0, _FIRST_DAY, *sizes), entry, packed]
        made_by = _ZIP_VERSION, _UNIX, _ZIP_VERSION, 0
        where = 0, 0, 0, _OWNER_ONLY, at
        listed += [_ZIP_LISTED.pack(b"PK\x01\x02", *made_by, 0, _DEFLATED, 0, _FIRST_DAY, *sizes, *where), entry]
        at += _ZIP_ENTRY.size + len(entry) + len(packed)
    directory = b"".join(listed)
    end = _ZIP_END.pack(b"PK\x05\x06", 0, 0, len(arrays), len(arrays), len(directory), at, 0)
    return b"".join([*parts, directory, end])


def read_npz(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an npz file that was written in one go, as ours are; its checksums are compared.

    ``numpy.load`` opens it as an archive and inflates by zlib: five times slower with few classes, twenty with many.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    at = 0
    while data[at : at + 4] == _ENTRY_MARK:
        _, _, flags, method, _, _, crc, packed_size, size, n_name, n_extra = _ZIP_ENTRY.unpack_from(data, at)
        if method != _DEFLATED or flags & _SIZE_FOLLOWS or size == 0xFFFFFFFF:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                return dict(archive)
        if size > _DEFLATE_MOST * (packed_size + 1):
            raise OutputError(f"has a soft label that cannot become {size} bytes from {packed_size}")
        begin = at + _ZIP_ENTRY.size + n_name + n_extra
        at = begin + packed_size
        body = imagecodecs.deflate_decode(data[begin:at], raw=True, out=bytearray(size))
        if imagecodecs.deflate_crc32(body) != crc:
            raise OutputError("has a soft label whose checksum differs")
        name = data[begin - n_name - n_extra : begin - n_extra].decode()
        arrays[name.removesuffix(".npy")] = read_npy(body)
    return arrays


def read_npy(data: bytes | bytearray) -> npt.NDArray[Any]:
    """Return the array of an npy file, without a copy where `data` can be written to."""
    file = io.BytesIO(data)
    npy_format.read_magic(file)
    shape, is_fortran, dtype = npy_format.read_array_header_1_0(file)
    if is_fortran or dtype.hasobject:
        raise OutputError(f"has an array of {dtype} in an order that is not ours")
    array = np.frombuffer(data, dtype, offset=file.tell()).reshape(shape)
    return array if array.flags.writeable else array.copy()


@lru_cache(maxsize=64)
def _npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    buffer = io.BytesIO()
    described = {"descr": npy_format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()


def _retyped(png: bytes, colour_type: int) -> tuple[bytes, ...]:
    """Return the mark and the header of a PNG file, of another colour type."""
    header = bytearray(png[_PNG_HEADER])
    header[_PNG_TYPE - _PNG_HEADER.start] = colour_type
    return (_PNG_MARK, *_chunk(b"IHDR", bytes(header)))


def _chunk_end(png: bytes, begin: int) -> int:
    """Return where a chunk ends: length, kind and checksum take four bytes each."""
    return begin + 12 + int.from_bytes(png[begin : begin + 4])


def _chunk(kind: bytes, data: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the parts of a chunk of a PNG file."""
    crc = imagecodecs.deflate_crc32(data, imagecodecs.deflate_crc32(kind))
    return struct.pack(">I", len(data)), kind, data, struct.pack(">I", crc)
