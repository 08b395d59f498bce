"""Masks from COCO annotations: polygons and runs of single objects, painted into one mask.

It decodes the format ``coco`` of ``schemas.records.Content``; ``coco_reader.mask_key`` states what its key holds.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as runs

from hsmix_gen.pipeline.decoders.coco_index import CocoImage, polygons_of, read_index, whole
from hsmix_gen.pipeline.decoders.refusal_errors import refusing
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions, Stack
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content

_LABELS = ("exclusive", "multilabel")
_FARTHEST = 1e9
_SPARE_STEPS = 10_000


def open_mask(content: Content, image: Stack, how: ReadOptions) -> Stack:  # noqa: ARG001 - no larger than its image
    """Open the mask of one image.

    Objects are painted in the order of their area, the largest first, so that smaller objects stay on top; of
    equal ones the later in the file stays on top. In multi-label masks every object counts: pixels are sums of
    2**k over the categories k that cover them. Crowds (``iscrowd``) are painted like objects.

    Raises
    ------
    SourceError
        If the picture differs in size from what the file says, or an outline is damaged.
    """
    (path,) = content.paths
    image_id, labels, listed = content.key.rsplit(";", 2)
    assert labels in _LABELS
    places = {category: place for place, category in enumerate(_categories(listed))}
    with refusing(path):
        index = read_index(path)
        _check_size(path, index.images[image_id], image.size)
        objects = [
            (places[category], region)
            for annotation in _annotations(path, index.spans(image_id))
            if (category := whole(annotation.get("category_id"))) in places
            for region in [_region(annotation, image.size)]
            if region is not None
        ]
        values = _painted(objects, image.size, len(places), bits=labels == "multilabel")
    return ArrayStack(values[None])


def _check_size(path: str, entry: CocoImage, size: tuple[int, int]) -> None:
    if entry.size is None or entry.size == size:
        return
    turned = " (turned by its EXIF orientation?)" if entry.size == size[::-1] else ""
    raise SourceError(
        f"{path} says that {entry.file_name} is {entry.size[1]} x {entry.size[0]}, the picture is "
        f"{size[1]} x {size[0]}{turned}; annotate the picture as it is"
    )


def _categories(listed: str) -> list[int]:
    """Return the category ids of a key."""
    ranges = [[int(end) for end in part.split("-")] for part in listed.split(",") if part]
    return [number for ends in ranges for number in range(ends[0], ends[-1] + 1)]


def _annotations(path: str, spans: Sequence[tuple[int, int]]) -> Iterator[Mapping[str, Any]]:
    with Path(path).open("rb") as file:
        for start, end in spans:
            file.seek(start)
            yield json.loads(file.read(end - start))


@dataclass(frozen=True)
class _Region:
    """Pixels of one object, run-length encoded in its own window of the image."""

    top: int
    left: int
    encoded: Mapping[str, Any]

    @property
    def area(self) -> int:
        """Pixels."""
        return int(runs.area(self.encoded))


def _painted(
    objects: Sequence[tuple[int, _Region]], size: tuple[int, int], n_categories: int, *, bits: bool
) -> npt.NDArray[Any]:
    """Return the mask of objects (place of their category, region)."""
    dtype = np.min_scalar_type(2**n_categories - 1 if bits else n_categories)
    mask = np.zeros(size, dtype)
    for place, region in sorted(objects, key=lambda one: -one[1].area):
        height, width = region.encoded["size"]
        window = mask[region.top : region.top + height, region.left : region.left + width]
        covered = _pixels(region.encoded)
        if bits:
            np.bitwise_or(window, dtype.type(1 << place), out=window, where=covered)
        else:
            np.copyto(window, dtype.type(place + 1), where=covered)
    return mask


def _pixels(encoded: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """Return runs as pixels; ``pycocotools.mask.decode`` warns at every call with numpy 2."""
    lengths = _lengths(encoded["counts"])
    height, width = encoded["size"]
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(width, height).T


def _region(annotation: Mapping[str, Any], size: tuple[int, int]) -> _Region | None:
    """Return the pixels of an annotation; None if it has no outline or lies outside of the image."""
    segmentation, name = annotation.get("segmentation"), f"annotation {annotation.get('id')}"
    if isinstance(segmentation, dict):
        return _Region(0, 0, _checked_runs(segmentation, size, name))
    polygons = [_points(polygon, name) for polygon in polygons_of(segmentation)]
    inside = [points for points in (_clipped(points, size) for points in polygons) if len(points) >= 3]
    if not inside:
        return None
    steps = sum(float(np.abs(np.roll(points, 1, 0) - points).max(1).sum()) for points in inside)
    if steps > size[0] * size[1] + _SPARE_STEPS:
        raise SourceError(f"{name} has an outline of {steps:.0f} pixels, longer than its image has pixels; correct it")
    corners = np.concatenate(inside)
    left, top = np.floor(corners.min(0)).astype(int)
    # The window ends with the image; an object of no extent still has a window of one pixel.
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, (size[1], size[0]))
    left, top = min(left, size[1] - 1), min(top, size[0] - 1)
    height, width = int(bottom - top), int(right - left)
    shifted = [(points - (left, top)).ravel().tolist() for points in inside]
    return _Region(int(top), int(left), runs.merge(runs.frPyObjects(shifted, height, width)))


def _points(polygon: list[Any], name: str) -> npt.NDArray[np.float64]:
    """Return a polygon as (N, 2) x and y."""
    try:
        numbers = np.array(polygon, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise SourceError(f"{name} has a polygon that is no list of numbers; export it again") from None
    if numbers.ndim != 1 or numbers.size % 2:
        raise SourceError(f"{name} has a polygon of {len(polygon)} numbers, expected pairs of x and y; export it again")
    if not (np.abs(numbers) <= _FARTHEST).all():
        raise SourceError(f"{name} has a coordinate that is no number of pixels; export it again")
    return numbers.reshape(-1, 2)


def _clipped(points: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return a polygon cut to the image (Sutherland and Hodgman); pycocotools needs memory for what lies outside."""
    for axis, limit in ((0, float(size[1])), (1, float(size[0]))):
        for sign, bound in ((1.0, 0.0), (-1.0, -limit)):
            distance = sign * points[:, axis] - bound
            if len(points) and (distance < 0).any():
                points = _cut(points, distance)
    return points


