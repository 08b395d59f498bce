"""Indices of palettes count only where they mean the same in all files; else colours do, or the user is asked."""

import pytest

from hsmix_gen.pipeline.sources.palettes import by_colour, colour_classes, with_coloured_mask
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, MaskForm, ScanResult, SourceItem, picture

BLACK, RED, GREEN, WHITE = 0, 0xFF0000, 0x00FF00, 0xFFFFFF


def scanned(*colours: int | None, first: int = 0) -> ScanResult:
    """Return a mask that holds indices from `first` on, with these colours; None stands for no palette."""
    counts = tuple((index, 10 + index) for index in range(first, first + len(colours)))
    palette = tuple((index, c) for (index, _), c in zip(counts, colours, strict=True) if c is not None)
    return ScanResult("a", mask_counts=counts, mask_form=MaskForm(palette=palette))


def chosen(*scans: ScanResult, **source: object) -> dict[int, int] | None:
    found = colour_classes(scans, SourceConfig.model_validate(source))
    return None if found is None else dict(found[0].values)


@pytest.mark.parametrize(
    "scans",
    [
        [scanned(None, None)],
        [scanned(BLACK, RED, GREEN), scanned(BLACK, RED), scanned(BLACK)],
        [scanned(RED, GREEN), scanned(RED)],
        [scanned(BLACK, BLACK, BLACK), scanned(BLACK, BLACK)],
    ],
    ids=["none", "steady", "without-black", "all-black"],
)
def test_indices_stay_where_they_mean_the_same(scans: list[ScanResult]) -> None:
    assert chosen(*scans) is None


@pytest.mark.parametrize(
    "other",
    [scanned(BLACK, GREEN, RED), scanned(RED, BLACK), scanned(BLACK, GREEN), scanned(GREEN, first=5)],
    ids=["swapped", "background-moved", "only-used", "index-moved"],
)
def test_another_order_is_read_by_colour(other: ScanResult) -> None:
    """Optimisers write only the colours that a file uses, in any order."""
    assert chosen(scanned(BLACK, RED, GREEN), other) == {BLACK: 0, GREEN: 1, RED: 2}


def test_colours_of_each_file_for_itself_are_no_classes() -> None:
    """Some tools draw the colours of objects or classes anew for each file."""
    scans = [scanned(BLACK, 0xFF0000 + n, 0x00FF00 + n) for n in range(3)]

    with pytest.raises(SourceError, match=r"colours of their own in each file \(index 1 is #FF0000 .*0=0,1=1,2=2; if"):
        chosen(*scans)
    assert chosen(*scans, mask_values={0: 0, 1: 1, 2: 2}) is None


def test_it_is_said_with_the_colours() -> None:
    found = colour_classes([scanned(BLACK, RED), scanned(RED, BLACK)], SourceConfig())

    assert found is not None
    assert "index 0 is #000000 in one and #FF0000 in another" in found[1]
    assert "#000000 = 0, #FF0000 = 1; name them with --colours" in found[1]


def test_greys_follow_the_conventions_of_greys() -> None:
    """A GIF without the middle class has white under the index that grey has elsewhere."""
    grey = 0x808080

    assert chosen(scanned(BLACK, grey, WHITE), scanned(BLACK, WHITE)) == {BLACK: 0, grey: 1, WHITE: 2}


def test_black_under_another_index_is_the_background_where_index_0_is_not_used() -> None:
    assert chosen(scanned(BLACK, RED, first=1), scanned(BLACK, first=1)) == {BLACK: 0, RED: 1}


@pytest.mark.parametrize(
    ("scans", "source", "message"),
    [
        ([scanned(RED, BLACK), scanned(RED, BLACK)], {}, r"either: black with --colours '#000000=background,#FF0000"),
        ([scanned(WHITE, RED), scanned(RED, WHITE)], {}, "differs from file to file.*--colours"),
        ([scanned(BLACK, RED), scanned(RED, BLACK), scanned(None, None)], {}, "differs from file to file"),
        ([scanned(BLACK, BLACK, RED), scanned(RED, BLACK)], {}, "differs from file to file"),
        ([scanned(BLACK, RED), scanned(RED, BLACK)], {"mask_values": {0: 0, 1: 1}}, "differs from file to file"),
    ],
    ids=["background", "no-black", "some-without", "repeated", "values-given"],
)
def test_doubt_is_a_question(scans: list[ScanResult], source: dict[str, object], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        chosen(*scans, **source)


def test_a_scan_by_colour_has_the_pixels_of_each_colour() -> None:
    assert by_colour(scanned(RED, BLACK)).mask_counts == ((BLACK, 11), (RED, 10))


@pytest.mark.parametrize(("form", "coloured"), [("picture", "colours"), ("member", "colourmember")])
def test_the_mask_of_an_item_is_then_read_as_colours(form: str, coloured: str) -> None:
    item = with_coloured_mask(SourceItem("a", picture("a.png"), Content(form, ("m.png",), "k")))

    assert (item.image.format, item.mask.format, item.mask.key) == ("picture", coloured, "k")
