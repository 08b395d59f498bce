"""NIfTI volumes as stacks of planes in the frame of display; the voxels of images are read when first needed."""

import gzip
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from nibabel.arrayproxy import ArrayProxy

from hsmix_gen.pipeline.decoders.geometry import orientation
from hsmix_gen.pipeline.decoders.nifti_headers import NiftiHeader, read_header
from hsmix_gen.pipeline.decoders.refusal_errors import refusing
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions, Stack, is_small, small_labels
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content
from hsmix_gen.stages.labels.scaled_labels import unscaled_labels


@dataclass(frozen=True)
class _Turned:
    """A file and the turn that brings it to the frame of display."""

    header: NiftiHeader
    turn: orientation.Turn

    @property
    def shape(self) -> tuple[int, int, int]:
        """Planes, rows and columns."""
        return orientation.turned_shape(self.header.shape, self.turn)

    @property
    def frame(self) -> orientation.Affine:
        """From (column, row, plane) to millimetres."""
        return orientation.turned_frame(self.header.affine, self.header.shape, self.turn)

    def volumes(self) -> list[npt.NDArray[Any]]:
        """Return the values of each channel, (Z, H, W)."""
        values = _read_values(self.header)
        return [orientation.turned(values[..., channel], self.turn) for channel in range(self.header.channels)]


class NiftiImage(Stack):
    """Volumes of one case, one for each channel; voxels are read with the first plane.

    Parameters
    ----------
    files : tuple of _Turned
        All of one shape and frame.
    mask_of_body : _Turned or None
    """

    def __init__(self, files: tuple[_Turned, ...], mask_of_body: _Turned | None = None) -> None:
        self.files, self._mask_of_body = files, mask_of_body
        self.n_planes, *size = files[0].shape
        self.size = size[0], size[1]
        self.channels = sum(file.header.channels for file in files)
        self.is_volume = self.n_planes > 1
        # The type that holds the values of all channels.
        dtype = np.result_type(*(file.header.dtype for file in files))
        self.dtype = np.dtype(np.float32) if dtype.kind == "f" else dtype
        self.frame = files[0].frame
        self.spacing = orientation.frame_spacing(self.frame, self.n_planes)

    def plane(self, index: int) -> npt.NDArray[Any]:
        """Return one plane, (H, W, C)."""
        return np.stack([volume[index] for volume in self._volumes], axis=-1, dtype=self.dtype, casting="same_kind")

    def body(self, index: int) -> npt.NDArray[np.bool_] | None:
        """Return where the body is."""
        return None if self._bodies is None else self._bodies[index]

    def digest(self, index: int) -> str:
        """Return the sha256 of form and values of a plane."""
        return ArrayStack(self.plane(index)[None]).digest(0)

    @cached_property
    def _volumes(self) -> list[npt.NDArray[Any]]:
        volumes: list[npt.NDArray[Any]] = []
        for file in self.files:
            found = file.volumes()
            _check_finite(found, file.header.path)
            volumes += found
        return volumes

    @cached_property
    def _bodies(self) -> npt.NDArray[np.bool_] | None:
        if self._mask_of_body is None:
            return None
        # A mask of 0 and 1 that was stored with a scale reads as 0.99999997.
        return self._mask_of_body.volumes()[0] > 0.5


def open_image(content: Content, how: ReadOptions) -> Stack:
    """Return the volumes of a case, one file for each channel or one with a fourth axis.

    Headers are read at once, voxels with the first plane: what is damaged further in is refused then.

    Parameters
    ----------
    content : Content
        Its `body`, if any, is 1 (above 0.5) inside the body.
    how : ReadOptions

    Raises
    ------
    SourceError
        If a file cannot be used, or differs from the first in size or frame.
    """
    headers = [read_header(path, how) for path in content.paths]
    if len(headers) > 1:
        for header in headers:
            _check_single(header, "the file of one channel")
    first = _Turned(headers[0], orientation.display_turn(headers[0].affine, headers[0].shape, how.axis))
    _check_sizes(first, headers, how)
    others = [_fitted(first, header, how) for header in headers[1:]]
    body = None
    if content.body:
        header = read_header(content.body, how)
        _check_single(header, "a mask of the body")
        body = _fitted(first, header, how)
    return NiftiImage((first, *others), body)


def open_mask(content: Content, image: Stack, how: ReadOptions) -> Stack:
    """Return the mask of an image, turned as the image is.

    Raises
    ------
    SourceError
        If the file cannot be used, has a fourth axis, or labels that are no whole numbers.
    """
    (path,) = content.paths
    header = read_header(path, how)
    _check_single(header, "a mask")
    mask = _mask_turned(header, image, how)
    _check_sizes(mask, [header], how)
    frame = mask.frame
    return ArrayStack(
        _labels(mask.volumes()[0], header, how),
        is_volume=mask.shape[0] > 1,
        spacing=orientation.frame_spacing(frame, mask.shape[0]),
        frame=frame,
    )


