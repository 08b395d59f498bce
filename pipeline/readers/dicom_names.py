"""Names that series go by: ids and groups without persons, and the names that a mask file may bear."""

import hashlib
import re
from collections.abc import Sequence
from os.path import commonpath
from pathlib import PurePosixPath

from hsmix_gen.pipeline.readers.dicom_folder import Series
from hsmix_gen.pipeline.readers.paths.ids import safe_id
from hsmix_gen.pipeline.readers.paths.split_words import deepest_split, split_of_word
from hsmix_gen.schemas.records import Split

_UID = re.compile(r"\d+(\.\d+){4,}")
_WORD = re.compile(r"[^\W\d_]{3,}")


def series_ids(series: Sequence[Series]) -> list[str]:
    """Return an id of each series, the shortest that distinguishes all: folder, folders, number, digest of its UID.

    Folders named by a UID, or by the person, are left out.
    """
    parts = [_parts(one) for one in series]
    whole = ["-".join(names) for names in parts]
    for ids in (
        [names[-1] for names in parts],
        whole,
        [f"{name}-s{one.number}" for name, one in zip(whole, series, strict=True)],
    ):
        if len(set(ids)) == len(ids):
            return [safe_id(name) for name in ids]
    return [safe_id(f"{name}-{_digest(one.uid)}") for name, one in zip(whole, series, strict=True)]


def group_of(series: Series) -> str | None:
    """Return the patient as a digest of the PatientID, which may show who it is."""
    return f"patient-{_digest(series.patient)}" if series.patient else None


def split_of(series: Series) -> Split | None:
    """Return the split if a folder is called so; descriptions of series have words such as test."""
    return deepest_split(folder_of(series).parts, split_of_word)


def folder_of(series: Series) -> PurePosixPath:
    """Return the deepest folder that holds all files of a series, relative to the source."""
    return PurePosixPath(commonpath([PurePosixPath(file).parent.as_posix() for file in series.files]))


def names_of(series: Series) -> set[str]:
    """Return the names by which a mask file may mean a series, in small letters."""
    return {name.casefold() for name in (series.uid, series.patient, *folder_of(series).parts) if name}


def _parts(series: Series) -> tuple[str, ...]:
    # Where ID and name are one, the name is a pseudonym.
    words = _WORD.findall(series.person.casefold()) if series.person != series.patient else []
    parts = tuple(
        part
        for part in folder_of(series).parts
        if not _UID.fullmatch(part) and not any(word in part.casefold() for word in words)
    )
    return parts or (group_of(series) or "series",)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
