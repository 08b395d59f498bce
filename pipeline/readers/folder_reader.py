"""Folders of images and masks, paired by name: separate folders, suffixes, or one stem with two endings."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from PIL import Image as Pillow

from hsmix_gen.pipeline.decoders.picture_codec import IMAGE_ENDINGS
from hsmix_gen.pipeline.readers import colour_tables
from hsmix_gen.pipeline.readers.paths import kind_words
from hsmix_gen.pipeline.readers.paths.folder_walk import walk
from hsmix_gen.pipeline.readers.paths.ids import Found, safe_id
from hsmix_gen.pipeline.readers.paths.kind_words import MASK_SUFFIXES
from hsmix_gen.pipeline.readers.paths.name_pairing import Candidate, NamedFile, name_files, pair
from hsmix_gen.pipeline.readers.paths.official_splits import without_lone_training
from hsmix_gen.pipeline.readers.paths.split_words import split_of_path
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Content, Labelling, Refusal, SourceItem, picture

__all__ = ["MASK_SUFFIXES", "FolderReader"]

_NOT_IMAGES = ("_superpixels",)
_MAX_CLASSES = 62
_PEEKED_AT = 8
# What is not opened here, and the way out.
_VOLUMES = "try --layout nnunet, msd or brats"
_NO_READER = "convert them to NIfTI"
_OTHERS = {
    ".nii.gz": _VOLUMES, ".nii": _VOLUMES, ".mha": _NO_READER, ".mhd": _NO_READER, ".nrrd": _NO_READER,
    ".npz": "try --layout synapse or arrays", ".npy": "try --layout arrays", ".h5": "try --layout synapse or arrays",
    ".hdf5": "try --layout arrays", ".dcm": "try --layout dicom", ".xml": "try --layout monuseg",
    ".parquet": "try --layout parquet", ".tar": "try --layout webdataset",
}  # fmt: skip
# Folders of several opinions on the same thing, which are no classes.
_OPINION = re.compile(r"(annotator|rater|reader|expert|observer|doctor|manual)s?[\W_]*\w?\d*$", re.IGNORECASE)
_DRIVE_ASIDE = ("mask", "2nd_manual")


@dataclass(frozen=True)
class _Masks:
    """How the masks of a source are to be read, the same for all images."""

    form: str
    """Decoder of all of them, so that equal things have equal values."""
    classes: tuple[str, ...] = ()
    labelling: Labelling = field(default_factory=Labelling)
    notes: tuple[str, ...] = ()


class FolderReader:
    """Images and masks in a folder, however nested.

    A file is a mask if a folder above it, or the end of its stem, says so. Image and mask belong together when
    their paths are equal without those words and without the ending. An image may have a mask for each class, in
    folders named by the classes, or for each object, in a folder of its own or numbered. Where nothing says "mask",
    images and masks share stems in one folder and differ in their ending: then the single-channel files are masks.
    """

    name = "folder"
    options = frozenset({"colours", "image_suffix", "mask_suffix"})
    tried = 140
    reads = (
        "images and masks in folders of any such names, equal stems or a suffix; a mask for each class "
        "(folders named by the classes), for each object, several for one image; palette and coloured "
        "masks (`class_dict.csv`, `labelmap.txt` or `--colours`); JPEG masks, cut at one half"
    )
    recognised_by = "any other folder"
    refuses = "stems that stand twice, masks without image"

    def recognises(self, source: Path) -> bool:
        """Return whether the source is a folder."""
        try:
            return source.is_dir()
        except OSError:
            return False

    def find(self, source: Path, config: SourceConfig) -> Found:
        """Return the pairs under `source`.

        Raises
        ------
        SourceError
            If a colour table cannot be read.
        """
        walked = walk(source)
        paths, notes = _without_drive_extras([path for path in walked.files if _is_picture(path)])
        files = _drive_numbers(name_files(paths, config))
        if files and not any(file.is_mask for file in files):
            files, said = _classified_by_ending(source, files)
            notes += said
        candidates = pair(files)
        masks = _how_masks_are(source, candidates, walked.files, config)
        found = _items(source, candidates, masks)
        return Found(
            tuple(without_lone_training(found.items)),
            (*walked.refusals, *found.refusals),
            (*notes, *masks.notes, *_left_alone(walked.files), *walked.notes),
            masks.labelling,
        )


def _is_picture(path: str) -> bool:
    pure = PurePosixPath(path)
    return pure.suffix.lower() in IMAGE_ENDINGS and not pure.stem.lower().endswith(_NOT_IMAGES)


def _without_drive_extras(paths: list[str]) -> tuple[list[str], list[str]]:
    """Return the paths without DRIVE's fields of view and second opinions, which stand beside the masks."""
    beside = {
        PurePosixPath(*parts[:depth])
        for parts in {PurePosixPath(path).parent.parts for path in paths}
        for depth, name in enumerate(parts)
        if name.lower() == kind_words.DRIVE_MASKS
    }
    if not beside:
        return paths, []
    aside = {folder / name for folder in beside for name in _DRIVE_ASIDE}
    kept = [path for path in paths if aside.isdisjoint(PurePosixPath(path).parents)]
    left = f"{len(paths) - len(kept)} files in {' and '.join(_DRIVE_ASIDE)} were left alone"
    return kept, [f"{kind_words.DRIVE_MASKS} holds the masks; {left}"]


