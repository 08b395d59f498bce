"""What a COCO annotation file lists, in an index that stays small: images, categories, where outlines stand."""

import json
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.decoders.codecs.pointers import refuse_pointer
from hsmix_gen.pipeline.decoders.picture_codec import read_bytes
from hsmix_gen.pipeline.decoders.refusal_errors import refusing
from hsmix_gen.schemas.errors import SourceError

# Three points of a polygon; pycocotools would take four numbers for a box.
_MIN_NUMBERS = 6
_PARTS = ("images", "annotations", "categories")
_NOWHERE = -1
_KEPT_FILES = 8
_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\n\r]*")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class CocoImage:
    """An entry of ``images``; size None where the file states none."""

    id: str
    file_name: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class CocoIndex:
    """What one annotation file states, without its outlines.

    `images` by id; further entries of an id in `repeated`; `drawn` counts annotations with an outline by category,
    `undrawn` those of boxes or fewer than three points, `strays` those of images that are not listed.
    """

    images: Mapping[str, CocoImage]
    repeated: tuple[CocoImage, ...]
    categories: Mapping[int, Mapping[str, str]]
    drawn: Counter[int]
    undrawn: int
    strays: int
    _rows: Mapping[str, int]
    _first: npt.NDArray[np.int64]
    _spans: npt.NDArray[np.int64]

    def spans(self, image_id: str) -> list[tuple[int, int]]:
        """Return where in the file the annotations of an image stand: first byte and the one after the last."""
        row = self._rows[image_id]
        return [(int(a), int(b)) for a, b in self._spans[self._first[row] : self._first[row + 1]]]


def read_index(path: str) -> CocoIndex:
    """Return the index of an annotation file; it is kept for the process until the file changes.

    Raises
    ------
    SourceError
        If the file cannot be read or is no COCO file; the text begins with its path.
    """
    with refusing(path):
        refuse_pointer(path)
        state = Path(path).stat()
        return _index(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=_KEPT_FILES)
def _index(path: str, changed_ns: int, size: int) -> CocoIndex:  # noqa: ARG001 - a changed file is another key
    data = read_bytes(Path(path))
    builder = _Builder(data)
    # Every byte becomes one character, so that places in the text are places in the file. Elements are parsed one
    # by one and dropped: the whole tree would take ten times the memory of the file.
    text = data.decode("latin-1")
    for name, start, end, value in _elements(text, len(_BOM) if data.startswith(_BOM) else 0):
        builder.add(name, start, end, value)
    return builder.finished()


