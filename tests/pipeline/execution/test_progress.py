"""Progress is reported on stderr in the form that was asked for, and nowhere else."""

import io
import json
from typing import Any, Literal

import pytest

from hsmix_gen.pipeline.execution.progress import (
    BarDisplay,
    Display,
    JsonDisplay,
    LineDisplay,
    Reporter,
    SilentDisplay,
    make_reporter,
)


class Recorder(Display):
    """A display that keeps what it is given."""

    def __init__(self) -> None:
        self.stated: list[tuple[Any, ...]] = []
        self.rates: list[float] = []

    def start(self, stage: str, total: int, done: int) -> None:
        self.stated.append(("start", stage, total, done))

    def advance(self, stage: str, done: int, total: int, rate: float) -> None:
        self.rates.append(rate)
        self.stated.append(("advance", stage, done, total))

    def note(self, text: str) -> None:
        self.stated.append(("note", text))

    def warn(self, text: str) -> None:
        self.stated.append(("warn", text))

    def close(self) -> None:
        self.stated.append(("close",))


def lines() -> tuple[LineDisplay, io.StringIO]:
    stream = io.StringIO()
    return LineDisplay(stream), stream


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_stage_counts_on_from_what_was_done_before() -> None:
    display = Recorder()

    with Reporter(display).stage("scan", 10, done=4) as stage:
        stage.advance()
        stage.advance(5)

    assert display.stated == [("start", "scan", 10, 4), ("advance", "scan", 5, 10), ("advance", "scan", 10, 10)]


def test_the_rate_counts_what_this_run_did() -> None:
    display = Recorder()

    with Reporter(display).stage("scan", 10, done=9) as stage:
        stage.advance(0)
        stage.advance(1)

    assert display.rates[0] == 0
    assert display.rates[1] > 0


def test_the_time_of_a_stage_is_added_to_what_it_took_before() -> None:
    reporter = Reporter(Recorder())
    reporter.seconds = {"scan": 100.0}

    with reporter.stage("scan", 0), reporter.stage("images", 0):
        pass

    assert list(reporter.seconds) == ["scan", "images"]
    assert 100 <= reporter.seconds["scan"] < 110
    assert 0 <= reporter.seconds["images"] < 10


def test_the_time_of_a_stage_that_fails_is_kept() -> None:
    reporter = Reporter(Recorder())

    with pytest.raises(KeyError), reporter.stage("scan", 1):
        raise KeyError

    assert "scan" in reporter.seconds


def test_notes_and_warnings_are_handed_on() -> None:
    display = Recorder()
    reporter = Reporter(display)

    reporter.note("n")
    reporter.warn("w")
    reporter.close()

    assert display.stated == [("note", "n"), ("warn", "w"), ("close",)]


@pytest.mark.parametrize(
    ("total", "done", "text"),
    [
        (5, 0, "scan: 5 to do\n"),
        (5, 2, "scan: 3 to do, 2 done before\n"),
        (5, 5, "scan: nothing to do, 5 done before\n"),
    ],
)
def test_a_line_says_what_begins(total: int, done: int, text: str) -> None:
    display, stream = lines()

    display.start("scan", total, done)

    assert stream.getvalue() == text


def test_lines_in_quick_succession_are_left_out_but_for_the_last() -> None:
    display, stream = lines()
    display.start("scan", 100, 0)

    for done in range(1, 101):
        display.advance("scan", done, 100, 12.34)

    assert stream.getvalue().splitlines() == ["scan: 100 to do", "scan: 100/100, 12.3/s"]


def test_a_line_after_some_seconds_says_how_long_it_will_take() -> None:
    """A display that never began has reported nothing for a long time."""
    display, stream = lines()

    display.advance("scan", 40, 100, 2.0)

    assert stream.getvalue() == "scan: 40/100, 2.0/s, 30 s left\n"


def test_a_stage_that_stands_still_promises_no_end() -> None:
    display, stream = lines()

    display.advance("scan", 40, 100, 0.0)

    assert stream.getvalue() == "scan: 40/100, 0.0/s\n"


def test_a_warning_is_reported_as_one() -> None:
    display, stream = lines()

    display.note("read 3 files")
    display.warn("little memory")
    display.close()

    assert stream.getvalue() == "read 3 files\nwarning: little memory\n"


def test_json_is_one_object_a_line() -> None:
    stream = io.StringIO()
    display = JsonDisplay(stream)

    display.start("scan", 5, 2)
    display.advance("scan", 3, 5, 1.23456)
    display.note('a "quoted"\nnote')
    display.warn("w")
    display.close()

    found = events(stream)
    assert all(event.pop("time") > 1e9 for event in found)
    assert found == [
        {"event": "start", "stage": "scan", "total": 5, "done": 2},
        {"event": "progress", "stage": "scan", "done": 3, "total": 5, "rate": 1.235},
        {"event": "note", "text": 'a "quoted"\nnote'},
        {"event": "warning", "text": "w"},
    ]


def test_silence_keeps_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    display = SilentDisplay()

    display.start("scan", 1, 0)
    display.advance("scan", 1, 1, 1.0)
    display.note("n")
    display.warn("w")
    display.close()

    assert capsys.readouterr() == ("", "warning: w\n")


@pytest.mark.parametrize(
    ("progress", "log_format", "kind"),
    [
        ("auto", "text", LineDisplay),
        ("plain", "text", LineDisplay),
        ("none", "text", SilentDisplay),
        ("auto", "json", JsonDisplay),
        ("none", "json", JsonDisplay),
    ],
)
def test_the_display_follows_the_options(
    progress: Literal["auto", "plain", "none"], log_format: Literal["text", "json"], kind: type
) -> None:
    """Tests have no terminal, so ``auto`` means lines."""
    assert type(make_reporter(progress, log_format).display) is kind


@pytest.mark.parametrize("make", [BarDisplay, LineDisplay, JsonDisplay, SilentDisplay])
def test_nothing_is_reported_on_stdout(make: type, capsys: pytest.CaptureFixture[str]) -> None:
    """Results go there, and programs read them."""
    reporter = Reporter(make())

    with reporter.stage("scan", 2) as stage:
        stage.advance(2)
    reporter.note("[brackets] stay")
    reporter.warn("w")
    reporter.close()

    stated = capsys.readouterr()
    assert stated.out == ""
    assert "w" in stated.err
    assert make is SilentDisplay or "[brackets] stay" in stated.err
