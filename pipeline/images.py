"""Image and mask files as arrays: faithful values whatever the format, problems told in words."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from hsmix_gen.pipeline import tiff_files
from hsmix_gen.schemas.errors import SourceError

IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp"})
# Pillow's own limit is lower and says nothing of ours; every file passes `read_header` before it is decoded.
Pillow.MAX_IMAGE_PIXELS = None
_PNG = b"\x89PNG\r\n\x1a\n"
_ORIENTATION_TAG = 274
_SWAPPED = range(5, 9)
_PNG_GREY_ALPHA = 4


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
    with _refusing():
        header = _tiff_header(data) if tiff_files.is_tiff(data) else _picture_header(data)
    if header.height * header.width > max_pixels:
        raise SourceError(
            f"has {header.width} x {header.height} pixels, more than source.max_pixels = {max_pixels}; "
            "raise it if the file is genuine"
        )
    return header


def decode_image(data: bytes) -> npt.NDArray[Any]:
    """Return an image file as (H, W, 1 or 3) uint8 or uint16, turned upright by its EXIF orientation.

    Palettes become RGB, CMYK becomes RGB, alpha is dropped.

    Raises
    ------
    SourceError
        If it is damaged or holds floats.
    """
    with _refusing():
        if tiff_files.is_tiff(data):
            return tiff_files.decode_picture(data)
        if _is_wide_png(data):
            return _decode_wide_png(data)
        picture = ImageOps.exif_transpose(_loaded(data))
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
        If it is damaged, has colours that differ between channels, or values above 255.
    """
    with _refusing():
        array = tiff_files.decode_values(data) if tiff_files.is_tiff(data) else _mask_values(data)
        if array.ndim == 3:
            colours = array[..., :3]
            if (colours != colours[..., :1]).any():
                raise SourceError("mask is coloured; store class ids or grey values, one number a pixel")
            array = colours[..., 0]
        if array.dtype.kind == "f" or array.min() < 0 or array.max() > 255:
            raise SourceError(f"mask has {array.dtype} values {array.min()} to {array.max()}, expected 0 to 255")
        return np.ascontiguousarray(array.astype(np.uint8))


_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn whatever a decoder raises for a damaged file into a refusal; each library has kinds of its own."""
    try:
        yield
    except SourceError:
        raise
    except UnidentifiedImageError:
        raise SourceError("is no image that can be read (unknown or damaged format)") from None
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise SourceError(f"is damaged: {reason[0] if reason else type(error).__name__}; copy it again") from None


def _tiff_header(data: bytes) -> Header:
    form = tiff_files.read_form(data)
    return Header(form.height, form.width, form.channels, form.bits)


def _picture_header(data: bytes) -> Header:
    picture = Pillow.open(io.BytesIO(data))
    width, height = picture.size
    # For a PNG without EXIF the look-up would decode all pixels.
    has_exif = not data.startswith(_PNG) or b"eXIf" in data
    if has_exif and picture.getexif().get(_ORIENTATION_TAG) in _SWAPPED:
        width, height = height, width
    wide = _is_wide_png(data)
    grey = picture.mode in _GREY_MODES or (wide and data[25] == _PNG_GREY_ALPHA)
    return Header(height, width, 1 if grey else 3, 16 if wide or picture.mode.startswith("I") else 8)


def _loaded(data: bytes) -> Pillow.Image:
    picture = Pillow.open(io.BytesIO(data))
    picture.load()
    return picture


def _mask_values(data: bytes) -> npt.NDArray[Any]:
    if _is_wide_png(data):
        return imagecodecs.png_decode(data)[..., : 1 if data[25] == _PNG_GREY_ALPHA else 3]
    picture = ImageOps.exif_transpose(_loaded(data))
    if picture.mode in ("LA", "PA"):
        return np.asarray(picture)[..., 0]
    return np.asarray(picture.convert("RGB") if picture.mode == "CMYK" else picture)


def _is_wide_png(data: bytes) -> bool:
    """Return whether a PNG has 16 bits and several channels, which Pillow would cut to 8 bits in silence."""
    return data.startswith(_PNG) and len(data) > 25 and data[24] == 16 and data[25] in (2, _PNG_GREY_ALPHA, 6)


def _decode_wide_png(data: bytes) -> npt.NDArray[Any]:
    array = imagecodecs.png_decode(data)
    return np.ascontiguousarray(array[..., : 1 if data[25] == _PNG_GREY_ALPHA else 3])


def _as_uint16(array: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    if array.min() < 0 or array.max() > 65535:
        raise SourceError(f"has values {array.min()} to {array.max()}, expected 0 to 65535; rescale it")
    return array.astype(np.uint16)
