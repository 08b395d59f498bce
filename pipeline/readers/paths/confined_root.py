"""Paths that may not leave a folder."""

import os
from functools import cache
from pathlib import Path, PurePosixPath


class Root:
    """A folder that paths may not leave, neither by ``..`` nor through links."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._real = os.path.realpath(folder)
        # Lists name thousands of files of few folders: links above a file are followed once a folder.
        self._real_of = cache(os.path.realpath)

    def holds(self, path: Path) -> bool:
        """Return whether a path, with all links followed, lies in the folder."""
        try:
            real = self._resolved(path)
        except (OSError, ValueError):
            return False
        return real == self._real or real.startswith(self._real.rstrip(os.sep) + os.sep)

    def relative(self, path: Path) -> str:
        """Return the path of a file in the folder, without links above it, relative and with ``/``."""
        parent = self._real_of(path.parent)
        return PurePosixPath(os.path.relpath(parent, self._real), path.name).as_posix()

    def _resolved(self, path: Path) -> str:
        if path.name in ("", ".."):
            return os.path.realpath(path)
        real = str(Path(self._real_of(path.parent), path.name))
        return os.path.realpath(real) if os.path.islink(real) else real  # noqa: PTH114 - takes text
