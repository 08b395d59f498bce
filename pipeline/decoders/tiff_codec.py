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

from hsmix_gen.schemas.errors import SourceError

_SIGNATURES = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_ORIENTATION = "Orientation"
_SWAPPED = range(5, 9)
# What it logs of damaged files is told by the refusal.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class TiffForm:
    """Size and form of the picture in a TIFF file, upright; channels as an image would have them."""

    height: int
    width: int
    channels: int
    bits: int


def is_tiff(data: bytes) -> bool:
    """Return whether bytes begin like a TIFF file."""
    return data.startswith(_SIGNATURES)


def read_form(data: bytes, *, any_type: bool = False) -> TiffForm:
    """Return size and form of a TIFF file from its tags; `any_type` takes floats, signed and wide numbers as well."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        series = _single_picture(tiff, any_type=any_type)
        axes = dict(zip(series.axes, series.shape, strict=True))
        channels = 3 if _has_colour(tiff, axes.get("S", axes.get("C", 1))) else 1
        size = (axes["Y"], axes["X"])
        if _orientation(tiff) in _SWAPPED:
            size = size[::-1]
        return TiffForm(*size, channels, 16 if series.dtype.itemsize > 1 else 8)


def decode_picture(data: bytes) -> npt.NDArray[Any]:
    """Return a TIFF file as an (H, W, 1 or 3) uint8 or uint16 picture: palettes and inks become RGB."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        array = _values(tiff, any_type=False)
        page = tiff.pages.first
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            colours = np.asarray(page.colormap).T >> 8
            array = colours.astype(np.uint8)[array[..., 0]]
        elif page.photometric == tifffile.PHOTOMETRIC.SEPARATED:
            array = np.asarray(Pillow.fromarray(np.ascontiguousarray(array[..., :4]), "CMYK").convert("RGB"))
        elif array.dtype == np.bool_:
            array = array * np.uint8(255)
        elif array.shape[-1] > 4:
            raise SourceError(f"is a TIFF of {array.shape[-1]} channels, expected grey or RGB; export these channels")
        colour = array[..., :3] if _has_colour(tiff, array.shape[-1]) else array[..., :1]
        return np.ascontiguousarray(colour)


def decode_values(data: bytes) -> npt.NDArray[Any]:
    """Return the values of a TIFF file as they are stored, (H, W, C) numbers; palettes give their indices."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        array = _values(tiff, any_type=True)
        return array.astype(np.uint8) if array.dtype == np.bool_ else array


def _values(tiff: tifffile.TiffFile, *, any_type: bool) -> npt.NDArray[Any]:
    series = _single_picture(tiff, any_type=any_type)
    array = series.asarray()
    for axis in ("S", "C"):
        if axis in series.axes:
            array = np.moveaxis(array, series.axes.index(axis), -1)
    array = array if array.ndim == 3 else array[..., None]
    if tiff.pages.first.photometric == tifffile.PHOTOMETRIC.MINISWHITE and array.dtype.kind in "ub":
        array = ~array
    return np.ascontiguousarray(_upright(array, _orientation(tiff)))


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


def _has_colour(tiff: tifffile.TiffFile, channels: int) -> bool:
    return channels >= 3 or tiff.pages.first.photometric == tifffile.PHOTOMETRIC.PALETTE


def _orientation(tiff: tifffile.TiffFile) -> int:
    tag = tiff.pages.first.tags.get(_ORIENTATION)
    return int(tag.value) if tag is not None else 1


def _upright(array: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Return an array with row 0 at the top and column 0 at the left, from the TIFF 6.0 orientation 1 to 8."""
    if orientation in _SWAPPED:
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array
