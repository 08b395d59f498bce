"""TIFF files as arrays: tifffile reads what Pillow would cut to 8 bits or refuse."""

import io
import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image as Pillow
from PIL import ImageCms

from hsmix_gen.schemas.errors import SourceError

_SIGNATURES = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_ORIENTATION = "Orientation"
SWAPPED = range(5, 9)
"""Orientations whose rows are stored as columns."""
_KINDS = tifffile.PHOTOMETRIC
_LAB = (_KINDS.CIELAB, _KINDS.ICCLAB)
_KNOWN_KINDS = (
    *_LAB, _KINDS.MINISWHITE, _KINDS.MINISBLACK, _KINDS.RGB, _KINDS.PALETTE, _KINDS.SEPARATED, _KINDS.YCBCR,
    _KINDS.MASK,
)  # fmt: skip
# tifffile gives what these hold as RGB.
_JPEG = (6, 7, 33003, 33005, 34712)
_ALPHA = (1, 2)
_MOST_CHANNELS = 4
# What it logs of damaged files is in the refusal.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Header:
    """What a file says of its picture before it is decoded; size after its orientation (EXIF or TIFF, 1 to 8).

    Channels are 1 for grey, 3 for RGB, or any other number of channels that a TIFF has beside each other.
    """

    height: int
    width: int
    channels: int
    bits: int
    orientation: int = 1


def is_tiff(data: bytes) -> bool:
    """Return whether bytes begin like a TIFF file."""
    return data.startswith(_SIGNATURES)


def read_form(data: bytes, *, any_type: bool = False) -> Header:
    """Return size and form of a TIFF file from its tags; `any_type` takes floats, signed and wide numbers as well."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        series = _single_picture(tiff, any_type=any_type)
        axes = dict(zip(series.axes, series.shape, strict=True))
        channels = _channels(tiff, axes.get("S", axes.get("C", 1)))
        size, orientation = (axes["Y"], axes["X"]), _orientation(tiff)
        if orientation in SWAPPED:
            size = size[::-1]
        return Header(*size, channels, 16 if series.dtype.itemsize > 1 else 8, orientation)


def decode_picture(data: bytes) -> npt.NDArray[Any]:
    """Return a TIFF file as an (H, W, C) uint8 or uint16 picture: palettes, inks and CIELAB become RGB.

    Channels that are no colours are all kept, alpha is dropped.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        array = _values(tiff, any_type=False)
        page = tiff.pages.first
        channels = _channels(tiff, array.shape[-1])
        if page.photometric == _KINDS.PALETTE:
            colours = np.asarray(page.colormap).T >> 8
            array = colours.astype(np.uint8)[array[..., 0]]
        elif page.photometric == _KINDS.SEPARATED:
            array = np.asarray(Pillow.fromarray(np.ascontiguousarray(array[..., :4]), "CMYK").convert("RGB"))
        elif page.photometric in _LAB:
            array = _rgb_of_lab(array[..., :3], is_offset=page.photometric == _KINDS.ICCLAB)
        elif array.dtype == np.bool_:
            array = array * np.uint8(255)
        elif channels > _MOST_CHANNELS:
            raise SourceError(
                f"is a TIFF of {channels} channels, expected at most {_MOST_CHANNELS}; export these channels "
                "apart, or save them all as npy"
            )
        return np.ascontiguousarray(array[..., :channels])


def decode_values(data: bytes) -> tuple[npt.NDArray[Any], bool]:
    """Return the values of a TIFF file as stored, (H, W, C), and whether the last channel is alpha.

    Palettes give their indices.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        array = _values(tiff, any_type=True)
        has_alpha = array.shape[-1] == 4 or (array.shape[-1] == 2 and bool(tiff.pages.first.extrasamples))
        return array.astype(np.uint8) if array.dtype == np.bool_ else array, has_alpha


def read_palette(data: bytes) -> npt.NDArray[np.int64]:
    """Return the colours of a TIFF file with a palette, (index, 3) of 0 to 255; none without one."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages.first
        if page.photometric != tifffile.PHOTOMETRIC.PALETTE or page.colormap is None:
            return np.empty((0, 3), np.int64)
        return np.asarray(page.colormap).T.astype(np.int64) >> 8


