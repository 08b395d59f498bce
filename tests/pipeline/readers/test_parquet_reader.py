"""Parquet tables with pictures inside are sources; lists of paths are distinguished from them by the schema."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hsmix_gen.pipeline.dataset.array_bytes import encode_npy, encode_png
from hsmix_gen.pipeline.dataset.formats.base import TableForm
from hsmix_gen.pipeline.dataset.formats.parquet_format import ParquetShard
from hsmix_gen.pipeline.decoders.packed_members import open_image, open_mask
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.pipeline.readers import list_reader, parquet_reader
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.digests import canonical_json
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, SourceItem

IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
MASK = np.array([[0, 1, 1], [2, 0, 0]], np.uint8)


def cell(path: str | None = None) -> dict[str, Any]:
    return {"bytes": encode_png(IMAGE), "path": path}


PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def table(path: Path, columns: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = [pa.array(values, PICTURE if isinstance(values[0], dict) else None) for values in columns.values()]
    pq.write_table(pa.table(arrays, names=list(columns)), path)
    return path


def find(source: Path, **options: Any) -> Found:
    return parquet_reader.find(source, SourceConfig(layout="parquet", **options))


def keys(found: Found) -> list[tuple[str, str, str]]:
    return [(item.id, item.image.key, item.mask.key) for item in found.items]


def test_a_table_of_pictures_gives_an_item_a_row(tmp_path: Path) -> None:
    columns = {"id": ["a", "b"], "image": [cell(), cell()], "patient": ["p", None], "label": [cell(), cell()]}
    path = table(tmp_path / "t.parquet", columns)

    assert parquet_reader.recognises(path)
    assert find(path).items == tuple(
        SourceItem(
            name,
            Content("member", (str(path),), f"{row};image"),
            Content("member", (str(path),), f"{row};label"),
            group,
        )
        for row, (name, group) in enumerate([("a", "p"), ("b", None)])
    )


def test_the_folder_of_a_hugging_face_dataset_is_read_with_its_splits(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        table(tmp_path / f"data/{split}-00000-of-00001.parquet", {"image": [cell()], "mask": [cell()]})

    found = find(tmp_path)

    assert parquet_reader.recognises(tmp_path)
    assert {(item.id, item.split) for item in found.items} == {
        ("train-00000-of-00001-000000", "train"),
        ("validation-00000-of-00001-000000", "val"),
        ("test-00000-of-00001-000000", "test"),
    }


def test_converted_tables_lie_in_folders_of_splits(tmp_path: Path) -> None:
    table(tmp_path / "default/test/0000.parquet", {"image": [cell()], "mask": [cell()]})

    assert [item.split for item in find(tmp_path).items] == ["test"]


def test_a_column_of_splits_counts_more_than_the_name_of_the_file(tmp_path: Path) -> None:
    columns = {"image": [cell()] * 3, "mask": [cell()] * 3, "split": ["valid", None, "later"]}

    found = find(table(tmp_path / "train.parquet", columns))

    assert [item.split for item in found.items] == ["val", "train"]
    assert [refusal.reason for refusal in found.refusals] == [
        "row 2 has split later, expected train, val, test; correct it"
    ]


def test_bytes_may_lie_in_plain_columns(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet", {"img": [encode_png(IMAGE)], "seg": [encode_png(MASK)]})

    assert keys(find(path)) == [("t-000000", "0;img", "0;seg")]


def test_our_own_output_is_a_source(tmp_path: Path) -> None:
    writer = ParquetShard(tmp_path / "val-00000-of-00001.parquet", TableForm(image_is_png=False))
    row = {
        "key": "p1", "split": "val", "mode": "hard", "source_a": "a", "group_a": "a", "transform_a": 0, "seed": 1,
        "area_b": 0.5, "flags": [],
    }  # fmt: skip
    members = {"image.npy": encode_npy(IMAGE.astype(np.float32)), "mask.png": encode_png(MASK)}
    writer.add("p1", {**members, "json": canonical_json(row).encode()}, {"soft": lambda: b""})
    writer.finish()

    (item,) = find(tmp_path).items

    assert (item.id, item.split) == ("p1", "val")
    stack = open_image(item.image, ReadOptions())
    assert np.array_equal(stack.plane(0), IMAGE)
    assert np.array_equal(open_mask(item.mask, stack, ReadOptions()).plane(0), MASK)


def test_names_of_files_serve_as_ids(tmp_path: Path) -> None:
    columns = {"image": [cell("p/a.x.png"), cell("b.png")], "mask": [cell(), cell()]}

    first, second = find(table(tmp_path / "t.parquet", columns)).items

    assert first.id.startswith("p-a_x-")
    assert second.id == "b"


@pytest.mark.parametrize("names", [["image.png", "image.png"], [None, None]])
def test_names_of_files_that_say_nothing_are_replaced_by_rows(tmp_path: Path, names: list[str | None]) -> None:
    path = table(tmp_path / "t.parquet", {"image": [cell(name) for name in names], "mask": [cell(), cell()]})

    assert [item.id for item in find(path).items] == ["t-000000", "t-000001"]


def test_ids_that_begin_anew_in_each_table_are_distinguished(tmp_path: Path) -> None:
    for name in ("train", "test"):
        table(tmp_path / f"{name}.parquet", {"id": [1], "image": [cell()], "mask": [cell()]})

    assert [item.id for item in find(tmp_path).items] == ["test-1", "train-1"]


def test_options_name_the_columns(tmp_path: Path) -> None:
    columns = {name: [cell()] for name in ("image", "he", "mask", "nuclei")}

    assert keys(find(table(tmp_path / "t.parquet", columns), image_key="he", mask_key="nuclei")) == [
        ("t-000000", "0;he", "0;nuclei")
    ]


def test_a_list_of_paths_belongs_to_the_reader_of_lists(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet", {"image": ["a.png"], "mask": ["m.png"]})

    assert not parquet_reader.recognises(path)
    assert list_reader.recognises(path)


@pytest.mark.parametrize(
    "columns",
    [
        {"image": [cell()], "label": [3]},
        {"image": [cell()], "mask": ["m.png"]},
        {"image": [[1, 2]], "mask": [[1, 2]]},
        {"scan": [cell()], "mask": [cell()]},
    ],
)
def test_a_table_without_pictures_on_both_sides_is_refused_with_its_columns(
    tmp_path: Path, columns: dict[str, list[Any]]
) -> None:
    path = table(tmp_path / "t.parquet", columns)

    assert not parquet_reader.recognises(path)
    with pytest.raises(SourceError, match=f"got {', '.join(columns)}; name them with --image-key and --mask-key"):
        find(path)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_damaged_table_is_not_recognised_and_refused_by_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t.parquet").write_bytes(data)

    assert not parquet_reader.recognises(tmp_path)
    with pytest.raises(SourceError, match=r"t\.parquet is damaged") as refused:
        find(tmp_path)
    assert "\n" not in str(refused.value)


def test_one_damaged_table_of_several_is_refused_and_the_others_stay(tmp_path: Path) -> None:
    table(tmp_path / "a.parquet", {"id": ["x"], "image": [cell()], "mask": [cell()]})
    (tmp_path / "b.parquet").write_bytes(b"PAR1")

    found = find(tmp_path)

    assert [item.id for item in found.items] == ["x"]
    assert [refusal.path for refusal in found.refusals] == [str(tmp_path / "b.parquet")]


def test_a_column_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    arrays = [pa.array([cell()], PICTURE)] * 3
    pq.write_table(pa.table(arrays, names=["image", "mask", "mask"]), tmp_path / "t.parquet")

    with pytest.raises(SourceError, match="has the column mask twice"):
        find(tmp_path / "t.parquet")


@pytest.mark.parametrize("name", ["none.parquet", "a.txt", "."])
def test_what_holds_no_table_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").write_text(json.dumps({}))

    assert not parquet_reader.recognises(tmp_path / name)
    with pytest.raises(SourceError, match=r"holds no \.parquet file"):
        find(tmp_path / name)
