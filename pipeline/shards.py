"""Shard writers: one file per shard and format, whole or absent, equal for equal samples."""

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from hsmix_gen.pipeline import storage
from hsmix_gen.schemas.tables import shard_schema

_TAR_MODE = 0o444
ROW_GROUP = 100
"""Samples per row group: readers fetch one group at a time, so it stays at some tens of megabytes."""


class ShardWriter(Protocol):
    """Takes the samples of one shard in order; the file appears under its final name at `finish` only."""

    def add(
        self, key: str, members: Mapping[str, bytes], soft_npy: Callable[[], bytes], row: Mapping[str, Any]
    ) -> None:
        """Add one sample: its encoded members, its soft label as npy bytes (made on demand), its provenance."""
        ...

    def finish(self) -> Path:
        """Close the file, publish it and return its final path."""
        ...

    def abandon(self) -> None:
        """Remove what was written so far."""
        ...


class TarShard:
    """A WebDataset shard: an uncompressed USTAR file without times or owners."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = storage.temporary_beside(path)
        self._tar = tarfile.open(self._temporary, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - closed in finish

    def add(
        self,
        key: str,
        members: Mapping[str, bytes],
        soft_npy: Callable[[], bytes],  # noqa: ARG002 - tar files hold the npz
        row: Mapping[str, Any],  # noqa: ARG002 - and the row as JSON
    ) -> None:
        """Add the members of one sample, contiguous and in the order of their names."""
        for name in sorted(members):
            info = tarfile.TarInfo(f"{key}.{name}")
            info.size = len(members[name])
            info.mode = _TAR_MODE
            self._tar.addfile(info, io.BytesIO(members[name]))

    def finish(self) -> Path:
        """Close and publish the file."""
        self._tar.close()
        storage.publish(self._temporary, self._path)
        return self._path

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
        self._temporary = storage.temporary_beside(path)
        self._rows: list[dict[str, Any]] = []
        pictures = {"image.bytes", "image.path", "mask.bytes", "mask.path", "image"}
        self._writer = pq.ParquetWriter(
            self._temporary,
            self._schema,
            compression={leaf: "NONE" if leaf in pictures else "ZSTD" for leaf in _leaves(self._schema)},
            use_dictionary=False,
            write_page_index=True,
        )

    def add(
        self, key: str, members: Mapping[str, bytes], soft_npy: Callable[[], bytes], row: Mapping[str, Any]
    ) -> None:
        """Add one sample as a row."""
        if self._is_png:
            image: Any = {"bytes": members["image.png"], "path": f"{key}.image.png"}
        else:
            image = members["image.npy"]
        mask = {"bytes": members["mask.png"], "path": f"{key}.mask.png"}
        self._rows.append({**row, "image": image, "mask": mask, "soft": soft_npy()})
        if len(self._rows) == ROW_GROUP:
            self._flush()

    def finish(self) -> Path:
        """Close and publish the file."""
        self._flush()
        self._writer.close()
        storage.publish(self._temporary, self._path)
        return self._path

    def abandon(self) -> None:
        """Remove the temporary file."""
        self._writer.close()
        self._temporary.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []


def shard_path(root: Path, form: str, split: str, number: int, total: int) -> Path:
    """Return the final path of a shard in a format."""
    if form == "webdataset":
        return root / form / f"{split}-{number:06d}.tar"
    return root / form / f"{split}-{number:05d}-of-{total:05d}.parquet"


def open_shard(path: Path, form: str, *, image_is_png: bool) -> ShardWriter:
    """Return the writer of a shard in a format."""
    if form == "webdataset":
        return TarShard(path)
    return ParquetShard(path, image_is_png=image_is_png)


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
