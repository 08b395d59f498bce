"""Colour tables say which colour is which class; a doubtful one is refused in a line."""

from pathlib import Path

import pytest

from hsmix_gen.pipeline.readers.colour_tables import classes_of_colours, read_colours, read_table
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import IGNORE, Labelling


def table(folder: Path, text: str, name: str = "class_dict.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


EXPECTED = Labelling(classes=("background", "polyp", "tool"), values=((0, 0), (0xFF0102, 1), (0x0000FF, 2)))


@pytest.mark.parametrize(
    "text",
    [
        "name,r,g,b\nbackground,0,0,0\npolyp,255,1,2\ntool,0,0,255\n",
        "background,0,0,0\npolyp,255,1,2\ntool,0,0,255",
        "\ufeffname, r, g, b\r\nbackground, 0, 0, 0\r\npolyp, 255, 1, 2\r\ntool, 0, 0, 255\r\n\r\n",
        '"name","r","g","b"\n"background","0","0","0"\n"polyp","255","1","2"\n"tool","0","0","255"\n',
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\npolyp:255,1,2::\ntool:0,0,255:a,b:c\n",
        "name,r,g,b\npolyp,255,1,2\nbackground,0,0,0\ntool,0,0,255\n",
    ],
    ids=["header", "no-header", "windows", "quoted", "labelmap", "background-later"],
)
def test_a_file_names_classes_with_the_background_first(tmp_path: Path, text: str) -> None:
    assert read_table(table(tmp_path, text)) == EXPECTED


@pytest.mark.parametrize(
    "given", ["#000000=background,#FF0102=polyp,#0000ff=tool", "#ff0102=polyp, #000000=Background, #0000FF=tool"]
)
def test_colours_may_be_given_in_the_option(tmp_path: Path, given: str) -> None:
    labelling = read_colours(given, tmp_path)

    assert (labelling.values, [name.lower() for name in labelling.classes]) == (EXPECTED.values, list(EXPECTED.classes))


@pytest.mark.parametrize("beside_source", [True, False])
def test_a_file_may_be_given_in_the_option(tmp_path: Path, beside_source: bool) -> None:
    path = table(tmp_path, "background,0,0,0\npolyp,255,1,2\ntool,0,0,255", "colours.csv")

    assert read_colours("colours.csv" if beside_source else str(path), tmp_path) == EXPECTED


@pytest.mark.parametrize(
    ("rows", "background"),
    [
        ("a,9,9,9\nb,0,0,0\nbackground,5,5,5\n", "background"),
        ("a,9,9,9\nb,0,0,0\nc,5,5,5\n", "b"),
        ("a,9,9,9\nb,5,5,5\n", "a"),
    ],
)
def test_the_background_is_named_so_or_black_or_first(tmp_path: Path, rows: str, background: str) -> None:
    assert read_table(table(tmp_path, rows)).classes[0] == background


def test_the_first_colour_of_the_option_is_the_background(tmp_path: Path) -> None:
    assert read_colours("#FFFFFF=glass,#FF0000=tissue", tmp_path).classes == ("glass", "tissue")


def test_an_option_with_black_later_is_refused(tmp_path: Path) -> None:
    """The manual says the first is the background, habit says it is black."""
    with pytest.raises(SourceError, match="has glass first and black as tissue; call one of them background"):
        read_colours("#FFFFFF=glass,#000000=tissue", tmp_path)


@pytest.mark.parametrize("name", ["ignore", "Void", "unlabelled", "unlabeled"])
def test_colours_to_ignore_are_no_class(tmp_path: Path, name: str) -> None:
    labelling = read_table(table(tmp_path, f"background,0,0,0\n{name},255,255,255\npolyp,255,0,0\n"))

    assert labelling.classes == ("background", "polyp")
    assert dict(labelling.values) == {0: 0, 0xFF0000: 1, 0xFFFFFF: IGNORE}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("background,0,0,0\na,1,2,3\nb,1,2,3\n", "gives the colour #010203 to a and b; correct it"),
        ("background,0,0,0\na,1,2,3\nA,4,5,6\n", "names A twice; give each class one colour"),
        ("background,0,0,0\na,1,2\n", "line 2 must be name,r,g,b or name:r,g,b:: with 0 to 255, got a,1,2"),
        ("background,0,0,0\na,1,2,256\n", "line 2 must be"),
        ("background,0,0,0\na,1,2,-1\n", "line 2 must be"),
        ("background,0,0,0\na,1,2,3.5\n", "line 2 must be"),
        ("background,0,0,0\n,1,2,3\n", "line 2 must be"),
        ("background,0,0,0\na,1,2,3,4\n", "line 2 must be"),
        ("background,0,0,0\n", "names 1 classes, expected the background and at least one more"),
        ("", "names 0 classes"),
        ("\n".join(f"c{i},{i % 256},{i // 256},1" for i in range(256)), "names 256 classes, at most 255"),
    ],
)
def test_a_doubtful_table_is_refused_by_its_name(tmp_path: Path, text: str, reason: str) -> None:
    path = table(tmp_path, text)

    with pytest.raises(SourceError, match=reason) as caught:
        read_table(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("#00000=a,#FF0000=b", "colours must be #RRGGBB=NAME with commas between, got #00000=a"),
        ("#000000=a,#FF0000=", "got #FF0000="),
        ("#000000=a,,#FF0000=b", "colours must be"),
        ("#000000=a,#000000=b", "the colour table gives the colour #000000 to a and b"),
        ("none.csv", "colour table none.csv does not exist; give a file, or colours such as"),
    ],
)
def test_a_doubtful_option_is_refused(tmp_path: Path, given: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        read_colours(given, tmp_path)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "class_dict.csv").write_bytes(b"caf\xe9,0,0,0")

    with pytest.raises(SourceError, match="is no text in UTF-8"):
        read_table(tmp_path / "class_dict.csv")


def test_a_large_file_is_no_colour_table(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is larger than 1000000 bytes and no colour table"):
        read_table(table(tmp_path, "a" * 1_000_001))


def test_the_table_nearest_to_the_source_is_taken() -> None:
    files = ["a/b/labelmap.txt", "x/class_dict.csv", "x/y.csv", "b/Class_Dict.csv"]
    note = "colour table b/Class_Dict.csv was left alone: the masks have no colours"
    assert classes_of_colours(SourceConfig(), Path("source"), files, lambda: False) == (None, (note,))
    assert classes_of_colours(SourceConfig(), Path("source"), ["notes.txt"], lambda: True) == (None, ())
