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
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from hsmix_gen.pipeline import stores
from hsmix_gen.pipeline.list_reader import ListReader
from hsmix_gen.pipeline.locations import StorePath, is_remote, location, status_of
from hsmix_gen.pipeline.state import STATE
from hsmix_gen.pipeline.storage import TEMPORARY
from hsmix_gen.schemas.config import RunConfig, SourceConfig
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
    """An object that has to be here: where it comes from, where it goes, its size, and a time that tells versions."""

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


def stage(source: Path, config: RunConfig, note: Callable[[str], None]) -> tuple[Path, RunConfig]:
    """Return a source as a local path, and the configuration with its folder of data as one.

    Of an address all files are fetched that are new or have changed since: those in the folder; those that a list
    names; of a JSON table those beside it.

    Raises
    ------
    SourceError
        If nothing lies there, or there is no room for it.
    StoreError
        If the store refuses.
    """
    root = location(config.source.root) if config.source.root else None
    if is_remote(root):
        config = config.model_copy(update={"source": _with_root(config.source, staged_path(root))})
    if not is_remote(source):
        return source, config
    try:
        wanted = _listed(source)
    except FileNotFoundError:
        wanted = []  # not even the bucket
    if not wanted:
        raise SourceError(f"{source} holds nothing, or is not there; check bucket, name and endpoint")
    is_one = wanted[0].address == source
    if is_one and source.suffix.lower() == ".json":
        wanted = _listed(source.parent)
    _fetch(wanted, note)
    if not is_one:
        _remove_others(staged_path(source), wanted)
    path = staged_path(source)
    if is_one and ListReader().recognises(path):
        _fetch(_named_by(path, config.source), note)
    return path, config


def mirrored(folder: StorePath) -> Path:
    """Return a local folder with all files of a folder in a store."""
    wanted = _listed(folder)
    _fetch(wanted, lambda _: None)
    _remove_others(staged_path(folder), wanted)
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
        try:
            wanted = _wanted(address)
        except FileNotFoundError:
            continue
        _download(Wanted(address, Path(text), wanted.size, wanted.time_ns))


def address_of(path: str) -> StorePath | None:
    """Return where a staged file comes from; of other files None."""
    found = _STAGED.fullmatch(path)
    # Lists may name neighbours with "..", which no key has.
    return StorePath(found[1], PurePosixPath(posixpath.normpath(f"/{found[2]}"))) if found else None


def staged_path(address: StorePath) -> Path:
    """Return where an object is staged, whether it is there or not."""
    # Two endpoints may have buckets of one name.
    mark = sha256_of(stores.endpoint().encode())[:8]
    return staging_folder() / f"{address.protocol}-{mark}" / address.key


def staging_folder() -> Path:
    """Return the folder for staged files: that of the environment, else one in the user's cache.

    Its last part tells staged files from others, on machines with other folders too.
    """
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given).absolute() / _NAME
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111 - never raises
    if cache.is_absolute() and os.access(_existing(cache), os.W_OK):
        return cache / "hsmix-gen" / _NAME
    return Path(tempfile.gettempdir()) / f"hsmix-gen-{os.getuid()}" / _NAME


def with_addresses(text: str) -> str:
    """Return a text in which staged files have the names that users gave them."""
    if _NAME not in text:
        return text
    return re.sub(rf"{re.escape(str(staging_folder()))}/{_STORE}/", r"\1://", text)


@contextmanager
def telling_addresses() -> Iterator[None]:
    """Let errors of a source name addresses."""
    try:
        yield
    except SourceError as error:
        raise SourceError(with_addresses(str(error))) from None


def _with_root(source: SourceConfig, root: Path) -> SourceConfig:
    return source.model_copy(update={"root": str(root)})


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _listed(source: StorePath) -> list[Wanted]:
    """Return all objects under an address but hidden ones, markers of empty folders, and outputs of hsmix-gen."""
    found: dict[str, dict[str, Any]] = source.ask(lambda system: system.find(source.key, detail=True))
    inner = {key: StorePath(source.protocol, PurePosixPath("/", key)).relative_to(source).parts for key in found}
    outputs = {parts[: parts.index(STATE)] for parts in inner.values() if STATE in parts[1:]}
    wanted = []
    for key, entry in sorted(found.items()):
        parts = inner[key]
        if entry["type"] != "file" or str(key).endswith("/") or any(part.startswith(".") for part in parts):
            continue
        if outputs.isdisjoint(parts[:depth] for depth in range(1, len(parts))):
            wanted.append(_described(StorePath(source.protocol, PurePosixPath("/", key)), entry))
    folders = {parent for one in wanted for parent in one.path.parents}
    clash = next((one for one in wanted if one.path in folders), None)
    if clash:
        raise SourceError(f"{clash.address} is a file and a folder at once, which no disk can hold; rename one")
    return wanted


def _named_by(path: Path, config: SourceConfig) -> list[Wanted]:
    """Return the files that a staged list names, as far as they are there."""
    items = ListReader().find(path, config).items
    texts = {text: None for item in items for content in (item.image, item.mask) for text in content.paths}
    addresses = [address for address in map(address_of, texts) if address is not None]
    return [wanted for wanted in stores.together(_wanted_or_none, addresses) if wanted is not None]


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


def _fetch(wanted: Sequence[Wanted], note: Callable[[str], None]) -> None:
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
    for _ in stores.together(_download, missing):
        pass


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


def _remove_others(folder: Path, wanted: Sequence[Wanted]) -> None:
    """Remove copies of what is no longer in the store, and what killed processes left."""
    kept = {one.path for one in wanted}
    for path in [path for path in folder.rglob("*") if path.is_file() and path not in kept]:
        if not path.name.startswith(TEMPORARY) or time.time() - path.stat().st_mtime > _OLD_S:
            path.unlink(missing_ok=True)
