"""GlaS, glands in histology: Warwick-QU as it is distributed, and the img/labelcol folders that networks train on.

``X.bmp`` with ``X_anno.bmp`` and the patients in Grade.csv, or ``img/X.png`` with ``labelcol/X.png``. Values in masks
are numbers of glands (or 255), not classes. The official split has most patients on both sides.
"""

import csv
import re
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path, PurePosixPath

from hsmix_gen.pipeline.readers.paths.folder_walk import folders_near, walk
from hsmix_gen.pipeline.readers.paths.grouped import grouped
from hsmix_gen.pipeline.readers.paths.ids import Found, pair_problem, safe_id
from hsmix_gen.pipeline.readers.paths.official_splits import part_patients, without_lone_training
from hsmix_gen.pipeline.readers.paths.split_words import deepest_split
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Labelling, Refusal, SourceItem, Split, picture

OPTIONS = frozenset({"mask_suffix"})
TRIED = 60
READS = "Warwick-QU (`_anno.bmp` of gland numbers, patients from `Grade.csv`); `img/` + `labelcol/`"
RECOGNISED_BY = "`_anno.bmp`, or both folders"
REFUSES = "images or masks alone"

_ENDINGS = (".bmp", ".png", ".tif", ".tiff", ".jpg", ".jpeg")
_IMAGE_FOLDER, _MASK_FOLDER = "img", "labelcol"
_SUFFIX = "_anno"
_WARWICK = re.compile(r"(train|testA|testB)_\d+", re.IGNORECASE)
_WARWICK_MASK = re.compile(r"(train|testA|testB)_\d+_anno\.\w+", re.IGNORECASE)
_SLIDE = re.compile(r"TCGA-", re.IGNORECASE)  # MoNuSeg goes about in folders img and labelcol, too
_FAMILIAR = re.compile(r"warwick|glas|gland|^(train|val|test)|^(img|labelcol)$", re.IGNORECASE)
_LABELLING = Labelling(classes=("background", "gland"), instances=True)
_GRADES = "grade.csv"
_MAX_GRADES_BYTES = 2**24


def recognises(source: Path) -> bool:
    """Return whether Warwick-QU masks, or folders img and labelcol, lie in the source or not far below."""
    near = list(folders_near(source, _FAMILIAR))
    images = [names for folder, names in near if PurePosixPath(folder).name.lower() == _IMAGE_FOLDER]
    if any(_SLIDE.match(name) for names in images for name in names):
        return False
    return any(
        {_IMAGE_FOLDER, _MASK_FOLDER} <= {name.lower() for name in names} or any(map(_WARWICK_MASK.fullmatch, names))
        for _, names in near
    )


def find(source: Path, config: SourceConfig) -> Found:
    """Return the glands under `source`."""
    walked = walk(source, (*_ENDINGS, _GRADES))
    tables = [path for path in walked.files if PurePosixPath(path).name.lower() == _GRADES]
    pictures = [path for path in walked.files if path not in tables]
    images, masks, n_others = _sorted_out(pictures, config.mask_suffix or _SUFFIX)
    items: list[SourceItem] = []
    refusals = list(walked.refusals)
    ids = _ids(sorted(images.keys() | masks.keys()))
    for key, item_id in ids.items():
        problem = pair_problem(images.get(key, []), masks.get(key, []))
        if problem:
            first = (images.get(key) or masks[key])[0]
            refusals.append(Refusal(item_id, str(source / first), "discover", problem))
            continue
        image, mask = (picture(str(source / paths[key][0])) for paths in (images, masks))
        items.append(SourceItem(item_id, image, mask, split=_split_of(key)))
    notes = [f"{n_others} pictures belong to no layout of GlaS and were left aside"] if n_others else []
    items, patient_notes = _with_patients(without_lone_training(items), source, tables)
    items, parted_notes = part_patients(items, source, config)
    notes += [*patient_notes, *parted_notes, *walked.notes]
    return Found(tuple(items), tuple(refusals), tuple(notes), _LABELLING, free_names=False)


