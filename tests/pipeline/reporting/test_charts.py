"""Charts of the page."""

import re

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
