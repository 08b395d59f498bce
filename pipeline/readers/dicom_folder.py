"""What lies in a folder of DICOM files: series of images, segmentations, and what is neither; from headers alone."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os.path import commonpath
from pathlib import Path, PurePosixPath

from pydicom import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import Tag
from pydicom.uid import RTStructureSetStorage, SegmentationStorage

from hsmix_gen.pipeline.decoders.dicom_headers import check_form, reading
from hsmix_gen.pipeline.decoders.dicom_segmentations import segment_labels
from hsmix_gen.pipeline.readers.paths.ids import safe_id
from hsmix_gen.pipeline.readers.paths.split_words import deepest_split, split_of_word
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Refusal, Split

# The second is that of label maps, which pydicom 3.0 has no name for.
_SEGMENTATIONS = (SegmentationStorage, "1.2.840.10008.5.1.4.1.1.66.7")
_RADIOTHERAPY = "1.2.840.10008.5.1.4.1.1.481."
_LOCALIZERS = frozenset({"LOCALIZER", "SCOUT"})
_TAGS = [
    Tag(name)
    for name in (
        "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName", "SeriesNumber", "ImageType",
        "FrameOfReferenceUID", "Rows", "ReferencedSeriesSequence", "SegmentSequence", "SegmentsOverlap",
    )
]  # fmt: skip
# Segments are described before this tag; functional groups and pixels come after it.
_LAST_TAG = 0x00630000
_UID = re.compile(r"\d+(\.\d+){4,}")
_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True)
class Series:
    """Images of one series."""

    uid: str
    files: tuple[str, ...]
    """Relative to the source."""
    patient: str
    person: str
    """PatientID and PatientName; they leave this program only as digests."""
    number: int
    frame_uid: str
    """Frame of reference: series with the same lie in one space."""
    is_localizer: bool

    @property
    def folder(self) -> PurePosixPath:
        """The deepest folder that holds all of its files, relative to the source."""
        return PurePosixPath(commonpath([PurePosixPath(file).parent.as_posix() for file in self.files]))

    @property
    def group(self) -> str | None:
        """The patient as a digest of the PatientID, which may show who it is."""
        return f"patient-{_digest(self.patient)}" if self.patient else None

    @property
    def split(self) -> Split | None:
        """The split if a folder is called so; descriptions of series have words such as test."""
        return deepest_split(self.folder.parts, split_of_word)

    @property
    def names(self) -> set[str]:
        """The names by which a mask file may mean it, in small letters."""
        return {name.casefold() for name in (self.uid, self.patient, *self.folder.parts) if name}


@dataclass(frozen=True)
class Segmentation:
    """A segmentation object; `references` are the series it was drawn on, as far as it states them."""

    file: str
    references: tuple[str, ...]
    frame_uid: str
    labels: dict[int, str]
    overlaps: bool


@dataclass(frozen=True)
class Contents:
    """All DICOM objects of a source; `contours` and `others` are numbers of files."""

    series: tuple[Series, ...]
    segmentations: tuple[Segmentation, ...]
    contours: int
    others: int
    refusals: tuple[Refusal, ...]


def read_contents(source: Path, files: Iterable[str]) -> Contents:
    """Return what the files of a folder are; those whose header cannot be read are refused."""
    images: dict[str, dict[str, Series]] = defaultdict(dict)
    segmentations: list[Segmentation] = []
    refusals: list[Refusal] = []
    counts: Counter[str] = Counter()
    for file in files:
        path = source / file
        try:
            with reading(path):
                header = _read_header(path)
                kind = _kind(header)
                if kind == "segmentation":
                    segmentations.append(_segmentation(file, header))
                elif kind == "image":
                    # A file without a series is one; copies of a file count once.
                    one = _series(file, header)
                    images[one.uid].setdefault(_text(header, "SOPInstanceUID") or file, one)
        except SourceError as error:
            name = PurePosixPath(file).with_suffix("").as_posix()
            refusals.append(Refusal(safe_id(name), str(path), "discover", str(error).removeprefix(f"{path} ")))
            continue
        counts[kind] += 1
    series = tuple(
        replace(members[0], files=tuple(sorted(one.files[0] for one in members)))
        for _, members in sorted((uid, list(found.values())) for uid, found in images.items())
    )
    return Contents(series, tuple(segmentations), counts["contours"], counts["other"], tuple(refusals))


def series_ids(series: Sequence[Series]) -> list[str]:
    """Return an id of each series, the shortest that distinguishes all: folder, folders, number, digest of its UID.

    Folders named by a UID, or by the person, are left out.
    """
    parts = [_parts(one) for one in series]
    whole = ["-".join(names) for names in parts]
    numbered = [f"{name}-s{one.number}" for name, one in zip(whole, series, strict=True)]
    for ids in ([names[-1] for names in parts], whole, numbered):
        if len(set(ids)) == len(ids):
            return [safe_id(name) for name in ids]
    return [safe_id(f"{name}-{_digest(one.uid)}") for name, one in zip(whole, series, strict=True)]


def _parts(series: Series) -> tuple[str, ...]:
    # Where ID and name are one, the name is a pseudonym.
    words = _WORD.findall(series.person.casefold()) if series.person != series.patient else []
    parts = tuple(
        part
        for part in series.folder.parts
        if not _UID.fullmatch(part) and not any(word in part.casefold() for word in words)
    )
    return parts or (series.group or "series",)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()


def _read_header(path: Path) -> Dataset:
    check_form(path)
    with path.open("rb") as file:
        return read_partial(file, stop_when=lambda tag, *_: tag > _LAST_TAG, specific_tags=_TAGS)  # type: ignore[arg-type]


def _kind(header: Dataset) -> str:
    kind = header.get("SOPClassUID") or ""
    if kind in _SEGMENTATIONS:
        return "segmentation"
    if kind == RTStructureSetStorage:
        return "contours"
    # Doses have pixels but are no images.
    return "other" if kind.startswith(_RADIOTHERAPY) or "Rows" not in header else "image"


def _segmentation(file: str, header: Dataset) -> Segmentation:
    references = tuple(str(item.SeriesInstanceUID) for item in header.get("ReferencedSeriesSequence") or ())
    overlaps = header.get("SegmentsOverlap") == "YES"
    return Segmentation(file, references, _text(header, "FrameOfReferenceUID"), segment_labels(header), overlaps)


def _series(file: str, header: Dataset) -> Series:
    """Return the series that a file names."""
    return Series(
        uid=_text(header, "SeriesInstanceUID") or file,
        files=(file,),
        patient=_text(header, "PatientID"),
        person=_text(header, "PatientName"),
        number=int(header.get("SeriesNumber") or 0),
        frame_uid=_text(header, "FrameOfReferenceUID"),
        is_localizer=not _LOCALIZERS.isdisjoint(header.get("ImageType") or ()),
    )


def _text(header: Dataset, name: str) -> str:
    return str(header.get(name) or "").strip()
