"""Image and mask files as arrays: faithful values whatever the format, problems told in words."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from hsmix_gen.schemas.errors import SourceError

IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp"})
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_PNG = b"\x89PNG\r\n\x1a\n"
_ORIENTATION_TAG = 274
_SWAPPED = range(5, 9)


@dataclass(frozen=True)
class Header:
    """What a file says of its picture before it is decoded; size after EXIF orientation."""

    height: int
    width: int
    channels: int
    bits: int


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file; an empty or unreadable one is a ``SourceError``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot be read ({error.strerror}); check that it exists and its permissions") from None
    if not data:
        raise SourceError("file is empty (0 bytes); copy it again")
    return data


def read_header(data: bytes, *, max_pixels: int) -> Header:
    """Return size and form of an image file from its header.

    Raises
    ------
    SourceError
        If it is no image, or has more than `max_pixels` pixels.
    """
    if data.startswith(_TIFF):
        array_shape, dtype = _tiff_form(data)
        header = Header(array_shape[0], array_shape[1], array_shape[2], dtype.itemsize * 8)
    else:
        picture = _open(data)
        width, height = picture.size
        if picture.getexif().get(_ORIENTATION_TAG) in _SWAPPED:
            width, height = height, width
        bits = 16 if _is_wide_png(data) or picture.mode.startswith("I") else 8
        header = Header(height, width, 1 if picture.mode in _GREY_MODES else 3, bits)
    if header.height * header.width > max_pixels:
        raise SourceError(
            f"has {header.width} x {header.height} pixels, more than source.max_pixels = {max_pixels}; "
            "raise it if the file is genuine"
        )
    return header


def decode_image(data: bytes) -> npt.NDArray[Any]:
    """Return an image file as (H, W, 1 or 3) uint8 or uint16, turned upright by its EXIF orientation.

    Palettes become RGB, CMYK becomes RGB, alpha is dropped.
    """
    if data.startswith(_TIFF):
        return _decode_tiff(data)
    if _is_wide_png(data):
        array = imagecodecs.png_decode(data)
        return np.ascontiguousarray(_as_colour(array if array.ndim == 3 else array[..., None]))
    picture = _upright(_open(data))
    if picture.mode.startswith("I"):
        return _as_uint16(np.asarray(picture))[..., None]
    if picture.mode == "F":
        raise SourceError("holds floating-point pixels; export it as 8 or 16 bit")
    if picture.mode in _GREY_MODES:
        return np.asarray(picture.convert("L"))[..., None]
    # Pillow warns when a palette carries transparency; alpha is dropped on purpose.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return np.asarray(picture.convert("RGB"))


def decode_mask(data: bytes) -> npt.NDArray[np.uint8]:
    """Return a mask file as (H, W) uint8 values as they are stored; palettes give their indices.

    Raises
    ------
    SourceError
        If the pixels have colours that differ between channels, or values above 255.
    """
    if data.startswith(_TIFF):
        array = _decode_tiff(data)
    else:
        picture = _upright(_open(data))
        array = np.asarray(picture)
        if picture.mode == "CMYK":
            array = np.asarray(picture.convert("RGB"))
        elif picture.mode in ("LA", "PA"):
            array = array[..., 0]
    if array.ndim == 3:
        colours = array[..., :3]
        if (colours != colours[..., :1]).any():
            raise SourceError("mask is coloured; store class ids or grey values, one number a pixel")
        array = colours[..., 0]
    if array.dtype.kind == "f" or array.min() < 0 or array.max() > 255:
        raise SourceError(f"mask has {array.dtype} values {array.min()} to {array.max()}, expected 0 to 255")
    return np.ascontiguousarray(array.astype(np.uint8))


_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")


def _open(data: bytes) -> Pillow.Image:
    try:
        # Sizes are judged by `max_pixels`, whose message tells the way out.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            return Pillow.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise SourceError("is no image that can be read (unknown or damaged format)") from None
    except (Pillow.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise SourceError(f"cannot be opened: {error}") from None


def _upright(picture: Pillow.Image) -> Pillow.Image:
    try:
        picture.load()
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise SourceError(f"is damaged: {error}; copy it again") from None
    return ImageOps.exif_transpose(picture)


def _is_wide_png(data: bytes) -> bool:
    """Return whether a PNG has 16 bits and several channels, which Pillow would cut to 8 bits in silence."""
    return data.startswith(_PNG) and len(data) > 25 and data[24] == 16 and data[25] in (2, 4, 6)


def _as_colour(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array[..., :1] if array.shape[-1] <= 2 else array[..., :3]


def _as_uint16(array: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    if array.min() < 0 or array.max() > 65535:
        raise SourceError(f"has values {array.min()} to {array.max()}, expected 0 to 65535; rescale it")
    return array.astype(np.uint16)


def _tiff_form(data: bytes) -> tuple[tuple[int, int, int], np.dtype[Any]]:
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            series = tiff.series[0]
            axes = dict(zip(series.axes, series.shape, strict=True))
            channels = axes.get("S", axes.get("C", 1))
            return (axes["Y"], axes["X"], channels), np.dtype(series.dtype)
    except (tifffile.TiffFileError, KeyError, IndexError, ValueError, TypeError) as error:
        raise SourceError(f"is a TIFF that cannot be read: {error}") from None


def _decode_tiff(data: bytes) -> npt.NDArray[Any]:
    _tiff_form(data)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            series = tiff.series[0]
            array = series.asarray()
            axes = series.axes
    except Exception as error:  # codecs raise errors of their own kinds for damaged data
        raise SourceError(f"is a damaged TIFF: {error}; copy it again") from None
    for axis in ("S", "C"):
        if axis in axes:
            array = np.moveaxis(array, axes.index(axis), -1)
    if set(axes) - set("YXSC") or array.ndim not in (2, 3):
        raise SourceError(f"is a TIFF with axes {axes}, expected one picture")
    if array.dtype not in (np.uint8, np.uint16):
        if array.dtype != np.bool_:
            raise SourceError(f"is a TIFF of {array.dtype}, expected 8 or 16 bit without sign; export it so")
        array = array.astype(np.uint8)
    return _as_colour(array if array.ndim == 3 else array[..., None])
