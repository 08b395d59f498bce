"""What a decoder delivers: the planes of an image or a mask, opened; one picture is a stack of one plane."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.digests import sha256_of
from hsmix_gen.schemas.errors import SourceError

_GREATEST_LABEL = 2**31 - 1


@dataclass(frozen=True)
class ReadOptions:
    """How files are opened."""

    max_pixels: int = 200_000_000
    max_voxels: int = 1_000_000_000
    """Larger planes and volumes are refused before they are decoded (decompression bombs)."""
    axis: str = "auto"
    """Slicing axis of volumes: ``axial``, ``coronal``, ``sagittal``, or ``auto`` for the coarsest."""
    turn_masks: bool = False
    """Masks that say nothing of their orientation were drawn on the stored pixels: they are turned as their images."""
    resize_masks: bool = False
    """Masks of almost the size of their image are brought to it."""
    trust_voxels: bool = False
    """Labels of as many voxels as their image lie on these voxels, whatever their affine says."""
    threshold: float | None = None
    """Masks are 1 from this value on and 0 below; None: their values are class numbers."""


class Stack(ABC):
    """The planes of an image or of a mask, opened; a picture, unless a decoder says more, is one plane."""

    size: tuple[int, int]
    """Height and width of each plane in pixels."""
    n_planes: int = 1
    channels: int = 1
    """A mask has one channel."""
    dtype: np.dtype[Any]
    """Of the values as the file means them (after slope and intercept)."""
    is_volume: bool = False
    """Whether planes follow each other in space; pictures, and slices that lie in files of their own, are none."""
    is_picture: bool = False
    """Whether pixels are made for the eye (8 or 16 bit of a picture file), not numbers with a meaning."""
    spacing: tuple[float, ...] | None = None
    """Millimetres between rows and columns, and between planes of a volume."""
    frame: npt.NDArray[np.float64] | None = None
    """(4, 4) float64 or None; affine from (column, row, plane) to millimetres, to compare image and mask."""
    orientation: int = 1
    """How a picture file says that its pixels lie, 1 to 8 as in EXIF; planes are given upright. 1: as stored."""
    palette: tuple[int, ...] = ()
    """Colour of each value of a mask, red * 65536 + green * 256 + blue, if values are indices of a palette."""

    @abstractmethod
    def plane(self, index: int) -> npt.NDArray[Any]:
        """Return one plane: (H, W, C) of an image, (H, W) whole numbers of a mask."""

    @abstractmethod
    def digest(self, index: int) -> str:
        """Return a sha256 that is equal for equal content."""

    def body(self, index: int) -> npt.NDArray[np.bool_] | None:  # noqa: ARG002 - most files state none
        """Return where the body is in one plane, (H, W), if a file states it."""
        return None


@dataclass(eq=False)
class ArrayStack(Stack):
    """Planes that lie in memory (or in a mapped file)."""

    planes: npt.NDArray[Any]
    """(Z, H, W, C) or (Z, H, W); of an image or of a mask."""
    is_volume: bool = False
    spacing: tuple[float, ...] | None = None
    frame: npt.NDArray[np.float64] | None = None
    is_picture: bool = False
    of_files: Callable[[], str] | None = None
    """Returns the digest of the files that a picture comes from; None: values and form are digested."""
    orientation: int = 1
    palette: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.n_planes, height, width = self.planes.shape[:3]
        self.size = height, width
        self.channels = self.planes.shape[3] if self.planes.ndim == 4 else 1
        self.dtype = self.planes.dtype

    def plane(self, index: int) -> npt.NDArray[Any]:
        """Return one plane."""
        plane: npt.NDArray[Any] = self.planes[index]
        return plane

    def digest(self, index: int) -> str:
        """Return the sha256 of the files, or of form and values of a plane."""
        if self.of_files is not None:
            return self.of_files()
        values = np.ascontiguousarray(self.planes[index])
        form = f"{values.dtype.str} {values.shape}".encode()
        return sha256_of(form + values.tobytes())


def check_plane(width: int, height: int, max_pixels: int) -> None:
    """Refuse a plane of too many pixels; the text lacks the file."""
    if width * height > max_pixels:
        raise SourceError(
            f"has {width} x {height} pixels, more than source.max_pixels = {max_pixels}; "
            "raise it if the file is genuine"
        )


def labels_of(values: npt.NDArray[Any], name: str, how: ReadOptions) -> npt.NDArray[Any]:
    """Return mask values as integers (`whole_numbers`), or cut at the threshold as uint8 of 0 and 1."""
    if how.threshold is None:
        return whole_numbers(values, name)
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise SourceError(f"{name} has NaN labels, expected numbers to cut at {how.threshold:g}; replace them")
    return (values >= how.threshold).view(np.uint8)


def whole_numbers(values: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Return mask values as integers; floats that are whole (labels saved as float32) are taken.

    Parameters
    ----------
    values : array of any shape
    name : str
        File to name in an error.

    Raises
    ------
    SourceError
        If a value is no whole number, not finite, or below 0.
    """
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise SourceError(f"{name} has NaN or infinite labels, expected whole numbers from 0; replace them")
        rounded = np.rint(values)
        if values.size and float(np.abs(values - rounded).max()) > 1e-3:
            example = float(values.ravel()[np.abs(values - rounded).argmax()])
            cut = ", or cut it with --threshold 0.5" if values.min() >= 0 and values.max() <= 1 else ""
            raise SourceError(
                f"{name} has the label {example:g}, expected whole numbers; save it without interpolation{cut}"
            )
        if rounded.size and float(rounded.max()) > _GREATEST_LABEL:
            raise SourceError(
                f"{name} has the label {float(rounded.max()):g}, expected at most {_GREATEST_LABEL}; number the "
                "classes from 0"
            )
        values = rounded.astype(np.int32)
    if values.dtype.kind not in "iu":
        raise SourceError(f"{name} has labels of type {values.dtype}, expected whole numbers; save it so")
    if values.size and int(values.min()) < 0:
        raise SourceError(
            f"{name} has the label {int(values.min())}, expected 0 or more; number the classes from 0, and give pixels "
            "of no class the value 255"
        )
    return values


def small_labels(values: npt.NDArray[Any], name: str, how: ReadOptions) -> npt.NDArray[Any]:
    """Return `labels_of` in the smallest unsigned integers that hold them."""
    if how.threshold is not None:
        return labels_of(values, name, how)
    if values.dtype == np.uint8:
        return values
    # Nearly all labels are whole and below 256: one comparison proves it, whatever the type.
    small = np.empty_like(values, np.uint8)
    if is_small(values, small):
        return small
    whole = whole_numbers(values, name)
    return whole.astype(np.min_scalar_type(int(whole.max())), copy=False)


def is_small(values: npt.NDArray[Any], labels: npt.NDArray[np.uint8]) -> bool:
    """Fill in values as uint8 and return whether they are equal to that."""
    with np.errstate(invalid="ignore"):
        np.copyto(labels, values, casting="unsafe")
    return bool((labels == values).all())
