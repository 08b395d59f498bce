"""Files of a folder, relative and sorted: all of them, or names near its top; what cannot be opened is reported.

What hsmix-gen wrote, datasets, exports and caches, is no source and is left alone wherever it lies below one.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hsmix_gen.pipeline.execution.human_units import counted, first_of
from hsmix_gen.pipeline.files.state_names import STATE
from hsmix_gen.pipeline.readers.paths.folder_links import FolderLinks
from hsmix_gen.pipeline.readers.paths.ids import safe_id
from hsmix_gen.schemas.records import Refusal

_MAX_NEAR = 64
_MAX_SHOWN = 3
# Python's stand-ins for bytes of a name that are no UTF-8.
_LOST_BYTES = re.compile("[\udc80-\udcff]")
_MARKS = (
    frozenset({STATE}),  # an output, from its first moment
    frozenset({"manifest.parquet", "dataset.json", "run.json"}),  # a copy of one without its state
    frozenset({"sources.parquet", "commits"}),  # a cache
    frozenset({"export.json", "README.txt"}),
)


@dataclass(frozen=True)
class Walked:
    """Files below a folder as relative POSIX paths, what could not be read or named, and notes on what was left out."""

    files: tuple[str, ...]
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()


def walk(source: Path, endings: Collection[str] = ()) -> Walked:
    """Return the files below `source`, hidden ones left out; links to folders are followed once, see `FolderLinks`.

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
    written: list[str] = []
    links = FolderLinks(source)
    for folder, _, names in visible(source, refuse, written.append, links):
        relative = PurePosixPath(Path(folder).relative_to(source).as_posix())
        found += [(relative / name).as_posix() for name in names if not wanted or name.lower().endswith(wanted)]
    nameless = list(filter(_LOST_BYTES.search, found))
    refusals += [_nameless(source, name) for name in nameless]
    shown = first_of(sorted(written), _MAX_SHOWN, more=", ...")
    notes = [f"left alone {counted(len(written), 'folder')} that hsmix-gen wrote: {shown}"] if written else []
    return Walked(tuple(sorted(set(found) - set(nameless))), tuple(refusals), (*notes, *links.notes()))


def visible(
    source: Path,
    refuse: Callable[[OSError], object] | None = None,
    leave: Callable[[str], object] | None = None,
    links: FolderLinks | None = None,
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield folders with the names of folders, which may be cut down, and files in them, as `os.walk` does.

    Hidden names are left out, and so are folders below `source` that hsmix-gen wrote.

    Parameters
    ----------
    source : Path
    refuse : callable, optional
        Called with folders that cannot be read.
    leave : callable, optional
        Called with the relative path of what hsmix-gen wrote.
    links : FolderLinks, optional
        Decides on links to folders, and keeps what became of them.
    """
    links = links or FolderLinks(source)
    for folder, folders, names in os.walk(source, onerror=refuse, followlinks=True):
        if Path(folder) != source and any(marks.issubset({*folders, *names}) for marks in _MARKS):
            folders.clear()
            if leave is not None:
                leave(Path(folder).relative_to(source).as_posix())
            continue
        shown = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in shown if links.follows(Path(folder, name))]
        files = [name for name in names if not name.startswith(".")]
        for name in files:
            # What has an ending is a file to somebody, who says that it cannot be read.
            if "." not in name and (path := Path(folder, name)).is_symlink() and not path.exists():
                links.leads_nowhere(path)
        yield folder, folders, files


def is_written(folder: Path) -> bool:
    """Return whether a folder is a dataset of hsmix-gen, finished or not, an export or a cache."""
    try:
        # A folder of a hundred thousand images is not listed for this.
        return any(all((folder / name).exists() for name in marks) for marks in _MARKS)
    except OSError:
        return False


def folders_near(source: Path, familiar: re.Pattern[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the source and folders close below it, each as its relative path and the names in it.

    Children are looked into if their name is familiar or if they are alone, grandchildren only if all children are:
    a folder that holds other things too is not clearly of one layout. Nothing is raised.
    """
    names, folders = _listed(source)
    yield "", names
    known = [folder for folder in folders if familiar.search(folder) or len(folders) == 1]
    below = []
    for child in known[:_MAX_NEAR]:
        names, inner = _listed(source / child)
        yield child, names
        below += [f"{child}/{folder}" for folder in inner]
    if len(known) == len(folders):
        for grandchild in below[:_MAX_NEAR]:
            yield grandchild, _listed(source / grandchild)[0]


def _listed(folder: Path) -> tuple[frozenset[str], list[str]]:
    """Return all names in a folder and, sorted, those of folders; hidden ones are left out, errors are nothing."""
    try:
        with os.scandir(folder) as scanned:
            entries = [entry for entry in scanned if not entry.name.startswith(".")]
        below = sorted(entry.name for entry in entries if entry.is_dir())
        folders = [name for name in below if not is_written(folder / name)]
    except OSError:
        return frozenset(), []
    return frozenset(entry.name for entry in entries), folders


def _nameless(source: Path, name: str) -> Refusal:
    shown = os.fsencode(source / name).decode(errors="backslashreplace")
    reason = f"{shown} has a name that is no UTF-8, so that no table can hold it; rename it, for example with convmv"
    return Refusal(safe_id(str(PurePosixPath(name).with_suffix(""))), shown, "discover", reason)