def _labels(values: npt.NDArray[Any], header: NiftiHeader, how: ReadOptions) -> npt.NDArray[Any]:
    """Return whole numbers in the smallest type that holds them, or the mask cut at the threshold."""
    is_scaled = header.scaled and how.threshold is None
    # To look for all that may be wrong takes as long as to unpack the file.
    if is_scaled and not is_small(values, np.empty_like(values, np.uint8)) and np.isfinite(values).all():
        with refusing(str(header.path)):
            values = unscaled_labels(values, header.slope)
    return small_labels(values, str(header.path), how)


def _read_values(header: NiftiHeader) -> npt.NDArray[Any]:
    """Return the values of a file, (X, Y, Z, C) of stored axes, in the byte order of this machine."""
    form = ((*header.shape, header.channels), header.stored, header.offset)
    # An open file, as nibabel goes by the ending of a path, which need not show whether a file is packed.
    with refusing(header.path), gzip.open(header.path) if header.packed else header.path.open("rb") as file:
        stored = np.asarray(ArrayProxy(file, form, mmap="r"))  # type: ignore[no-untyped-call]
        if header.packed:
            # Only at its end does gzip compare lengths and checksums.
            file.read(1)
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused as such
            return _scaled(stored, header) if header.scaled else stored.astype(header.dtype, copy=False)


def _scaled(stored: npt.NDArray[Any], header: NiftiHeader) -> npt.NDArray[np.float32]:
    values = np.empty(stored.shape, np.float32, order="F")
    slope, intercept = np.float64(header.slope), np.float64(header.intercept)
    # Plane by plane, so that float64 is exact and yet never holds the volume.
    for index in np.ndindex(stored.shape[2:]):
        values[..., *index] = stored[..., *index] * slope + intercept
    return values


def _mask_turned(header: NiftiHeader, image: Stack, how: ReadOptions) -> _Turned:
    """Return a mask turned onto its image; refuse one whose affine alone lies elsewhere."""
    if image.frame is None:
        return _Turned(header, orientation.display_turn(header.affine, header.shape, how.axis))
    mask = _Turned(header, orientation.turn_onto(header.affine, image.frame))
    first = image.files[0] if isinstance(image, NiftiImage) else None
    if first is None or header.shape != first.header.shape:
        return mask
    if how.trust_voxels:
        return _on_voxels_of(first, header)
    alike = mask.shape == first.shape
    apart = orientation.frames_apart(first.frame, mask.frame, first.shape) if alike else 0.0
    if apart or not alike:
        lies = f"lies {apart:.3g} mm beside its image in space" if alike else "lies across its image in space"
        is_unset = np.array_equal(np.abs(header.affine), np.eye(4))
        why = ", as its affine is the identity, which places nothing" if is_unset else ", as its affine is another"
        raise SourceError(
            f"{header.path} {lies}{why}, yet both have {' x '.join(map(str, header.shape))} voxels; if it was drawn "
            "on these voxels, take them as they are with --trust-voxels, else resample the mask onto the image"
        )
    return mask


def _on_voxels_of(first: _Turned, header: NiftiHeader) -> _Turned:
    """Return a file of the shape of another with the place of the other."""
    return _Turned(replace(header, affine=first.header.affine), first.turn)


def _fitted(first: _Turned, header: NiftiHeader, how: ReadOptions) -> _Turned:
    """Return another file of a case, turned as the first; refuse one of another size or frame."""
    if how.trust_voxels and header.shape == first.header.shape:
        return _on_voxels_of(first, header)
    other = _Turned(header, orientation.turn_onto(header.affine, first.frame))
    if other.shape != first.shape:
        raise SourceError(
            f"{header.path} is {_size_text(other)}, {first.header.path.name} of the same case {_size_text(first)}; "
            "resample one onto the other"
        )
    apart = orientation.frames_apart(first.frame, other.frame, first.shape)
    if apart:
        raise SourceError(
            f"{header.path} lies {apart:.3g} mm beside {first.header.path.name} of the same case; "
            "resample one onto the other"
        )
    return other


def _size_text(file: _Turned) -> str:
    return " x ".join(map(str, reversed(file.shape)))


def _check_single(header: NiftiHeader, what: str) -> None:
    if header.channels > 1:
        text = " x ".join(map(str, (*header.shape, header.channels)))
        raise SourceError(f"{header.path} is {text}, {what} has three axes; keep one volume of it")


def _check_sizes(file: _Turned, headers: list[NiftiHeader], how: ReadOptions) -> None:
    planes, height, width = file.shape
    if height * width > how.max_pixels:
        raise SourceError(
            f"{file.header.path} has planes of {width} x {height} pixels, more than source.max_pixels = "
            f"{how.max_pixels}; raise it if the file is genuine"
        )
    channels = sum(header.channels for header in headers)
    if planes * height * width * channels > how.max_voxels:
        raise SourceError(
            f"{file.header.path} has {width} x {height} x {planes} voxels in {channels} channels, more than "
            f"source.max_voxels = {how.max_voxels}; raise it if the file is genuine"
        )


def _check_finite(volumes: list[npt.NDArray[Any]], path: Path) -> None:
    if volumes[0].dtype.kind != "f":
        return
    bad = sum(volume.size - int(np.count_nonzero(np.isfinite(volume))) for volume in volumes)
    if bad:
        raise SourceError(f"{path} has {bad} NaN or infinite voxels; replace them by the background's value")
