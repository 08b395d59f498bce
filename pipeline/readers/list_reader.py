"""Lists of pairs: CSV, Parquet or JSONL with columns image and mask, and if wanted id, group and split.

A table with one row per pair. Paths are relative to the folder of the list and may not leave it, or the folder that
``root`` names. A list that lies outside of that folder has its paths relative to it.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from hsmix_gen.pipeline.decoders.picture_codec import IMAGE_ENDINGS
from hsmix_gen.pipeline.files.tables import read_table
from hsmix_gen.pipeline.readers import parquet_reader
from hsmix_gen.pipeline.readers.colour_tables import read_colours
from hsmix_gen.pipeline.readers.paths.confined_root import Root
from hsmix_gen.pipeline.readers.paths.ids import Found, parted, safe_id
from hsmix_gen.pipeline.readers.paths.split_words import split_of_word
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import SPLITS, Content, Labelling, Refusal, SourceItem, picture

OPTIONS = frozenset({"colours", "image_key", "mask_key", "root"})
TRIED = 40
READS = (
    "CSV, TSV, Parquet or JSONL with columns `image`, `mask` and, if you like, `id`, `group`, "
    "`split`; pictures, NIfTI, arrays; coloured masks with `--colours`"
)
RECOGNISED_BY = "a file with such an ending"
REFUSES = "paths that leave the folder of the list (or `--root`)"

ENDINGS = frozenset({".csv", ".tsv", ".parquet", ".jsonl", ".ndjson"})
ARRAY_ENDINGS = (".npy", ".npz", ".h5", ".hdf5")
NIFTI_ENDINGS = (".nii", ".nii.gz")
_DOUBLE_ENDINGS = (".nii.gz", ".npy.h5")
_DRIVE = re.compile(r"[A-Za-z]:/")


def recognises(source: Path) -> bool:
    """Return whether the source is a file with the ending of a list; Parquet with pictures inside is none."""
    if source.suffix.lower() not in ENDINGS or not source.is_file():
        return False
    return source.suffix.lower() != ".parquet" or not parquet_reader.recognises(source)


def find(source: Path, config: SourceConfig) -> Found:
    """Return the pairs that a list names.

    Raises
    ------
    SourceError
        If the list or a colour table cannot be read, or the list has no columns image and mask.
    """
    if source.suffix.lower() not in ENDINGS or not source.is_file():
        raise SourceError(f"{source} is no list, expected a file with ending {', '.join(sorted(ENDINGS))}")
    rows = _rows(source)
    columns = list(dict.fromkeys(name for row in rows for name in row if name))
    missing = [name for name in ("image", "mask") if rows and name not in columns]
    if missing:
        raise SourceError(f"{source} has no column {missing[0]}, got {', '.join(columns)}; rename one")
    table = _Table(source, config)
    found = parted(table.item(number, row) for number, row in enumerate(rows, start=1))
    return Found(*found, labelling=table.labelling)


class _Table:
    """Rows of one list as items."""

    def __init__(self, source: Path, config: SourceConfig) -> None:
        self._source = source
        self._config = config
        self._root = Root(Path(config.root) if config.root else source.parent)
        self._folder = source.parent if self._root.holds(source) else self._root.folder
        self.labelling = Labelling() if config.colours is None else read_colours(config.colours, source.parent)

    def item(self, number: int, row: Mapping[str, Any]) -> SourceItem | Refusal:
        """Return the pair of a row, or why it is left out."""
        image, mask = (_text(row.get(name)).replace("\\", "/") for name in ("image", "mask"))
        item_id = safe_id(_text(row.get("id")) or _name(image) or f"row-{number}")
        word = _text(row.get("split")).lower()
        problem = _problem(row, word)
        if problem:
            return Refusal(item_id, f"{self._source}:{number}", "discover", f"row {number} {problem}")
        try:
            sides = (self._content(image, "image", self._config.image_key), self._mask(mask))
        except SourceError as error:
            return Refusal(item_id, f"{self._source}:{number}", "discover", f"row {number} {error}")
        return SourceItem(item_id, *sides, group=_text(row.get("group")) or None, split=split_of_word(word))

    def _mask(self, text: str) -> Content:
        content = self._content(text, "mask", self._config.mask_key)
        if self._config.colours is None:
            return content
        if content.format != "picture":
            raise SourceError(f"has the mask {text}, which has no colours; list it apart, without --colours")
        return replace(content, format="colours")

    def _content(self, text: str, side: str, key: str | None) -> Content:
        """Return what a value names; the ending decides its format."""
        if not text:
            raise SourceError(f"has no {side}; fill it in")
        several = [part.strip() for part in text.split(";") if part.strip()]
        if len(several) > 1 and all(part.lower().endswith(NIFTI_ENDINGS) for part in several):
            if side == "mask":
                raise SourceError(f"has {len(several)} masks; join them into one file with a value for each class")
            return Content("nifti", tuple(self._path(part) for part in several))
        file, mark, array = text.partition("#")
        if mark and file.lower().endswith(ARRAY_ENDINGS):
            return Content("array", (self._path(file),), array)
        lower = text.lower()
        if lower.endswith(NIFTI_ENDINGS):
            return Content("nifti", (self._path(text),))
        if lower.endswith(ARRAY_ENDINGS):
            return Content("array", (self._path(text),), "" if lower.endswith(".npy") else key or "")
        if PurePosixPath(lower).suffix in IMAGE_ENDINGS:
            return picture(self._path(text))
        known = ", ".join(sorted({*IMAGE_ENDINGS, *NIFTI_ENDINGS, *ARRAY_ENDINGS}))
        raise SourceError(f"has the {side} {text} of unknown ending, expected one of {known}; convert it")

    def _path(self, text: str) -> str:
        path = self._folder / text
        if _DRIVE.match(text) or not self._root.holds(path):
            way = "name the folder of the data with --root DIR"
            raise SourceError(f"names {text}, which is not in {self._root.folder}; {way}, or correct the path")
        return str(path)


def _problem(row: Mapping[str, Any], word: str) -> str:
    """Return what is wrong with a row as a whole."""
    # DictReader's key of what has no column is None.
    surplus = row.get(None)  # type: ignore[call-overload]
    if surplus:
        columns = len(row) - 1
        return f"has {columns + len(surplus)} values for {columns} columns; put names with separators in quotes"
    if word and split_of_word(word) is None:
        return f"has split {word}, expected {', '.join(SPLITS)}; correct it"
    return ""


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _name(image: str) -> str:
    """Return the path of an image without its ending, as an id is made of it."""
    first = image.partition(";")[0]
    file, mark, array = first.partition("#")
    if not file.lower().endswith(ARRAY_ENDINGS):
        file, mark, array = first, "", ""
    for ending in (*_DOUBLE_ENDINGS, PurePosixPath(file).suffix):
        if ending and file.lower().endswith(ending.lower()):
            file = file[: -len(ending)]
            break
    return f"{file.lstrip('./')}{'-' if mark else ''}{array}"


def _rows(source: Path) -> Sequence[Mapping[str, Any]]:
    ending = source.suffix.lower()
    try:
        if ending == ".parquet":
            table = read_table(source)
            _check_columns(source, table.column_names)
            rows: list[Mapping[str, Any]] = table.to_pylist()
            return rows
        text = _decoded(source)
        if ending in (".jsonl", ".ndjson"):
            return [_json_object(source, line) for line in text.split("\n") if line.strip()]
        return _csv_rows(source, text)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"{source} cannot be read as {ending[1:]}: {reason}") from None


def _decoded(source: Path) -> str:
    data = source.read_bytes()
    if b"\x00" in data:
        raise SourceError(f"{source} holds NUL bytes and is no UTF-8 text (UTF-16?); save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SourceError(
            f"{source} is not UTF-8: byte 0x{data[error.start]:02x} in line {line}; save it as UTF-8"
        ) from None


def _csv_rows(source: Path, text: str) -> Sequence[Mapping[str, Any]]:
    header = text.partition("\n")[0]
    comma = "\t" if source.suffix.lower() == ".tsv" else ";" if ";" in header and "," not in header else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=comma)
    reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
    _check_columns(source, reader.fieldnames)
    return list(reader)


def _check_columns(source: Path, names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise SourceError(f"{source} has the column {twice[0]} twice; remove one")


def _json_object(source: Path, line: str) -> Mapping[str, Any]:
    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _check_columns(source, [name for name, _ in pairs])
        return dict(pairs)

    row = json.loads(line, object_pairs_hook=object_of)
    if not isinstance(row, dict):
        raise ValueError(f"expected an object a line, got {line}")  # noqa: TRY004 - the caller's kind
    return row
