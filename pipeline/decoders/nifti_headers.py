"""What a NIfTI file says of its voxels before any is read: size, type, scale and place, bounded and checked."""

import logging
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header, Nifti1PairHeader
from nibabel.nifti2 import Nifti2Header, Nifti2PairHeader

from hsmix_gen.pipeline.decoders.geometry.orientation import check_affine
from hsmix_gen.pipeline.decoders.refusal_errors import first_bytes, refusing
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.schemas.errors import SourceError

NIFTI_ENDINGS = (".nii.gz", ".nii")
"""Ends of names by which readers know NIfTI files, in lower case."""

_GZIP = b"\x1f\x8b"
_HEADER_BYTES = 540
_FIRST_BYTES = 8192
_KINDS: tuple[Any, ...] = (Nifti1Header, Nifti1PairHeader, Nifti2Header, Nifti2PairHeader)
# Beyond the largest extensions that scanners and CIFTI write between header and voxels.
_MAX_OFFSET = 64 << 20
# Deflate packs at most 1032 : 1.
_MAX_PACKING = 1040
# nibabel reports each small flaw that it mends, on the standard error stream; none of them changes a voxel.
_silent = logging.getLogger("hsmix_gen.nifti")
_silent.disabled = True


@dataclass(frozen=True)
class NiftiHeader:
    """A file of one volume, or of one volume for each channel."""

    path: Path
    """The file that holds the voxels."""
    shape: tuple[int, int, int]
    """Voxels along the stored axes."""
    channels: int
    """Length of the fourth axis, 1 if there is none."""
    stored: np.dtype[Any]
    """In the byte order of the file."""
    slope: float
    intercept: float
    """From stored numbers to values."""
    offset: int
    """Bytes before the voxels."""
    affine: npt.NDArray[np.float64]
    """(4, 4) float64; from stored axes to millimetres: right, front and up are positive, as in all of NIfTI."""
    packed: bool
    """Whether the file is compressed."""

    @property
    def scaled(self) -> bool:
        """Whether values differ from the stored numbers."""
        return (self.slope, self.intercept) != (1.0, 0.0)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values: integers as stored; float32 if they are scaled, or floats of any width."""
        if self.scaled or self.stored.kind == "f":
            return np.dtype(np.float32)
        return self.stored.newbyteorder("=")


def read_header(path: str, how: ReadOptions) -> NiftiHeader:
    """Return what the header of a NIfTI-1 or NIfTI-2 file states; no voxel is read.

    Parameters
    ----------
    path : str
        ``.nii``, ``.nii.gz``, or either file of a pair of ``.hdr`` and ``.img``.
    how : ReadOptions

    Raises
    ------
    SourceError
        If it is no NIfTI file, damaged, too large, of numbers that are no intensities, or without a valid frame.
    """
    with refusing(path):
        given = Path(path)
        start = first_bytes(given.with_suffix(".hdr") if given.suffix.lower() == ".img" else given, _FIRST_BYTES)
        # Whether a file is packed its name need not show.
        packed = start.startswith(_GZIP)
        header = _parsed(zlib.decompressobj(wbits=31).decompress(start, _HEADER_BYTES) if packed else start)
        _check_pixdim(header)
        header.check_fix(logger=_silent)
        volume, channels = _dimensions(header, how)
        slope, intercept = header.get_slope_inter()
        affine = np.asarray(header.get_best_affine(), np.float64)
        found = NiftiHeader(
            path=given if header.is_single else given.with_suffix(".img"),
            shape=volume,
            channels=channels,
            stored=_stored_type(header),
            slope=1.0 if slope is None else float(slope),
            intercept=0.0 if intercept is None else float(intercept),
            offset=int(header.get_data_offset()),
            affine=affine,
            packed=packed,
        )
        _check_length(found)
    check_affine(affine, path)
    return found


def _parsed(block: bytes) -> Any:
    # The class takes the bytes alone, so that no extension is read: their length may be any.
    for kind in _KINDS:
        if kind.may_contain_header(block):
            header = kind(block[: kind.template_dtype.itemsize], check=False)
            if header["magic"].item() == (kind.single_magic if kind.is_single else kind.pair_magic):
                return header
    raise SourceError("is no NIfTI file (no header of NIfTI-1 or NIfTI-2 at its start); convert it to .nii.gz")


def _check_pixdim(header: Any) -> None:
    """Refuse zero spacing where it would place the voxels; nibabel mends it to 1 mm without a word."""
    if header["sform_code"] != 0:
        return
    sizes = [float(size) for size, n in zip(header["pixdim"][1:4], header["dim"][1:4], strict=True) if n > 1]
    if 0.0 in sizes:
        raise SourceError(f"has a voxel spacing of 0 mm (pixdim {sizes}), expected more than 0; write the true one")


def _dimensions(header: Any, how: ReadOptions) -> tuple[tuple[int, int, int], int]:
    """Return the size of the volume and the number of its channels."""
    count = int(header["dim"][0])
    if not 2 <= count <= 7:
        raise SourceError(f"has {count} dimensions, expected 3, or 4 with channels; copy it again")
    sizes = [int(size) for size in header["dim"][1 : count + 1]]
    text = " x ".join(map(str, sizes))
    if min(sizes) < 1:
        raise SourceError(f"has the size {text}, expected 1 or more along each axis; write it again")
    volume = (sizes[0], sizes[1], sizes[2] if count > 2 else 1)
    more = [size for size in sizes[3:] if size > 1]
    if len(more) > 1:
        raise SourceError(f"has the size {text}, expected three axes, or a fourth for channels; split it")
    if math.prod(sizes) > how.max_voxels:
        raise SourceError(
            f"has {text} voxels, more than source.max_voxels = {how.max_voxels}; raise it if the file is genuine"
        )
    return volume, more[0] if more else 1


def _stored_type(header: Any) -> np.dtype[Any]:
    stored: np.dtype[Any] = header.get_data_dtype()
    if stored.kind not in "iuf":
        kind = "complex numbers" if stored.kind == "c" else "colours"
        raise SourceError(f"holds {kind}, expected one number a voxel; export magnitudes or grey values")
    return stored


def _check_length(header: NiftiHeader) -> None:
    needed = math.prod(header.shape) * header.channels * header.stored.itemsize
    if not 0 <= header.offset <= _MAX_OFFSET:
        raise SourceError(
            f"has its voxels at byte {header.offset}, expected within the first {_MAX_OFFSET}; write it again"
        )
    there = header.path.stat().st_size
    if (needed + header.offset) > (there * _MAX_PACKING if header.packed else there):
        raise SourceError(f"is truncated: {there} bytes cannot hold its {needed} bytes of voxels; copy it again")
