"""Folders of DICOM series with DICOM segmentations or NIfTI masks.

Series in any folders, one item each, with a segmentation that references it or a NIfTI mask. A NIfTI mask belongs to
the series whose folder, patient or UID it is named by, or to the only series below the folder it lies in. Scouts
without a mask are left out, contours (RTSTRUCT) are counted. Names of persons and UIDs appear in no id.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hsmix_gen.pipeline.decoders.refusal_errors import start_of
from hsmix_gen.pipeline.execution.human_units import first_of
from hsmix_gen.pipeline.readers.paths.folder_walk import visible, walk
from hsmix_gen.pipeline.readers.paths.grouped import grouped
from hsmix_gen.pipeline.readers.paths.ids import Found, safe_id
from hsmix_gen.pipeline.readers.paths.stems import stem_of
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.extras import load
from hsmix_gen.schemas.records import Content, Labelling, Refusal, SourceItem

if TYPE_CHECKING:
    from hsmix_gen.pipeline.readers.dicom_folder import Contents, Segmentation, Series

OPTIONS = frozenset[str]()
TRIED = 120
READS = (
    "series (uncompressed, RLE, JPEG of 8 and 12 bits, lossless JPEG, JPEG-LS, JPEG 2000, HTJ2K; HU by slope and "
    "intercept, MONOCHROME1) with DICOM-SEG or NIfTI masks"
)
RECOGNISED_BY = "the mark `DICM` in a file"
REFUSES = "gaps between slices, two masks for one series; RTSTRUCT"

_ENDINGS = frozenset({".dcm", ".dicom", ".ima"})
_NIFTI = (".nii.gz", ".nii")
_LOOKED_AT = 16
_MASK_WORD = re.compile(r"(^|[^a-z])(masks?|labels?|segmentations?|segs?|gts?|ground[_ -]?truths?)([^a-z]|$)")
_MASK_SUFFIX = re.compile(r"[_.-](mask|label|labels|seg|segmentation|gt)$")
_WAY_OUT = "add a DICOM-SEG that references it, or a NIfTI mask named like its folder or patient"


@dataclass(frozen=True)
class _Mask:
    """A mask file of a series; `segmentation` where it is a DICOM-SEG."""

    file: str
    segmentation: "Segmentation | None" = None


def recognises(source: Path) -> bool:
    """Return whether one of the first files that may be DICOM bears its mark."""
    below = (Path(folder, name) for folder, _, names in visible(source) for name in sorted(names))
    return any(map(has_mark, islice((path for path in below if _may_be_dicom(path.name)), _LOOKED_AT)))


def find(source: Path, config: SourceConfig) -> Found:
    """Return the series that have one mask."""
    load("pydicom", f"{source} (layout dicom)")
    # pydicom takes half a second to import; other layouts need none of it.
    from hsmix_gen.pipeline.readers.dicom_folder import read_contents, series_ids

    walked = walk(source)
    marked = {file for file in walked.files if _may_be_dicom(file) and has_mark(source / file)}
    contents = read_contents(source, sorted(marked))
    refusals = [*walked.refusals, *contents.refusals, *_unmarked(source, walked.files, marked)]
    masks, strays = _masks_of(source, contents, [file for file in walked.files if file.endswith(_NIFTI)])
    chosen: list[tuple[str, Series, _Mask]] = []
    for item_id, series in zip(series_ids(contents.series), contents.series, strict=True):
        found = masks.get(series.uid, [])
        if len(found) == 1:
            chosen.append((item_id, series, found[0]))
        elif found or not series.is_localizer:
            refusals.append(Refusal(item_id, str(source / series.files[0]), "discover", _problem(series, found)))
    keys, labelling, notes = _understand([mask for _, _, mask in chosen], config)
    items = [
        SourceItem(
            item_id,
            Content("dicom", tuple(str(source / file) for file in series.files)),
            Content("dicomseg" if mask.segmentation else "nifti", (str(source / mask.file),), key),
            series.group,
            series.split,
        )
        for (item_id, series, mask), key in zip(chosen, keys, strict=True)
    ]
    notes += _notes(contents, {uid for uid, found in masks.items() if found})
    return Found(tuple(items), (*refusals, *strays), (*notes, *walked.notes), labelling, names_persons=True)


def has_mark(path: Path) -> bool:
    """Return whether a file begins as DICOM files do."""
    return start_of(path, 132)[128:] == b"DICM"


def _may_be_dicom(file: str) -> bool:
    """Return whether the name is one of DICOM files: their endings, none, or the end of a UID."""
    name = PurePosixPath(file)
    ending = name.suffix.lower()
    return not name.name.startswith(".") and (not ending or ending in _ENDINGS or ending[1:].isdigit())


def _unmarked(source: Path, files: Sequence[str], marked: set[str]) -> list[Refusal]:
    reason = "is no DICOM file (no DICM mark in its first 132 bytes), empty or not readable; copy it again or remove it"
    return [
        Refusal(safe_id(PurePosixPath(file).with_suffix("").as_posix()), str(source / file), "discover", reason)
        for file in files
        if file not in marked and PurePosixPath(file).suffix.lower() in _ENDINGS
    ]


def _masks_of(
    source: Path, contents: "Contents", niftis: Sequence[str]
) -> tuple[dict[str, list[_Mask]], list[Refusal]]:
    """Return the masks of each series by its UID, and masks that belong to none."""
    masks: dict[str, list[_Mask]] = defaultdict(list)
    strays: list[Refusal] = []
    for segmentation in contents.segmentations:
        owners = _referenced(segmentation, contents.series)
        if len(owners) == 1:
            masks[owners[0].uid].append(_Mask(segmentation.file, segmentation))
        else:
            rule = "references several series" if owners else "references no series of this source"
            strays.append(_stray(source, segmentation.file, f"{rule}; keep it with the one series it was drawn on"))
    for file in niftis:
        owners = _named(file, contents.series, lone=len(niftis) == 1)
        if len(owners) == 1:
            masks[owners[0].uid].append(_Mask(file))
        else:
            rule = f"may belong to {len(owners)} series" if owners else "belongs to no series"
            strays.append(_stray(source, file, f"{rule}; name it like the folder of its series, or remove it"))
    return masks, strays


def _stray(source: Path, file: str, reason: str) -> Refusal:
    return Refusal(safe_id(file.removesuffix(".gz").rsplit(".", 1)[0]), str(source / file), "discover", reason)


def _referenced(segmentation: "Segmentation", series: Sequence["Series"]) -> list["Series"]:
    named = [one for one in series if one.uid in segmentation.references]
    if named or not segmentation.frame_uid:
        return named
    return [one for one in series if one.frame_uid == segmentation.frame_uid and not one.is_localizer]


def _named(file: str, series: Sequence["Series"], *, lone: bool) -> list["Series"]:
    """Return the series that a NIfTI file may belong to."""
    stem = stem_of(file).casefold()
    images = [one for one in series if not one.is_localizer]
    by_name = [one for one in images if {stem, _MASK_SUFFIX.sub("", stem)} & one.names]
    if by_name:
        return by_name
    folder = PurePosixPath(file).parent
    while folder.name and _MASK_WORD.search(folder.name.lower()):
        folder = folder.parent
    below = [one for one in images if one.folder.is_relative_to(folder)]
    # Below the source itself lie all series: a mask that is named after nobody belongs there to a lone one only.
    return below if folder.name or lone or any(one.folder == folder for one in below) else []


def _problem(series: "Series", masks: list[_Mask]) -> str:
    if not masks:
        count = len(series.files)
        return f"series of {count} file{'s' if count > 1 else ''} has no mask; {_WAY_OUT}"
    names = first_of([PurePosixPath(mask.file).name for mask in masks], 5, more=" ...")
    return f"series has {len(masks)} masks: {names}; keep one, or merge them into one label map"


def _understand(masks: list[_Mask], config: SourceConfig) -> tuple[list[str], Labelling, list[str]]:
    """Return the key of each mask, what segments state about labels, and notes."""
    segmentations = [mask.segmentation for mask in masks if mask.segmentation]
    # Who states what values mean speaks of the numbers in the files.
    given = config.mask_values is not None or config.label_regions is not None
    if given or not segmentations or len(segmentations) < len(masks):
        mixed = bool(segmentations) and not given
        notes = ["some masks are DICOM-SEG, some NIfTI: names of segments are not used"] if mixed else []
        return [""] * len(masks), Labelling(), notes
    overlaps = any(segmentation.overlaps for segmentation in segmentations)
    bits = config.labels == "multilabel" or (config.labels == "auto" and overlaps)
    keys, labelling = number_classes([segmentation.labels for segmentation in segmentations], bits=bits)
    notes = ["segments overlap, so each class has a channel of its own"] if bits and overlaps else []
    if any("=" in key for key in keys) and not bits:
        notes.append("numbers of segments differ between files: classes were numbered by the names of segments")
    return keys, labelling, notes


def number_classes(labels: Sequence[dict[int, str]], *, bits: bool) -> tuple[list[str], Labelling]:
    """Return how the segments of each file are numbered, as keys of contents, and the classes of all.

    Numbers are kept where each means one label in all files; else, and for bits, labels are numbered from 1.

    Parameters
    ----------
    labels : sequence of dict
        Label by number of segment, for each file.
    bits : bool
        Whether a pixel may have several classes.
    """
    meanings = grouped(pair for numbers in labels for pair in numbers.items())
    agreed = all(len(set(names)) == 1 for names in meanings.values())
    ordered = [label for _, names in sorted(meanings.items()) for label in sorted(names)]
    classes = tuple(dict.fromkeys(("background", *(ordered if agreed else sorted(set(ordered))))))
    if agreed and not bits:
        ids = {number: classes.index(label) for numbers in labels for number, label in numbers.items()}
        return [""] * len(labels), Labelling(classes, ((0, 0), *sorted(ids.items())))
    keys = [
        " ".join((["bits"] if bits else []) + [f"{number}={classes.index(label)}" for number, label in numbers.items()])
        for numbers in labels
    ]
    return keys, Labelling(classes, () if bits else tuple((k, k) for k in range(len(classes))), bits=bits)


def _notes(contents: "Contents", with_masks: set[str]) -> list[str]:
    localizers = sum(series.is_localizer and series.uid not in with_masks for series in contents.series)
    notes = [
        (contents.contours, "RTSTRUCT files (contours) are not read; convert them to DICOM-SEG or NIfTI masks"),
        (localizers, "localizer series without masks were left out"),
        (contents.others, "DICOM files that hold no images (reports, doses, plans and so on) were left out"),
    ]
    return [f"{count} {text}" for count, text in notes if count]
