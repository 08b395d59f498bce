"""Where things lie: a local path, or an address in an object store, which is a path too."""

import errno
import io
import os
import posixpath
import re
import stat
from collections.abc import Callable, Generator
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path, PosixPath
from typing import Any, Self, TypeGuard, TypeVar

from hsmix_gen.pipeline.files import object_stores
from hsmix_gen.schemas.errors import ConfigError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ALIASES = {"gcs": "gs", "s3a": "s3", "s3n": "s3"}
_PIECE = 8 * 2**20
_Result = TypeVar("_Result")


def location(text: str | Path) -> Path:
    """Return where a text points: an address is a `StorePath`, anything else a path as it stands.

    Raises
    ------
    ConfigError
        If an address is of no known store, names no bucket, or carries a password.
    """
    if not isinstance(text, str) or not is_address(text):
        return Path(text) if isinstance(text, str) else text
    scheme, _, rest = text.partition("://")
    protocol = _ALIASES.get(scheme.lower(), scheme.lower())
    bucket, _, key = rest.partition("/")
    if "@" in bucket or "?" in rest:
        # What may be a secret is not repeated.
        raise ConfigError(
            f"{scheme}://… must hold bucket and key alone, got a password or a signature; "
            "credentials come from the environment"
        )
    if protocol not in object_stores.PACKAGES:
        known = ", ".join(f"{name}://" for name in object_stores.PACKAGES)
        raise ConfigError(f"{text} must be a local path or an address of {known}, got {scheme}://; mount or copy it")
    parts = [part for part in key.split("/") if part]
    if not bucket or ".." in parts or "." in parts:
        raise ConfigError(f"{text} must be {scheme}://BUCKET/KEY without . and .. in it; write it out")
    return StorePath(f"{protocol}:", bucket, *parts)


def is_address(text: str) -> bool:
    """Return whether a text is an address with a scheme, and no path."""
    return _SCHEME.match(text) is not None


def is_remote(path: object) -> TypeGuard["StorePath"]:
    """Return whether a path lies in an object store."""
    return isinstance(path, StorePath)


class StorePath(PosixPath):
    """An address in an object store: immutable, small, without credentials; its parts are ``s3:``, bucket and key.

    It is a path, as names are built and taken apart in the same way, and what we use of a path asks the store here.
    Whatever else wants a file of this machine is refused by ``__fspath__``. There are no folders in a store: `mkdir`
    does nothing, and one "is there" while an object lies in it. An object cannot be renamed, appended to or written
    in pieces.
    """

    def __str__(self) -> str:
        # What is relative to an address has no protocol.
        return f"{self.protocol}://{self.key}" if self.parts[:1] and ":" in self.parts[0] else "/".join(self.parts)

    def __fspath__(self) -> str:
        raise TypeError(f"{self} lies in a store, and not on a disk of this machine")

    def __truediv__(self, name: str | os.PathLike[str]) -> Self:
        bucket, joined = f"/{self.parts[1]}", posixpath.normpath(posixpath.join(f"/{self.key}", str(name)))
        if not f"{joined}/".startswith(f"{bucket}/"):
            raise ValueError(f"{name} leads out of the bucket of {self}")
        return type(self)(self.parts[0], joined[1:])

    @property
    def protocol(self) -> str:
        """``s3`` or ``gs``."""
        return self.parts[0].rstrip(":")

    @property
    def key(self) -> str:
        """Bucket and key, as fsspec takes them."""
        return "/".join(self.parts[1:])

    @property
    def parent(self) -> Self:
        """What it lies in; of a bucket the bucket."""
        return self if len(self.parts) == 2 else type(self)(*self.parts[:-1])

    def absolute(self) -> Self:
        """Return the address as it is: that of a path would be one on this machine."""
        return self

    def exists(self) -> bool:
        """Return whether there is an object here, or one inside."""
        return self._kind() is not None

    def is_file(self) -> bool:
        """Return whether there is an object."""
        return self._kind() == "file"

    def is_dir(self) -> bool:
        """Return whether there is an object inside."""
        return self._kind() == "directory"

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:  # noqa: ARG002 - there are none
        """Return size and time."""
        return status_of(self.ask(lambda system: system.info(self.key)))

    def iterdir(self) -> Generator[Self]:
        """Yield what lies directly inside."""
        for entry in self.ask(lambda system: system.ls(self.key, detail=False)):
            path = self._at(entry)
            if path != self:
                yield path

    def glob(self, pattern: str) -> Generator[Self]:
        """Yield what lies directly inside and fits a pattern of one name."""
        assert "/" not in pattern
        assert "**" not in pattern
        try:
            found = sorted(self.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return
        yield from (path for path in found if fnmatchcase(path.name, pattern))

    def rglob(self, pattern: str) -> Generator[Self]:
        """Yield all objects inside, at any depth, whose name fits a pattern."""
        found = (self._at(key) for key in self.ask(lambda system: system.find(self.key)))
        yield from (path for path in found if fnmatchcase(path.name, pattern))

    def read_bytes(self) -> bytes:
        """Return the whole object."""
        data: bytes = self.ask(lambda system: system.cat_file(self.key))
        return data

    def write_bytes(self, data: Any) -> int:
        """Write the whole object in one request and return its size."""
        content = bytes(data)
        self.ask(lambda system: system.pipe_file(self.key, content))
        return len(content)

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        """Open the object for reading: fetched in pieces of some megabytes, without a buffer in just what is read."""
        if mode not in ("r", "rb", "rt"):
            raise ValueError(f"{self} can be opened for reading alone, got mode {mode}; write it whole")
        pieces = _Pieces(self)
        raw = pieces if mode == "rb" and not buffering else io.BufferedReader(pieces, max(buffering, 0) or _PIECE)
        return raw if mode == "rb" else io.TextIOWrapper(raw, encoding or "utf-8", errors, newline)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: there are no folders."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object."""
        if not missing_ok:
            self.stat()
        try:
            self.ask(lambda system: system.rm_file(self.key))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def ask(self, request: Callable[[Any], _Result]) -> _Result:
        """Return what a request to the file system of fsspec returns, made with patience."""
        return object_stores.patiently(lambda: request(object_stores.filesystem(self.protocol)), str(self))

    def _kind(self) -> str | None:
        try:
            return str(self.ask(lambda system: system.info(self.key))["type"])
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _at(self, key: str) -> Self:
        return type(self)(self.parts[0], key)


def status_of(entry: dict[str, Any]) -> os.stat_result:
    """Return size and time of an entry of fsspec."""
    changed = entry.get("LastModified") or entry.get("mtime") or entry.get("updated")
    if isinstance(changed, str):
        changed = datetime.fromisoformat(changed)
    time = changed.timestamp() if changed else 0.0
    return os.stat_result((stat.S_IFREG | 0o644, 0, 0, 1, 0, 0, int(entry.get("size") or 0), time, time, time))


class _Pieces(io.RawIOBase):
    """An object that is fetched only where it is read."""

    def __init__(self, path: StorePath) -> None:
        super().__init__()
        entry = path.ask(lambda system: system.info(path.key))
        if entry["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
        self._path, self._size, self._at = path, int(entry["size"]), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        start, stop = self._at, min(self._at + len(buffer), self._size)
        if start >= stop:
            return 0

        def piece(system: Any) -> bytes:
            data: bytes = system.cat_file(self._path.key, start=start, end=stop)
            if len(data) != stop - start:
                raise ConnectionError(f"got {len(data)} of {stop - start} bytes")
            return data

        buffer[: stop - start] = self._path.ask(piece)
        self._at = stop
        return stop - start
