"""ISIC challenges 2016 to 2018: photographs of skin lesions, each with the mask of its lesion."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from hsmix_gen.pipeline.found import Found, safe_id
from hsmix_gen.pipeline.walking import walk
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Labelling, Refusal, SourceItem, Split, picture

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
_NAME = re.compile(r"(ISIC_\d{4,})(?:_(.+))?", re.IGNORECASE)
_MASK = re.compile(r"ISIC_\d{4,}_segmentation\.\w+", re.IGNORECASE)
_MASK_FOLDER = re.compile(r"ground[ _-]?truth", re.IGNORECASE)
_FAMILIAR = re.compile(r"isic|isbi|train|val|test|image|mask|ground|label", re.IGNORECASE)
_SPLIT = re.compile(r"(?:^|[^a-z])(train|val|test)(?:ing|id|idation)?(?:[^a-z]|$)", re.IGNORECASE)
_LABELLING = Labelling(classes=("background", "lesion"), values=((0, 0), (255, 1)))
_SPLITS: dict[str, Split] = {"train": "train", "val": "val", "test": "test"}
_MAX_NEAR = 64


@dataclass
class _Files:
    """Relative paths by the number of the lesion, and counts of what is neither photograph nor mask of a lesion."""

    images: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    masks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    attributes: int = 0
    others: int = 0


class IsicReader:
    """``<id>.jpg`` and ``<id>_segmentation.png`` in folders of their own for each part, or all in one.

    The splits are those of the challenge, told by folders such as ``ISIC-2017_Validation_Data``. Superpixel maps
    beside the photographs and masks of dermoscopic attributes (2018, task 2) are no masks of lesions.
    """

    name = "isic"

    def recognises(self, source: Path) -> bool:
        """Return whether masks with ISIC names lie in the source or not far below."""
        return any(any(map(_MASK.fullmatch, names)) for _, names in folders_near(source, _FAMILIAR))

    def find(self, source: Path, config: SourceConfig) -> Found:
        """Return the lesions under `source`."""
        walked = walk(source, _ENDINGS)
        files = _sorted_out(walked.files, config.mask_suffix or "_segmentation")
        items: list[SourceItem] = []
        refusals = list(walked.refusals)
        for name in sorted(files.images.keys() | files.masks.keys()):
            images, masks = files.images.get(name, []), files.masks.get(name, [])
            problem = pair_problem(images, masks) or _split_problem(images[0], masks[0])
            if problem:
                refusals.append(Refusal(safe_id(name), str(source / (images or masks)[0]), "discover", problem))
                continue
            split = _split_of(images[0]) or _split_of(masks[0])
            image, mask = (picture(str(source / path)) for path in (images[0], masks[0]))
            items.append(SourceItem(safe_id(name), image, mask, split=split))
        return Found(tuple(without_lone_training(items)), tuple(refusals), _notes(files), _LABELLING)


def folders_near(source: Path, familiar: re.Pattern[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the source and folders close below it, each as its relative path and the names in it.

    Children are looked into if their name is familiar or if they are alone, grandchildren only if all children are:
    a folder that holds other things too is not clearly of one layout. Nothing is raised.
    """
    names, folders = _listed(source)
    yield "", names
    known = [folder for folder in folders if familiar.search(folder) or len(folders) == 1]
    below = []
    for child in known[:_MAX_NEAR]:
        names, inner = _listed(source / child)
        yield child, names
        below += [f"{child}/{folder}" for folder in inner]
    if len(known) == len(folders):
        for grandchild in below[:_MAX_NEAR]:
            yield grandchild, _listed(source / grandchild)[0]


def pair_problem(images: list[str], masks: list[str]) -> str:
    """Return why images and masks of one name are no pair, or an empty text."""
    if not masks:
        return "image has no mask; add the mask or remove the image"
    if not images:
        return "mask has no image; add the image or remove the mask"
    for kind, paths in (("images", images), ("masks", masks)):
        if len(paths) > 1:
            return f"{len(paths)} {kind} have one name: {', '.join(paths)}; keep one, or give a folder with one of them"
    return ""


def without_lone_training(items: list[SourceItem]) -> list[SourceItem]:
    """Return the items without their split if all are for training: then validation and test are still to be drawn."""
    if {item.split for item in items} == {"train"}:
        return [replace(item, split=None) for item in items]
    return items


def _listed(folder: Path) -> tuple[frozenset[str], list[str]]:
    """Return all names in a folder and, sorted, those of folders; hidden ones are left out, errors are nothing."""
    try:
        with os.scandir(folder) as scanned:
            entries = [entry for entry in scanned if not entry.name.startswith(".")]
        folders = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return frozenset(), []
    return frozenset(entry.name for entry in entries), folders


def _sorted_out(paths: tuple[str, ...], mask_suffix: str) -> _Files:
    files = _Files()
    for path in paths:
        pure = PurePosixPath(path)
        match = _NAME.fullmatch(pure.stem)
        if match is None:
            files.others += 1
            continue
        name, suffix = match[1].upper(), f"_{match[2] or ''}".lower()
        if suffix == mask_suffix.lower():
            files.masks[name].append(path)
        elif suffix == "_":
            in_truth = any(map(_MASK_FOLDER.search, pure.parent.parts))
            (files.masks if in_truth else files.images)[name].append(path)
        elif suffix.startswith("_attribute_"):
            files.attributes += 1
        elif suffix != "_superpixels":
            files.others += 1
    return files


def _notes(files: _Files) -> tuple[str, ...]:
    notes = []
    if files.attributes:
        notes.append(f"{files.attributes} masks of attributes (task 2) are no masks of lesions and were left aside")
    if files.others:
        notes.append(f"{files.others} pictures have no name of a photograph or mask of ISIC and were left aside")
    return tuple(notes)


def _split_of(path: str) -> Split | None:
    for folder in reversed(PurePosixPath(path).parent.parts):
        match = _SPLIT.search(folder)
        if match:
            return _SPLITS[match[1].lower()]
    return None


def _split_problem(image: str, mask: str) -> str:
    of_image, of_mask = _split_of(image), _split_of(mask)
    if of_image and of_mask and of_image != of_mask:
        return f"image lies with {of_image}, its mask {mask} with {of_mask}; move one of them"
    return ""