def _cut(points: npt.NDArray[np.float64], distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return a polygon without what lies at negative distance of a line."""
    following, beyond = np.roll(points, -1, 0), np.roll(distance, -1)
    crosses = (distance < 0) != (beyond < 0)
    span = np.where(crosses, distance - beyond, 1.0)
    crossings = points + (distance / span)[:, None] * (following - points)
    both = np.stack([points, crossings], axis=1).reshape(-1, 2)
    kept: npt.NDArray[np.float64] = both[np.stack([distance >= 0, crosses], axis=1).ravel()]
    return kept


def _checked_runs(segmentation: Mapping[str, Any], size: tuple[int, int], name: str) -> Mapping[str, Any]:
    """Return runs that fill the image exactly; pycocotools would show foreign memory for those that do not."""
    counts, stated = segmentation.get("counts"), segmentation.get("size")
    if stated != list(size):
        raise SourceError(f"{name} has runs for a size of {stated}, its image is {list(size)}; export it again")
    try:
        lengths = _lengths(counts.encode("ascii")) if isinstance(counts, str) else np.array(counts)
        whole = lengths.ndim == 1 and lengths.dtype.kind in "iu" and (lengths >= 0).all()
    except (ValueError, TypeError, OverflowError):
        whole = False
    if not whole or int(lengths.sum()) != size[0] * size[1]:
        raise SourceError(f"{name} has runs that do not fill its image of {size[0] * size[1]} pixels; export it again")
    if isinstance(counts, str):
        return {"size": list(size), "counts": counts.encode("ascii")}
    return runs.frPyObjects({"size": list(size), "counts": lengths.tolist()}, *size)  # type: ignore[no-any-return]


def _lengths(text: bytes) -> npt.NDArray[np.int64]:
    """Return the runs of compressed counts: groups of five bits, lowest first, as differences to two runs before."""
    digits = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    more = (digits & 32) > 0
    if not len(digits) or digits.min() < 0 or digits.max() > 63 or more[-1]:
        raise ValueError("no runs")
    starts = np.flatnonzero(np.concatenate([[True], ~more[:-1]]))
    within = np.arange(len(digits)) - np.repeat(starts, np.diff([*starts, len(digits)]))
    if within.max() > 7:
        raise ValueError("a run is too long")
    lengths = np.add.reduceat((digits & 31) << (5 * within), starts)
    ends = np.concatenate([starts[1:], [len(digits)]]) - 1
    lengths -= np.where(digits[ends] & 16, np.int64(1) << (5 * (within[ends] + 1)), 0)
    for first in (1, 2):
        lengths[first::2] = np.cumsum(lengths[first::2])
    return lengths
