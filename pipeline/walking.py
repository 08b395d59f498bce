"""All files of a folder, relative and sorted; what cannot be looked into is told."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hsmix_gen.pipeline.found import safe_id
from hsmix_gen.schemas.records import Refusal


@dataclass(frozen=True)
class Walked:
    """Files below a folder as relative POSIX paths, and folders that could not be read."""

    files: tuple[str, ...]
    refusals: tuple[Refusal, ...] = ()


def walk(source: Path, endings: Collection[str] = ()) -> Walked:
    """Return the files below `source`, hidden ones left out; links to folders are not followed (loops).

    Parameters
    ----------
    source : Path
        A folder.
    endings : collection of str
        Lower-case ends of names that are wanted, such as ``.png`` or ``.nii.gz``; empty: all.
    """
    found: list[str] = []
    refusals: list[Refusal] = []

    def refuse(error: OSError) -> None:
        folder = Path(error.filename or source)
        name = folder.relative_to(source).as_posix() if folder.is_relative_to(source) else folder.name
        reason = f"folder cannot be read ({error.strerror}); check its permissions"
        refusals.append(Refusal(safe_id(name), str(folder), "discover", reason))

    wanted = tuple(endings)
    for folder, folders, names in os.walk(source, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = PurePosixPath(Path(folder).relative_to(source).as_posix())
        found += [
            (relative / name).as_posix()
            for name in names
            if not name.startswith(".") and (not wanted or name.lower().endswith(wanted))
        ]
    return Walked(tuple(sorted(found)), tuple(refusals))
