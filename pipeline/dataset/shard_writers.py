"""Shard writers: files of a shard in a format, whole or absent, equal for equal samples."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from hsmix_gen.pipeline.dataset.folder_format import FolderShard
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.schemas.tables import shard_schema

_TAR_MODE = 0o444
ROW_GROUP = 100
"""Most samples of a row group: readers fetch one group at a time."""
GROUP_BYTES = 100_000_000
"""Most bytes of a row group before compression, unless one sample alone has more."""


class ShardWriter(Protocol):
    """Takes the samples of one shard in order; files appear under their final names at `finish` only."""

    def add(
        self, key: str, members: Mapping[str, bytes], soft_column: Callable[[], bytes], row: Mapping[str, Any]
    ) -> None:
        """Add one sample: its encoded members, its soft label for a column (made on demand), its provenance."""
        ...

    def finish(self) -> dict[Path, str | None]:
        """Close and publish the files; return their final paths, with their md5 where an index names it."""
        ...

    def abandon(self) -> None:
        """Remove what was written so far."""
        ...


class TarShard:
    """A WebDataset shard: an uncompressed USTAR file without times or owners."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = atomic_files.temporary_beside(path)
        self._tar = tarfile.open(self._temporary, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - closed in finish

    def add(
        self,
        key: str,
        members: Mapping[str, bytes],
        soft_column: Callable[[], bytes],  # noqa: ARG002 - tar files hold the member
        row: Mapping[str, Any],  # noqa: ARG002 - and the row as JSON
    ) -> None:
        """Add the members of one sample, contiguous and in the order of their names."""
        for name in sorted(members):
            info = tarfile.TarInfo(f"{key}.{name}")
            info.size = len(members[name])
            info.mode = _TAR_MODE
            self._tar.addfile(info, io.BytesIO(members[name]))

    def finish(self) -> dict[Path, str | None]:
        """Close and publish the file."""
        self._tar.close()
        md5 = _md5_of(self._temporary)
        atomic_files.publish(self._temporary, self._path)
        return {self._path: md5}

    def abandon(self) -> None:
        """Remove the temporary file."""
        self._tar.close()
        self._temporary.unlink(missing_ok=True)


class ParquetShard:
    """A Parquet shard that HF ``datasets`` decodes by itself; pictures are stored as they are, the rest as zstd."""

    def __init__(self, path: Path, *, image_is_png: bool) -> None:
        self._path = path
        self._is_png = image_is_png
        self._schema = shard_schema(image_is_png=image_is_png)
        self._temporary = atomic_files.temporary_beside(path)
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        pictures = {"image.bytes", "image.path", "mask.bytes", "mask.path", "image"}
        self._writer = pq.ParquetWriter(
            self._temporary,
            self._schema,
            compression={leaf: "NONE" if leaf in pictures else "ZSTD" for leaf in _leaves(self._schema)},
            use_dictionary=False,
            write_page_index=True,
        )

    def add(
        self, key: str, members: Mapping[str, bytes], soft_column: Callable[[], bytes], row: Mapping[str, Any]
    ) -> None:
        """Add one sample as a row."""
        if self._is_png:
            image: Any = {"bytes": members["image.png"], "path": f"{key}.image.png"}
        else:
            image = members["image.npy"]
        mask = {"bytes": members["mask.png"], "path": f"{key}.mask.png"}
        soft = soft_column()
        n_bytes = sum(len(data) for name, data in members.items() if name.startswith(("image.", "mask."))) + len(soft)
        if self._bytes + n_bytes > GROUP_BYTES:
            self._flush()
        self._rows.append({**row, "image": image, "mask": mask, "soft": soft})
        self._bytes += n_bytes
        if len(self._rows) == ROW_GROUP:
            self._flush()

    def finish(self) -> dict[Path, str | None]:
        """Close and publish the file."""
        self._flush()
        self._writer.close()
        atomic_files.publish(self._temporary, self._path)
        return {self._path: None}

    def abandon(self) -> None:
        """Remove the temporary file."""
        self._writer.close()
        self._temporary.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []
            self._bytes = 0


def shard_path(root: Path, form: str, split: str, number: int, total: int) -> Path:
    """Return the final path of a shard in a format that has one file for each; else the folder of the dataset."""
    if form == "webdataset":
        return root / form / f"{split}-{number:06d}.tar"
    if form == "folder":
        return root
    return root / form / f"{split}-{number:05d}-of-{total:05d}.parquet"


def open_shard(path: Path, form: str, *, image_is_png: bool) -> ShardWriter:
    """Return the writer of a shard in a format, `path` as `shard_path` gives it."""
    if form == "webdataset":
        return TarShard(path)
    if form == "folder":
        return FolderShard(path)
    return ParquetShard(path, image_is_png=image_is_png)


def _md5_of(path: Path) -> str:
    """Return the md5 of a file: what ``wids`` knows, no protection against anybody."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _leaves(schema: pa.Schema) -> list[str]:
    leaves = []
    for field in schema:
        if pa.types.is_struct(field.type):
            leaves += [f"{field.name}.{child.name}" for child in field.type]
        elif pa.types.is_list(field.type):
            leaves.append(f"{field.name}.list.element")
        else:
            leaves.append(field.name)
    return leaves
