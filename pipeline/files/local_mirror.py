"""Sources in object stores, mirrored into a local folder: readers and decoders see files, tables name addresses."""

import os
import posixpath
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.files import object_stores
from hsmix_gen.pipeline.files.atomic_files import TEMPORARY, existing
from hsmix_gen.pipeline.files.state_names import STATE
from hsmix_gen.pipeline.files.store_paths import StorePath, is_remote, status_of
from hsmix_gen.schemas.digests import sha256_of
from hsmix_gen.schemas.errors import SourceError

FOLDER_VARIABLE = "HSMIX_STAGING"
_NAME = "hsmix-staged"
_STORE = r"(s3|gs)-[0-9a-f]{8}"
_STAGED = re.compile(rf".*/{_NAME}/{_STORE}/(.+)", re.DOTALL)
_OLD_S = 86_400.0
_NS = 10**9


@dataclass(frozen=True)
class Wanted:
    """An object that has to be here: where it comes from, where it goes, its size, and the time of its version."""

    address: StorePath
    path: Path
    size: int
    time_ns: int

    def is_here(self) -> bool:
        """Return whether this version lies here whole."""
        try:
            status = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.time_ns)


def mirrored(folder: StorePath) -> Path:
    """Return a local folder with all files of a folder in a store."""
    wanted = listed(folder)
    fetch(wanted, lambda _: None)
    remove_others(staged_path(folder), wanted)
    return staged_path(folder)


def here(path: Path) -> Path:
    """Return a local path of a file: itself, or the newest version of what lies in a store.

    Raises
    ------
    FileNotFoundError
        If the store has none.
    """
    if not is_remote(path):
        return path
    wanted = _wanted(path)
    if not wanted.is_here():
        _download(wanted)
    return wanted.path


def ensure_local(paths: Iterable[str]) -> None:
    """Fetch those files of a staged source that are not on this machine; an absent one stays absent.

    Units call it: on the machine of the driver all is there, on others what their items need.
    """
    for text in paths:
        address = address_of(text)
        if address is None or Path(text).exists():
            continue
        wanted = _wanted_or_none(address)
        if wanted is not None:
            _download(replace(wanted, path=Path(text)))


def address_of(path: str) -> StorePath | None:
    """Return where a staged file comes from; of other files None."""
    found = _STAGED.fullmatch(path)
    # Lists may name neighbours with "..", which no key has.
    return StorePath(f"{found[1]}:", posixpath.normpath(f"/{found[2]}")[1:]) if found else None


def staged_path(address: StorePath) -> Path:
    """Return where an object is staged, whether it is there or not."""
    # Two endpoints may have buckets of one name.
    mark = sha256_of(object_stores.endpoint().encode())[:8]
    return staging_folder() / f"{address.protocol}-{mark}" / address.key


def staging_folder() -> Path:
    """Return the folder for staged files: that of the environment, else one in the user's cache.

    Its last part distinguishes staged files from others, on machines with other folders too.
    """
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given).absolute() / _NAME
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111 - never raises
    if cache.is_absolute() and os.access(existing(cache), os.W_OK):
        return cache / "hsmix-gen" / _NAME
    return Path(tempfile.gettempdir()) / f"hsmix-gen-{os.getuid()}" / _NAME


def with_addresses(text: str) -> str:
    """Return a text in which staged files have the names that users gave them."""
    if _NAME not in text:
        return text
    return re.sub(rf"{re.escape(str(staging_folder()))}/{_STORE}/", r"\1://", text)


@contextmanager
def naming_addresses() -> Iterator[None]:
    """Let errors of a source name addresses."""
    try:
        yield
    except SourceError as error:
        raise SourceError(with_addresses(str(error))) from None


