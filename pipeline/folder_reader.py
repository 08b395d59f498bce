"""Folders of images and masks, paired by name: separate folders, suffixes, or one stem with two endings."""

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image as Pillow

from hsmix_gen.pipeline.found import Found, safe_id
from hsmix_gen.pipeline.images import IMAGE_ENDINGS
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Refusal, SourceItem, Split

MASK_SUFFIXES = (
    "_segmentation", "_mask", "-mask", "_masks", "_seg", "_label", "_labels", "_gt", "_groundtruth", "_anno",
    "_annotation",
)  # fmt: skip
_MASK_FOLDER = re.compile(
    r"(^|[^a-z])(masks?|labels?|labelcol|gts?|ground[_ -]?truths?|annotations?|segmentations?|segs?)([^a-z]|$)"
    r"|groundtruth$"
)
_IMAGE_FOLDER = re.compile(r"(^|[^a-z])(images?|imgs?|inputs?|photos?|pictures|data|tissue images)([^a-z]|$)")
_SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_NOT_IMAGES = ("_superpixels",)


@dataclass(frozen=True)
class _File:
    path: str
    key: str
    is_mask: bool


class FolderReader:
    """Images and masks in a folder, however nested.

    A file is a mask if a folder above it, or the end of its stem, says so. Image and mask belong together when
    their paths are equal without those words and without the ending. Where nothing says "mask", images and masks
    share stems in one folder and differ in their ending: then the single-channel files are the masks.
    """

    name = "folder"

    def recognises(self, source: Path) -> bool:
        """Return whether the source is a folder."""
        return source.is_dir()

    def find(self, source: Path, config: SourceConfig) -> Found:
        """Return the pairs under `source`."""
        paths = [path for path in _walk(source) if not PurePosixPath(path).stem.lower().endswith(_NOT_IMAGES)]
        files = [_classify(path, config) for path in paths]
        notes: list[str] = []
        if files and not any(file.is_mask for file in files):
            files, notes = _classify_by_ending(source, files)
        return _pair(source, files, tuple(notes))


def _walk(source: Path) -> list[str]:
    """Return the image files under `source`, relative, sorted; links to folders are not followed (loops)."""
    found: list[str] = []
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = Path(folder).relative_to(source)
        found += [
            (relative / name).as_posix()
            for name in names
            if Path(name).suffix.lower() in IMAGE_ENDINGS and not name.startswith(".")
        ]
    return sorted(found)


def _classify(path: str, config: SourceConfig) -> _File:
    pure = PurePosixPath(path)
    stem = pure.stem
    folders, telling = _telling_folder(pure.parent.parts)
    suffix = _mask_suffix(stem, config)
    # Below a mask folder the suffix is decoration; elsewhere it is what makes a file a mask.
    is_mask = bool(suffix) or telling == "mask"
    if suffix:
        stem = stem[: -len(suffix)]
    elif not is_mask and config.image_suffix and stem.endswith(config.image_suffix):
        stem = stem[: -len(config.image_suffix)]
    return _File(path, "/".join([*folders, stem]), is_mask)


def _telling_folder(folders: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Return the folders without the deepest one that says "image" or "mask", and which of both it says."""
    for depth in reversed(range(len(folders))):
        name = folders[depth].lower()
        for kind, pattern in (("mask", _MASK_FOLDER), ("image", _IMAGE_FOLDER)):
            if pattern.search(name):
                return folders[:depth] + folders[depth + 1 :], kind
    return folders, ""


def _mask_suffix(stem: str, config: SourceConfig) -> str:
    if config.mask_suffix:
        return config.mask_suffix if stem.endswith(config.mask_suffix) else ""
    for suffix in MASK_SUFFIXES:
        if stem.lower().endswith(suffix) and len(stem) > len(suffix):
            return stem[-len(suffix) :]
    return ""


def _classify_by_ending(source: Path, files: list[_File]) -> tuple[list[_File], list[str]]:
    endings: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        endings[PurePosixPath(file.path).suffix.lower()].append(file)
    if len(endings) < 2:
        return files, []
    grey = {ending for ending, same in endings.items() if all(_single_channel(source / f.path) for f in same[:8])}
    if not grey or len(grey) == len(endings):
        return files, []
    note = f"nothing is named as a mask; single-channel {', '.join(sorted(grey))} files were taken as masks"
    marked = [_File(file.path, file.key, PurePosixPath(file.path).suffix.lower() in grey) for file in files]
    return marked, [note]


def _single_channel(path: Path) -> bool:
    try:
        with Pillow.open(path) as picture:
            return picture.mode in ("1", "L", "P")
    except (OSError, ValueError, SyntaxError):
        return False


def _pair(source: Path, files: list[_File], notes: tuple[str, ...]) -> Found:
    images: dict[str, list[str]] = defaultdict(list)
    masks: dict[str, list[str]] = defaultdict(list)
    for file in files:
        (masks if file.is_mask else images)[file.key].append(file.path)
    items: list[SourceItem] = []
    refusals: list[Refusal] = []
    names = _short_names(sorted(images.keys() | masks.keys()))
    for key in sorted(images.keys() | masks.keys()):
        item_id = safe_id(names[key])
        problem = _problem(images.get(key, []), masks.get(key, []))
        if problem:
            first = (images.get(key) or masks[key])[0]
            refusals.append(Refusal(item_id, str(source / first), "discover", problem))
            continue
        image, mask = images[key][0], masks[key][0]
        items.append(SourceItem(item_id, str(source / image), str(source / mask), split=_split_of(image)))
    return Found(tuple(items), tuple(refusals), notes)


def _problem(images: list[str], masks: list[str]) -> str:
    if not masks:
        return "image has no mask; add one, or name it like the image with a suffix such as _mask"
    if not images:
        return "mask has no image; add it or remove the mask"
    if len(images) > 1:
        return f"several images have one stem: {', '.join(images)}; rename or remove all but one"
    if len(masks) > 1:
        return f"several masks belong to one image: {', '.join(masks)}; keep one"
    return ""


def _short_names(keys: list[str]) -> dict[str, str]:
    """Return the stem of each key where stems are unique, else the whole key."""
    stems = [PurePosixPath(key).name for key in keys]
    return dict(zip(keys, stems if len(set(stems)) == len(stems) else keys, strict=True))


def _split_of(path: str) -> Split | None:
    for part in PurePosixPath(path).parent.parts:
        word = part.lower().removesuffix("_folder")
        if word in _SPLIT_FOLDERS:
            return _SPLIT_FOLDERS[word]
    return None
