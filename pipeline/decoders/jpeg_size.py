"""The size that a compressed frame claims in its own header: a decoder would reserve memory for it."""

import struct

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
