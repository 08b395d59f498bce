"""Files that stand for others: a pointer of Git LFS or git-annex in place of a picture, and how the file is fetched."""

import os
import stat
from dataclasses import dataclass

from hsmix_gen.schemas.errors import SourceError

_MOST_BYTES = 1024


@dataclass(frozen=True)
class Pointer:
    """A kind of pointer: who leaves it, and what fetches the file."""

    name: str
    way: str


_KINDS = (
    (b"version https://git-lfs.github.com/spec/", Pointer("Git LFS", "fetch the files with git lfs pull")),
    (b"version https://hawser.github.com/spec/", Pointer("Git LFS", "fetch the files with git lfs pull")),
    (b"/annex/objects/", Pointer("git-annex", "fetch the files with git annex get")),
)


def pointer_kind(data: bytes) -> Pointer | None:
    """Return which pointer bytes begin like."""
    return next((kind for start, kind in _KINDS if data.startswith(start)), None)


def refuse_pointer(path: str) -> None:
    """Refuse a file that is a pointer; what cannot be read is left to whoever reads it.

    Raises
    ------
    SourceError
        Naming the file and what fetches it.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - called for every file of a source
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            return
        with open(path, "rb") as opened:  # noqa: PTH123
            kind = pointer_kind(opened.read(_MOST_BYTES))
    except OSError:
        return
    if kind is not None:
        raise SourceError(f"{path} is a pointer of {kind.name}, not the file itself; {kind.way}")
