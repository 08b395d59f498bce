"""Files as tests write, read and damage them; what of an output is compared."""

import hashlib
import importlib.util
import io
import os
import tarfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image as Pillow

Array = npt.NDArray[Any]


def png(array: Array) -> bytes:
    """Return a picture, (H, W) or (H, W, C), as PNG."""
    stream = io.BytesIO()
    Pillow.fromarray(array[..., 0] if array.shape[2:] == (1,) else array).save(stream, "PNG")
    return stream.getvalue()


def tiff(array: Array, **options: Any) -> bytes:
    """Return an array as TIFF."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def npy(array: Array, **options: Any) -> bytes:
    """Return an array as npy."""
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def tar(path: Path, members: Mapping[str, bytes], *, form: int = tarfile.PAX_FORMAT) -> Path:
    """Write a tar file."""
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def members_of(output: Path) -> dict[str, dict[str, bytes]]:
    """Return the members of the WebDataset shards of a dataset by key."""
    found: dict[str, dict[str, bytes]] = defaultdict(dict)
    for path in sorted((output / "webdataset").glob("*.tar")):
        with tarfile.open(path) as archive:
            for entry in archive:
                file = archive.extractfile(entry)
                assert file is not None
                key, _, name = entry.name.partition(".")
                found[key][name] = file.read()
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def module_of(path: Path) -> ModuleType:
    """Return a module, loaded from its file under its own name."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def truncate(path: Path) -> None:
    """Keep the first half of a file."""
    os.truncate(path, path.stat().st_size // 2)


def shard_digests(output: Path) -> dict[str, str]:
    """Return the sha256 of each file that is the same for equal runs: all shards, and the manifest if it is there."""
    places = [
        *((output / form).rglob("*") for form in ("webdataset", "parquet", "folder")),
        [output / "manifest.parquet"],
    ]
    files = [path for place in places for path in place if path.is_file()]
    return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def snapshot(folder: Path) -> dict[str, tuple[str, int]]:
    """Return checksum and time of change of every file under a folder."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def leftovers(folder: Path) -> list[str]:
    """Return what an interrupted write left under a temporary name, of ours or of Zarr."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if "tmp-" in path.name or path.name.endswith(".partial")
    )
