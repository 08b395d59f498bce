"""COCO folders: images that annotation files list, with their classes, splits and places.

A folder with annotation files (``annotations/instances_*.json``, ``train/_annotations.coco.json``), or one. Categories
are classes in the order of their ids, 1 to K; with ``labels`` ``multilabel`` each has a channel.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from hsmix_gen.pipeline.decoders.coco_index import CocoImage, CocoIndex, read_index
from hsmix_gen.pipeline.readers.paths.confined_root import Root
from hsmix_gen.pipeline.readers.paths.grouped import grouped
from hsmix_gen.pipeline.readers.paths.ids import Found, parted, safe_id
from hsmix_gen.pipeline.readers.paths.label_tools import is_coco
from hsmix_gen.pipeline.readers.paths.split_words import split_of_folder, split_of_name
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.extras import load
from hsmix_gen.schemas.records import Content, Labelling, Refusal, SourceItem, picture

OPTIONS = frozenset({"root"})
TRIED = 10
READS = "polygons and run lengths of every category"
RECOGNISED_BY = "its JSON files, also `result.json` of Label Studio"
REFUSES = "sizes that differ from the picture, names that leave the folder"

MAX_CLASSES = 254
"""Most exclusive classes: 255 is ignore."""
MAX_BITS = 62
"""Most classes of multi-label masks: their bits have to fit an integer of 64 bits."""
_FILES = re.compile(r"(_?annotations?(\.coco)?|instances.*|.*coco.*)\.json", re.IGNORECASE)
# As Label Studio calls it; others may call anything so.
_RESULT = "result.json"
_SPLIT_FILES = re.compile(r"(train|val|valid|test).*\.json", re.IGNORECASE)


def recognises(source: Path) -> bool:
    """Return whether the source is a JSON file, or a folder with JSON files of the usual names."""
    if source.is_file():
        return source.suffix.lower() == ".json" and source.name.lower() != "dataset.json"
    return source.is_dir() and bool(_annotation_files(source))


def find(source: Path, config: SourceConfig) -> Found:
    """Return the images that the annotation files list, those without annotations too.

    Raises
    ------
    SourceError
        If there is no annotation file, one is damaged, or their categories cannot be classes.
    """
    load("pycocotools", f"{source} (layout coco)")
    paths = [source] if source.is_file() else _annotation_files(source) or sorted(source.glob("*.json"))
    if not paths:
        raise SourceError(f"{source} has no file such as annotations/instances_train.json; give the file itself")
    indices = {str(path): read_index(str(path)) for path in paths}
    categories, classes, notes = _classes(indices, config)
    bits = config.labels == "multilabel"
    key = mask_key("", "multilabel" if bits else "exclusive", categories)
    read: list[SourceItem | Refusal] = []
    root = Root(Path(config.root) if config.root else _root(source))
    for path, index in indices.items():
        places = _Places(Path(path), root)
        read += [places.item(image, key) for image in index.images.values()]
        again = "an image id is listed twice; keep one entry of"
        read += [_refused(image, path, f"{again} {image.id}") for image in index.repeated]
    found, refusals = parted(read)
    items, twice = _named(found, root)
    values = () if bits else tuple((number, number) for number in range(len(classes)))
    return Found(items, (*refusals, *twice), notes, Labelling(classes, values, bits=bits))


def _annotation_files(folder: Path) -> list[Path]:
    """Return the files of instances (no captions, no key points) of a folder, its annotations and its splits."""
    found = _matching(folder, _FILES)
    result = folder / _RESULT
    if is_coco(result):
        found.append(result)
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
        name = re.sub(r"^(instances|annotations?)_", "", path.stem, flags=re.IGNORECASE)
        above = [path.parent, path.parent / "images", root.folder, root.folder / "images"]
        self._folders = list(dict.fromkeys([*above, *(folder / name for folder in (above[2], above[3]))]))
        self._split = split_of_name(name) or split_of_folder(path.parent.name)

    def item(self, image: CocoImage, key: str) -> SourceItem | Refusal:
        """Return an image with its mask, or why it is left out."""
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
        return SourceItem("", picture(str(path)), mask, stem if mark else None, split)


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
    left_out = [
        (sum(index.undrawn for index in indices.values()), "have no outline"),
        (sum(index.strays for index in indices.values()), "belong to images that are not listed"),
        (sum(drawn[number] for number in unknown), f"are of unknown categories ({', '.join(map(str, unknown))})"),
    ]
    notes += [f"{count} annotations {what} and are left out" for count, what in left_out if count]
    return wanted, ("background", *unique), tuple(notes)


def _named(found: Sequence[SourceItem], root: Root) -> tuple[tuple[SourceItem, ...], list[Refusal]]:
    """Return items with ids and groups, and the refusals of pictures that are listed twice."""
    by_path: dict[str, SourceItem] = {}
    refusals = []
    for item in found:
        path = root.relative(Path(item.image.uri))
        if by_path.setdefault(path, item) is not item:
            other = by_path[path].mask.uri
            reason = f"is listed twice, first in {other}; keep one entry of a picture"
            refusals.append(Refusal(safe_id(PurePosixPath(path).stem), item.mask.uri, "discover", reason))
    stems = {PurePosixPath(path).stem.casefold() for path in by_path}
    splits = grouped((item.group, item.split) for item in by_path.values())
    torn = {group for group, named in splits.items() if len(set(named)) > 1}
    items = []
    for path, item in by_path.items():
        pure = PurePosixPath(path).with_suffix("")
        # Copies of one original share a group; an equal name in two official splits is another picture.
        group = None if item.group in torn else item.group
        items.append(replace(item, id=safe_id(pure.name if len(stems) == len(by_path) else str(pure)), group=group))
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
