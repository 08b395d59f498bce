"""Arrays as the bytes of PNG, npy and npz files that are equal for equal arrays, and back by the fastest ways."""

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from hsmix_gen.schemas.errors import OutputError

_NPZ_LEVEL = 1
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_ZIP_ENTRY = struct.Struct("<4s5H3I2H")
_ENTRY_MARK = b"PK\x03\x04"
_DEFLATED = 8
_SIZE_FOLLOWS = 0x08
_DEFLATE_MOST = 1032
"""Times a packed size that its content can have."""


def encode_png(picture: npt.NDArray[Any]) -> bytes:
    """Return an (H, W) uint8 or uint16, or (H, W, 3 or 4) uint8 picture as PNG, without any metadata.

    Lines are stored as differences to the line above and only repetitions are compressed. On photographs that
    takes 0.4 of the time of zlib's level 1, gives 0.93 of its bytes and is decoded in half the time.
    """
    encoded = imagecodecs.png_encode(
        np.ascontiguousarray(picture),
        level=1,
        strategy=imagecodecs.PNG.STRATEGY.RLE,
        filter=imagecodecs.PNG.FILTER.UP,
    )
    return bytes(encoded)


def encode_npy(array: npt.NDArray[Any]) -> bytes:
    """Return an array as the bytes of an npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def encode_npz(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return arrays as the bytes of an npz file, the same for equal arrays.

    ``numpy.savez_compressed`` offers no level and labels are mostly constant: level 1 costs a quarter of the time of
    level 6.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=_ZIP_EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, encode_npy(array), compresslevel=_NPZ_LEVEL)
    return buffer.getvalue()


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
