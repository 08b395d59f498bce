"""Lists of pairs are read row by row; a row that cannot be used is refused by its number."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hsmix_gen.pipeline.found import Found
from hsmix_gen.pipeline.list_reader import ListReader
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import SourceItem

ROWS: list[Mapping[str, Any]] = [
    {"id": "one", "image": "i/a.png", "mask": "m/a.png", "group": "p1", "split": "train"},
    {"id": "two", "image": "i/b.png", "mask": "m/b.png", "group": "p2", "split": "val"},
]


def written(folder: Path, ending: str, rows: list[Mapping[str, Any]] = ROWS) -> Path:
    path = folder / f"list{ending}"
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif ending in (".jsonl", ".ndjson"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        comma = "\t" if ending == ".tsv" else ","
        lines = [comma.join(rows[0]), *(comma.join(str(value) for value in row.values()) for row in rows)]
        path.write_text("\n".join(lines))
    return path


def text(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def find(path: Path) -> Found:
    return ListReader().find(path, SourceConfig())


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".CSV"])
def test_every_form_of_a_list_gives_the_same_items(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path, ending)

    assert ListReader().recognises(path)
    assert find(path).items == (
        SourceItem("one", str(tmp_path / "i/a.png"), str(tmp_path / "m/a.png"), "p1", "train"),
        SourceItem("two", str(tmp_path / "i/b.png"), str(tmp_path / "m/b.png"), "p2", "val"),
    )


@pytest.mark.parametrize("name", ["list.txt", "list.png", "none.csv"])
def test_another_file_is_no_list(tmp_path: Path, name: str) -> None:
    if name != "none.csv":
        (tmp_path / name).touch()

    assert not ListReader().recognises(tmp_path / name)
    with pytest.raises(SourceError, match="is no list"):
        find(tmp_path / name)


def test_without_an_id_the_path_of_the_image_is_taken(tmp_path: Path) -> None:
    found = find(text(tmp_path, "l.csv", "image,mask\n./p/a.png,m.png\nb.x.png,m.png\n"))

    assert found.items[0].id == "p-a"
    assert found.items[1].id.startswith("b_x-")


def test_an_absolute_path_is_kept(tmp_path: Path) -> None:
    found = find(text(tmp_path, "l.csv", "image,mask\n/data/a.png,/data/m.png\n"))

    assert (found.items[0].image, found.items[0].mask) == ("/data/a.png", "/data/m.png")


def test_group_and_split_may_be_missing_or_empty(tmp_path: Path) -> None:
    found = find(text(tmp_path, "l.csv", "image,mask,group,split\na.png,m.png,,\nb.png,m.png\n"))

    assert [(item.group, item.split) for item in found.items] == [(None, None), (None, None)]


@pytest.mark.parametrize(
    ("word", "split"), [("Train", "train"), ("training", "train"), (" valid ", "val"), ("validation", "val")]
)
def test_a_split_may_be_written_in_the_usual_words(tmp_path: Path, word: str, split: str) -> None:
    found = find(text(tmp_path, "l.csv", f"image,mask,split\na.png,m.png,{word}\n"))

    assert [item.split for item in found.items] == [split]


def test_columns_may_come_in_any_order_among_others(tmp_path: Path) -> None:
    found = find(text(tmp_path, "l.csv", "age,mask,image\n7,m.png,a.png\n"))

    assert [item.id for item in found.items] == ["a"]


def test_a_byte_order_mark_of_a_spreadsheet_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert len(find(text(tmp_path, "l.csv", "\ufeffimage,mask\r\na.png,m.png\r\n")).items) == 1


def test_quoted_names_may_hold_commas(tmp_path: Path) -> None:
    found = find(text(tmp_path, "l.csv", 'image,mask\n"a, b.png",m.png\n'))

    assert found.items[0].image == str(tmp_path / "a, b.png")


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    found = find(text(tmp_path, "l.jsonl", '\n{"image": "a.png", "mask": "m.png"}\n\n'))

    assert (len(found.items), found.refusals) == (1, ())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("b.png,", "row 2 has no mask; fill it in"),
        (",m.png", "row 2 has no image; fill it in"),
        (",", "row 2 has no image; fill it in"),
        ("b.png", "row 2 has no mask; fill it in"),
        ("b.png,m.png,later", "row 2 has split later, expected train, val, test"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_and_the_others_stay(tmp_path: Path, row: str, reason: str) -> None:
    path = text(tmp_path, "l.csv", f"image,mask,split\na.png,m.png,train\n{row}\nc.png,m.png,val\n")

    found = find(path)

    assert [item.id for item in found.items] == ["a", "c"]
    assert [(r.path, r.stage, r.reason) for r in found.refusals] == [(f"{path}:2", "discover", reason)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("picture,mask\na,b\n", "has no column image, got picture, mask; rename one"),
        ("image,label\na,b\n", "has no column mask, got image, label; rename one"),
        ("picture,mask\na,b,c\n", "has no column image, got picture, mask"),
    ],
)
def test_a_missing_column_is_told_with_those_that_are_there(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(SourceError) as refused:
        find(text(tmp_path, "l.csv", content))

    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", b"image,mask\n\xff\xfe,b\n"),
        ("l.jsonl", "{not json}\n"),
        ("l.jsonl", "5\n"),
        ("l.jsonl", '{"image": "a.png", "mask": "m.png"}\n["b.png", "m.png"]\n'),
        ("l.parquet", b"PAR1 no"),
        ("l.parquet", b""),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str, content: str | bytes) -> None:
    with pytest.raises(SourceError, match=name.replace(".", r"\.")):
        find(text(tmp_path, name, content))


@pytest.mark.parametrize("content", ["", "image,mask\n"])
def test_a_list_without_rows_holds_nothing(tmp_path: Path, content: str) -> None:
    assert find(text(tmp_path, "l.csv", content)) == Found(())


def test_numbers_serve_as_ids_and_groups(tmp_path: Path) -> None:
    found = find(written(tmp_path, ".parquet", [{"id": 7, "image": "a.png", "mask": "m.png", "group": 3}]))

    assert [(item.id, item.group) for item in found.items] == [("7", "3")]
