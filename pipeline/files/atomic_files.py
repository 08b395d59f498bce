"""Files that are whole or absent: on a disk written under another name and moved, to a store sent in one piece."""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.files import object_stores, upload_folder
from hsmix_gen.pipeline.files.store_paths import StorePath, is_remote, status_of
from hsmix_gen.schemas.records import FileRecord

TEMPORARY = ".hsmix-tmp-"
_sent: dict[StorePath, tuple[int, str]] = {}
"""Size and checksum of what this process sent, until their record is taken: to read them back is the driver's part."""


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the system name the file that was meant: a full disk names none, others the temporary name."""
    try:
        yield
    except OSError as error:
        is_ours = error.filename is None or TEMPORARY in os.fsdecode(error.filename)
        if error.errno is None or not is_ours:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def temporary_beside(path: Path) -> Path:
    """Return a local name under which `path` can be written before `publish`: in its folder if that is on a disk."""
    name = f"{TEMPORARY}{secrets.token_hex(6)}-{path.name}"
    if is_remote(path):
        return upload_folder.folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(name)


def publish(temporary: Path, path: Path) -> None:
    """Give a finished temporary file its final name: synced and moved, or sent to a store whole and removed here."""
    if is_remote(path):
        size, digest = temporary.stat().st_size, sha256_of_file(temporary)
        # One request, as long as the file fits into memory.
        is_one = path.protocol == "s3" and size <= object_stores.ONE_PUT_BYTES
        options = {"chunksize": object_stores.ONE_PUT_BYTES} if is_one else {}
        path.ask(lambda system: system.put_file(str(temporary), path.key, **options))
        _sent[path] = size, digest
        temporary.unlink()
        return
    with naming(path):
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file so that its final name never shows a part of it; one with these bytes is left alone."""
    with contextlib.suppress(FileNotFoundError):
        if (is_remote(path) or path.is_file()) and path.read_bytes() == data:
            return
    if is_remote(path):
        path.write_bytes(data)
    else:
        write_anew(path, data)


def write_anew(path: Path, data: bytes) -> None:
    """Write a file so that its final name never shows a part of it, whatever bears that name now."""
    temporary = temporary_beside(path)
    try:
        with naming(path):
            temporary.write_bytes(data)
        publish(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or absent, readable by people and the same for equal values."""
    write_whole(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Return a JSON file for people, the same for equal values."""
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> Any:
    """Return the value of a JSON file."""
    return json.loads(path.read_bytes())


def sync(path: Path) -> None:
    """Force a file, or the entries of a folder, to disk; what a store has taken it keeps."""
    if is_remote(path):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of_file(path: Path) -> str:
    """Return the sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_record(path: Path, root: Path) -> FileRecord:
    """Return size and checksum of a file under `root`; of one that this process sent, as it was sent."""
    sent = _sent.pop(path, None) if is_remote(path) else None
    size, digest = sent or (path.stat().st_size, sha256_of_file(path))
    return FileRecord(path.relative_to(root).as_posix(), size, digest)


def matches(record: FileRecord, root: Path) -> bool:
    """Return whether the file of a record is there with its size and checksum."""
    path = root / record.path
    try:
        return path.stat().st_size == record.bytes and sha256_of_file(path) == record.sha256
    except FileNotFoundError:
        return False


def all_match(records: Iterable[FileRecord], root: Path) -> list[bool]:
    """Return for each record whether it matches; in a store several are read at once."""
    check = partial(matches, root=root)
    return object_stores.together(check, records) if is_remote(root) else list(map(check, records))


def sizes_below(folder: Path, *, deep: bool = True) -> dict[str, int]:
    """Return the sizes of the files in a folder by their paths in it; in a store listings give them, many at once.

    Parameters
    ----------
    folder : Path
        One that is not there holds nothing.
    deep : bool
        Whether files of the folders inside count.
    """
    if is_remote(folder):
        found = folder.ask(lambda system: system.find(folder.key, detail=True, maxdepth=None if deep else 1))
        start = f"{folder.key}/"
        return {
            key.removeprefix(start): status_of(entry).st_size
            for key, entry in found.items()
            if entry["type"] == "file" and key.startswith(start)
        }
    return dict(_local_sizes(str(folder), "", deep=deep)) if folder.is_dir() else {}


def read_all(paths: Iterable[Path]) -> list[bytes]:
    """Return the contents of small files; in a store some are read at once."""
    paths = list(paths)
    if paths and is_remote(paths[0]):
        return object_stores.together(lambda path: path.read_bytes(), paths)
    return [path.read_bytes() for path in paths]


def existing(path: Path) -> Path:
    """Return a path, or the nearest folder above it that is there."""
    while not path.exists():
        path = path.parent
    return path


def remove_temporaries(folder: Path) -> None:
    """Remove what dead attempts left under temporary names, ours and those of Zarr in exports (``*.partial``)."""
    if is_remote(folder):
        upload_folder.remove_dead()
        return
    for pattern in (f"{TEMPORARY}*", "*.partial"):
        for path in folder.rglob(pattern):
            path.unlink(missing_ok=True)


def remove_tree(path: Path) -> None:
    """Remove a file, or a folder with all that lies in it; links are removed, not followed."""
    if is_remote(path):
        object_stores.together(lambda found: found.unlink(missing_ok=True), path.rglob("*"))
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def finished_files(folder: Path, ending: str) -> list[Path]:
    """Return the files of a folder with an ending, sorted, those under temporary names left out."""
    return sorted(path for path in folder.glob(f"*{ending}") if not path.name.startswith(TEMPORARY))


def _local_sizes(folder: str, prefix: str, *, deep: bool) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file():
                yield prefix + entry.name, entry.stat().st_size
            elif deep and entry.is_dir():
                yield from _local_sizes(entry.path, f"{prefix}{entry.name}/", deep=deep)
