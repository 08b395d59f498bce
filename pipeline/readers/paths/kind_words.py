"""What the names of folders and files say: image or mask, and which part of a stem is decoration."""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache

from hsmix_gen.pipeline.readers.paths.split_words import SPLIT_WORDS, chunks_of, joined_words
from hsmix_gen.schemas.config import SourceConfig

MASK_SUFFIXES = (
    "_segmentation", "_mask", "-mask", "_masks", "_seg", "_label", "_labels", "_lbl", "_gt", "_groundtruth", "_anno",
    "_annotation", "_1stho",
)  # fmt: skip
DRIVE_MASKS = "1st_manual"
"""Folder of DRIVE's vessels; its folder ``mask`` holds the field of view."""
_MASK_WORDS = frozenset({
    "mask", "masks", "label", "labels", "labelcol", "lbl", "lbls", "gt", "gts", "groundtruth", "groundtruths",
    "annotation", "annotations", "annot", "annots", "segmentation", "segmentations", "seg", "segs", "target", "targets",
    "manual1", "labeledapproved", DRIVE_MASKS,
})  # fmt: skip
_IMAGE_WORDS = frozenset({
    "image", "images", "img", "imgs", "input", "inputs", "photo", "photos", "pictures", "data",
})  # fmt: skip
# They say "image" only where no other folder of a path says anything: masks/raw holds masks.
_FAINT_WORDS = frozenset({"original", "originals", "raw", "scans"})
# Only files are called so, such as imaging.nii.gz of KiTS: a folder volume_7 is a case.
_IMAGE_FILES = frozenset({"volume", "vol", "imaging", "scan", "ct", "mri", "original", "raw"})
# Inside of joined words they say nothing: MoNuSegTestData holds images.
_NOT_INSIDE = frozenset({"seg", "segs", "gt", "gts"})
_NUMBER = re.compile(r"[_-]?(\d+)$")
# So many masks without an image may come first.
_LOOKED_AT = 20
_PREFIXED = re.compile(r"(?P<word>[a-z]+)(?P<edge>[_\-. ]+|(?=\d))(?P<rest>.+)")
_EDGE = re.compile(r"[_\-. ]+")
_WITH_NUMBER = re.compile(r"([A-Za-z]+)(\d.*)")
_GROUND_TRUTH = re.compile(r"\bground truths?\b")


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case: ``ISIC-2017_TrainData`` has isic, 2017, train, data."""
    if name.lower() in (DRIVE_MASKS, "manual1"):
        return (name.lower(),)
    found: list[str] = []
    for chunk in chunks_of(name):
        plain = chunk.lower()
        known = plain in _MASK_WORDS or plain in _IMAGE_WORDS or plain in SPLIT_WORDS
        whole = known or plain in _FAINT_WORDS or plain.endswith("groundtruth")
        inside = _split_and_annotations(plain) or joined_words(chunk)
        found += [plain] if whole else [part for part in inside if part not in _NOT_INSIDE or len(inside) == 1]
    return tuple(_GROUND_TRUTH.sub("groundtruth", " ".join(found)).split())


@lru_cache(maxsize=4096)
def kind_of(folder: str) -> str:
    """Return whether the name of a folder says ``mask``, ``image`` or faintly so (``faint``), or an empty text."""
    said = words(folder)
    if any(_says_mask(word) for word in said):
        return "mask"
    if any(word in _IMAGE_WORDS for word in said):
        return "image"
    return "faint" if any(word in _FAINT_WORDS for word in said) else ""


@lru_cache(maxsize=4096)
def rest_of(folder: str) -> str:
    """Return the words of a folder that say neither image nor mask, with blanks between."""
    silent = _IMAGE_WORDS | _FAINT_WORDS
    return " ".join(word for word in words(folder) if not _says_mask(word) and word not in silent)


def without_kind(stem: str, *, of_files: bool) -> str:
    """Return a stem without the words for image or mask at its ends: ``img_07`` and ``mask_07`` are both ``07``.

    `of_files`: so are ``img07`` and ``volume-07``, by words that may distinguish others: ``ct1`` and ``mri1``.
    """

    def is_kind(word: str) -> bool:
        return kind_of(word) in ("image", "mask") or (of_files and word.lower() in _IMAGE_FILES)

    parts = _EDGE.split(stem)
    joined = _WITH_NUMBER.fullmatch(parts[0]) if of_files else None
    if joined and is_kind(joined[1]):
        parts[:1] = joined.groups()
    while len(parts) > 1 and is_kind(parts[0]):
        del parts[0]
    while len(parts) > 1 and is_kind(parts[-1]):
        del parts[-1]
    return "_".join(parts)


def mask_stems(stem: str, config: SourceConfig) -> Iterator[tuple[str, str, str]]:
    """Yield what a stem may be as the mask of an image: (stem of the image, suffix, number); the plain suffix first."""
    suffixes = (config.mask_suffix,) if config.mask_suffix else MASK_SUFFIXES
    ended = _NUMBER.search(stem)
    for base, number in [(stem, ""), *([(stem[: ended.start()], ended[1])] if ended else [])]:
        for suffix in suffixes:
            end = base if config.mask_suffix else base.lower()
            if end.endswith(suffix) and len(base) > len(suffix):
                yield base[: -len(suffix)], suffix, number
                break


def image_beside(stem: str, beside: Collection[str]) -> str:
    """Return the one of the stems `beside` that is the image of a stem which is, or begins with, a word such as "mask".

    That is ``image`` or ``imaging`` for ``mask``; ``image_07``, ``volume_07`` or ``07`` for ``mask_07``.
    """
    whole, begun = stem.lower() in _MASK_WORDS, _PREFIXED.fullmatch(stem.lower())
    for known in (_IMAGE_WORDS, _IMAGE_FILES):
        called = [word for word in known if word in beside] if whole else []
        if begun and begun["word"] in _MASK_WORDS:
            of_words = (f"{word}{begun['edge']}{begun['rest']}" for word in known)
            called = [name for name in (begun["rest"], *of_words) if name in beside]
        if called:
            return called[0] if len(called) == 1 else ""
    return ""


def common_ending(stems: Collection[str], of: Collection[str]) -> str:
    """Return what all `stems` have at their ends beyond a stem in `of`, such as ``_MA``; else an empty text."""
    for stem in sorted(stems)[:_LOOKED_AT]:
        for end in range(len(stem) - 1, 0, -1):
            ending = stem[end:]
            # A number at the end distinguishes an image from another one.
            if stem[:end] in of and not ending[0].isalnum() and not ending[1:].isdecimal():
                return ending if all(other.endswith(ending) for other in stems) else ""
    return ""


def _split_and_annotations(word: str) -> list[str]:
    """Return the two words of ``trainannot``, as CamVid has it."""
    split = word.removesuffix("annot")
    return [split, "annot"] if split != word and split in SPLIT_WORDS else []


def _says_mask(word: str) -> bool:
    return word in _MASK_WORDS or word.endswith("groundtruth")
