"""BraTS of 2015 to 2024: a folder a case, a NIfTI file a modality.

Case folders, below HGG and LGG or any others, or flat; also a single case. Channels are flair, t1, t1ce and t2 in this
order, as far as most cases have them. Other files are ignored.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hsmix_gen.pipeline.decoders.nifti_headers import NIFTI_ENDINGS
from hsmix_gen.pipeline.readers.paths.folder_walk import visible, walk
from hsmix_gen.pipeline.readers.paths.ids import Found, case_ids, common_channels, parted, safe_id
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, Labelling, Refusal, SourceItem

OPTIONS = frozenset[str]()
TRIED = 90
READS = "BraTS 2015 to 2024: case folders with a NIfTI file a modality, below `HGG/`, `LGG/` or flat"
RECOGNISED_BY = "`_flair`, `_t1`, `_t1ce`, `_t2`, `_seg`, or `-t2f`, `-t1n`, `-t1c`, `-t2w`, `-seg`"
REFUSES = "a case that lacks a modality or its labels"

MODALITIES = ("flair", "t1", "t1ce", "t2")
"""Names of the channels, in their order."""

LABELS = Labelling(
    classes=("background", "necrotic core", "oedema", "enhancing tumour"),
    values=((0, 0), (1, 1), (2, 2), (4, 3)),
    regions=(("WT", (1, 2, 4)), ("TC", (1, 4)), ("ET", (4,))),
)
"""Labels since 2017: the non-enhancing core is one with the necrotic, 3 is not used."""
LABELS_2023 = Labelling(
    classes=("background", "necrotic core", "oedema", "enhancing tumour"),
    values=((0, 0), (1, 1), (2, 2), (3, 3)),
    regions=(("WT", (1, 2, 3)), ("TC", (1, 3)), ("ET", (3,))),
)
"""Since 2023 the enhancing tumour is 3, and 4 is not used before treatment."""
LABELS_TREATED = Labelling(
    classes=(*LABELS_2023.classes, "resection cavity"),
    values=(*LABELS_2023.values, (4, 4)),
    regions=(*LABELS_2023.regions, ("RC", (4,))),
)
"""Gliomas after treatment, 2024: 4 is the cavity."""
LABELS_2015 = Labelling(
    classes=("background", "necrosis", "oedema", "non-enhancing tumour", "enhancing tumour"),
    values=((0, 0), (1, 1), (2, 2), (3, 3), (4, 4)),
    regions=(("WT", (1, 2, 3, 4)), ("TC", (1, 3, 4)), ("ET", (4,))),
)

# ``CASE_t1ce`` as the challenge has it, ``CASE-t1c`` since 2023, or ``T1c_subtrMeanDivStd`` of whoever preprocessed it.
_AT_END = re.compile(
    r"(?:(?P<case>.*)[_.\- ])?(?P<kind>flair|t1ce|t1c|t1gd|t1n|t1|t2f|t2w|t2|segm?|gtv|brain_?mask)", re.I
)
_AT_START = re.compile(r"(?P<kind>flair|t1ce|t1c|t1gd|t1|t2)[_.\-].*|(?P<label>otmulticlass)", re.I)
_KINDS = {
    "t1c": "t1ce", "t1gd": "t1ce", "t1n": "t1", "t2w": "t2", "t2f": "flair", "segm": "label", "seg": "label",
    "gtv": "label",
}  # fmt: skip
_NAMES_2023 = {"flair": "t2f", "t1": "t1n", "t1ce": "t1c", "t2": "t2w"}
_CASE_2015 = re.compile(r"brats_(2012|2013|tcia)_", re.I)
# ``BraTS-GLI-00005-101``: tumour, patient and time point, which is 100 or more after treatment.
_CASE_2023 = re.compile(r"(?P<patient>BraTS-(?P<tumour>[A-Z]+(?:-RT)?)-\d+)-(?P<time>\d+)", re.I)
# Their numbers mean other things from year to year, and no name says which year it is.
_OPEN_LABELS = ("PED", "MEN-RT")
_DEPTH = 4


@dataclass
class _Case:
    """Files of a case by kind, as relative paths."""

    name: str
    folder: str
    files: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def modalities(self) -> list[str]:
        return [name for name in MODALITIES if name in self.files]

    @property
    def is_clear(self) -> bool:
        """Whether names leave no doubt: all modalities and a label, or some and the name of the challenge."""
        is_whole = len(self.modalities) == len(MODALITIES) or (self.of_2023 is not None and bool(self.modalities))
        if is_whole and "label" in self.files:
            return True
        is_brats = self.is_of_2015 or any("brats" in path.lower() for paths in self.files.values() for path in paths)
        return is_brats and len(self.modalities) > 1

    @property
    def is_of_2015(self) -> bool:
        labels = [PurePosixPath(path).name.lower() for path in self.files.get("label", [])]
        return bool(_CASE_2015.match(self.name)) or any(name.startswith("otm") for name in labels)

    @property
    def of_2023(self) -> re.Match[str] | None:
        """What a name of 2023 or later says."""
        return _CASE_2023.fullmatch(self.name)

    @property
    def patient(self) -> str:
        """Whom the case is of: since 2023 a patient may have several."""
        return self.of_2023["patient"] if self.of_2023 else self.name


def recognises(source: Path) -> bool:
    """Return whether a folder, or one not far below, holds modalities under the names of BraTS."""
    return any(case.is_clear for names in _folders(source) for case in _cases(names, source))


def find(source: Path, config: SourceConfig) -> Found:  # noqa: ARG001 - no option changes what is a case
    """Return all cases that have a label."""
    walked = walk(source, NIFTI_ENDINGS)
    cases = _cases(walked.files, source)
    ids = case_ids([(case.name, f"{case.folder}/{case.name}") for case in cases])
    whole = [case.modalities for case in cases if "label" in case.files]
    wanted = common_channels(whole)
    items, refusals = parted(_item(*pair, wanted, source) for pair in zip(cases, ids, strict=True))
    labelling, notes = _labelling(cases)
    all_notes = (*_notes(wanted, whole), *notes, *walked.notes)
    return Found(items, (*walked.refusals, *refusals), all_notes, labelling)


def _folders(source: Path) -> Iterable[list[str]]:
    """Yield the files of each folder, as relative paths, down to a depth of four."""
    for folder, folders, names in visible(source):
        relative = PurePosixPath(Path(folder).relative_to(source).as_posix())
        if len(relative.parts) >= _DEPTH:
            folders.clear()
        yield [(relative / name).as_posix() for name in names if name.lower().endswith(NIFTI_ENDINGS)]


def _cases(paths: Sequence[str], source: Path) -> list[_Case]:
    """Return the cases among files; a folder names the case whose files do not."""
    by_folder: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for path in paths:
        pure = PurePosixPath(path)
        prefix, kind = _kind(pure.name)
        if kind:
            by_folder[pure.parent.as_posix()].append((prefix, kind, path))
    return [case for folder, files in by_folder.items() for case in _cases_of_folder(folder, files, source)]


def _cases_of_folder(folder: str, files: Sequence[tuple[str, str, str]], source: Path) -> Iterable[_Case]:
    prefixes = {prefix.casefold() for prefix, kind, _ in files if kind in MODALITIES}
    cases: dict[str, _Case] = {}
    for prefix, kind, path in sorted(files, key=lambda file: (file[1] not in MODALITIES, file[2])):
        # In the folder of a single case its label may have a name of its own, as once in BraTS 2020.
        key = next(iter(prefixes)) if len(prefixes) == 1 else prefix.casefold()
        name = prefix or PurePosixPath(folder).name or source.resolve().name
        cases.setdefault(key, _Case(name, folder)).files[kind].append(path)
    return cases.values()


def _kind(name: str) -> tuple[str, str]:
    """Return what stands before the kind of a file, and the kind: a modality, ``label``, ``body`` or nothing."""
    stem = name[: -len(next(ending for ending in NIFTI_ENDINGS if name.lower().endswith(ending)))]
    match = _AT_END.fullmatch(stem)
    if match:
        kind = match["kind"].lower()
        return stem[: len(match["case"] or "")], "body" if kind.startswith("brain") else _KINDS.get(kind, kind)
    match = _AT_START.fullmatch(stem)
    if match:
        return "", "label" if match["label"] else _KINDS.get(match["kind"].lower(), match["kind"].lower())
    return "", ""


def _labelling(cases: Sequence[_Case]) -> tuple[Labelling, tuple[str, ...]]:
    """Return what the numbers in labels mean, by the year that names state, and a note where they state none."""
    if any(case.is_of_2015 for case in cases):
        return LABELS_2015, ()
    named = [case.of_2023 for case in cases]
    of_2023 = [name for name in named if name]
    if not of_2023:
        return LABELS, ()
    tumours = {name["tumour"].upper() for name in of_2023}
    unclear = sorted(tumours.intersection(_OPEN_LABELS))
    if unclear:
        return Labelling(), (
            f"labels of BraTS-{unclear[0]} changed their meaning from year to year; name them with --classes",
        )
    if None in named:
        raise SourceError(
            "the source holds cases of BraTS before 2023, where 4 is the enhancing tumour, and since 2023, where it "
            "is 3; give each a run of its own"
        )
    is_treated = any(name["tumour"].upper() == "GLI" and int(name["time"]) >= 100 for name in of_2023)
    return LABELS_TREATED if is_treated else LABELS_2023, ()


def _problem(case: _Case, wanted: Sequence[str]) -> str:
    if "label" not in case.files:
        return "has no segmentation (_seg); cases without one, as those for validation, cannot be mixed, leave them out"
    twice = next((paths for paths in case.files.values() if len(paths) > 1), None)
    if twice:
        return f"has {' and '.join(PurePosixPath(path).name for path in twice)} for one thing; keep one of them"
    absent = [name for name in wanted if name not in case.files]
    if absent or not wanted:
        names = [_NAMES_2023[name] if case.of_2023 else name for name in absent or MODALITIES]
        return f"has no {', '.join(names)}, which most cases have; add it or remove the case"
    return ""


def _item(case: _Case, item_id: str, wanted: Sequence[str], source: Path) -> SourceItem | Refusal:
    reason = _problem(case, wanted)
    if reason:
        return Refusal(item_id, str(source / case.folder), "discover", reason)

    def path(kind: str) -> str:
        return str(source / case.files[kind][0])

    body = path("body") if "body" in case.files else ""
    image = Content("nifti", tuple(path(name) for name in wanted), body=body)
    return SourceItem(item_id, image, Content("nifti", (path("label"),)), group=safe_id(case.patient))


def _notes(wanted: Sequence[str], cases: Sequence[Sequence[str]]) -> tuple[str, ...]:
    if not wanted:
        return ()
    notes = [f"channels are {', '.join(wanted)}"]
    dropped = sorted({name for case in cases for name in case} - set(wanted))
    notes += [
        f"{name} is left out: {sum(name in case for case in cases)} of {len(cases)} cases have it" for name in dropped
    ]
    return tuple(notes)
