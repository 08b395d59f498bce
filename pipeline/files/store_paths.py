"""Where things lie: a local path, or an address in an object store with the part of pathlib's interface we use."""

import errno
import io
import posixpath
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import total_ordering
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeGuard, TypeVar, cast

from hsmix_gen.pipeline.files import object_stores
from hsmix_gen.schemas.errors import ConfigError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ALIASES = {"gcs": "gs", "s3a": "s3", "s3n": "s3"}
_PIECE = 8 * 2**20
_Result = TypeVar("_Result")


def location(text: str | Path) -> Path:
    """Return where a text points: an address is a `StorePath`, anything else a path as it stands.

    It is typed as a path, which a `StorePath` can stand for wherever a name is built, listed or read; only
    `pipeline.files.atomic_files` and `pipeline.files.local_mirror` tell them apart.

    Raises
    ------
    ConfigError
        If an address is of no known store, names no bucket, or carries a password.
    """
    if not isinstance(text, str) or not is_address(text):
        return cast(Path, text) if is_remote(text) else Path(text)
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
    return cast(Path, StorePath(protocol, PurePosixPath("/", bucket, *parts)))


def is_address(text: str) -> bool:
    """Return whether a text is an address with a scheme, and no path."""
    return _SCHEME.match(text) is not None


def is_remote(path: object) -> TypeGuard["StorePath"]:
    """Return whether a path lies in an object store."""
    return isinstance(path, StorePath)


@dataclass(frozen=True)
class Status:
    """Size and time of an object, as ``Path.stat`` tells them."""

    st_size: int
    st_mtime: float
    st_mode: int = stat.S_IFREG | 0o644