def _drive_numbers(files: list[NamedFile]) -> list[NamedFile]:
    """Return DRIVE's files with their numbers as stems: ``21_training.tif`` belongs to ``21_manual1.gif``."""
    if not any(kind_words.DRIVE_MASKS in file.path.lower().split("/") for file in files):
        return files
    numbers = [re.match(r"\d+(?=_)", PurePosixPath(file.path).stem) for file in files]
    return [file.with_stem(number[0]) if number else file for file, number in zip(files, numbers, strict=True)]


def _classified_by_ending(source: Path, files: list[NamedFile]) -> tuple[list[NamedFile], list[str]]:
    endings: dict[str, list[NamedFile]] = defaultdict(list)
    for file in files:
        endings[_ending(file)].append(file)
    if len(endings) < 2:
        return files, []
    grey = {
        ending
        for ending, same in endings.items()
        if all(_mode(source / file.path) in ("1", "L", "P") for file in same[:_PEEKED_AT])
    }
    if not grey or len(grey) == len(endings):
        return files, []
    note = f"nothing is named as a mask; single-channel {', '.join(sorted(grey))} files were taken as masks"
    return [replace(file, is_mask=_ending(file) in grey) for file in files], [note]


def _ending(file: NamedFile) -> str:
    return PurePosixPath(file.path).suffix.lower()


def _mode(path: Path) -> str:
    """Return Pillow's name for the form of a picture, or an empty text."""
    try:
        # Damaged files are told when they are read; a pipe would be waited for without end.
        if not path.is_file():
            return ""
        with Pillow.open(path) as opened:
            return opened.mode
    except Exception:
        return ""


def _how_masks_are(source: Path, candidates: Sequence[Candidate], files: Sequence[str], config: SourceConfig) -> _Masks:
    """Return how masks are to be read, and what is known of their labels."""
    pairs = [one for one in candidates if one.images and one.masks]
    labels = sorted({mask.label for one in pairs for mask in one.masks} - {""})
    several = any(len({mask.label for mask in one.masks}) > 1 for one in pairs)
    opinions = all(_OPINION.match(label) for label in labels)
    if several and 2 <= len(labels) <= _MAX_CLASSES and not opinions and config.colours is None:
        labelling = Labelling(classes=("background", *_class_names(labels)), bits=True)
        return _Masks(
            "classes", tuple(labels), labelling, (f"masks lie in a folder for each class: {_listed(labels)}",)
        )
    notes: tuple[str, ...] = ()
    if len(labels) > 1 and not several:
        notes = (f"masks lie in the folders {_listed(labels)}, one for each image; they were not taken as classes",)
    coloured = _coloured(source, pairs, files, config)
    if coloured.form == "colours":
        return replace(coloured, notes=notes + coloured.notes)
    parted = sum(len(one.masks) > 1 and not _problem(one, _Masks("union")) for one in pairs)
    if parted:
        note = f"{parted} of {len(pairs)} images have several masks, joined: in all masks, what is not 0 is one class"
        return _Masks("union", notes=(*notes, *coloured.notes, note))
    return _Masks("picture", notes=notes + coloured.notes)


def _class_names(labels: list[str]) -> list[str]:
    """Return the names of class folders without numbers before them, where that leaves them apart."""
    names = [re.sub(r"^\d+\W+", "", label) for label in labels]
    return names if all(names) and len({*names, "background"}) > len(names) else labels


def _coloured(source: Path, pairs: Sequence[Candidate], files: Sequence[str], config: SourceConfig) -> _Masks:
    """Return that masks are coloured if a colour table is given, or lies in the source and masks have colours."""
    if config.colours is not None:
        return _Masks("colours", labelling=colour_tables.read_colours(config.colours, source))
    table = colour_tables.table_among(files)
    if table is None:
        return _Masks("picture")
    if not any(_mode(source / one.masks[0].path) in ("RGB", "RGBA", "P") for one in pairs[:_PEEKED_AT]):
        return _Masks("picture", notes=(f"colour table {table} was left alone: the masks have no colours",))
    labelling = colour_tables.read_table(source / table)
    return _Masks("colours", labelling=labelling, notes=(f"colours of masks are those of {table}",))


def _items(source: Path, candidates: Sequence[Candidate], masks: _Masks) -> Found:
    items: list[SourceItem] = []
    refusals: list[Refusal] = []
    for name, one in zip(_names(candidates), candidates, strict=True):
        problem = _problem(one, masks)
        if problem:
            first = (one.images or one.masks)[0].path
            refusals.append(Refusal(safe_id(name), str(source / first), "discover", problem))
            continue
        image = one.images[0].path
        mask = _content(source, one, masks)
        split = split_of_path(image) or split_of_path(one.masks[0].path)
        items.append(SourceItem(safe_id(name), picture(str(source / image)), mask, split=split))
    return Found(tuple(items), tuple(refusals))


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
    return _listed([file.path for file in files])


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
    whole = [str(PurePosixPath((one.images or one.masks)[0].path).with_suffix("")) for one in candidates]
    levels = (stems, coarse, fine, whole)
    # Ids that differ only in capitals are one file on some systems.
    apart = (names for names in levels if len({name.casefold() for name in names}) == len(names))
    return next(apart, next((names for names in levels if len(set(names)) == len(names)), whole))


def _left_alone(files: Iterable[str]) -> list[str]:
    """Return notes on files that this reader does not open."""
    counts = Counter(
        next(ending for ending in _OTHERS if name.endswith(ending))
        for name in (path.lower() for path in files)
        if name.endswith(tuple(_OTHERS))
    )
    return [f"{number} {ending} files were left alone; {_OTHERS[ending]}" for ending, number in sorted(counts.items())]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


READER = FolderReader()
