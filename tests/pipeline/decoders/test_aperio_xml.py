"""Annotation files of Aperio ImageScope become masks of the image's size; what is no such file is refused in a line."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hsmix_gen.pipeline.decoders import aperio_xml
from hsmix_gen.pipeline.decoders.aperio_xml import Region, draw_regions, open_mask, read_regions
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content

Outline = Sequence[tuple[object, object]]
# Columns 1 to 3, rows 2 to 3: wider than high, and nearer to the left than to the top.
BOX: Outline = [(1, 2), (4, 2), (4, 4), (1, 4)]


def region_text(outline: Outline, attributes: str = 'NegativeROA="0"') -> str:
    vertices = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in outline)
    return f'<Region Id="7" {attributes}><Attributes/><Vertices>{vertices}</Vertices></Region>'


def layer_text(*regions: str) -> str:
    headers = '<RegionAttributeHeaders><AttributeHeader Id="9999" Name="Region"/></RegionAttributeHeaders>'
    return f'<Annotation Id="1" Name=""><Attributes/><Regions>{headers}{"".join(regions)}</Regions></Annotation>'


def write(folder: Path, *layers: str) -> Path:
    path = folder / "a.xml"
    path.write_text(f'<Annotations MicronsPerPixel="0.25">{"".join(layers)}</Annotations>')
    return path


def image(size: tuple[int, int] = (6, 5)) -> ArrayStack:
    return ArrayStack(np.zeros((1, *size, 3), np.uint8))


def mask_of(path: Path, size: tuple[int, int] = (6, 5)) -> npt.NDArray[np.uint8]:
    mask = open_mask(Content("polygons", (str(path),)), image(size), ReadOptions())
    assert (mask.size, mask.n_planes, mask.dtype, mask.is_volume) == (size, 1, np.dtype(np.uint8), False)
    return mask.plane(0)


def rows(mask: npt.NDArray[np.uint8]) -> list[str]:
    return ["".join(".#"[value] for value in row) for row in mask]


def box(left: float, top: float, right: float, bottom: float) -> Outline:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


HOLE = 'NegativeROA="1"'
CORNER = region_text(box(0, 0, 1, 1))
NOTHING = "....."


@pytest.mark.parametrize(
    ("layers", "drawn"),
    [
        pytest.param([[region_text(BOX)]], [NOTHING, NOTHING, ".###.", ".###."], id="x is the column, y the row"),
        # Rounded to whole pixels, column 1 would belong to it.
        pytest.param([[region_text(box(1.2, 1.9, 3.4, 3.2))]], [NOTHING, NOTHING, "..##.", "..##."], id="no rounding"),
        pytest.param(
            [[region_text(box(-3.5, -2, 2, 3)), region_text(box(3, 5, 90, 80))]],
            ["##...", "##...", "##...", NOTHING, NOTHING, "...##"],
            id="what leaves the image is cut off",
        ),
        pytest.param([[region_text([(-9, -9), (-4, -9), (-4, -3)])]], [], id="beside the image"),
        # An even-odd rule over all regions would punch a hole where two nuclei overlap.
        pytest.param(
            [[region_text(BOX), region_text(box(3, 1, 5, 3))]], [NOTHING, "...##", ".####", ".###."], id="union"
        ),
        pytest.param(
            [[region_text(box(2, 2, 3, 3), HOLE), region_text(BOX)]], [NOTHING, NOTHING, ".#.#.", ".###."], id="hole"
        ),
        pytest.param(
            [[region_text(BOX)], [region_text(box(0, 0, 5, 6), HOLE), CORNER]],
            [NOTHING, NOTHING, ".###.", ".###."],
            id="a hole spares other layers",
        ),
        pytest.param([[region_text(BOX)], [CORNER]], ["#....", NOTHING, ".###.", ".###."], id="layers are united"),
        pytest.param([[]], [], id="no regions"),
    ],
)
def test_regions_are_drawn_as_they_are_outlined(tmp_path: Path, layers: list[list[str]], drawn: list[str]) -> None:
    found = rows(mask_of(write(tmp_path, *(layer_text(*regions) for regions in layers))))

    assert found == drawn + [NOTHING] * (6 - len(drawn))


def test_holes_are_not_counted_and_regions_do_not_grow(tmp_path: Path) -> None:
    """With both edges a region of whole pixels would grow by half its outline, 20 x 10 to 21 x 11."""
    path = write(tmp_path, layer_text(region_text(box(3, 5, 23, 15)), region_text(box(30, 1, 31, 2), HOLE)))

    assert mask_of(path, (40, 30)).sum() == 20 * 10
    assert sum(not region.is_hole for region in read_regions(path)) == 1


def test_neighbours_with_a_common_edge_share_no_pixel_and_leave_no_gap() -> None:
    left = np.array([(0, 0), (3, 1), (2, 6), (0, 6)], float)
    right = np.array([(3, 1), (5, 0), (5, 6), (2, 6)], float)

    apart = [draw_regions([Region(outline)], (6, 5)) for outline in (left, right)]

    assert rows(apart[0] + apart[1])[1:] == ["#####"] * 5


@pytest.mark.parametrize("outline", [[], [(1, 1)], [(1, 1), (4, 4)], [(2, 2), (2, 2), (2, 2)]])
def test_a_degenerate_region_draws_nothing_but_counts(tmp_path: Path, outline: Outline) -> None:
    path = write(tmp_path, layer_text(region_text(outline), region_text(BOX)))

    assert mask_of(path).sum() == 6
    assert sum(not region.is_hole for region in read_regions(path)) == 2


def test_equal_outlines_have_equal_digests(tmp_path: Path) -> None:
    """Duplicates are found by content: attributes and blanks of the file are none."""
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path in paths:
        path.mkdir()
    files = [
        write(paths[0], layer_text(region_text(BOX))),
        write(paths[1], layer_text(region_text(BOX, 'Text="x"'))),
        write(paths[2], layer_text(region_text(BOX[:3]))),
    ]

    digests = [open_mask(Content("polygons", (str(file),)), image(), ReadOptions()).digest(0) for file in files]

    assert digests[0] == digests[1] != digests[2]


def test_regions_keep_what_the_file_says(tmp_path: Path) -> None:
    first, second = read_regions(write(tmp_path, layer_text(), layer_text(region_text([(-1.5, 2)]), region_text(BOX))))

    assert (first.vertices.tolist(), first.layer, first.is_hole) == ([[-1.5, 2.0]], 1, False)
    assert second.vertices.shape == (4, 2)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, layer_text(region_text(BOX)))
    path.write_bytes(path.read_text().encode(encoding))

    assert sum(not region.is_hole for region in read_regions(path)) == 1


ENTITY = '<!DOCTYPE a [<!ENTITY x "y">]>'
BOMB = '<!DOCTYPE a [<!ENTITY a "zzzzzzzz"><!ENTITY b "&a;&a;&a;&a;">]>'
EXTERNAL = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
FAR = '<!DOCTYPE a SYSTEM "http://localhost/a.dtd">'


@pytest.mark.parametrize("head", [ENTITY, BOMB, EXTERNAL, FAR])
def test_document_types_and_entities_are_refused(tmp_path: Path, head: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(f"{head}<Annotations>{layer_text(region_text(BOX))}</Annotations>")

    with pytest.raises(SourceError) as caught:
        read_regions(path)

    assert str(caught.value) == (
        f"{path} declares a document type or entities, which can reach other files; remove the declaration"
    )


WHOLE = f"<Annotations>{layer_text(region_text(BOX))}</Annotations>".encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty (0 bytes); copy it again"),
        *((WHOLE[:end], "is damaged: ") for end in range(1, len(WHOLE), 29)),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is damaged: "),
        (b'<?xml version="1.0" encoding="no-such"?><Annotations/>', "is damaged: "),
        (b'<?xml version="1.0" encoding="ascii"?><Annotations a="\xff"/>', "is damaged: "),
        (b"<annotation><object/></annotation>", "has the root <annotation>, expected <Annotations> of Aperio"),
        (WHOLE.replace(b'X="1"', b'X="one"', 1), "region 7 has a vertex whose place is no number (could not convert"),
        (WHOLE.replace(b'X="1" ', b"", 1), "region 7 has a vertex without 'X'; export it again"),
        (WHOLE.replace(b'Y="4"', b'Y="nan"', 1), "region 7 has a vertex at nan, expected pixels"),
        (WHOLE.replace(b'Y="4"', b'Y="-inf"', 1), "region 7 has a vertex at -inf, expected pixels"),
        (WHOLE.replace(b'X="4"', b'X="1e300"', 1), "region 7 has a vertex at 1e+300, expected pixels"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(data)

    with pytest.raises(SourceError) as caught:
        mask_of(path)

    assert str(caught.value).startswith(f"{path} {reason}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "problem"), [("none.xml", "No such file or directory"), (".", "it is no file")])
def test_what_is_no_file_is_reported(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(SourceError, match=rf"cannot be read \({problem}\)"):
        read_regions(tmp_path / name)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    with path.open("wb") as file:
        file.truncate(aperio_xml.MAX_BYTES + 1)

    with pytest.raises(SourceError, match=f"has {aperio_xml.MAX_BYTES + 1} bytes, expected at most"):
        read_regions(path)


def test_outlines_that_would_take_minutes_are_refused_undrawn(tmp_path: Path) -> None:
    """A thousand vertices round a whole slide cost more than all nuclei of a data set."""
    outline = [(x, 9000 * (x % 2)) for x in range(0, 8000, 8)] + [(8000, 9000)]
    path = write(tmp_path, layer_text(region_text(outline)))
    huge = np.broadcast_to(np.zeros((1, 1, 1, 1), np.uint8), (1, 9000, 8000, 3))
    wanted = "has 1 regions of 1001 vertices, too many to draw at 8000 x 9000 pixels; simplify"

    with pytest.raises(SourceError, match=wanted):
        open_mask(Content("polygons", (str(path),)), ArrayStack(huge), ReadOptions())


NUCLEI = {
    "MoNuSeg 2018 Training Data/Annotations/TCGA-B0-5710-01Z-00-DX1.xml": (359, 0, 9, 106551),
    "MoNuSeg 2018 Training Data/Annotations/TCGA-E2-A1B5-01Z-00-DX1.xml": (329, 1, 0, 116373),
    "MoNuSegTestData/TCGA-HT-8564-01Z-00-DX1.xml": (249, 0, 0, 93075),
    "MoNuSegTestData/TCGA-ZF-A9R5-01A-01-TS1.xml": (475, 0, 2, 194579),
}


@pytest.mark.parametrize("name", NUCLEI)
def test_real_files_hold_the_regions_that_their_readme_counts(shared_data: Path, name: str) -> None:
    """Of the sum of their Area attributes overlaps, and what leaves the image, are the half to one per cent."""
    path = shared_data / "layouts/monuseg2018" / name
    regions = read_regions(path)
    degenerate = sum(len(region.vertices) < 3 for region in regions)
    # Outlines may touch the far edges of the 1000 x 1000 pixels, so only what passes them by a pixel leaves.
    leaving = sum(len(r.vertices) > 0 and (r.vertices.min() < 0 or r.vertices.max() > 1000) for r in regions)
    assert (sum(not region.is_hole for region in regions), degenerate, leaving) == NUCLEI[name][:3]
    assert int(mask_of(path, (1000, 1000)).sum()) == pytest.approx(NUCLEI[name][3], rel=0.015)


@pytest.mark.parametrize("name", ["TCGA-B0-5710-01Z-00-DX1", "TCGA-E2-A1B5-01Z-00-DX1"])
def test_real_masks_are_those_that_others_draw(shared_data: Path, name: str) -> None:
    folder = shared_data / "layouts/monuseg2018"
    theirs = np.asarray(Image.open(folder / "third_party_binary_masks" / f"{name}.png")) > 0

    ours = mask_of(folder / "MoNuSeg 2018 Training Data/Annotations" / f"{name}.xml", (1000, 1000)) > 0

    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.99
