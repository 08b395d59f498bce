"""COCO annotations: JSON files that list images, categories and outlines, and an index of each that stays small."""

import json
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.found import Found, safe_id
from hsmix_gen.pipeline.images import read_bytes
from hsmix_gen.pipeline.list_reader import Root, refusing, split_of_folder, split_told
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, Labelling, Refusal, SourceItem, picture

MAX_CLASSES = 254
"""Most exclusive classes: 255 is ignore."""
MAX_BITS = 62
"""Most classes of multi-label masks: their bits have to fit an integer of 64 bits."""
MIN_NUMBERS = 6
"""Three points of a polygon; pycocotools would take four numbers for a box."""
_FILES = re.compile(r"(_?annotations?(\.coco)?|instances.*|.*coco.*)\.json", re.IGNORECASE)
_SPLIT_FILES = re.compile(r"(train|val|valid|test).*\.json", re.IGNORECASE)
_PARTS = ("images", "annotations", "categories")
_NOWHERE = -1
_KEPT_FILES = 8
_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\n\r]*")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class CocoImage:
    """An entry of ``images``; size None where the file tells none."""

    id: str
    file_name: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class CocoIndex:
    """What one annotation file tells, without its outlines.

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


class CocoReader:
    """A folder with annotation files (``annotations/instances_*.json``, ``train/_annotations.coco.json``), or one.

    Categories are classes in the order of their ids, 1 to K; with ``labels`` ``multilabel`` each has a channel.
    """

    name = "coco"

    def recognises(self, source: Path) -> bool:
        """Return whether the source is a JSON file, or a folder with JSON files of the usual names."""
        try:
            if source.is_file():
                return source.suffix.lower() == ".json" and source.name.lower() != "dataset.json"
            return bool(_annotation_files(source))
        except OSError:
            return False

    def find(self, source: Path, config: SourceConfig) -> Found:
        """Return the images that the annotation files list, those without annotations too.

        Raises
        ------
        SourceError
            If there is no annotation file, one is damaged, or their categories cannot be classes.
        """
        paths = [source] if source.is_file() else _annotation_files(source) or sorted(source.glob("*.json"))
        if not paths:
            raise SourceError(f"{source} has no file such as annotations/instances_train.json; give the file itself")
        indices = {str(path): read_index(str(path)) for path in paths}
        categories, classes, notes = _classes(indices, config)
        bits = config.labels == "multilabel"
        key = mask_key("", "multilabel" if bits else "exclusive", categories)
        pairs: list[tuple[str, SourceItem]] = []
        refusals: list[Refusal] = []
        root = Root(Path(config.root) if config.root else _root(source))
        for path, index in indices.items():
            places = _Places(Path(path), root)
            for image in index.images.values():
                found = places.item(image, key)
                (refusals if isinstance(found, Refusal) else pairs).append(found)  # type: ignore[arg-type]
            again = "an image id is listed twice; keep one entry of"
            refusals += [_refused(image, path, f"{again} {image.id}") for image in index.repeated]
        items, twice = _named(pairs)
        values = () if bits else tuple((number, number) for number in range(len(classes)))
        return Found(items, (*refusals, *twice), notes, Labelling(classes, values, bits=bits))


def _annotation_files(folder: Path) -> list[Path]:
    """Return the files of instances (no captions, no key points) of a folder, its annotations and its splits."""
    found = _matching(folder, _FILES)
    for below in sorted(path for path in folder.iterdir() if path.is_dir()):
        if below.name.lower().startswith("annotation"):
            found += _matching(below, _FILES) or _matching(below, _SPLIT_FILES)
        elif split_of_folder(below.name):
            found += _matching(below, _FILES)
    return found


def _matching(folder: Path, names: re.Pattern[str]) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if names.fullmatch(path.name))


def _root(source: Path) -> Path:
    beside = source.is_file() and source.parent.name.lower().startswith("annotation")
    return source if source.is_dir() else source.parent.parent if beside else source.parent


class _Places:
    """Where the pictures of one annotation file lie."""

    def __init__(self, path: Path, root: Root) -> None:
        self._path = path
        self._root = root
        told = re.sub(r"^(instances|annotations?)_", "", path.stem, flags=re.IGNORECASE)
        above = [path.parent, path.parent / "images", root.folder, root.folder / "images"]
        self._folders = list(dict.fromkeys([*above, *(folder / told for folder in (above[2], above[3]))]))
        self._split = split_told(told) or split_of_folder(path.parent.name)

    def item(self, image: CocoImage, key: str) -> tuple[str, SourceItem] | Refusal:
        """Return an image with its place in the root, or why it is left out."""
        candidates = [folder / image.file_name.replace("\\", "/") for folder in self._folders]
        path = next((one for one in candidates if one.is_file()), None)
        if not any(self._root.holds(one) for one in ([path] if path else candidates)):
            reason = f"file_name {image.file_name} leaves {self._root.folder}; correct it, or give --root DIR"
            return _refused(image, str(self._path), reason)
        if path is None:
            searched = ", ".join(map(str, self._folders))
            return _refused(image, str(self._path), f"image {image.file_name} is in none of {searched}; add it")
        # Most pictures of a file lie where the last one lay.
        used = self._folders[candidates.index(path)]
        self._folders.sort(key=lambda folder: folder != used)
        split = self._split or split_of_folder(path.parent.name)
        mask = Content("coco", (str(self._path),), image.id + key)
        stem, mark, _ = path.stem.partition(".rf.")
        item = SourceItem("", picture(str(path)), mask, stem if mark else None, split)
        return self._root.relative(path), item


def _refused(image: CocoImage, path: str, reason: str) -> Refusal:
    return Refusal(safe_id(PurePosixPath(image.file_name).stem), path, "discover", reason)


def _classes(
    indices: Mapping[str, CocoIndex], config: SourceConfig
) -> tuple[tuple[int, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the ids of the categories that are classes, the names of all classes, and notes."""
    entries: dict[int, Mapping[str, str]] = {}
    for path, index in indices.items():
        for number, entry in index.categories.items():
            if entries.setdefault(number, entry)["name"] != entry["name"]:
                other = entries[number]["name"]
                raise SourceError(f"{path} calls category {number} {entry['name']}, others {other}; unify them")
    first = next(iter(indices))
    drawn = sum((index.drawn for index in indices.values()), Counter[int]())
    if not drawn and any(index.undrawn for index in indices.values()):
        raise SourceError(f"{first} has boxes but no outlines; export it with polygons or masks")
    parents = {entry["supercategory"] for entry in entries.values()}
    # Roboflow lists the project as a category 0 that nothing belongs to.
    empty = {number for number, entry in entries.items() if not drawn[number] and entry["name"] in parents}
    idle = {number for number in empty if entries[number]["supercategory"] in ("", "none")}
    idle |= {number for number, entry in entries.items() if entry["name"].lower() == "background"}
    wanted = tuple(sorted(entries.keys() - idle))
    most = MAX_BITS if config.labels == "multilabel" else MAX_CLASSES
    if not 0 < len(wanted) <= most:
        raise SourceError(f"{first} has {len(wanted)} categories, expected 1 to {most}; keep those you need")
    names = [entries[number]["name"] or f"category_{number}" for number in wanted]
    unique = (f"{name}_{number}" if names.count(name) > 1 else name for name, number in zip(names, wanted, strict=True))
    notes = [f"category {entries[number]['name']} is no class" for number in sorted(idle)]
    unknown = sorted(drawn.keys() - entries.keys())
    told = [
        (sum(index.undrawn for index in indices.values()), "have no outline"),
        (sum(index.strays for index in indices.values()), "belong to images that are not listed"),
        (sum(drawn[number] for number in unknown), f"are of unknown categories ({', '.join(map(str, unknown))})"),
    ]
    notes += [f"{count} annotations {what} and are left out" for count, what in told if count]
    return wanted, ("background", *unique), tuple(notes)


