"""What names say of arrays: image or mask, which belong together, which case, which split."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from hsmix_gen.pipeline.readers.paths.kind_words import kind_of, rest_of
from hsmix_gen.pipeline.readers.paths.split_words import SHORT_WORDS, SPLIT_WORDS, deepest_split
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Split

IMAGE_KEYS = ("image", "images", "img", "imgs", "data", "x", "volume", "vol", "scan", "ct", "raw", "input")
"""Usual names of the array of an image, the clearest first; case does not count."""
MASK_KEYS = (
    "label", "labels", "mask", "masks", "seg", "segmentation", "gt", "gts", "lbl", "y", "target", "groundtruth",
    "ground_truth", "annotation", "manual",
)  # fmt: skip
"""Usual names of the array of a mask."""

_LAST_WORD = re.compile(r"(?P<stem>.+)[_-](?P<word>[A-Za-z]+)")
_SLICE = re.compile(r"(.+?)[_-]?slice[_-]?\d+|(.+?)[_-](?:sl|z)[_-]?\d+", re.IGNORECASE)
_FRAME = re.compile(r"(.+?)[_-]frame[_-]?\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Naming:
    """What the name of a file says."""

    pair: str
    """Equal for an image and its mask: the path without ending and without the words that distinguish them."""
    side: str
    """``image``, ``mask``, or empty if nothing says so."""


def choose(names: Sequence[str], wanted: str | None, usual: Sequence[str]) -> str | None:
    """Return the name of `names` that is wanted, or the first that is usual; None if there is none.

    Names may be paths inside a file; their last part counts, or the whole of it where `wanted` is a path.
    """
    if wanted is not None:
        wanted = wanted.strip("/")
        return next((name for name in names if wanted in (name, _last(name))), None)
    return next((name for word in usual for name in names if _last(name).lower() == word), None)


def read_naming(path: str, ending: str, config: SourceConfig) -> Naming:
    """Return what a relative path says: a suffix of its stem first, then the deepest folder that says it."""
    pure = PurePosixPath(path[: len(path) - len(ending)])
    stem, side = _without_suffix(pure.name, config)
    folders = list(pure.parent.parts)
    for depth in reversed(range(len(folders))):
        found = _side_of(folders[depth])
        if found:
            folders[depth] = rest_of(folders[depth]).replace(" ", "_")
            side = side or found
            break
    return Naming("/".join([*filter(None, folders), stem]), side)


def case_of(stem: str) -> str | None:
    """Return the case that a slice or a frame belongs to: ``case12`` of ``case12_slice3``; None if it names none."""
    case = stem
    for pattern in (_SLICE, _FRAME):
        match = pattern.fullmatch(case)
        if match:
            case = next(filter(None, match.groups()))
    return case if case != stem else None


def split_of(path: str) -> Split | None:
    """Return the split that a folder of a path is for, such as ``train``, ``val_images`` or ``imagesTs``."""
    return deepest_split(PurePosixPath(path).parent.parts, _split_of_folder)


def _split_of_folder(name: str) -> Split | None:
    words = [word for word in rest_of(name).split() if word != "folder"]
    # Among other words it may mean anything: ACDC_training_slices are all that are labelled.
    return (SPLIT_WORDS | SHORT_WORDS).get(words[0]) if len(words) == 1 else None


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _side_of(name: str) -> str:
    kind = kind_of(name)
    return kind if kind in ("image", "mask") else ""


def _without_suffix(stem: str, config: SourceConfig) -> tuple[str, str]:
    for suffix, side in ((config.mask_suffix, "mask"), (config.image_suffix, "image")):
        if suffix and stem.endswith(suffix) and len(stem) > len(suffix):
            return stem.removesuffix(suffix), side
    match = _LAST_WORD.fullmatch(stem)
    side = _side_of(match["word"]) if match else ""
    given = config.mask_suffix if side == "mask" else config.image_suffix
    # A suffix that the user gave stands instead of the usual ones.
    return (match["stem"], side) if match and side and not given else (stem, "")
