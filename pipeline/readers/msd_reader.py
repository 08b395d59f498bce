"""Reader of the Medical Segmentation Decathlon; nnU-Net's raw folders hold cases of the same kind.

Folders ``images*`` and ``labels*`` (or ``masks*``) of NIfTI files with equal names; 4-D files have channels.
``dataset.json``, if there, names the classes. Images of ``imagesTs`` have no labels and are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hsmix_gen.pipeline.decoders.nifti_headers import NIFTI_ENDINGS
from hsmix_gen.pipeline.readers.dataset_json import Description, read_description
from hsmix_gen.pipeline.readers.paths.case_folders import Case, CaseFolders, NameCase, case_folders, cases_in, root_of
from hsmix_gen.pipeline.readers.paths.ids import Found, case_ids, common_channels, parted, safe_id
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Content, Refusal, SourceItem, picture

OPTIONS = frozenset[str]()
TRIED = 110
READS = "`imagesTr` + `labelsTr` of NIfTI, also 4-D; classes and regions from `dataset.json`"
RECOGNISED_BY = "these folders, or `images*` + `labels*`"
REFUSES = "an image without label"


@dataclass(frozen=True)
class Form:
    """How the files of a dataset are named."""

    endings: tuple[str, ...]
    """Of images and labels."""
    name_case: NameCase
    channels: tuple[int, ...] | None = None
    """Those of each case; None: those that most cases have."""


def recognises(source: Path) -> bool:
    """Return whether an image has a label of its name."""
    return any(
        case.images and case.labels
        for folders in case_folders(root_of(source))
        for case in cases_or_none(folders, as_file)
    )


def find(source: Path, config: SourceConfig) -> Found:  # noqa: ARG001 - no option changes what is a case
    """Return all cases that have a label."""
    root = root_of(source)
    return find_cases(root, Form(NIFTI_ENDINGS, as_file, (0,)), read_description(root))


def as_file(stem: str) -> tuple[str, int]:
    """Return the name of a case and the number of its only channel, of a file that is named by its case."""
    return stem, 0


def cases_or_none(folders: CaseFolders, name_case: NameCase, endings: Sequence[str] = NIFTI_ENDINGS) -> list[Case]:
    """Return the cases of folders that can be opened."""
    try:
        return cases_in(folders, name_case, endings)
    except OSError:
        return []


def find_cases(root: Path, form: Form, description: Description) -> Found:
    """Return an item for each whole case, and a refusal for each other."""
    cases, refusals, notes = _all_cases(root, form)
    channels = form.channels or common_channels([case.images for case in cases if case.images and case.labels])
    ids = case_ids([(case.name, f"{case.folder}/{case.name}") for case in cases])
    items, left_out = parted(_item(*pair, channels, form) for pair in zip(cases, ids, strict=True))
    if description.channels:
        notes.insert(0, f"channels are {', '.join(description.channels)}")
    return Found(items, (*refusals, *left_out), tuple(notes), description.labelling)


def _all_cases(root: Path, form: Form) -> tuple[list[Case], list[Refusal], list[str]]:
    """Return the cases of all folders with labels, the folders that cannot be read, and notes on the others."""
    cases: list[Case] = []
    refusals: list[Refusal] = []
    notes: list[str] = []
    for folders in case_folders(root):
        try:
            found = cases_in(folders, form.name_case, form.endings)
        except OSError as error:
            reason = f"folder cannot be read ({error.strerror}); check its permissions"
            refusals.append(Refusal(safe_id(folders.images.name), str(error.filename), "discover", reason))
            continue
        if folders.labels is not None:
            cases += found
        elif found:
            notes.append(f"{folders.images.name} has no labels beside it, its {len(found)} cases are left out")
    return cases, refusals, notes


def _problem(case: Case, channels: Sequence[int], form: Form) -> str:
    if not case.images:
        return f"is a label whose image is not in {case.folder}; add the image or remove the label"
    if not case.labels:
        return f"has no label of the name {case.name}; add it or take the image out of {case.folder}"
    twice = next((paths for paths in [case.labels, *case.images.values()] if len(paths) > 1), None)
    if twice:
        return f"has {' and '.join(path.name for path in twice)} for one thing; keep one of them"
    absent = [number for number in channels if number not in case.images]
    if absent:
        names = ", ".join(f"{case.name}_{number:04d}" for number in absent)
        return f"has no channel {names}; add it or remove the case"
    if len(channels) > 1 and form.endings != NIFTI_ENDINGS:
        return f"has {len(channels)} pictures of one channel each; merge them into one picture, or store them as NIfTI"
    return ""


def _item(case: Case, case_id: str, channels: Sequence[int], form: Form) -> SourceItem | Refusal:
    reason = _problem(case, channels, form)
    if reason:
        return Refusal(case_id, str(case.files[0]), "discover", reason)
    images = tuple(str(case.images[number][0]) for number in channels)
    label = str(case.labels[0])
    if form.endings == NIFTI_ENDINGS:
        return SourceItem(case_id, Content("nifti", images), Content("nifti", (label,)), case_id, case.split)
    return SourceItem(case_id, picture(images[0]), picture(label), split=case.split)
