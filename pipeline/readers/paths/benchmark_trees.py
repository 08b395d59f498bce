"""Trees of known benchmarks that hold more than images and masks: what of them is left alone, and why."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hsmix_gen.pipeline.decoders.refusal_errors import refusing
from hsmix_gen.pipeline.readers.paths.kind_words import DRIVE_MASKS
from hsmix_gen.pipeline.readers.paths.name_pairing import FolderPlace, NamedFile
from hsmix_gen.pipeline.readers.paths.split_words import split_of_word
from hsmix_gen.pipeline.readers.paths.stems import stem_of
from hsmix_gen.schemas.records import IGNORE, Labelling, Split

_VOC_LISTS = re.compile(r"(?:.*/)?ImageSets/Segmentation/(?P<split>\w+)\.txt", re.IGNORECASE)
_VOC_LIST_BYTES = 1 << 24
_VOC_OBJECTS = re.compile(r"SegmentationObject\w*|SegmentationClass(Visuali[sz]ation|Raw)", re.IGNORECASE)
_VOC_CLASSES = "segmentationclass"
_VOC_IMAGE = re.compile(r"20\d\d_\d{6}")
_VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
VOC_LABELS = Labelling(_VOC_NAMES, (*((number, number) for number in range(len(_VOC_NAMES))), (IGNORE, IGNORE)))
"""What the indices of PASCAL VOC mean; its borders are 255."""
_SECOND_OBSERVER = re.compile(r".*_2ndHO", re.IGNORECASE)
_PH2_MASK = re.compile(r"(?P<image>IMD\d+)_lesion", re.IGNORECASE)
_PH2_PARTS = re.compile(r"IMD\d+_roi", re.IGNORECASE)
_DRIVE_NUMBER = re.compile(r"\d+(?=_)")
_STARE_STEM = re.compile(r"(?P<image>im\d+)\.(ah|vk)", re.IGNORECASE)


@dataclass(frozen=True)
class _Tree:
    """A tree by the folder that holds its masks."""

    masks: Callable[[str], bool]
    """Whether a folder of this name, in lower case, and these siblings holds the masks."""
    aside: Callable[[str], bool]
    """Whether a sibling of this name is left alone."""
    shown: str
    """What the sibling is called in the note."""


_TREES = (
    _Tree(lambda name: name == DRIVE_MASKS, lambda name: name in ("mask", "2nd_manual"), "mask and 2nd_manual"),
    _Tree(lambda name: name == "manual1", lambda name: name in ("mask", "manual2"), "mask and manual2"),
    _Tree(lambda name: name == "labels-ah", lambda name: name == "labels-vk", "labels-vk"),
    _Tree(
        lambda name: name.startswith(_VOC_CLASSES) and not _VOC_OBJECTS.fullmatch(name),
        lambda name: bool(_VOC_OBJECTS.fullmatch(name)),
        "SegmentationObject and the like",
    ),
)


def without_extras(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the paths without fields of view, second opinions and numbered objects, and notes on them."""
    folders = {folder for path in paths for folder in PurePosixPath(path).parents}
    notes: list[str] = []
    kept = list(paths)
    for tree in _TREES:
        homes = {folder.parent: folder.name for folder in folders if tree.masks(folder.name.lower())}
        aside = {
            folder for folder in folders if folder.parent in homes and folder.name and tree.aside(folder.name.lower())
        }
        if aside:
            left = [path for path in kept if not aside.isdisjoint(PurePosixPath(path).parents)]
            kept = [path for path in kept if path not in set(left)]
            notes.append(f"{min(homes.values())} holds the masks; {len(left)} files in {tree.shown} were left alone")
    # Two stand beside masks in one folder: CHASE_DB1's second observer, PH2's regions.
    second = [path for path in kept if _SECOND_OBSERVER.fullmatch(stem_of(path))]
    if second:
        notes.append(f"masks are those of the first observer; {len(second)} of the second were left alone")
    regions = [path for path in kept if any(map(_PH2_PARTS.fullmatch, PurePosixPath(path).parent.parts))]
    if regions:
        notes.append(f"{len(regions)} masks of regions of colour (_roi) were left alone")
    beside = {*second, *regions}
    return [path for path in kept if path not in beside], notes


def renamed(files: Sequence[NamedFile]) -> list[NamedFile]:
    """Return the files of DRIVE by their numbers, of STARE without the observer, of PH2 by the lesion."""
    drive = any(DRIVE_MASKS in file.path.lower().split("/") for file in files)
    ph2 = any(map(_PH2_MASK.fullmatch, (stem_of(file.path) for file in files)))
    return [_renamed(file, drive=drive, ph2=ph2) for file in files]


def _renamed(file: NamedFile, *, drive: bool, ph2: bool) -> NamedFile:
    stem = stem_of(file.path)
    number = _DRIVE_NUMBER.match(stem) if drive else None
    if number:
        return file.with_stem(number[0])
    observed = _STARE_STEM.fullmatch(stem)
    if observed:
        return file.with_stem(observed["image"])
    if not ph2 or not stem.upper().startswith("IMD"):
        return file
    lesion = _PH2_MASK.fullmatch(stem)
    name = lesion["image"] if lesion else stem
    return NamedFile(file.path, FolderPlace(()), lesion is not None, ((name, "", ""),))


@dataclass(frozen=True)
class VocLists:
    """What the lists of PASCAL VOC say of images: which are listed, and in which split; empty = there are none."""

    listed: frozenset[str] = frozenset()
    splits: Mapping[str, Split] = field(default_factory=dict)


def is_voc(paths: Sequence[str]) -> bool:
    """Return whether masks lie in a folder as PASCAL VOC and CVAT call it."""
    return any(part.lower().startswith(_VOC_CLASSES) for path in paths for part in PurePosixPath(path).parent.parts)


def is_pascal(stems: Iterable[str]) -> bool:
    """Return whether all images are named as those of PASCAL VOC itself, whose labels are known."""
    return all(map(_VOC_IMAGE.fullmatch, stems))


def read_voc_lists(source: Path, files: Sequence[str]) -> VocLists:
    """Return what the lists among the files of a source say.

    A name that several splits list has none; lists such as ``default`` or ``trainval`` name no split.
    """
    listed: set[str] = set()
    splits: list[tuple[str, Split]] = []
    for match in filter(None, map(_VOC_LISTS.fullmatch, files)):
        path, split = source / match[0], split_of_word(match["split"])
        if not path.is_file():
            continue
        # Without a list that cannot be read its images would be drawn into other splits.
        with refusing(path), path.open("rb") as file:
            text = file.read(_VOC_LIST_BYTES).decode("utf-8-sig", "replace")
        first_words = [words[0] for line in text.splitlines() if (words := line.split())]
        names = [stem_of(word) if "/" in word else word for word in first_words]
        listed.update(names)
        splits += [(name, split) for name in names if split is not None]
    counts = Counter(name for name, _ in set(splits))
    return VocLists(frozenset(listed), {name: split for name, split in splits if counts[name] == 1})
