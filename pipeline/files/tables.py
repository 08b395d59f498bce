"""Parquet tables other than shards: sources and manifest, written whole."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import ManifestRow, SourceRecord, columns_of, record_of
from hsmix_gen.schemas.tables import MANIFEST_SCHEMA, SOURCES_SCHEMA


def read_table(path: Path) -> pa.Table:
    """Return a Parquet file as a table; a damaged one raises ``ValueError``."""
    # A path given as text could be taken for a partitioned folder; the bytes are what is meant. Of a Python file a
    # thread of Arrow may still hold on when the process ends, which then aborts it (apache/arrow#34314).
    with pq.ParquetFile(pa.BufferReader(path.read_bytes())) as file:
        return file.read(use_threads=False)


def write_sources(path: Path, sources: Sequence[SourceRecord]) -> None:
    """Write ``sources.parquet``."""
    table = pa.Table.from_pylist([columns_of(record) for record in sources], schema=SOURCES_SCHEMA)
    atomic_files.write_whole(path, _parquet(table))


def read_sources(path: Path) -> list[SourceRecord]:
    """Return the rows of ``sources.parquet``.

    Raises
    ------
    OutputError
        If the file is damaged.
    """
    try:
        # Files of earlier versions have fewer columns.
        rows = [
            {"fold": None, **{name: value for name, value in row.items() if value is not None}}
            for row in read_table(path).to_pylist()
        ]
        return record_of(list[SourceRecord], rows)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise OutputError(
            f"{path} is damaged ({reason}), so that changed sources are unknown; choose another folder, or start "
            "anew with --fresh"
        ) from None


def manifest_batch(rows: Sequence[ManifestRow]) -> pa.Table:
    """Return manifest rows as a table."""
    return pa.Table.from_pylist([columns_of(row) for row in rows], schema=MANIFEST_SCHEMA)


def manifest_bytes(batches: Sequence[pa.Table]) -> bytes:
    """Return ``manifest.parquet`` from tables of rows, sorted by key."""
    return _parquet(pa.concat_tables([MANIFEST_SCHEMA.empty_table(), *batches]).sort_by("key"))


def read_manifest(path: Path) -> list[ManifestRow]:
    """Return the rows of ``manifest.parquet``.

    Raises
    ------
    OutputError
        If the file is damaged.
    """
    with _refusing_damage(path):
        return record_of(list[ManifestRow], read_table(path).to_pylist())


def manifest_columns(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of ``manifest.parquet`` as arrays: far less than rows of as many samples take.

    Numbers that may be missing are float64 with NaN, lists and texts that may be missing objects with None; columns
    that an older version did not write are all missing.

    Raises
    ------
    OutputError
        If the file is damaged.
    """
    found = {}
    with _refusing_damage(path):
        table = read_table(path)
        for field in MANIFEST_SCHEMA:
            if field.name in table.column_names:
                column = table[field.name].combine_chunks()
            else:
                column = pa.nulls(table.num_rows, field.type)
            if pa.types.is_floating(field.type) or (pa.types.is_integer(field.type) and field.nullable):
                column = column.cast(pa.float64())
            found[field.name] = column.to_numpy(zero_copy_only=False)
    return found


def count_manifest(path: Path) -> int:
    """Return how many rows ``manifest.parquet`` has, which its last bytes state.

    Raises
    ------
    OutputError
        If the file is damaged there.
    """
    with _refusing_damage(path), path.open("rb") as opened, pq.ParquetFile(opened) as file:
        return int(file.metadata.num_rows)


@contextmanager
def _refusing_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise OutputError(f"{path} is damaged ({reason}); run the command that made it again") from None


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", store_schema=True)
    return buffer.getvalue()
