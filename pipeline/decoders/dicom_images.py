"""DICOM series as stacks: planes in the order of space, in units of the modality (HU), in canonical orientation.

MONOCHROME1 is turned over so that larger is brighter: stored values about their stored range (as pydicom and GDCM
do), before slope and intercept; the numbers of such an image are brightness then, no longer HU. Pixels outside of
the field of view (pixel padding value) are left as they are.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.uid import VLWholeSlideMicroscopyImageStorage

from hsmix_gen.pipeline.decoders import dicom_headers
from hsmix_gen.pipeline.decoders.geometry.dicom_geometry import PlanePosition, frame_of, order_planes, turn_planes
from hsmix_gen.pipeline.decoders.geometry.orientation import Turn, display_turn, frame_spacing, plane_axis, turn_onto
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions, Stack, labels_of
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content

_SPACING_TOLERANCE = 0.01
_SCALES = {"RescaleSlope": 1.0, "RescaleIntercept": 0.0}
"""What changes stored numbers, and what it is where files have none."""
_Form = tuple[str, tuple[float, float], tuple[float | None, ...]]
"""Size of the planes in words, spacing, and slope and intercept as far as they are stated."""


def open_image(content: Content, how: ReadOptions) -> Stack:
    """Open the files of one series, in any order.

    Planes are those of the series (``auto``), or of the volume cut along another axis, which takes positions.
    """
    series = _read(content, how, as_mask=False)
    # Bytes and colours are made for the eye, all else are numbers with a meaning.
    is_picture = series.dtype.kind == "u"
    return replace(_turned(series, _turn(series, how, content.paths[0])), is_picture=is_picture)


def open_mask(content: Content, image: Stack, how: ReadOptions) -> Stack:
    """Open a label map that was stored as a plain series, turned as its image is."""
    path = content.paths[0]
    series = _read(content, how, as_mask=True)
    if series.channels != 1:
        raise SourceError(f"{path} is a coloured mask; store class ids, one number a pixel")
    if series.frame is None or image.frame is None:
        turn = _turn(series, how, path)
    else:
        turn = turn_onto(series.frame, image.frame)
    mask = _turned(series, turn)
    return replace(mask, planes=labels_of(mask.planes[..., 0], path, how))


def _turn(series: ArrayStack, how: ReadOptions, path: str) -> Turn | None:
    """Return the turn to the frame of display; none where nothing states how the series lies."""
    if series.frame is None:
        if series.is_volume and how.axis != "auto":
            raise SourceError(f"{path} and its series have no positions, so no {how.axis} planes; use --axis auto")
        return None
    axis = how.axis if series.is_volume and how.axis != "auto" else plane_axis(series.frame)
    return display_turn(series.frame, (*reversed(series.size), series.n_planes), axis)


def _turned(series: ArrayStack, turn: Turn | None) -> ArrayStack:
    if turn is None or series.frame is None:
        return series
    volume, frame = turn_planes(series.planes, series.frame, turn)
    return ArrayStack(volume, len(volume) > 1, frame_spacing(frame, len(volume)), frame)


def _read(content: Content, how: ReadOptions, *, as_mask: bool) -> ArrayStack:
    """Return the planes in order as they were acquired, with affine and spacing where they are known.

    Files are read and decoded one by one; sizes are checked before anything of a file is decoded.
    """
    paths = [Path(path) for path in content.paths if path]
    planes: list[npt.NDArray[Any]] = []
    places: list[PlanePosition] = []
    first: Dataset | None = None
    for path in paths:
        with dicom_headers.reading(path):
            dataset = dicom_headers.read_dataset(path)
            dicom_headers.check_size(dataset, how)
            _check_kind(dataset)
            frames = dicom_headers.frame_count(dataset, path.stat().st_size)
            _check_voxels(dataset, len(planes) + frames, how)
            form = _form_of(dataset)
            if first is None:
                first, first_form = dataset, form
            _check_same(first_form, form)
            places += [dicom_headers.place_of(dataset, frame, lone=frames == 1) for frame in range(frames)]
            planes += [
                _values(stored, dataset, _scale_of(dataset, frame), as_mask=as_mask)
                for frame, stored in enumerate(dicom_headers.stored_frames(dataset, frames))
            ]
            if len(planes) != len(places):
                raise SourceError(f"has not the {frames} frames that its header states; copy it again")
            if dataset is first:  # only its header is asked again
                for name in dicom_headers.PIXELS:
                    dataset.pop(name, None)
    assert first is not None
    with dicom_headers.reading(paths[0]):
        spacing, thickness = dicom_headers.spacing_of(first), dicom_headers.thickness_of(first)
        order = order_planes(places, spacing)
        frame = frame_of([places[index] for index in order], spacing, thickness)
    volume = np.stack([planes[index] for index in order])
    # int32 and float32 together become float64, which adds nothing.
    volume = volume.astype(np.float32) if volume.dtype == np.float64 else volume
    return ArrayStack(volume, len(volume) > 1, spacing, frame)


def _check_voxels(dataset: Dataset, planes: int, how: ReadOptions) -> None:
    voxels = planes * int(dataset.Rows) * int(dataset.Columns) * _samples(dataset)
    if voxels > how.max_voxels:
        raise SourceError(
            f"and the files before it have {voxels} voxels, more than source.max_voxels = {how.max_voxels}; "
            "raise it if the series is genuine"
        )


def _scale_of(dataset: Dataset, frame: int) -> Dataset:
    """Return what holds the table, or slope and intercept, of a frame.

    Of slope and intercept one that is absent, or was emptied with the names of a patient, is 1 or 0.
    """
    scale = dicom_headers.functional_group(dataset, frame, "PixelValueTransformationSequence") or dataset
    if "ModalityLUTSequence" in scale:
        return scale
    slope, intercept = (dicom_headers.numbers_of(scale, name, 1) for name in ("RescaleSlope", "RescaleIntercept"))
    whole = Dataset()
    if slope is None and intercept is None:
        return whole
    if slope is not None and slope[0] == 0:
        raise SourceError("has the RescaleSlope 0, which leaves nothing of the image; export it again")
    whole.RescaleSlope = 1.0 if slope is None else float(slope[0])
    whole.RescaleIntercept = 0.0 if intercept is None else float(intercept[0])
    return whole


def _values(stored: npt.NDArray[Any], dataset: Dataset, scale: Dataset, *, as_mask: bool) -> npt.NDArray[Any]:
    """Return what the stored numbers mean, (H, W, C)."""
    if stored.ndim == 3:
        return stored
    if not as_mask:
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            return apply_color_lut(stored, dataset)[..., :3]
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            stored = _turned_over(stored, dataset)
    return _kept(apply_modality_lut(stored, scale), scale)[..., None]


def _kept(values: npt.NDArray[Any], scale: Dataset) -> npt.NDArray[Any]:
    """Return grey values as they are kept: bytes as they are, fractions as float32, all else signed.

    uint16 is not used, it would say "brightness from 0 to 65535"; what exceeds int16 becomes int32.
    """
    slope = scale.get("RescaleSlope")
    if slope is not None:
        whole = float(slope).is_integer() and float(scale.get("RescaleIntercept") or 0).is_integer()
    else:
        whole = values.dtype.kind != "f"
    if not whole:
        return values.astype(np.float32)
    if values.dtype == np.int16 or (values.dtype == np.uint8 and "ModalityLUTSequence" not in scale):
        return values
    if values.dtype == np.uint16 and values.max() <= 32767:
        return values.view(np.int16)
    fits = values.dtype.itemsize == 1 or (values.min() >= -32768 and values.max() <= 32767)
    return values.astype(np.int16 if fits else np.int32)


def _turned_over(stored: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[Any]:
    if stored.dtype.kind == "f":
        return -stored
    # Least and greatest stored value have the sum 2**bits - 1, or -1 where values are signed: bits are flipped.
    bits = -1 if dataset.PixelRepresentation else 2 ** int(dataset.BitsStored) - 1
    turned: npt.NDArray[Any] = stored ^ stored.dtype.type(bits)
    return turned


def _check_kind(dataset: Dataset) -> None:
    if dataset.get("SOPClassUID") == VLWholeSlideMicroscopyImageStorage:
        raise SourceError("is a whole slide in tiles; export regions of it as TIFF or PNG")
    if "MOSAIC" in (dataset.get("ImageType") or ()):
        raise SourceError("is a mosaic of planes; convert the series to NIfTI, for example with dcm2niix")


def _form_of(dataset: Dataset) -> _Form:
    stated = (dicom_headers.numbers_of(dataset, name, 1) for name in _SCALES)
    scale = tuple(None if number is None else float(number[0]) for number in stated)
    size = f"{int(dataset.Columns)} x {int(dataset.Rows)} x {_samples(dataset)}"
    return size, dicom_headers.spacing_of(dataset) or (0.0, 0.0), scale


def _check_same(first: _Form, other: _Form) -> None:
    if first[0] != other[0]:
        raise SourceError(f"is {other[0]}, other files of its series {first[0]}; keep planes of one size a series")
    if any(abs(a - b) > _SPACING_TOLERANCE * a for a, b in zip(first[1], other[1], strict=True)):
        raise SourceError(f"has the spacing {other[1]}, other files of its series {first[1]}; split the series")
    for (name, neutral), one, another in zip(_SCALES.items(), first[2], other[2], strict=True):
        # Slopes may differ from plane to plane, as PET has them; one that is lost leaves a plane in other units.
        if (one is None) != (another is None) and (one or another or 0.0) != neutral:
            raise SourceError(
                f"has the {name} {_or_none(another)}, other files of its series {_or_none(one)}; complete the series"
            )


def _or_none(number: float | None) -> str:
    return "none" if number is None else f"{number:g}"


def _samples(dataset: Dataset) -> int:
    palette = dataset.get("PhotometricInterpretation") == "PALETTE COLOR"
    return 3 if palette else int(dataset.get("SamplesPerPixel") or 1)
