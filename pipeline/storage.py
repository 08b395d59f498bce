"""Files that are whole or absent: written under another name, synced, then moved into place."""

import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from hsmix_gen.schemas.records import FileRecord

TEMPORARY = ".hsmix-tmp-"
_CHUNK = 2**20


def temporary_beside(path: Path) -> Path:
    """Return a name in the folder of `path` under which it can be written before `publish`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{TEMPORARY}{secrets.token_hex(6)}-{path.name}")


def publish(temporary: Path, path: Path) -> None:
    """Sync a finished temporary file to disk and give it its final name."""
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file so that its final name never shows a part of it; one with these bytes is left alone."""
    if path.is_file() and path.read_bytes() == data:
        return
    temporary = temporary_beside(path)
    try:
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
    """Force a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of_file(path: Path) -> str:
    """Return the sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def file_record(path: Path, root: Path) -> FileRecord:
    """Return size and checksum of a file under `root`."""
    return FileRecord(path.relative_to(root).as_posix(), path.stat().st_size, sha256_of_file(path))


def matches(record: FileRecord, root: Path) -> bool:
    """Return whether the file of a record is there with its size and checksum."""
    path = root / record.path
    try:
        return path.stat().st_size == record.bytes and sha256_of_file(path) == record.sha256
    except FileNotFoundError:
        return False


def remove_temporaries(folder: Path) -> None:
    """Remove what dead attempts left under temporary names, zarr's (``*.partial``) and ours."""
    for pattern in (f"{TEMPORARY}*", "*.partial"):
        for path in folder.rglob(pattern):
            path.unlink(missing_ok=True)


def finished_files(folder: Path, ending: str) -> list[Path]:
    """Return the files of a folder with an ending, sorted, those under temporary names left out."""
    return sorted(path for path in folder.glob(f"*{ending}") if not path.name.startswith(TEMPORARY))
