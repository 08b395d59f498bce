"""Parquet tables with pictures inside, as HF ``datasets`` writes them: an image and a mask column, one row a pair.

A Parquet file, or a folder of them, with the bytes of images and masks in binary or HF image columns. Tables whose
images are paths are lists and belong to the reader ``list``.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hsmix_gen.pipeline.decoders.refusal_errors import refusing
from hsmix_gen.pipeline.readers.colour_tables import with_colours
from hsmix_gen.pipeline.readers.paths.folder_walk import is_written
from hsmix_gen.pipeline.readers.paths.ids import Found, parted, safe_id
from hsmix_gen.pipeline.readers.paths.split_words import split_of_folder, split_of_name, split_of_word
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import SPLITS, Content, Refusal, SourceItem

OPTIONS = frozenset({"colours", "image_key", "mask_key"})
TRIED = 20
READS = "tables with pictures inside, as HF `datasets` writes them; coloured masks as in `folder`"
RECOGNISED_BY = "columns of bytes"
REFUSES = "empty cells"

_IMAGES = ("image", "img", "images", "picture", "photo", "pixel_values", "input")
_MASKS = (
    "mask", "masks", "label", "labels", "annotation", "segmentation", "segmentation_mask", "seg", "gt",
    "ground_truth", "target",
)  # fmt: skip
_IDS = ("id", "key", "image_id", "sample_id", "file_name", "filename")
_GROUPS = ("group", "patient", "patient_id", "case", "case_id", "subject", "subject_id", "slide")
_ENDING = re.compile(r"\.[^./]+$")
_DEPTH = ("*.parquet", "*/*.parquet", "*/*/*.parquet")
"""Tables lie in the folder, in ``data/`` or, as HF converts them, in ``default/train/``."""


@dataclass(frozen=True)
class _Columns:
    """Columns of one table by their use; empty where there is none."""

    image: str
    mask: str
    id: str = ""
    group: str = ""
    split: str = ""


def recognises(source: Path) -> bool:
    """Return whether the first Parquet file has columns of bytes for image and mask; only its schema is read."""
    try:
        files = _files(source)
        return bool(files) and _columns(pq.read_schema(files[0]), SourceConfig()) is not None
    except Exception:
        return False


def find(source: Path, config: SourceConfig) -> Found:
    """Return the rows of all tables.

    Raises
    ------
    SourceError
        If there is no table, or one is damaged or lacks an image or mask column, or a colour table cannot be read.
    """
    files = _files(source)
    if not files:
        raise SourceError(f"{source} holds no .parquet file; give a folder of tables with columns image and mask")
    rows: list[_Row] = []
    refusals: list[Refusal] = []
    for file in files:
        try:
            rows += _rows(file, config)
        except SourceError as error:
            if len(files) == 1:
                raise
            refusals.append(Refusal(safe_id(file.stem), str(file), "discover", str(error)))
    names = Counter(row.name.casefold() for row in rows)
    apart = len(files) > 1 and max(names.values(), default=0) > 1
    prefixes = {file: f"{file.relative_to(source).with_suffix('').as_posix()}-" if apart else "" for file in files}
    items, left_out = parted(row.item(prefixes[row.file]) for row in rows)
    return with_colours(Found(items, (*refusals, *left_out)), source, config)


@dataclass(frozen=True)
class _Row:
    file: Path
    number: int
    columns: _Columns
    name: str
    group: str
    split: str

    def item(self, prefix: str) -> SourceItem | Refusal:
        """Return the pair of a row, or why it is left out."""
        item_id = safe_id(f"{prefix}{self.name}")
        by_file = split_of_name(self.file.stem) or split_of_folder(self.file.parent.name)
        word = split_of_word(self.split) if self.split else by_file
        if self.split and word is None:
            reason = f"row {self.number} has split {self.split}, expected {', '.join(SPLITS)}; correct it"
            return Refusal(item_id, f"{self.file}:{self.number}", "discover", reason)
        image, mask = (
            Content("member", (str(self.file),), f"{self.number};{column}")
            for column in (self.columns.image, self.columns.mask)
        )
        return SourceItem(item_id, image, mask, self.group or None, word)


def _rows(file: Path, config: SourceConfig) -> Iterator[_Row]:
    """Yield the rows of one Parquet file in their order; of its pictures only the names are read."""
    with refusing(str(file)):
        schema = pq.read_schema(file)
    twice = [name for name, count in Counter(schema.names).items() if count > 1]
    if twice:
        raise SourceError(f"{file} has the column {twice[0]} twice; remove one")
    columns = _columns(schema, config)
    if columns is None:
        raise SourceError(
            f"{file} has no columns with the bytes of images and masks, got {', '.join(schema.names)}; "
            "name them with --image-key and --mask-key"
        )
    by_path = not columns.id and _has_path(schema, columns.image)
    names_from = f"{columns.image}.path" if by_path else columns.id
    wanted = [name for name in (names_from, columns.group, columns.split) if name]
    with refusing(str(file)):
        table = pq.ParquetFile(file)
        count = table.metadata.num_rows
        # Without columns pyarrow would read all of them.
        texts = table.read(columns=wanted, use_threads=False) if wanted else None

    def values(name: str) -> Sequence[str]:
        if not name or texts is None:
            return [""] * count
        return [_text(value) for value in texts.column(name).to_pylist()]

    names = values(columns.image if by_path else columns.id)
    if by_path:
        names = [_ENDING.sub("", name) for name in names]
    if by_path and len(set(names)) < count:
        # Names of files that are not unique were never meant to distinguish rows.
        names = [""] * count
    names = [name or f"{file.stem}-{number:06d}" for number, name in enumerate(names)]
    for number, row in enumerate(zip(names, values(columns.group), values(columns.split), strict=True)):
        yield _Row(file, number, columns, *row)


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source] if source.suffix.lower() == ".parquet" else []
    found = (_foreign(source, sorted(path for path in source.glob(depth) if path.is_file())) for depth in _DEPTH)
    return next((files for files in found if files), [])


def _foreign(source: Path, files: list[Path]) -> list[Path]:
    """Return the tables that do not lie in something below the source that hsmix-gen wrote."""
    written = {folder for file in files for folder in file.parents if source in folder.parents}
    written = {folder for folder in written if is_written(folder)}
    return [file for file in files if written.isdisjoint(file.parents)]


def _columns(schema: pa.Schema, config: SourceConfig) -> _Columns | None:
    """Return which columns are used for what, or None if there is no image or no mask with bytes."""
    packed = [field.name for field in schema if _holds_bytes(field.type)]
    image = _first(packed, (config.image_key,) if config.image_key else _IMAGES)
    mask = _first([name for name in packed if name != image], (config.mask_key,) if config.mask_key else _MASKS)
    if not image or not mask:
        return None
    words = [field.name for field in schema if _is_text(field.type)]
    plain = [field.name for field in schema if _is_text(field.type) or pa.types.is_integer(field.type)]
    return _Columns(image, mask, _first(plain, _IDS), _first(plain, _GROUPS), _first(words, ("split",)))


def _first(names: Sequence[str], wanted: Sequence[str]) -> str:
    """Return the first name that is wanted, in the order of what is wanted."""
    return next((name for word in wanted for name in names if name.lower() == word.lower()), "")


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(child.name == "bytes" and _holds_bytes(child.type) for child in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _has_path(schema: pa.Schema, column: str) -> bool:
    kind = schema.field(column).type
    return pa.types.is_struct(kind) and any(child.name == "path" and _is_text(child.type) for child in kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = value["path"]
    return "" if value is None else str(value).strip()