def _values(tiff: tifffile.TiffFile, *, any_type: bool) -> npt.NDArray[Any]:
    series = _single_picture(tiff, any_type=any_type)
    array = series.asarray()
    for axis in ("S", "C"):
        if axis in series.axes:
            array = np.moveaxis(array, series.axes.index(axis), -1)
    array = array if array.ndim == 3 else array[..., None]
    if tiff.pages.first.photometric == tifffile.PHOTOMETRIC.MINISWHITE and array.dtype.kind in "ub":
        array = ~array
    return np.ascontiguousarray(upright(array, _orientation(tiff)))


def _single_picture(tiff: tifffile.TiffFile, *, any_type: bool) -> tifffile.TiffPageSeries:
    series = tiff.series[0]
    if not series.axes:
        raise SourceError("is damaged: it holds no picture; copy it again")
    if set(series.axes) - set("YXSC") or len(series.shape) not in (2, 3) or not {"Y", "X"} <= set(series.axes):
        raise SourceError(f"is a TIFF with axes {series.axes}, expected one picture; export one page of it")
    known = series.dtype.kind in "uifb" if any_type else series.dtype in (np.uint8, np.uint16, np.bool_)
    if not known:
        raise SourceError(f"is a TIFF of {series.dtype}, expected 8 or 16 bit without sign; export it so")
    end = tiff.filehandle.size
    page = series.pages[0]
    assert page is not None
    parts = math.prod(page.chunked)
    # tifffile fills what is missing with zeros, however large the header says that the picture is.
    if len(page.dataoffsets) < parts:
        raise SourceError(f"is damaged: it has {len(page.dataoffsets)} of {parts} parts of its pixels; copy it again")
    if any(offset + count > end for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)):
        raise SourceError("is damaged: its data end early; copy it again")
    return series


def _channels(tiff: tifffile.TiffFile, samples: int) -> int:
    """Return how many channels an image has: 3 for colours of any kind that is read, else all samples but alpha."""
    page = tiff.pages.first
    kind = _KINDS(page.photometric)
    if kind == _KINDS.PALETTE:
        return 3
    if kind not in _KNOWN_KINDS or (kind == _KINDS.YCBCR and page.compression not in _JPEG):
        raise SourceError(f"is a TIFF whose colours are {kind.name}, which is not read; export it as RGB")
    if kind == _KINDS.SEPARATED or kind in _LAB:
        inks = 4 if kind == _KINDS.SEPARATED else 3
        if samples < inks or page.dtype != np.uint8:
            raise SourceError(f"is a TIFF of {samples} {page.dtype} samples as {kind.name}; export it as 8-bit RGB")
        return 3
    extra = tuple(int(value) for value in page.extrasamples)
    if kind != _KINDS.RGB or extra:
        return samples - sum(value in _ALPHA for value in extra)
    # Some programs leave it out that the fourth sample of a colour is alpha.
    return 3 if samples == 4 else samples


def _rgb_of_lab(array: npt.NDArray[Any], *, is_offset: bool) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3) CIELAB of 8 bits as sRGB; `is_offset` = a and b are stored 128 higher, not signed."""
    if is_offset:
        array = array ^ np.array([0, 128, 128], np.uint8)
    stored = np.ascontiguousarray(array)
    height, width, _ = stored.shape
    picture = Pillow.frombytes("LAB", (width, height), stored.tobytes(), "raw", "LAB")
    lab, srgb = (ImageCms.createProfile(name) for name in ("LAB", "sRGB"))
    converted = ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
    return np.asarray(converted)


def _orientation(tiff: tifffile.TiffFile) -> int:
    tag = tiff.pages.first.tags.get(_ORIENTATION)
    return int(tag.value) if tag is not None and int(tag.value) in range(1, 9) else 1


def upright(array: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Return an array with row 0 at the top and column 0 at the left, from the TIFF 6.0 orientation 1 to 8."""
    if orientation in SWAPPED:
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array
