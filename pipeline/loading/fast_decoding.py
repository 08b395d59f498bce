"""Members of a sample as arrays, by the fastest decoders at hand, for loaders that do nothing else all day.

Errors do not name the sample: who knows its file and key puts them before the text (`sample_files.telling_of`).
"""

import io
import struct
from collections.abc import Callable, Mapping
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.stages.labels.labels import soft_label
from hsmix_gen.stages.labels.soft_pairs import pair_shares

Array = npt.NDArray[Any]
_ZIP_ENTRY = struct.Struct("<4s5H3I2H")
_ENTRY_MARK = b"PK\x03\x04"
_DEFLATED = 8
_SIZE_FOLLOWS = 0x08
_DEFLATE_MOST = 1032
"""Times a packed size that its content can have."""


def decode_image(members: Mapping[str, bytes], described: Mapping[str, Any]) -> Array:  # noqa: ARG001 - as the others
    """Return the image, (C, H, W), in its stored type."""
    if "image.npy" in members:
        return np.ascontiguousarray(read_npy(members["image.npy"]).transpose(2, 0, 1))
    picture: Array = imagecodecs.png_decode(member_of(members, "image.png"))
    return picture[None] if picture.ndim == 2 else np.ascontiguousarray(picture.transpose(2, 0, 1))


def decode_mask(members: Mapping[str, bytes], described: Mapping[str, Any]) -> Array:  # noqa: ARG001 - as the others
    """Return the mask, (H, W) uint8 class ids."""
    mask: Array = imagecodecs.png_decode(member_of(members, "mask.png"))
    return mask


def decode_soft(members: Mapping[str, bytes], described: Mapping[str, Any]) -> Array:
    """Return the soft label, (C, H, W) float16.

    Parameters
    ----------
    members : mapping
        Encoded members by name.
    described : mapping
        ``dataset.json``: how labels are stored, and their shape.
    """
    stored = described["soft"]
    encoding, member = stored.get("encoding", "npz"), stored.get("member", "soft.npz")
    if member not in members and "soft.npy" in members:
        encoding, member = "npy", "soft.npy"
    return _SOFT[encoding](member_of(members, member), tuple(stored["shape"]))


def read_npz(data: bytes) -> dict[str, Array]:
    """Return the arrays of an npz file that was written in one go, as ours are; its checksums are compared.

    ``numpy.load`` opens it as an archive and inflates by zlib: five times slower with few classes, twenty with many.
    """
    arrays, at = {}, 0
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


def read_npy(data: bytes | bytearray) -> Array:
    """Return the array of an npy file, without a copy where `data` can be written to."""
    file = io.BytesIO(data)
    npy_format.read_magic(file)
    shape, is_fortran, dtype = npy_format.read_array_header_1_0(file)
    if is_fortran or dtype.hasobject:
        raise OutputError(f"has an array of {dtype} in an order that is not ours")
    array = np.frombuffer(data, dtype, offset=file.tell()).reshape(shape)
    return array if array.flags.writeable else array.copy()


def member_of(members: Mapping[str, bytes], name: str) -> bytes:
    """Return a member, which has to be there."""
    if name not in members:
        raise OutputError(f"has no member {name}")
    return members[name]


def _array(arrays: Mapping[str, Array], name: str) -> Array:
    if name not in arrays:
        raise OutputError(f"has a soft label without the array {name}")
    return arrays[name]


def _of_npz(data: bytes, _shape: tuple[int, ...]) -> Array:
    return _array(read_npz(data), "soft")


def _of_npy(data: bytes, _shape: tuple[int, ...]) -> Array:
    return read_npy(data)


def _of_pair(data: bytes, shape: tuple[int, ...]) -> Array:
    stored = read_npz(data)
    planes = (_array(stored, name) for name in ("class_a", "class_b", "weight_b"))
    return soft_label(pair_shares(*planes, n_classes=shape[0]))


def _of_png(data: bytes, shape: tuple[int, ...]) -> Array:
    return soft_label(imagecodecs.png_decode(data).reshape(shape))


_SOFT: dict[str, Callable[[bytes, tuple[int, ...]], Array]] = {
    "npz": _of_npz,
    "npy": _of_npy,
    "pair": _of_pair,
    "png": _of_png,
}
"""From the bytes of the member and (C, H, W) to the label; a new encoding is one entry more."""
