"""DICOM segmentations (SEG) as masks: each frame laid onto the plane of the opened image where it lies in space.

The key of a content says how segments become values, in words: nothing (the number of the segment), ``bits`` (the
sum of 2**(number - 1) over the segments that hold a pixel), and ``3=1`` and so on for another number than the file's.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from hsmix_gen.pipeline.decoders import dicom_headers
from hsmix_gen.pipeline.decoders.geometry.dicom_geometry import LPS_TO_RAS
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions, Stack
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content

# Share of a voxel by which a frame may lie beside the voxels of the image: positions are rounded when written.
_TOLERANCE = 0.25
_MAX_BITS = 63
_RESAMPLE = "resample the segmentation onto the image"


def open_mask(content: Content, image: Stack, how: ReadOptions) -> Stack:
    """Open a segmentation on the planes of its image; planes without a frame are background.

    Fractions count from half of the greatest value on.

    Raises
    ------
    SourceError
        If it is damaged, lies beside the voxels of the image, or segments overlap without ``bits``.
    """
    path = Path(content.paths[0])
    with dicom_headers.reading(path):
        dataset = dicom_headers.read_dataset(path)
        dicom_headers.check_size(dataset, how)
        words = content.key.split()
        has_bits = "bits" in words
        values = _values(dataset, dict(word.split("=") for word in words if word != "bits"), bits=has_bits)
        volume = np.zeros((image.n_planes, *image.size), np.min_scalar_type(max(values.values())))
        for segment, target, stored in _frames(dataset, image, volume, path.stat().st_size):
            _lay(target, stored, segment, values, dataset, bits=has_bits)
    return ArrayStack(volume, image.is_volume, image.spacing, image.frame)


def segment_labels(dataset: Dataset) -> dict[int, str]:
    """Return the label of each segment by its number from 1, from the header of a segmentation."""
    labels: dict[int, str] = {}
    for item in dataset.get("SegmentSequence") or ():
        number = int(item.SegmentNumber)
        if number < 1:  # the background of label maps
            continue
        codes = item.get("SegmentedPropertyTypeCodeSequence") or (Dataset(),)
        label = item.get("SegmentLabel") or codes[0].get("CodeMeaning") or f"segment {number}"
        labels[number] = " ".join(str(label).split())
    return labels


def _values(dataset: Dataset, renumbered: Mapping[str, str], *, bits: bool) -> dict[int, int]:
    """Return the value of each described segment; 0 is the background of label maps."""
    described = segment_labels(dataset)
    if not described:
        raise SourceError("describes no segments; give a DICOM segmentation")
    strange = [segment for segment in described if renumbered and str(segment) not in renumbered]
    if strange:
        raise SourceError(f"has segment {strange[0]}, which was not there when its segments were numbered; run again")
    numbers = {segment: int(renumbered.get(str(segment), segment)) for segment in described}
    if not bits:
        return numbers
    most = max(numbers.values())
    if most > _MAX_BITS:
        raise SourceError(f"has segment {most}, one channel a segment holds at most {_MAX_BITS}; split the file")
    return {segment: 1 << (number - 1) if number else 0 for segment, number in numbers.items()}


def _frames(
    dataset: Dataset, image: Stack, volume: npt.NDArray[Any], file_bytes: int
) -> Iterator[tuple[int, npt.NDArray[Any] | None, npt.NDArray[Any]]]:
    """Yield of each frame its segment (0 in label maps), the part of the volume where it lies, and its pixels.

    The part is seen in the frame's own orientation; it is None where the frame lies outside of the image.
    """
    count = dicom_headers.frame_count(dataset, file_bytes)
    is_labelmap = dataset.get("SegmentationType") == "LABELMAP"
    for index, stored in enumerate(dicom_headers.stored_frames(dataset, count)):
        segment = 0
        if not is_labelmap:
            named = dicom_headers.functional_group(dataset, index, "SegmentIdentificationSequence")
            segment = named.get("ReferencedSegmentNumber")
            if segment is None:
                raise SourceError(f"names no segment for frame {index + 1}; write the file again")
        yield int(segment), _target(dataset, index, count, image, volume), stored


def _target(
    dataset: Dataset, index: int, count: int, image: Stack, volume: npt.NDArray[Any]
) -> npt.NDArray[Any] | None:
    """Return the view of the volume that a frame covers, (H, W) as the frame has it; None if it lies outside."""
    size = int(dataset.Rows), int(dataset.Columns)
    if image.frame is None:
        if image.n_planes > 1 or size != image.size:
            raise SourceError("cannot be laid onto its image, which has no positions in space; give a mask a plane")
        return np.asarray(volume[0])
    place, spacing = dicom_headers.place_of(dataset, index, lone=count == 1), dicom_headers.spacing_of(dataset, index)
    if place.position is None or place.directions is None or spacing is None:
        raise SourceError(f"has no position, orientation or spacing for frame {index + 1}; write the file again")
    inverse = np.linalg.inv(image.frame)
    origin = inverse[:3, :3] @ (LPS_TO_RAS @ place.position) + inverse[:3, 3]
    # Voxels of the image from one column, and from one row, of the frame to the next; both as (column, row, plane).
    steps = [
        inverse[:3, :3] @ (LPS_TO_RAS @ direction * distance)
        for direction, distance in zip(place.directions, reversed(spacing), strict=True)
    ]
    start = _whole(origin, 1, index)
    along_row, along_column = (_whole(step, length, index) for step, length in zip(steps, reversed(size), strict=True))
    return _view(volume, start, along_row, along_column, size)


def _whole(voxels: npt.NDArray[np.float64], length: int, index: int) -> npt.NDArray[np.int64]:
    """Return whole voxels if they are nearly so, over the whole length of a frame."""
    rounded = np.rint(voxels)
    apart = float(np.abs(voxels - rounded).max()) * max(1, length - 1)
    if apart > _TOLERANCE:
        raise SourceError(f"lies {apart:.3g} voxels beside the grid of its image in frame {index + 1}; {_RESAMPLE}")
    return rounded.astype(np.int64)


def _view(
    volume: npt.NDArray[Any],
    start: npt.NDArray[np.int64],
    along_row: npt.NDArray[np.int64],
    along_column: npt.NDArray[np.int64],
    size: tuple[int, int],
) -> npt.NDArray[Any] | None:
    """Return the part of a volume that begins at a voxel and walks along two of its axes, one voxel a step."""
    steps = np.abs(np.stack([along_row, along_column]))
    if steps.sum(axis=1).tolist() != [1, 1] or steps.sum(axis=0).max() > 1:
        raise SourceError(f"has pixels of another size or direction than its image; {_RESAMPLE}")
    axis_row, axis_column = int(steps[0].argmax()), int(steps[1].argmax())
    index: list[int | slice] = [0, 0, 0]
    for axis in range(3):
        first = last = int(start[axis])
        if axis == axis_row:
            last += int(along_row[axis]) * (size[1] - 1)
        if axis == axis_column:
            last += int(along_column[axis]) * (size[0] - 1)
        low, high = min(first, last), max(first, last)
        if low < 0 or high >= volume.shape[2 - axis]:
            return None
        index[2 - axis] = slice(low, high + 1) if axis in (axis_row, axis_column) else low
    part = volume[tuple(index)]
    if axis_row > axis_column:
        # The volume is indexed (plane, row, column), so its first remaining axis is the frame's row direction.
        part = part.T
    return part[:: int(along_column[axis_column]), :: int(along_row[axis_row])]


def _lay(
    target: npt.NDArray[Any] | None,
    stored: npt.NDArray[Any],
    segment: int,
    values: dict[int, int],
    dataset: Dataset,
    *,
    bits: bool,
) -> None:
    """Write the pixels of a frame into its part of the mask."""
    kind = dataset.get("SegmentationType")
    half = float(dataset.get("MaximumFractionalValue") or 255) / 2
    inside = stored >= half if kind == "FRACTIONAL" else stored != 0
    if target is None:
        if inside.any():
            raise SourceError(f"reaches beyond its image; {_RESAMPLE}")
        return
    for number in (int(found) for found in np.unique(stored) if found) if kind == "LABELMAP" else (segment,):
        if number not in values:
            raise SourceError(f"has segment {number}, which its header does not describe; write the file again")
        value = values[number]
        where = stored == number if kind == "LABELMAP" else inside
        if bits:
            target |= where.astype(target.dtype) * target.dtype.type(value)
            continue
        taken = target[where]
        if ((taken != 0) & (taken != value)).any():
            raise SourceError(f"has segments that overlap (segment {number}); use --labels multilabel")
        target[where] = value
