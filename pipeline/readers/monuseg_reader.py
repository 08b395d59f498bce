"""MoNuSeg, nuclei in histology: slides of the TCGA with outlines as Aperio XML, or with masks drawn from them.

``X.tif`` with ``X.xml``, side by side or in ``Tissue Images`` and ``Annotations``, or with pictures as masks. Where a
slide has outlines, masks that others drew from them are left aside. The patient is in the barcode.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hsmix_gen.pipeline.readers.paths.folder_walk import folders_near, walk
from hsmix_gen.pipeline.readers.paths.ids import Found, pair_problem, parted, safe_id
from hsmix_gen.pipeline.readers.paths.official_splits import part_patients, without_lone_training
from hsmix_gen.pipeline.readers.paths.split_words import split_of_path
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Content, Labelling, Refusal, SourceItem, picture

OPTIONS = frozenset({"mask_suffix"})
TRIED = 70
READS = (
    "TIFF with Aperio XML outlines (holes, overlaps and points outside are handled), or drawn masks; "
    "the patient is in the barcode"
)
RECOGNISED_BY = "`.xml` beside `.tif`, `Tissue Images/` + `Annotations/`"
REFUSES = "XML with entities, outlines without numbers"

_OUTLINES = ".xml"
_PICTURES = (".tif", ".tiff", ".png", ".bmp", ".jpg", ".jpeg")
_MASK_SUFFIXES = ("_anno", "_mask", "_label", "_gt")
_SLIDE = re.compile(r"TCGA-\w+-\w+", re.IGNORECASE)
_PATIENT = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?![A-Z0-9])", re.IGNORECASE)
_MASK_FOLDER = re.compile(
    r"(?:^|[^a-z])(binary|masks?|labels?|labelcol|instances?|annotations?|gts?|ground[ _-]?truths?)(?:[^a-z]|$)",
    re.IGNORECASE,
)
_FAMILIAR = re.compile(r"monuseg|tissue|train|test|annotation|mask|^(img|images?|labelcol|labels?)$", re.IGNORECASE)
_CLASSES = ("background", "nucleus")
_DRAWN = Labelling(classes=_CLASSES, values=((0, 0), (1, 1)))
# Masks of others hold 0 and 1, 0 and 255, or a number for each nucleus.
_ANY_MASK = Labelling(classes=_CLASSES, instances=True)


@dataclass
class _Slide:
    images: list[str] = field(default_factory=list)
    outlines: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)


def recognises(source: Path) -> bool:
    """Return whether slides with outlines, or the folders of MoNuSeg, lie in the source or not far below."""
    return any(_is_familiar(folder, names) for folder, names in folders_near(source, _FAMILIAR))


def find(source: Path, config: SourceConfig) -> Found:
    """Return the slides under `source`."""
    walked = walk(source, (_OUTLINES, *_PICTURES))
    slides = _sorted_out(walked.files, config)
    found, refusals = parted(_pair(source, name, slide) for name, slide in sorted(slides.items()))
    n_aside = sum(len(slide.masks) for slide in slides.values() if slide.outlines)
    notes = [f"{n_aside} masks were left aside, as their slides have outlines"] if n_aside else []
    items, parted_notes = part_patients(without_lone_training(found), source, config)
    all_drawn = all(item.mask.format == "polygons" for item in items)
    all_notes = (*notes, *parted_notes, *walked.notes)
    return Found(tuple(items), (*walked.refusals, *refusals), all_notes, _DRAWN if all_drawn else _ANY_MASK)


def patient_of(name: str) -> str:
    """Return the patient of a slide, the first three parts of a TCGA barcode, else the name itself."""
    match = _PATIENT.match(name)
    return match[0].upper() if match else name


def _is_familiar(folder: str, names: frozenset[str]) -> bool:
    plain = {name.lower().replace("_", " ") for name in names}
    if "tissue images" in plain and any(map(_MASK_FOLDER.search, plain)):
        return True
    slides = {PurePosixPath(name).suffix.lower() for name in names if _SLIDE.match(name)}
    is_image_folder = PurePosixPath(folder).name.lower() == "img"
    return bool(slides.intersection(_PICTURES)) and (_OUTLINES in slides or is_image_folder)


def _sorted_out(paths: tuple[str, ...], config: SourceConfig) -> dict[str, _Slide]:
    slides: dict[str, _Slide] = defaultdict(_Slide)
    for path in paths:
        pure = PurePosixPath(path)
        in_masks = any(map(_MASK_FOLDER.search, pure.parent.parts))
        suffix = _mask_suffix(pure.stem, config)
        name = pure.stem[: len(pure.stem) - len(suffix)]
        if pure.suffix.lower() == _OUTLINES:
            slides[pure.stem].outlines.append(path)
        elif in_masks or suffix:
            slides[name].masks.append(path)
        else:
            slides[name].images.append(path)
    return slides


def _mask_suffix(stem: str, config: SourceConfig) -> str:
    for suffix in (config.mask_suffix,) if config.mask_suffix else _MASK_SUFFIXES:
        if stem.lower().endswith(suffix.lower()) and len(stem) > len(suffix):
            return stem[-len(suffix) :]
    return ""


def _pair(source: Path, name: str, slide: _Slide) -> SourceItem | Refusal:
    images, masks = slide.images, slide.outlines or slide.masks
    problem = pair_problem(images, masks)
    if problem:
        return Refusal(safe_id(name), str(source / (images or masks)[0]), "discover", problem)
    image, mask = str(source / images[0]), str(source / masks[0])
    content = Content("polygons", (mask,)) if slide.outlines else picture(mask)
    split = split_of_path(images[0]) or split_of_path(masks[0])
    return SourceItem(safe_id(name), picture(image), content, patient_of(name), split)
