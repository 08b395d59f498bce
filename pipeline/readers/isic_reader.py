"""ISIC challenges 2016 to 2018: photographs of skin lesions, each with the mask of its lesion.

``<id>.jpg`` and ``<id>_segmentation.png`` in folders of their own for each part, or all in one. The splits are those of
the challenge, named by folders such as ``ISIC-2017_Validation_Data``. Superpixel maps beside the photographs and masks
of dermoscopic attributes (2018, task 2) are no masks of lesions.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hsmix_gen.pipeline.readers.paths.folder_walk import folders_near, walk
from hsmix_gen.pipeline.readers.paths.ids import Found, pair_problem, safe_id
from hsmix_gen.pipeline.readers.paths.official_splits import without_lone_training
from hsmix_gen.pipeline.readers.paths.split_words import split_of_path
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Labelling, Refusal, SourceItem, picture

OPTIONS = frozenset({"mask_suffix"})
TRIED = 50
READS = "ISIC 2016, 2017, 2018: photographs and lesion masks; `*_superpixels.png` and attribute masks are no part of it"
RECOGNISED_BY = "`ISIC…_segmentation.png` beside or in folders of the challenge"
REFUSES = "a photograph without mask, an id in two releases"

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
_NAME = re.compile(r"(ISIC_\d{4,})(?:_(.+))?", re.IGNORECASE)
_MASK = re.compile(r"ISIC_\d{4,}_segmentation\.\w+", re.IGNORECASE)
_MASK_FOLDER = re.compile(r"ground[ _-]?truth", re.IGNORECASE)
_FAMILIAR = re.compile(r"isic|isbi|train|val|test|image|mask|ground|label", re.IGNORECASE)
_LABELLING = Labelling(classes=("background", "lesion"), values=((0, 0), (255, 1)))


@dataclass
class _Files:
    """Relative paths by the number of the lesion, and counts of what is neither photograph nor mask of a lesion."""

    images: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    masks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    attributes: int = 0
    others: int = 0


def recognises(source: Path) -> bool:
    """Return whether masks with ISIC names lie in the source or not far below."""
    return any(any(map(_MASK.fullmatch, names)) for _, names in folders_near(source, _FAMILIAR))


def find(source: Path, config: SourceConfig) -> Found:
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
        split = split_of_path(images[0]) or split_of_path(masks[0])
        image, mask = (picture(str(source / path)) for path in (images[0], masks[0]))
        items.append(SourceItem(safe_id(name), image, mask, split=split))
    left = [
        (files.attributes, "masks of attributes (task 2) are no masks of lesions"),
        (files.others, "pictures have no name of a photograph or mask of ISIC"),
    ]
    notes = [f"{count} {what} and were left aside" for count, what in left if count]
    items = without_lone_training(items)
    return Found(tuple(items), tuple(refusals), (*notes, *walked.notes), _LABELLING, free_names=False)


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


def _split_problem(image: str, mask: str) -> str:
    of_image, of_mask = split_of_path(image), split_of_path(mask)
    if of_image and of_mask and of_image != of_mask:
        return f"image lies with {of_image}, its mask {mask} with {of_mask}; move one of them"
    return ""
