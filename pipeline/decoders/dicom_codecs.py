"""Compressed frames of DICOM files: the size that each claims in its own header, and its pixels.

Pixels are decoded by imagecodecs, one library with a permissive licence for all syntaxes. This is a plugin of pydicom,
which finds the frames and gives the decoded numbers their sign, shape and colours; it expands run lengths itself.
"""

import struct
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom.pixels.common import PhotometricInterpretation
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

PLUGIN = "imagecodecs"
"""Name of the plugin; frames are decoded by it alone, so that the bytes do not depend on what else is installed."""

_JPEG = b"\xff\xd8"
_JPEG_2000 = b"\xff\x4f\xff\x51"
_SEARCHED_BYTES = 4096
# Start-of-frame markers of JPEG (DHT, JPG and DAC stand between them) and of JPEG-LS.
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_START_OF_SCAN = 0xDA


def coded_size(data: bytes) -> tuple[int, int] | None:
    """Return height and width of a JPEG, JPEG-LS or JPEG 2000 codestream; None for other kinds (RLE has no size)."""
    if data.startswith(_JPEG):
        return _jpeg_size(data)
    start = data.find(_JPEG_2000, 0, _SEARCHED_BYTES)
    if start < 0 or len(data) < start + 24:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    return bottom - top, right - left


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack_from(">2H", data, at + 5)
            return height, width
        if marker == _START_OF_SCAN:
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _jpeg(data: bytes, samples: int) -> npt.NDArray[Any]:
    # The same colours in and out leave the components as they are stored: the header says what they are.
    colours = "YCBCR" if samples == 3 else "GRAYSCALE"
    decoded: npt.NDArray[Any] = imagecodecs.jpeg8_decode(data, colorspace=colours, outcolorspace=colours)
    return decoded


_DECODERS: dict[UID, Callable[[bytes, int], npt.NDArray[Any]]] = {
    **dict.fromkeys((JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), _jpeg),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), lambda data, _: imagecodecs.jpegls_decode(data)),
    **dict.fromkeys(
        (JPEG2000, JPEG2000Lossless, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL),
        lambda data, _: imagecodecs.jpeg2k_decode(data, planar=False),
    ),
}


def is_available(uid: str) -> bool:
    """Return whether a syntax is decoded here (part of the interface)."""
    return uid in _DECODERS


def decode_frame(data: bytes, runner: DecodeRunner) -> bytes:
    """Return the pixels of a frame, row by row; size and colours are reported to pydicom (part of the interface)."""
    pixels = _DECODERS[runner.transfer_syntax](data, runner.samples_per_pixel)
    runner.set_option("bits_allocated", 8 * pixels.itemsize)
    runner.set_option("bits_stored", min(runner.bits_stored, 8 * pixels.itemsize))
    if pixels.ndim == 3:
        runner.set_option("planar_configuration", 0)
    if runner.photometric_interpretation in (PhotometricInterpretation.YBR_ICT, PhotometricInterpretation.YBR_RCT):
        runner.set_option("photometric_interpretation", PhotometricInterpretation.RGB)
    return np.ascontiguousarray(pixels).tobytes()


for _syntax in _DECODERS:
    get_decoder(_syntax).add_plugin(PLUGIN, (__name__, decode_frame.__name__))
