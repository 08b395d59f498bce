"""Lists of pairs: CSV, Parquet or JSONL with columns image and mask, and if wanted id, group and split."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from hsmix_gen.pipeline.found import Found, safe_id
from hsmix_gen.pipeline.tables import read_table
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import SPLITS, Refusal, SourceItem, Split

ENDINGS = frozenset({".csv", ".tsv", ".parquet", ".jsonl", ".ndjson"})
_SPLIT_WORDS: dict[str, Split] = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}  # fmt: skip


class ListReader:
    """A table with one row per pair; paths are relative to the folder of the list."""

    name = "list"

    def recognises(self, source: Path) -> bool:
        """Return whether the source is a file with the ending of a list."""
        return source.is_file() and source.suffix.lower() in ENDINGS

    def find(self, source: Path, config: SourceConfig) -> Found:  # noqa: ARG002 - part of the interface
        """Return the pairs that a list names."""
        if not self.recognises(source):
            raise SourceError(f"{source} is no list, expected a file with ending {', '.join(sorted(ENDINGS))}")
        rows = _rows(source)
        missing = [name for name in ("image", "mask") if rows and name not in rows[0]]
        if missing:
            raise SourceError(
                f"{source} has no column {missing[0]}, got {', '.join(filter(None, rows[0]))}; rename one"
            )
        items: list[SourceItem] = []
        refusals: list[Refusal] = []
        for number, row in enumerate(rows, start=1):
            item = _item(source, number, row)
            (items if isinstance(item, SourceItem) else refusals).append(item)  # type: ignore[arg-type]
        return Found(tuple(items), tuple(refusals))


def _rows(source: Path) -> list[Mapping[str, Any]]:
    ending = source.suffix.lower()
    try:
        if ending == ".parquet":
            rows: list[Mapping[str, Any]] = read_table(source).to_pylist()
            return rows
        text = source.read_text(encoding="utf-8-sig")
        if ending in (".jsonl", ".ndjson"):
            return [_json_object(line) for line in text.splitlines() if line.strip()]
        return list(csv.DictReader(text.splitlines(), delimiter="\t" if ending == ".tsv" else ","))
    except (OSError, ValueError) as error:
        raise SourceError(f"{source} cannot be read as {ending[1:]}: {error}") from None


def _json_object(line: str) -> Mapping[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError(f"expected an object a line, got {line}")  # noqa: TRY004 - the caller's kind
    return row


def _item(source: Path, number: int, row: Mapping[str, Any]) -> SourceItem | Refusal:
    image, mask = (str(row.get(name) or "").strip() for name in ("image", "mask"))
    path = PurePosixPath(image or f"row-{number}")
    name = str(row.get("id") or "").strip() or path.with_suffix("").as_posix()
    item_id = safe_id(name.lstrip("./"))
    if not image or not mask:
        empty = "image" if not image else "mask"
        return Refusal(item_id, f"{source}:{number}", "discover", f"row {number} has no {empty}; fill it in")
    word = str(row.get("split") or "").strip().lower()
    if word and word not in _SPLIT_WORDS:
        reason = f"row {number} has split {word}, expected {', '.join(SPLITS)}"
        return Refusal(item_id, f"{source}:{number}", "discover", reason)
    group = str(row.get("group") or "").strip() or None
    return SourceItem(item_id, str(source.parent / image), str(source.parent / mask), group, _SPLIT_WORDS.get(word))
