"""JPEG 2000: what its codestream says of depth and loss, and pixels of more than 8 bits, which Pillow would cut."""

import struct
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.errors import SourceError

ENDINGS = frozenset({".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"})
_BOXES = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_CODESTREAM = b"\xff\x4f\xff\x51"
_CODING_STYLE = b"\xff\x52"
_SEARCHED_BYTES = 1 << 16


@dataclass(frozen=True)
class CodedForm:
    """Number and depth of the components of a codestream, and whether its wavelet loses nothing."""

    components: int
    bits: int
    signed: bool
    reversible: bool


def is_jpeg2000(data: bytes) -> bool:
    """Return whether bytes begin like a JPEG 2000 file or codestream."""
    return data.startswith((_BOXES, _CODESTREAM))


def coded_form(data: bytes) -> CodedForm:
    """Return what the main header of a codestream says.

    Raises
    ------
    SourceError
        If there is none.
    """
    start = data.find(_CODESTREAM, 0, _SEARCHED_BYTES)
    style = data.find(_CODING_STYLE, start, start + _SEARCHED_BYTES)
    if start < 0 or len(data) < start + 43 or style < 0 or len(data) < style + 14:
        raise SourceError("is a damaged JPEG 2000 file (no header of its codestream); copy it again")
    (components,) = struct.unpack_from(">H", data, start + 40)
    depth = data[start + 42]
    # Behind marker, length, style, order, layers and colours: levels, block width and height, style, wavelet.
    return CodedForm(components, (depth & 0x7F) + 1, bool(depth & 0x80), data[style + 13] == 1)


def decode_wide(data: bytes) -> npt.NDArray[Any]:
    """Return the (H, W, 1 or 3) uint16 pixels of a file of more than 8 bits; alpha is dropped.

    Raises
    ------
    SourceError
        If numbers have a sign, or components are no grey or RGB.
    """
    form = coded_form(data)
    if form.signed or form.components not in (1, 3, 4):
        kind = "signed numbers" if form.signed else f"{form.components} components"
        raise SourceError(f"is a JPEG 2000 file of {kind}, expected grey or RGB without sign; export it as TIFF")
    array: npt.NDArray[Any] = imagecodecs.jpeg2k_decode(data)
    array = array[..., None] if array.ndim == 2 else array[..., :3]
    return np.ascontiguousarray(array.astype(np.uint16))