class _Builder:
    """Collects the parts of an index while a file is read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._plain = data.isascii()
        self._seen: set[str] = set()
        self._images: list[CocoImage] = []
        self._categories: dict[int, Mapping[str, str]] = {}
        self._owners: list[str] = []
        self._places = array("q")
        self._drawn: Counter[int] = Counter()
        self._undrawn = 0

    def add(self, name: str, start: int, end: int, value: Any) -> None:
        """Take an element of a list, or the news that the list is there (None)."""
        self._seen.add(name)
        if value is None:
            return
        if not isinstance(value, dict):
            raise SourceError(f"has {value!r:.40} among its {name}, expected objects; export it again")
        if name == "annotations":
            self._add_annotation(value, start, end)
        elif name == "images":
            self._images.append(_image(self._decoded(value, start, end)))
        else:
            category = self._decoded(value, start, end)
            number = whole(category.get("id"))
            if number == _NOWHERE:
                raise SourceError(f"has the category id {category.get('id')!r}, expected a whole number from 0")
            self._categories[number] = {part: str(category.get(part) or "") for part in ("name", "supercategory")}

    def finished(self) -> CocoIndex:
        """Return the index."""
        for name in _PARTS:
            if name not in self._seen:
                raise SourceError(f"has no list of {name}; give a COCO file of object instances")
        by_id: dict[str, CocoImage] = {}
        repeated = [image for image in self._images if by_id.setdefault(image.id, image) is not image]
        rows = {image_id: row for row, image_id in enumerate(by_id)}
        owners = np.array([rows.get(owner, len(rows)) for owner in self._owners], np.int64)
        order = np.argsort(owners, kind="stable")
        first = np.searchsorted(owners[order], np.arange(len(rows) + 1))
        spans = np.array(self._places, np.int64).reshape(-1, 2)[order]
        counts = (self._drawn, self._undrawn, len(owners) - int(first[-1]))
        return CocoIndex(by_id, tuple(repeated), self._categories, *counts, rows, first, spans)

    def _add_annotation(self, value: Mapping[str, Any], start: int, end: int) -> None:
        owner = value.get("image_id")
        if isinstance(owner, str):
            owner = self._decoded(value, start, end).get("image_id")
        self._owners.append(_identity(owner))
        self._places.extend((start, end))
        if _has_outline(value.get("segmentation")):
            self._drawn[whole(value.get("category_id"))] += 1
        else:
            self._undrawn += 1

    def _decoded(self, value: Mapping[str, Any], start: int, end: int) -> Mapping[str, Any]:
        """Return an element with its text as meant: what was read was a character for each byte."""
        return value if self._plain else json.loads(self._data[start:end])


def _elements(text: str, at: int) -> Iterator[tuple[str, int, int, Any]]:
    """Yield name, first place, end and value of the elements of each list, and None at the start of the list."""
    at = _after(text, at, "{")
    while not text.startswith("}", at):
        name, at = _DECODER.raw_decode(text, at)
        at = _after(text, at, ":")
        if name in _PARTS and text.startswith("[", at):
            yield name, at, at, None
            at = _after(text, at, "[")
            while not text.startswith("]", at):
                value, end = _DECODER.raw_decode(text, at)
                yield name, at, end, value
                at = _next(text, end, "]")
            at += 1
        else:
            _, at = _DECODER.raw_decode(text, at)
        at = _next(text, at, "}")


def _after(text: str, at: int, sign: str) -> int:
    """Return the place of what follows a sign, blanks skipped."""
    at = _BLANKS.match(text, at).end()  # type: ignore[union-attr]
    if not text.startswith(sign, at):
        raise SourceError(f"is damaged: expected {sign} at byte {at}; export it again")
    return _BLANKS.match(text, at + 1).end()  # type: ignore[union-attr]


def _next(text: str, at: int, closing: str) -> int:
    """Return the place of the next element, or of the closing sign."""
    at = _BLANKS.match(text, at).end()  # type: ignore[union-attr]
    return at if text.startswith(closing, at) else _after(text, at, ",")


def _image(entry: Mapping[str, Any]) -> CocoImage:
    image_id, name = _identity(entry.get("id")), entry.get("file_name")
    if not image_id or not isinstance(name, str) or not name:
        raise SourceError(f"has an image of id {entry.get('id')!r} and file_name {name!r}; export it with both")
    height, width = whole(entry.get("height")), whole(entry.get("width"))
    return CocoImage(image_id, name, (height, width) if height > 0 and width > 0 else None)


def _identity(value: Any) -> str:
    """Return an image id as text; empty if it is none."""
    return value if isinstance(value, str) else "" if whole(value) == _NOWHERE else str(whole(value))


def whole(value: Any) -> int:
    """Return a number from 0 that is whole, whatever its type; -1 if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != value // 1:
        return _NOWHERE
    return int(value)


def _has_outline(segmentation: Any) -> bool:
    if isinstance(segmentation, dict):
        return bool(segmentation.get("counts"))
    return bool(polygons_of(segmentation))


def polygons_of(segmentation: Any) -> list[list[Any]]:
    """Return the polygons of an annotation with an extent; some exporters write one without the outer list."""
    if not isinstance(segmentation, list) or not segmentation:
        return []
    polygons = [segmentation] if isinstance(segmentation[0], int | float) else segmentation
    return [polygon for polygon in polygons if isinstance(polygon, list) and len(polygon) >= _MIN_NUMBERS]
