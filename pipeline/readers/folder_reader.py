"""Folders of images and masks, paired by name: separate folders, suffixes, or one stem with two endings.

Images and masks in a folder, however nested. A file is a mask if a folder above it, or the end of its stem, says so.
Image and mask belong together when their paths are equal without those words and without the ending. Where no picture
lies, NIfTI volumes are paired in the same way. An image may have a mask for each class, in folders named by the
classes, or for each object, in a folder of its own or numbered. Where nothing says "mask", images and masks share stems
in one folder and differ in their ending: then the single-channel files are masks.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import TypeVar

from PIL import Image as Pillow

from hsmix_gen.pipeline.decoders.nifti_headers import NIFTI_ENDINGS
from hsmix_gen.pipeline.decoders.picture_codec import IMAGE_ENDINGS, UNREAD_ENDINGS
from hsmix_gen.pipeline.execution.human_units import first_of
from hsmix_gen.pipeline.readers.colour_tables import classes_of_colours
from hsmix_gen.pipeline.readers.paths.benchmark_trees import (
    VOC_LABELS,
    VocLists,
    is_pascal,
    is_voc,
    read_voc_lists,
    renamed,
    without_extras,
)
from hsmix_gen.pipeline.readers.paths.folder_walk import walk
from hsmix_gen.pipeline.readers.paths.grouped import grouped
from hsmix_gen.pipeline.readers.paths.ids import Found, parted, safe_id
from hsmix_gen.pipeline.readers.paths.kind_words import kind_of
from hsmix_gen.pipeline.readers.paths.label_tools import label_tool_hints
from hsmix_gen.pipeline.readers.paths.lone_files import OTHER_FORMS, LoneFiles
from hsmix_gen.pipeline.readers.paths.name_pairing import Candidate, NamedFile, name_files, pair
from hsmix_gen.pipeline.readers.paths.official_splits import without_lone_training
from hsmix_gen.pipeline.readers.paths.split_words import split_of_path
from hsmix_gen.pipeline.readers.paths.stems import ending_of
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, Labelling, Refusal, SourceItem

OPTIONS = frozenset({"colours", "image_suffix", "mask_suffix"})
TRIED = 140
READS = (
    "images and masks in folders of any such names, equal stems or a suffix; a mask for each class "
    "(folders named by the classes), for each object, several for one image; NIfTI volumes by the same names; "
    "the trees of PASCAL VOC and CVAT, CamVid, DRIVE, CHASE_DB1, HRF, STARE, PH2, Montgomery and Kaggle LGG; "
    "palette and coloured masks (`class_dict.csv`, `labelmap.txt`, `label_colors.txt` or `--colours`); JPEG "
    "masks of a few greys, put back to them"
)
RECOGNISED_BY = "any other folder"
REFUSES = (
    "stems that stand twice, masks without image (the nearest name is shown), swapped folders; files of labelme, "
    "VIA, CVAT, YOLO or run lengths are named with the way to masks"
)

_NOT_IMAGES = ("_superpixels",)
_MAX_CLASSES = 62
_PEEKED_AT = 8
_SHOWN = 8
# What is not opened here.
_OTHERS = (
    *UNREAD_ENDINGS, ".mha", ".mhd", ".nrrd", *NIFTI_ENDINGS, ".npz", ".npy", ".h5", ".hdf5", ".dcm", ".xml",
    ".parquet", ".tar",
)  # fmt: skip
# Folders of several opinions on the same thing, which are no classes.
_OPINION = re.compile(r"(annotator|rater|reader|expert|observer|doctor|manual)s?[\W_]*\w?\d*$", re.IGNORECASE)
# Masks have few values and images many; so many pairs are read.
_FEW_COLOURS, _MANY_COLOURS, _PAIRS_LOOKED_AT = 4, 64, 3
_MODE = attrgetter("mode")
_Seen = TypeVar("_Seen")


@dataclass(frozen=True)
class _Masks:
    """How the masks of a source are to be read, the same for all images."""

    form: str
    """Decoder of all of them, so that equal things have equal values."""
    classes: tuple[str, ...] = ()
    labelling: Labelling = field(default_factory=Labelling)
    notes: tuple[str, ...] = ()


def recognises(source: Path) -> bool:
    """Return whether the source is a folder."""
    return source.is_dir()


def find(source: Path, config: SourceConfig) -> Found:
    """Return the pairs under `source`.

    Raises
    ------
    SourceError
        If a colour table cannot be read.
    """
    walked = walk(source)
    pictures = [path for path in walked.files if _is_picture(path)]
    volumes = [] if pictures else [path for path in walked.files if path.lower().endswith(NIFTI_ENDINGS)]
    paths, notes = without_extras(pictures or volumes)
    others = OTHER_FORMS if _are_masks(paths) else UNREAD_ENDINGS
    files = renamed(name_files(paths, config, [path for path in walked.files if ending_of(path) in others]))
    if files and not any(file.is_mask for file in files):
        files, said = _classified_by_ending(source, files)
        notes += said
    lists = read_voc_lists(source, walked.files) if is_voc(paths) else VocLists()
    candidates, said = _listed_ones(pair(files), lists)
    masks = _Masks("nifti") if volumes else _how_masks_are(source, candidates, walked.files, config)
    if is_voc(paths) and masks.form == "picture" and is_pascal(one.stem for one in candidates):
        masks = replace(masks, labelling=VOC_LABELS)
    _check_not_swapped(source, candidates, masks)
    found = _items(source, candidates, masks, LoneFiles(candidates, walked.files), lists)
    return Found(
        tuple(without_lone_training(found.items)),
        (*walked.refusals, *found.refusals),
        (*notes, *said, *masks.notes, *walked.notes),
        masks.labelling,
        left=_left_alone(walked.files, used=bool(volumes)),
        hints=label_tool_hints(source, walked.files),
    )


def _is_picture(path: str) -> bool:
    pure = PurePosixPath(path)
    return pure.suffix.lower() in IMAGE_ENDINGS and not pure.stem.lower().endswith(_NOT_IMAGES)


def _classified_by_ending(source: Path, files: list[NamedFile]) -> tuple[list[NamedFile], list[str]]:
    endings = grouped((ending_of(file.path), file) for file in files)
    if len(endings) < 2:
        return files, []
    grey = {
        ending
        for ending, same in endings.items()
        if all(_seen_in(source / file.path, _MODE) in ("1", "L", "P") for file in same[:_PEEKED_AT])
    }
    if not grey or len(grey) == len(endings):
        return files, []
    note = f"nothing is named as a mask; single-channel {', '.join(sorted(grey))} files were taken as masks"
    return [replace(file, is_mask=ending_of(file.path) in grey) for file in files], [note]


def _listed_ones(candidates: list[Candidate], lists: VocLists) -> tuple[list[Candidate], list[str]]:
    """Return the candidates without images that have no mask and stand in no list; VOC has thousands of these."""
    if not lists.listed:
        return candidates, []
    kept = [one for one in candidates if one.masks or one.stem in lists.listed]
    left = len(candidates) - len(kept)
    return kept, [f"{left} images that ImageSets does not list have no mask and were left alone"] if left else []


def _check_not_swapped(source: Path, candidates: Sequence[Candidate], masks: _Masks) -> None:
    """Refuse swapped names of folders: files named as images have few colours, and those named as masks many."""
    pairs = [one for one in candidates if one.images and one.masks][:_PAIRS_LOOKED_AT]
    if masks.form != "picture" or not pairs:
        return
    for one in pairs:
        image, mask = source / one.images[0].path, source / one.masks[0].path
        has_few = _seen_in(image, lambda opened: opened.getcolors(_FEW_COLOURS) is not None)
        if not has_few or not _seen_in(mask, lambda opened: opened.getcolors(_MANY_COLOURS) is None):
            return
    raise SourceError(
        f"{source} has images and masks the wrong way round: {pairs[0].images[0].path} has at most {_FEW_COLOURS} "
        f"colours, and {pairs[0].masks[0].path}, its mask, more than {_MANY_COLOURS}; swap the names of their folders"
    )


def _seen_in(path: Path, look: Callable[[Pillow.Image], _Seen]) -> _Seen | None:
    """Return what a picture shows when it is opened; None where it cannot be."""
    try:
        # Damaged files are refused when they are read; a pipe would be waited for without end.
        if not path.is_file():
            return None
        with Pillow.open(path) as opened:
            return look(opened)
    except Exception:
        return None


def _how_masks_are(source: Path, candidates: Sequence[Candidate], files: Sequence[str], config: SourceConfig) -> _Masks:
    """Return how masks are to be read, and what is known of their labels."""
    pairs = [one for one in candidates if one.images and one.masks]
    labels = sorted({mask.label for one in pairs for mask in one.masks} - {""})
    shown = first_of(labels, _SHOWN)
    several = any(len({mask.label for mask in one.masks}) > 1 for one in pairs)
    opinions = all(_OPINION.match(label) for label in labels)
    if several and 2 <= len(labels) <= _MAX_CLASSES and not opinions and config.colours is None:
        labelling = Labelling(classes=("background", *_class_names(labels)), bits=True)
        return _Masks("classes", tuple(labels), labelling, (f"masks lie in a folder for each class: {shown}",))
    notes: tuple[str, ...] = ()
    if len(labels) > 1 and not several:
        notes = (f"masks lie in the folders {shown}, one for each image; they were not taken as classes",)
    first = [source / one.masks[0].path for one in pairs[:_PEEKED_AT]]
    coloured, said = classes_of_colours(
        config, source, files, lambda: any(_seen_in(mask, _MODE) in ("RGB", "RGBA", "P") for mask in first)
    )
    notes += said
    if coloured is not None:
        return _Masks("colours", labelling=coloured, notes=notes)
    parted = sum(len(one.masks) > 1 and not _problem(one, _Masks("union")) for one in pairs)
    if parted:
        note = f"{parted} of {len(pairs)} images have several masks, joined: in all masks, what is not 0 is one class"
        return _Masks("union", notes=(*notes, note))
    return _Masks("picture", notes=notes)


def _class_names(labels: list[str]) -> list[str]:
    """Return the names of class folders without numbers before them, where that leaves them apart."""
    names = [re.sub(r"^\d+\W+", "", label) for label in labels]
    return names if all(names) and len({*names, "background"}) > len(names) else labels


def _are_masks(paths: Sequence[str]) -> bool:
    """Return whether all pictures lie in, or in folders of, one that is called like masks."""
    shared = os.path.commonpath([PurePosixPath(path).parent for path in paths]) if paths else ""
    kinds = [kind for name in PurePosixPath(shared).parts if (kind := kind_of(name))]
    return kinds[-1:] == ["mask"]


def _items(source: Path, candidates: Sequence[Candidate], masks: _Masks, lone: LoneFiles, lists: VocLists) -> Found:
    def item(name: str, one: Candidate) -> SourceItem | Refusal:
        problem = _problem(one, masks)
        if problem:
            hint = "" if one.images and one.masks else lone.hint(one)
            first = (one.images or one.masks)[0].path
            return Refusal(safe_id(name), str(source / first), "discover", f"{problem}; {hint}" if hint else problem)
        image = one.images[0].path
        split = lists.splits.get(one.stem) or split_of_path(image) or split_of_path(one.masks[0].path)
        content = Content("nifti" if masks.form == "nifti" else "picture", (str(source / image),))
        return SourceItem(safe_id(name), content, _content(source, one, masks), split=split)

    return Found(*parted(map(item, _names(candidates), candidates)))


def _problem(one: Candidate, masks: _Masks) -> str:
    if not one.masks:
        return "image has no mask; add one, or name it like the image with a suffix such as _mask"
    if not one.images:
        return "mask has no image; add it or remove the mask"
    if len(one.images) > 1:
        return f"several images have one stem: {_paths(one.images)}; rename or remove all but one"
    if len(one.masks) > 1:
        return _problem_of_several(one, masks)
    return "" if one.masks[0].label or not masks.classes else "mask lies in no class's folder; move it into one"


def _problem_of_several(one: Candidate, masks: _Masks) -> str:
    if masks.form == "classes":
        counts = Counter(mask.label for mask in one.masks)
        if "" in counts or max(counts.values()) > 1:
            return f"several masks of one class belong to one image: {_paths(one.masks)}; keep one in each folder"
        return ""
    # Masks of objects differ in their number alone.
    numbers = {mask.number for mask in one.masks}
    manners = {(mask.suffix, mask.label) for mask in one.masks}
    if masks.form != "union" or len(numbers) < len(one.masks) or len(manners) > 1:
        return f"several masks belong to one image: {_paths(one.masks)}; keep one"
    return ""


def _paths(files: Iterable[NamedFile]) -> str:
    return first_of([file.path for file in files], _SHOWN)


def _content(source: Path, one: Candidate, masks: _Masks) -> Content:
    paths = {mask.label: str(source / mask.path) for mask in one.masks}
    if masks.form == "classes":
        return Content("classes", tuple(paths.get(name, "") for name in masks.classes))
    return Content(masks.form, tuple(str(source / mask.path) for mask in one.masks))


def _names(candidates: Sequence[Candidate]) -> list[str]:
    """Return the stem of each candidate where stems are unique, else as many of its folders as make it so."""
    stems = [one.stem for one in candidates]
    coarse = ["/".join([*one.place.folders, one.stem]) for one in candidates]
    fine = ["/".join([*(name.replace(" ", "_") for name in one.place.fine), one.stem]) for one in candidates]
    paths = [(one.images or one.masks)[0].path for one in candidates]
    whole = [path[: len(path) - len(ending_of(path))] for path in paths]
    levels = (stems, coarse, fine, whole)
    # Ids that differ only in capitals are one file on some systems.
    apart = (names for names in levels if len({name.casefold() for name in names}) == len(names))
    return next(apart, next((names for names in levels if len(set(names)) == len(names)), whole))


def _left_alone(files: Iterable[str], *, used: bool) -> tuple[tuple[str, int], ...]:
    """Return how many files of each ending this reader does not open; `used` = NIfTI files were."""
    counts = Counter(ending for ending in map(ending_of, files) if ending in _OTHERS)
    return tuple((ending, counts[ending]) for ending in sorted(counts) if not (used and ending in NIFTI_ENDINGS))