def listed(source: StorePath) -> list[Wanted]:
    """Return all objects under an address but hidden ones, markers of empty folders, and outputs of hsmix-gen."""
    found: dict[str, dict[str, Any]] = source.ask(lambda system: system.find(source.key, detail=True))
    addresses = {key: StorePath(f"{source.protocol}:", key) for key in found}
    inner = {key: address.relative_to(source).parts for key, address in addresses.items()}
    outputs = {parts[: parts.index(STATE)] for parts in inner.values() if STATE in parts[1:]}
    wanted = []
    for key, entry in sorted(found.items()):
        parts = inner[key]
        if entry["type"] != "file" or str(key).endswith("/") or any(part.startswith(".") for part in parts):
            continue
        if outputs.isdisjoint(parts[:depth] for depth in range(1, len(parts))):
            wanted.append(_described(addresses[key], entry))
    folders = {parent for one in wanted for parent in one.path.parents}
    clash = next((one for one in wanted if one.path in folders), None)
    if clash:
        raise SourceError(f"{clash.address} is a file and a folder at once, which no disk can hold; rename one")
    return wanted


def _wanted_or_none(address: StorePath) -> Wanted | None:
    try:
        return _wanted(address)
    except FileNotFoundError:
        return None


def _wanted(address: StorePath) -> Wanted:
    entry = address.ask(lambda system: system.info(address.key))
    if entry["type"] != "file":
        raise FileNotFoundError(f"{address} is a folder")
    return _described(address, entry)


def _described(address: StorePath, entry: dict[str, Any]) -> Wanted:
    """Return an object with the time that its copy will bear: when it was written, and of its version a digest."""
    status = status_of(entry)
    version = str(entry.get("ETag") or entry.get("etag") or "").strip('"')
    mark = int(sha256_of(version.encode())[:12], 16) % _NS
    return Wanted(address, staged_path(address), status.st_size, int(status.st_mtime) * _NS + mark)


def fetch(wanted: Sequence[Wanted], note: Callable[[str], None]) -> None:
    """Download what is not here yet.

    Raises
    ------
    SourceError
        If there is no room for it.
    """
    missing = [one for one in wanted if not one.is_here()]
    if not missing:
        return
    folder = staging_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    size, free = sum(one.size for one in missing), shutil.disk_usage(folder).free
    if size > free:
        raise SourceError(
            f"{missing[0].address.parent} needs {size / 1e9:.1f} GB in {folder}, which has {free / 1e9:.1f} GB free; "
            f"make room, or name another folder in {FOLDER_VARIABLE}"
        )
    note(f"fetching {len(missing)} of {len(wanted)} files, {size / 1e6:.1f} MB, into {folder}")
    object_stores.together(_download, missing)


def _download(wanted: Wanted) -> None:
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    temporary = wanted.path.with_name(f"{TEMPORARY}{secrets.token_hex(6)}")
    try:
        wanted.address.ask(partial(_get, wanted=wanted, temporary=temporary))
        os.utime(temporary, ns=(wanted.time_ns, wanted.time_ns))
        temporary.replace(wanted.path)
    finally:
        temporary.unlink(missing_ok=True)


def _get(system: Any, wanted: Wanted, temporary: Path) -> None:
    system.get_file(wanted.address.key, str(temporary))
    size = temporary.stat().st_size
    if size != wanted.size:
        # Torn, or replaced since it was listed: both pass.
        raise ConnectionError(f"got {size} of {wanted.size} bytes")


def present(addresses: Iterable[StorePath]) -> list[Wanted]:
    """Return those of some objects that are there."""
    return [wanted for wanted in object_stores.together(_wanted_or_none, addresses) if wanted is not None]


def remove_others(folder: Path, wanted: Sequence[Wanted]) -> None:
    """Remove copies of what is no longer in the store, and what killed processes left."""
    kept = {one.path for one in wanted}
    for path in [path for path in folder.rglob("*") if path.is_file() and path not in kept]:
        if not path.name.startswith(TEMPORARY) or time.time() - path.stat().st_mtime > _OLD_S:
            path.unlink(missing_ok=True)
