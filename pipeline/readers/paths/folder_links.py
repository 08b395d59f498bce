"""Links to folders: which of them are followed, so that every folder is read once and none for ever."""

import os
from collections.abc import Sequence
from pathlib import Path

from hsmix_gen.pipeline.execution.human_units import counted, first_of

MOST_LINKS = 1000
"""Links that are followed in one source; a tree of more of them is not what a person laid out."""
_SHOWN = 3


class FolderLinks:
    """Decides on the links to folders of one walk, and keeps what became of each.

    A link is followed once: not where it leads to the source or above it, to what is read at its own place, or to
    what another link led to already.

    Parameters
    ----------
    source : Path
        Where the walk begins.
    most : int
        So many links are followed.
    """

    def __init__(self, source: Path, most: int = MOST_LINKS) -> None:
        self._source = source
        self._most = most
        self._real = os.path.realpath(source)
        self._targets: dict[str, str] = {}
        self._left: list[str] = []

    def follows(self, path: Path) -> bool:
        """Return whether a folder is to be walked; a folder that is no link is, unless a link led into it before."""
        if not path.is_symlink():
            return not self._targets or os.path.realpath(path) not in self._targets
        name, real = self._name(path), os.path.realpath(path)
        reason = self._reason(real)
        if reason:
            self._left.append(f"{name} ({reason})")
            return False
        self._targets[real] = name
        return True

    def leads_nowhere(self, path: Path) -> None:
        """Note a link whose end is not there."""
        self._left.append(f"{self._name(path)} (its end is not there)")

    def notes(self) -> tuple[str, ...]:
        """Return what the user should know of the links."""
        followed = [f"{name} to {real}" for real, name in self._targets.items()]
        notes = [f"followed {counted(len(followed), 'link')} to folders: {_shown(followed)}"] if followed else []
        notes += [f"left alone {counted(len(self._left), 'link')}: {_shown(self._left)}"] if self._left else []
        return tuple(notes)

    def _reason(self, real: str) -> str:
        if _holds(real, self._real):
            return "leads to the source or above it"
        is_below = _holds(self._real, real)
        if is_below and not any(part.startswith(".") for part in Path(real).relative_to(self._real).parts):
            return "what it leads to is read at its own place"
        twin = next((name for target, name in self._targets.items() if _holds(target, real)), None)
        if twin is not None:
            return f"leads where {twin} leads"
        return "" if len(self._targets) < self._most else f"there are more than {self._most}"

    def _name(self, path: Path) -> str:
        return path.relative_to(self._source).as_posix()


def _shown(links: Sequence[str]) -> str:
    return first_of(links, _SHOWN, more=", ...")


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