@total_ordering
@dataclass(frozen=True)
class StorePath:
    """An address in an object store: immutable, small, without credentials.

    There are no folders in a store: `mkdir` does nothing, and one "is there" while an object lies in it. An object
    cannot be renamed, appended to or written in pieces, so there is no method for that.

    Attributes
    ----------
    protocol : str
        ``s3`` or ``gs``.
    inside : PurePosixPath
        ``/BUCKET/KEY``.
    """

    protocol: str
    inside: PurePosixPath

    def __str__(self) -> str:
        return f"{self.protocol}:/{self.inside}"

    def __repr__(self) -> str:
        return f"StorePath({str(self)!r})"

    def __lt__(self, other: "StorePath") -> bool:
        return (self.protocol, self.inside) < (other.protocol, other.inside)

    def __truediv__(self, name: str | PurePosixPath) -> "StorePath":
        joined = PurePosixPath(posixpath.normpath(self.inside / name))
        if joined.parts[:2] != self.inside.parts[:2]:
            raise ValueError(f"{name} leads out of the bucket of {self}")
        return StorePath(self.protocol, joined)

    def joinpath(self, *names: str) -> "StorePath":
        """Return the address of a name inside."""
        return self / "/".join(names)

    @property
    def key(self) -> str:
        """Bucket and key, as fsspec takes them."""
        return str(self.inside)[1:]

    @property
    def name(self) -> str:
        """Last part."""
        return self.inside.name

    @property
    def stem(self) -> str:
        """Last part without its ending."""
        return self.inside.stem

    @property
    def suffix(self) -> str:
        """Ending with its dot."""
        return self.inside.suffix

    @property
    def parent(self) -> "StorePath":
        """What it lies in; of a bucket the bucket."""
        return self if len(self.inside.parts) == 2 else StorePath(self.protocol, self.inside.parent)

    def as_posix(self) -> str:
        """Return the address."""
        return str(self)

    def resolve(self) -> "StorePath":
        """Return itself: an address is absolute, and there are no links."""
        return self

    absolute = resolve

    def with_name(self, name: str) -> "StorePath":
        """Return the address of a neighbour."""
        return StorePath(self.protocol, self.inside.with_name(name))

    def with_suffix(self, suffix: str) -> "StorePath":
        """Return the address with another ending."""
        return StorePath(self.protocol, self.inside.with_suffix(suffix))

    def relative_to(self, other: object) -> PurePosixPath:
        """Return the path from another address to this one."""
        if not is_remote(other) or other.protocol != self.protocol:
            raise ValueError(f"{self} does not lie in {other}")
        return self.inside.relative_to(other.inside)

    def is_relative_to(self, other: object) -> bool:
        """Return whether it lies in another address."""
        return is_remote(other) and other.protocol == self.protocol and self.inside.is_relative_to(other.inside)

    def exists(self) -> bool:
        """Return whether there is an object here, or one inside."""
        return self._kind() is not None

    def is_file(self) -> bool:
        """Return whether there is an object."""
        return self._kind() == "file"

    def is_dir(self) -> bool:
        """Return whether there is an object inside."""
        return self._kind() == "directory"

    def is_symlink(self) -> bool:
        """Return false: stores have no links."""
        return False

    def stat(self) -> Status:
        """Return size and time."""
        return status_of(self.ask(lambda system: system.info(self.key)))

    def iterdir(self) -> Iterator["StorePath"]:
        """Yield what lies directly inside."""
        for entry in self.ask(lambda system: system.ls(self.key, detail=False)):
            path = self._at(entry)
            if path != self:
                yield path

    def glob(self, pattern: str) -> Iterator["StorePath"]:
        """Yield what lies directly inside and fits a pattern of one name."""
        assert "/" not in pattern
        assert "**" not in pattern
        try:
            found = sorted(self.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return
        yield from (path for path in found if fnmatchcase(path.name, pattern))

    def rglob(self, pattern: str) -> Iterator["StorePath"]:
        """Yield all objects inside, at any depth, whose name fits a pattern."""
        found = (self._at(key) for key in self.ask(lambda system: system.find(self.key)))
        yield from (path for path in found if fnmatchcase(path.name, pattern))

    def read_bytes(self) -> bytes:
        """Return the whole object."""
        data: bytes = self.ask(lambda system: system.cat_file(self.key))
        return data

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the whole object as text."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, data: bytes | bytearray | memoryview) -> int:
        """Write the whole object in one request and return its size."""
        content = bytes(data)
        self.ask(lambda system: system.pipe_file(self.key, content))
        return len(content)

    def write_text(self, text: str, encoding: str = "utf-8") -> int:
        """Write a text as the whole object."""
        return self.write_bytes(text.encode(encoding))

    def open(self, mode: str = "r", *, encoding: str = "utf-8", newline: str | None = None) -> IO[Any]:
        """Open the object for reading; it is fetched in pieces of some megabytes when they are read."""
        if mode not in ("r", "rb", "rt"):
            raise ValueError(f"{self} can be opened for reading alone, got mode {mode}; write it whole")
        raw = io.BufferedReader(_Pieces(self), _PIECE)
        return raw if mode == "rb" else io.TextIOWrapper(raw, encoding=encoding, newline=newline)

    def mkdir(self, *, parents: bool = True, exist_ok: bool = True) -> None:
        """Do nothing: there are no folders."""

    def unlink(self, *, missing_ok: bool = False) -> None:
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

    def _at(self, key: str) -> "StorePath":
        return StorePath(self.protocol, PurePosixPath("/", key))


def status_of(entry: dict[str, Any]) -> Status:
    """Return size and time of an entry of fsspec."""
    changed = entry.get("LastModified") or entry.get("mtime") or entry.get("updated")
    if isinstance(changed, str):
        changed = datetime.fromisoformat(changed)
    return Status(int(entry.get("size") or 0), changed.timestamp() if changed else 0.0)


class _Pieces(io.RawIOBase):
    """An object that is read where it is looked at."""

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

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        start, stop = self._at, min(self._at + len(buffer), self._size)
        if start >= stop:
            return 0
        data = self._path.ask(lambda system: _piece(system, self._path.key, start, stop))
        buffer[: len(data)] = data
        self._at = stop
        return len(data)


def _piece(system: Any, key: str, start: int, stop: int) -> bytes:
    data: bytes = system.cat_file(key, start=start, end=stop)
    if len(data) != stop - start:
        raise ConnectionError(f"got {len(data)} of {stop - start} bytes")
    return data