def read_patients(table: Path) -> dict[str, str]:
    """Return the patient of each image, by the image's name in lower case, from a Grade.csv.

    Lines may end as on any system, a bare CR too, and cells may begin with blanks. Images with two patients are
    left out.

    Raises
    ------
    ValueError
        If it cannot be read or has no columns of that kind; the text says why.
    """
    try:
        if table.stat().st_size > _MAX_GRADES_BYTES:
            raise ValueError(f"has more than {_MAX_GRADES_BYTES} bytes")
        data = table.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Latin-1 takes any byte: names and numbers are ASCII, whatever the grades are written in.
        text = data.decode("latin-1")
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise ValueError(f"is damaged ({error})") from None
    header = [cell.lower() for cell in rows[0]] if rows else []
    if not {"name", "patient id"} <= set(header):
        raise ValueError(f"has columns {', '.join(header) or 'none'}, expected name and patient ID")
    name, patient = header.index("name"), header.index("patient id")
    whole = [row for row in rows[1:] if len(row) > max(name, patient) and row[name] and row[patient]]
    found = grouped((row[name].lower(), row[patient]) for row in whole)
    return {image: patients[0] for image, patients in found.items() if len(set(patients)) == 1}


def _sorted_out(paths: list[str], suffix: str) -> tuple[dict[str, list[str]], dict[str, list[str]], int]:
    """Return images and masks by their key, the path without what distinguishes the two, and the rest's number."""
    images: dict[str, list[str]] = defaultdict(list)
    masks: dict[str, list[str]] = defaultdict(list)
    n_others = 0
    for path in paths:
        pure = PurePosixPath(path)
        folders, stem = pure.parent.parts, pure.stem
        folder = folders[-1].lower() if folders else ""
        has_suffix = stem.lower().endswith(suffix.lower()) and len(stem) > len(suffix)
        is_mask = folder == _MASK_FOLDER or has_suffix
        if has_suffix:
            stem = stem[: -len(suffix)]
        if folder in (_IMAGE_FOLDER, _MASK_FOLDER):
            folders = folders[:-1]
        elif not _WARWICK.fullmatch(stem):
            n_others += 1
            continue
        (masks if is_mask else images)["/".join((*folders, stem))].append(path)
    return images, masks, n_others


def _ids(keys: list[str]) -> dict[str, str]:
    """Return the id of each key: the name as Warwick-QU has it, else split and number, where that is unique."""
    short = {}
    for key in keys:
        stem, split = PurePosixPath(key).name, _split_of(key)
        short[key] = stem if split is None or _WARWICK.fullmatch(stem) else f"{split}_{stem}"
    taken = Counter(name.casefold() for name in short.values())
    return {key: safe_id(name if taken[name.casefold()] == 1 else key) for key, name in short.items()}


def _split_of(key: str) -> Split | None:
    *folders, stem = PurePosixPath(key).parts
    if _WARWICK.fullmatch(stem):
        return "train" if stem.lower().startswith("train") else "test"
    return deepest_split(folders)


def _with_patients(items: list[SourceItem], source: Path, tables: list[str]) -> tuple[list[SourceItem], list[str]]:
    if not items:
        return items, []
    unknown = "patients are not known and each image is a group of its own"
    if not tables:
        return items, [f"there is no Grade.csv, so {unknown}"]
    try:
        patients = read_patients(source / tables[0])
    except ValueError as error:
        return items, [f"{source / tables[0]} {error}, so {unknown}"]
    found = [patients.get(PurePosixPath(item.image.paths[0]).stem.lower()) for item in items]
    grouped = [replace(item, group=one and f"patient-{one}") for item, one in zip(items, found, strict=True)]
    without = [item.id for item in grouped if item.group is None]
    if not without:
        return grouped, []
    return grouped, [f"Grade.csv names no one patient for {len(without)} images, first {without[0]}; each is its own"]