def _named(pairs: Sequence[tuple[str, SourceItem]]) -> tuple[tuple[SourceItem, ...], list[Refusal]]:
    """Return items with ids and groups, and the refusals of pictures that are listed twice."""
    by_path: dict[str, SourceItem] = {}
    refusals = []
    for path, item in pairs:
        if by_path.setdefault(path, item) is not item:
            other = by_path[path].mask.uri
            reason = f"is listed twice, first in {other}; keep one entry of a picture"
            refusals.append(Refusal(safe_id(PurePosixPath(path).stem), item.mask.uri, "discover", reason))
    stems = Counter(PurePosixPath(path).stem.casefold() for path in by_path)
    splits = defaultdict(set)
    for item in by_path.values():
        splits[item.group].add(item.split)
    items = []
    for path, item in by_path.items():
        pure = PurePosixPath(path).with_suffix("")
        # Copies of one original share a group; an equal name in two official splits is another picture.
        group = item.group if len(splits[item.group]) == 1 else None
        items.append(replace(item, id=safe_id(pure.name if max(stems.values()) == 1 else str(pure)), group=group))
    return tuple(items), refusals


def mask_key(image_id: str, labels: str, categories: Sequence[int]) -> str:
    """Return the key of a content: ``IMAGE;exclusive|multilabel;CATEGORIES``, ids in order such as ``1-11,13``."""
    parts: list[list[int]] = []
    for category in sorted(categories):
        if parts and category == parts[-1][1] + 1:
            parts[-1][1] = category
        else:
            parts.append([category, category])
    listed = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)
    return f"{image_id};{labels};{listed}"


def read_index(path: str) -> CocoIndex:
    """Return the index of an annotation file; it is kept for the process until the file changes.

    Raises
    ------
    SourceError
        If the file cannot be read or is no COCO file; the text begins with its path.
    """
    with refusing(path):
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
    return any(len(polygon) >= MIN_NUMBERS for polygon in polygons_of(segmentation))


def polygons_of(segmentation: Any) -> list[list[Any]]:
    """Return the polygons of an annotation; some exporters write a single one without the outer list."""
    if not isinstance(segmentation, list) or not segmentation:
        return []
    if isinstance(segmentation[0], int | float):
        return [segmentation]
    return [polygon for polygon in segmentation if isinstance(polygon, list)]
