"""Image and mask files as arrays: faithful values whatever the format, problems stated in words."""

import io
import re
import stat
import warnings
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageChops, ImageOps, UnidentifiedImageError

from hsmix_gen.pipeline.decoders.codecs import jpeg2000, tiff_codec
from hsmix_gen.pipeline.decoders.codecs.tiff_codec import SWAPPED, Header
from hsmix_gen.pipeline.decoders.refusal_errors import Reasons, refusing
from hsmix_gen.pipeline.decoders.stack import check_plane
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.stages.labels.grey_bands import COLOURED, check_alpha, colour_numbers, coloured_text, common_channel
from hsmix_gen.stages.labels.lossy_levels import restore_levels

IMAGE_ENDINGS = jpeg2000.ENDINGS | {
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", ".tif", ".tiff", ".lsm", ".gif", ".webp", ".avif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".sgi", ".qoi",
}  # fmt: skip
UNREAD_ENDINGS = {
    **dict.fromkeys((".svs", ".ndpi", ".scn", ".mrxs", ".bif", ".vms", ".vsi"), "export regions of the slide as TIFF"),
    **dict.fromkeys((".czi", ".nd2", ".lif", ".oib", ".oif", ".ims", ".zvi", ".dm3", ".dm4"), "export it as TIFF"),
    **dict.fromkeys((".jxl", ".jxr", ".jls", ".heic", ".heif", ".exr", ".dds"), "convert it to PNG or TIFF"),
    **dict.fromkeys((".psd", ".psb", ".xcf", ".svg", ".eps", ".pdf", ".ai"), "export it as PNG"),
    **dict.fromkeys((".dng", ".cr2", ".cr3", ".nef", ".arw"), "develop it to TIFF or PNG"),
    **dict.fromkeys((".raw", ".img", ".hdr"), "convert it to PNG or TIFF, or volumes to NIfTI"),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".wmv", ".mpg"), "export its frames as PNG"),
    ".mat": "save its arrays as npz",
}
"""Endings of images that are not read, in lower case, and the way out."""
# Pillow's own limit is lower and says nothing of ours; every file passes `open_picture` before it is decoded.
Pillow.MAX_IMAGE_PIXELS = None
_PNG = b"\x89PNG\r\n\x1a\n"
_ORIENTATION_TAG = 274
_PNG_GREY_ALPHA = 4
_AVIF = (b"ftypavif", b"ftypavis")
_WIDE_PPM = re.compile(rb"P[36](?:\s+#[^\n]*|\s)+\d+(?:\s+#[^\n]*|\s)+\d+(?:\s+#[^\n]*|\s)+(\d+)")
_JPEG = b"\xff\xd8\xff"
# How far the channels of lossy masks may differ.
_LOSSY_TINT = 32


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file; an empty or unreadable one, or a device or pipe, is a ``SourceError``."""
    with refusing(""):
        # A pipe would be waited for without end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError("cannot be read (it is no file); remove it")
        data = path.read_bytes()
    if not data:
        raise SourceError("file is empty (0 bytes); copy it again")
    return data


def open_picture(data: bytes, *, max_pixels: int, any_type: bool = False) -> tuple[Header, Pillow.Image | None]:
    """Return size and form of an image file from its header, and what Pillow has opened, None for a TIFF.

    What is opened can be given to `decode_image` or `decode_mask`, once: some headers take long to read.

    With `any_type` a TIFF may hold floats, signed or wide numbers (masks); its `bits` are 16 then. Raises SourceError
    if it is no image, or has more than `max_pixels` pixels.
    """
    with refusing("", reasons=_UNKNOWN):
        opened = None if tiff_codec.is_tiff(data) else Pillow.open(io.BytesIO(data))
        header = tiff_codec.read_form(data, any_type=any_type) if opened is None else _picture_header(data, opened)
    check_plane(header.width, header.height, max_pixels)
    return header, opened


def decode_image(data: bytes, opened: Pillow.Image | None = None) -> npt.NDArray[Any]:
    """Return an image file as (H, W, C) uint8 or uint16, turned upright by its orientation; C as in its header.

    Palettes, inks and CIELAB become RGB, alpha is dropped.

    Raises
    ------
    SourceError
        If it is damaged or holds floats.
    """
    with refusing("", reasons=_UNKNOWN):
        if tiff_codec.is_tiff(data):
            return tiff_codec.decode_picture(data)
        if _is_wide_png(data):
            n_colours = 1 if data[25] == _PNG_GREY_ALPHA else 3
            return np.ascontiguousarray(imagecodecs.png_decode(data)[..., :n_colours])
        if _is_wide_jpeg2000(data):
            return jpeg2000.decode_wide(data)
        return _pixels(_upright(data, opened))


def decode_mask(data: bytes, opened: Pillow.Image | None = None) -> npt.NDArray[Any]:
    """Return a mask file as (H, W) values as they are stored; palettes give their indices, lossy files their levels.

    Raises
    ------
    SourceError
        If it is damaged, has colours that differ between channels, labels in its alpha channel, or is lossy and not
        of a few levels.
    """
    with refusing("", reasons=_UNKNOWN):
        if _is_lossy(data):
            return restore_levels(np.asarray(_luma(data)))
        values = _stored_values(data, opened)
        return values.astype(np.uint8) if values.dtype == np.bool_ else values


def decode_brightness(data: bytes, opened: Pillow.Image | None = None) -> npt.NDArray[Any]:
    """Return a mask file as (H, W) brightness, to be cut at a threshold: lossy files as they are, palettes as greys.

    Raises
    ------
    SourceError
        If it is damaged, or has colours that differ between channels.
    """
    with refusing("", reasons=_UNKNOWN):
        if _is_lossy(data):
            return np.asarray(_luma(data))
        values = _stored_values(data, opened)
        palette = palette_of(data)
        if not palette:
            return values * np.uint8(255) if values.dtype == np.bool_ else values
        colours = np.array(palette, np.int32)
        if ((colours >> 16 != colours & 255) | (colours >> 8 & 255 != colours & 255))[np.unique(values)].any():
            raise SourceError(COLOURED)
        brightness: npt.NDArray[np.uint8] = (colours & 255).astype(np.uint8)[values]
        return brightness


def palette_of(data: bytes) -> tuple[int, ...]:
    """Return the colours of a file with a palette, red * 65536 + green * 256 + blue by index; empty without one."""
    if tiff_codec.is_tiff(data):
        table = tiff_codec.read_palette(data)
    elif data.startswith(_PNG) and data[25:26] != b"\x03":
        return ()
    else:
        with Pillow.open(io.BytesIO(data)) as picture:
            if picture.mode not in ("P", "PA"):
                return ()
            table = np.array(picture.getpalette("RGB") or (), np.int64).reshape(-1, 3)
    return tuple((table @ np.array([65536, 256, 1])).tolist())


def decode_colours(data: bytes) -> npt.NDArray[np.int32]:
    """Return a coloured mask file as (H, W) numbers: red * 65536 + green * 256 + blue.

    Raises
    ------
    SourceError
        If it is damaged, lossy, or has more than 8 bits a channel.
    """
    if _is_lossy(data):
        raise SourceError("is a lossy file, in which colours are blurred; export the coloured mask as PNG")
    image = decode_image(data)
    if image.dtype != np.uint8:
        raise SourceError("has 16 bits a channel, expected colours of 8 bits; export it as 8 bit")
    return colour_numbers(image)


_UNKNOWN: Reasons = {
    UnidentifiedImageError: "is no image that can be read (unknown or damaged format); copy it again or remove it"
}
_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")


def _picture_header(data: bytes, picture: Pillow.Image) -> Header:
    width, height = picture.size
    # Phones put a preview behind the picture (MPO); what moves has no one picture that a mask could belong to.
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        frames: int = getattr(picture, "n_frames", 1)
        raise SourceError(f"holds {frames} frames, expected one picture; export the one that is meant")
    # For a PNG without EXIF the look-up would decode all pixels.
    has_exif = not data.startswith(_PNG) or b"eXIf" in data
    stated = picture.getexif().get(_ORIENTATION_TAG) if has_exif else 1
    orientation = stated if isinstance(stated, int) and stated in range(1, 9) else 1
    if orientation in SWAPPED:
        width, height = height, width
    ppm = _WIDE_PPM.match(data)
    if ppm and int(ppm[1]) > 255:
        raise SourceError("is a PPM of 16 bits a channel, which is not read; convert it to PNG or TIFF")
    wide = _is_wide_png(data) or _is_wide_jpeg2000(data)
    grey = picture.mode in _GREY_MODES or (_is_wide_png(data) and data[25] == _PNG_GREY_ALPHA)
    return Header(height, width, 1 if grey else 3, 16 if wide or picture.mode.startswith("I") else 8, orientation)


def _pixels(picture: Pillow.Image) -> npt.NDArray[Any]:
    if picture.mode.startswith("I"):
        array = np.asarray(picture)
        if array.min() < 0 or array.max() > 65535:
            raise SourceError(f"has values {array.min()} to {array.max()}, expected 0 to 65535; rescale it")
        return array.astype(np.uint16)[..., None]
    if picture.mode == "F":
        raise SourceError("holds floating-point pixels; export it as 8 or 16 bit")
    if picture.mode in _GREY_MODES:
        return np.asarray(picture if picture.mode == "L" else picture.convert("L"))[..., None]
    if picture.mode == "RGB":
        return np.asarray(picture)
    # Pillow warns when a palette carries transparency; alpha is dropped on purpose.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return np.asarray(picture.convert("RGB"))


def _upright(data: bytes, opened: Pillow.Image | None = None, *, draft: str | None = None) -> Pillow.Image:
    picture = opened or Pillow.open(io.BytesIO(data))
    if draft is not None:
        picture.draft(draft, None)
    picture.load()
    ImageOps.exif_transpose(picture, in_place=True)
    return picture


def _luma(data: bytes) -> Pillow.Image:
    """Return the brightness of a lossy file that has no colours."""
    # A JPEG can be decoded without its colours, and once more at an eighth to see whether it has any.
    small = Pillow.open(io.BytesIO(data))
    small.draft("RGB", (max(1, small.width // 8), max(1, small.height // 8)))
    _grey_band(small, tolerance=_LOSSY_TINT)
    picture = _upright(data, draft="L")
    return picture if picture.mode == "L" else picture.convert("RGB").convert("L")


def _stored_values(data: bytes, opened: Pillow.Image | None) -> npt.NDArray[Any]:
    """Return the (H, W) values of a file without loss, one number a pixel."""
    if tiff_codec.is_tiff(data):
        array, has_alpha = tiff_codec.decode_values(data)
        return common_channel(array, has_alpha=has_alpha)
    if _is_wide_png(data):
        array = imagecodecs.png_decode(data)
        return common_channel(array, has_alpha=array.shape[-1] in (2, 4))
    return np.asarray(_grey_band(_upright(data, opened)))


def _grey_band(picture: Pillow.Image, *, tolerance: int = 0) -> Pillow.Image:
    """Return the one band of a mask; the differences of its bands show whether it is coloured."""
    if picture.mode in ("LA", "PA"):
        grey = picture.getchannel(0)
        check_alpha(np.asarray(grey), np.asarray(picture.getchannel(1)), indexed=picture.mode == "PA")
        return grey
    if len(picture.getbands()) == 1:
        return picture
    red, green, blue = (picture if picture.mode in ("RGB", "RGBA") else picture.convert("RGB")).split()[:3]
    if any(sum(ImageChops.difference(red, other).histogram()[tolerance + 1 :]) for other in (green, blue)):
        raise SourceError(coloured_text(np.asarray(picture.convert("RGB")), is_lossy=tolerance > 0))
    if picture.mode == "RGBA":
        check_alpha(np.asarray(red), np.asarray(picture.getchannel(3)))
    return red


def _is_lossy(data: bytes) -> bool:
    """Return whether a file is a JPEG, an AVIF, or a lossy WebP or JPEG 2000."""
    if jpeg2000.is_jpeg2000(data):
        return not jpeg2000.coded_form(data).reversible
    return data.startswith(_JPEG) or data[4:12] in _AVIF or (data.startswith(b"RIFF") and data[8:16] == b"WEBPVP8 ")


def _is_wide_png(data: bytes) -> bool:
    """Return whether a PNG has 16 bits and several channels, which Pillow would cut to 8 bits in silence."""
    return data.startswith(_PNG) and len(data) > 25 and data[24] == 16 and data[25] in (2, _PNG_GREY_ALPHA, 6)


def _is_wide_jpeg2000(data: bytes) -> bool:
    return jpeg2000.is_jpeg2000(data) and jpeg2000.coded_form(data).bits > 8
