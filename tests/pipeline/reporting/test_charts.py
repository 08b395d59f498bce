"""Charts of the page."""

import re
from importlib.resources import files

from hsmix_gen.pipeline.reporting import charts


def test_equal_numbers_give_equal_text_in_the_colour_of_the_page() -> None:
    drawn = [charts.histogram("x", "X", {"one": [1, 2, float("nan")], "two": [2, 3]}, label="n") for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert "currentColor" in drawn[0] and "<metadata" not in drawn[0]
    assert "one (2)" in drawn[0]


def test_ids_of_two_charts_differ() -> None:
    ids = [
        set(re.findall(r'id="([^"]+)"', charts.bars(name, "T", ["a"], {"s": [1.0]}, label="n"))) for name in ("p", "q")
    ]
    assert ids[0] and not ids[0] & ids[1]


def test_nothing_to_draw_is_an_empty_chart() -> None:
    assert "<svg" in charts.histogram("x", "X", {"one": []}, label="n")
    assert "<svg" in charts.histogram("x", "X", {"one": [0.0, 0.0]}, label="n", log=True)


def test_series_have_colours_of_the_page_for_light_and_dark() -> None:
    """Blue on a white page is no colour for a black one."""
    drawn = charts.bars("x", "T", ["a"], {str(number): [1.0] for number in range(4)}, label="n")
    style = files("hsmix_gen.pipeline.reporting").joinpath("report.css").read_text()

    for number, colour in enumerate(charts.COLOURS, 1):
        assert f"var(--series-{number})" in drawn and colour not in drawn
        assert len(set(re.findall(rf"--series-{number}: (#\w+);", style))) == 2


def test_bounds_are_named_where_they_are_seen() -> None:
    drawn = charts.histogram("x", "X", {"one": [0.0, 0.55, 1.0]}, label="n", bounds=(0.6, 2.0))

    assert "bound of amber" in drawn
    assert "bound of red" not in drawn


def test_counts_have_whole_numbers_below_them() -> None:
    def numbers(values: list[float]) -> list[str]:
        return re.findall(r">\s*([\d.]+)\s*</text>", charts.histogram("x", "X", {"one": values}, label="n"))

    assert [text for text in numbers([5, 5, 6]) if text in ("5.5", "5.2")] == []
    assert "5.2" in numbers([5, 5, 6.1])
