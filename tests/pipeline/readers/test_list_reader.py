"""Lists of pairs are read row by row; a row that cannot be used is refused by its number."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hsmix_gen.pipeline.readers import list_reader
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, SourceItem, picture

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


def find(path: Path, **options: Any) -> Found:
    return list_reader.find(path, SourceConfig(**options))


def reason_of(path: Path, **options: Any) -> str:
    (refusal,) = find(path, **options).refusals
    return refusal.reason


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".CSV"])
def test_every_form_of_a_list_gives_the_same_items(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path, ending)

    assert list_reader.recognises(path)
    assert find(path).items == (
        SourceItem("one", picture(str(tmp_path / "i/a.png")), picture(str(tmp_path / "m/a.png")), "p1", "train"),
        SourceItem("two", picture(str(tmp_path / "i/b.png")), picture(str(tmp_path / "m/b.png")), "p2", "val"),
    )


@pytest.mark.parametrize("name", ["list.txt", "list.png", "none.csv"])
def test_another_file_is_no_list(tmp_path: Path, name: str) -> None:
    if name != "none.csv":
        (tmp_path / name).touch()

    assert not list_reader.recognises(tmp_path / name)
    with pytest.raises(SourceError, match="is no list"):
        find(tmp_path / name)


@pytest.mark.parametrize(
    "outside", ["/data/a.png", "../a.png", "x/../../a.png", "C:\\\\data\\\\a.png", "\\\\\\\\host\\\\a.png"]
)
@pytest.mark.parametrize("side", ["image", "mask"])
def test_a_path_outside_of_the_folder_of_the_list_is_refused_with_the_way_out(
    tmp_path: Path, outside: str, side: str
) -> None:
    row = {"image": "a.png", "mask": "m.png", side: outside.replace("\\\\", "\\")}

    reason = reason_of(written(tmp_path, ".csv", [row]))

    assert f"is not in {tmp_path}" in reason
    assert "--root DIR" in reason


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("image,mask\n./p/a.png,m.png\n", [("p-a", "p/a.png", None, None)], id="ids from paths"),
        *(
            pytest.param(f"image,mask\n{value},m.png\n", [(item_id, image, None, None)], id=f"id of {value}")
            for value, item_id, image in (
                ("p/v.nii.gz", "p-v", "p/v.nii.gz"),
                ("a.npy.h5#x", "a-x", "a.npy.h5"),
                ("t1.nii;t2.nii", "t1", "t1.nii"),
                ("a.npz#k", "a-k", "a.npz"),
            )
        ),
        pytest.param("id,image,mask\na,{}/a.png,m.png\n", [("a", "a.png", None, None)], id="absolute, but inside"),
        pytest.param("image,mask\ni\\a.png,m\\a.png\n", [("i-a", "i/a.png", None, None)], id="backslashes"),
        pytest.param("image;mask\na.png;m.png\n", [("a", "a.png", None, None)], id="semicolons"),
        pytest.param("age,mask,image\n7,m.png,a.png\n", [("a", "a.png", None, None)], id="columns in any order"),
        pytest.param("\ufeffimage,mask\r\na.png,m.png\r\n", [("a", "a.png", None, None)], id="byte order mark"),
        pytest.param(
            "image,mask,group,split\na.png,m.png,,\nb.png,m.png\n",
            [("a", "a.png", None, None), ("b", "b.png", None, None)],
            id="group and split missing or empty",
        ),
        *(
            pytest.param(f"image,mask,split\na.png,m.png,{word}\n", [("a", "a.png", None, split)], id=word)
            for word, split in (("Train", "train"), ("training", "train"), (" valid ", "val"), ("validation", "val"))
        ),
    ],
)
def test_tables_of_any_form_are_read(
    tmp_path: Path, content: str, expected: list[tuple[str, str, str | None, str | None]]
) -> None:
    found = find(text(tmp_path, "l.csv", content.replace("{}", str(tmp_path))))

    paths = [Path(item.image.paths[0]).resolve().relative_to(tmp_path.resolve()).as_posix() for item in found.items]
    assert found.refusals == ()
    assert [(i.id, path, i.group, i.split) for i, path in zip(found.items, paths, strict=True)] == expected


def test_quoted_names_may_hold_commas_and_line_breaks(tmp_path: Path) -> None:
    found = find(text(tmp_path, "l.csv", 'image,mask\n"a\nb.png",m.png\n"c, d.png",m.png\n'))

    assert [item.image.uri for item in found.items] == [str(tmp_path / "a\nb.png"), str(tmp_path / "c, d.png")]


def test_numbers_serve_as_ids_and_groups(tmp_path: Path) -> None:
    found = find(written(tmp_path, ".parquet", [{"id": 7, "image": "a.png", "mask": "m.png", "group": 3}]))

    assert [(item.id, item.group) for item in found.items] == [("7", "3")]


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    found = find(text(tmp_path, "l.jsonl", '\n{"image": "a.png", "mask": "m.png"}\n\n'))

    assert (len(found.items), found.refusals) == (1, ())


@pytest.mark.parametrize(
    ("folder", "root", "rows", "images"),
    [
        ("lists", ".", "../images/a.png,m.png\n../../b.png,m.png\n", ["lists/../images/a.png"]),
        (".", "data", "a.png,m.png\nc.png,m.png\n../b.png,m.png\n", ["data/a.png", "data/c.png"]),
        # A folder that only begins like the root is outside.
        ("data", "data", "a.png,m.png\n../data2/a.png,m.png\n", ["data/a.png"]),
    ],
)
def test_with_a_root_paths_may_lie_anywhere_in_it(
    tmp_path: Path, folder: str, root: str, rows: str, images: list[str]
) -> None:
    """A list beside its root names paths relative to the root."""
    for name in (folder, root):
        (tmp_path / name).mkdir(exist_ok=True)

    found = find(text(tmp_path / folder, "l.csv", f"image,mask\n{rows}"), root=str(tmp_path / root))

    assert [item.image for item in found.items] == [picture(str(tmp_path / image)) for image in images]
    assert ["is not in" in refusal.reason for refusal in found.refusals] == [True]


def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list").mkdir()
    (tmp_path / "secret.png").touch()
    (tmp_path / "list/a.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "list/folder").symlink_to(tmp_path)

    found = find(text(tmp_path / "list", "l.csv", "image,mask\na.png,m.png\nfolder/secret.png,m.png\nb.png,m.png\n"))

    assert [item.id for item in found.items] == ["b"]
    assert len(found.refusals) == 2


@pytest.mark.parametrize(
    ("value", "form", "names", "key"),
    [
        ("a.PNG", "picture", ["a.PNG"], ""),
        ("a#1.jpg", "picture", ["a#1.jpg"], ""),
        ("a;b.tif", "picture", ["a;b.tif"], ""),
        ("v.nii", "nifti", ["v.nii"], ""),
        ("v.nii.gz", "nifti", ["v.nii.gz"], ""),
        ("t1.nii.gz; t2.nii.gz", "nifti", ["t1.nii.gz", "t2.nii.gz"], ""),
        ("a.npy", "array", ["a.npy"], ""),
        ("a.npz", "array", ["a.npz"], ""),
        ("a.npz#scan", "array", ["a.npz"], "scan"),
        ("a.npy.h5#x/y", "array", ["a.npy.h5"], "x/y"),
    ],
)
def test_the_ending_of_a_value_states_its_format(
    tmp_path: Path, value: str, form: str, names: list[str], key: str
) -> None:
    (item,) = find(text(tmp_path, "l.csv", f'image,mask\n"{value}",m.png\n')).items

    assert item.image == Content(form, tuple(str(tmp_path / name) for name in names), key)


def test_arrays_without_a_name_take_those_of_the_options(tmp_path: Path) -> None:
    (item,) = find(text(tmp_path, "l.csv", "image,mask\na.npz,a.npz\n"), image_key="x", mask_key="y").items

    assert (item.image.key, item.mask.key) == ("x", "y")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.dcm,m.png", "row 1 has the image a.dcm of unknown ending"),
        ("a.png,mask", "row 1 has the mask mask of unknown ending"),
        ("a.nii,m.nii;n.nii", "row 1 has 2 masks; join them"),
        ("a, b.png,m.png", "row 1 has 3 values for 2 columns; put names with separators in quotes"),
    ],
)
def test_a_row_that_names_no_pair_says_why(tmp_path: Path, row: str, reason: str) -> None:
    assert reason_of(text(tmp_path, "l.csv", f"image,mask\n{row}\n")).startswith(reason)


def test_a_parquet_table_of_pictures_is_no_list(tmp_path: Path) -> None:
    path = written(tmp_path, ".parquet", [{"image": b"x", "mask": b"y"}])

    assert not list_reader.recognises(path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("b.png,", "row 2 has no mask; fill it in"),
        (",m.png", "row 2 has no image; fill it in"),
        (",", "row 2 has no image; fill it in"),
        ("b.png", "row 2 has no mask; fill it in"),
        ("b.png,m.png,later", "row 2 has split later, expected train, val, test; correct it"),
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
        ("image,mask,image\na,b,c\n", "has the column image twice; remove one"),
    ],
)
def test_a_missing_column_is_reported_with_those_that_are_there(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(SourceError) as refused:
        find(text(tmp_path, "l.csv", content))

    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", b"image,mask\n\xff\xfe,b\n"),
        ("l.jsonl", "{not json}\n"),
        ("l.jsonl", "5\n"),
        ("l.jsonl", "[" * 100_000),
        ("l.jsonl", '{"image": "a.png", "image": "b.png", "mask": "m.png"}\n'),
        ("l.csv", b"image,mask\na\x00.png,m.png\n"),
        ("l.csv", b'image,mask\n"' + b"a" * 200_000 + b'",m.png\n'),
        ("l.jsonl", '{"image": "a.png", "mask": "m.png"}\n["b.png", "m.png"]\n'),
        ("l.parquet", b"PAR1 no"),
        ("l.parquet", b""),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str, content: str | bytes) -> None:
    with pytest.raises(SourceError, match=name.replace(".", r"\.")) as refused:
        find(text(tmp_path, name, content))

    assert "\n" not in str(refused.value)


def test_another_encoding_is_reported_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as refused:
        find(text(tmp_path, "l.csv", "image,mask\na.png,m.png\n\u00fc.png,m.png\n".encode("latin-1")))

    assert str(refused.value) == f"{tmp_path}/l.csv is not UTF-8: byte 0xfc in line 3; save it as UTF-8"


@pytest.mark.parametrize("content", ["", "image,mask\n"])
def test_a_list_without_rows_holds_nothing(tmp_path: Path, content: str) -> None:
    assert find(text(tmp_path, "l.csv", content)) == Found(())


def test_masks_have_colours_where_those_are_given(tmp_path: Path) -> None:
    found = find(written(tmp_path, ".csv"), colours="#000000=background,#FF0000=polyp")

    assert [item.mask for item in found.items] == [
        Content("colours", (str(tmp_path / "m/a.png"),)),
        Content("colours", (str(tmp_path / "m/b.png"),)),
    ]
    assert found.labelling.classes == ("background", "polyp")


@pytest.mark.parametrize("mask", ["m.nii.gz", "m.npy", "m.h5#mask"])
def test_a_mask_that_cannot_have_colours_is_refused_where_those_are_given(tmp_path: Path, mask: str) -> None:
    path = written(tmp_path, ".csv", [{"image": "i.png", "mask": mask}])

    reason = reason_of(path, colours="#000000=background,#FF0000=polyp")

    assert reason == f"row 1 has the mask {mask}, which has no colours; list it apart, without --colours"
