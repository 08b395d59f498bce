"""Odd and damaged pictures among good ones: each is read rightly or refused in one line, and no good one is lost."""

import csv
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pytest

from hsmix_gen.pipeline.decoders.registry import open_pair
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.pipeline.sources.discovery import discover
from hsmix_gen.schemas.config import RunConfig
from tests.pipeline.jobs.odd import odd_damaged_pictures, odd_masks, odd_picture_forms
from tests.pipeline.jobs.odd.odd_cases import Case
from tests.pipeline.jobs.odd.odd_pictures import FOREGROUND, Pair, Seen

GOOD = 4
GOOD_SIZE = (12, 18)
VALUES = ("--mask-values", "0=0,1=1,255=1,70000=1")
CASES = [case for family in (odd_damaged_pictures, odd_picture_forms, odd_masks) for case in family.CASES]
NAMES = [case.name for case in CASES]


@dataclass(frozen=True)
class Shown:
    """A case among good pairs, and what ``inspect --json`` told."""

    case: Case[Pair, Seen]
    source: Path
    seen: Seen | None
    result: click.testing.Result
    told: dict[str, Any]


def add_good(source: Path) -> None:
    """Write the good pairs."""
    for number in range(GOOD):
        Pair(source, f"good_{number}", GOOD_SIZE)


@pytest.fixture(params=CASES, ids=NAMES)
def shown(
    request: pytest.FixtureRequest, tmp_path: Path, run_cli: Callable[..., click.testing.Result]
) -> Iterator[Shown]:
    """One case after the other."""
    case: Case[Pair, Seen] = request.param
    add_good(tmp_path)
    seen = case.make(Pair(tmp_path, case.name))
    # Pillow warns of whatever it finds in damaged files; a user sees it once, a program as little as possible.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = run_cli("inspect", tmp_path, *VALUES, "--json", "--progress", "none")
    assert result.exit_code == 0, result.output
    yield Shown(case, tmp_path, seen, result, json.loads(result.stdout))


def test_odd_picture_is_used_or_refused_in_one_line(shown: Shown) -> None:
    """Nothing is used that is told as a problem, nothing is lost without being told, and good pairs stay."""
    case, told = shown.case, shown.told
    problems = {problem["id"]: problem for problem in told["problems"]}
    late = case.stage == "images" and not problems

    assert set(problems) == (set() if shown.seen is not None or late else {case.name})
    assert told["usable"] == GOOD + (shown.seen is not None or late)
    assert len(told["problems"]) == len(problems)
    for problem in problems.values():
        assert problem["stage"] in {case.stage, "scan" if case.stage == "images" else case.stage}
        check_reason(case, problem["path"], problem["reason"])


def test_odd_picture_that_is_used_is_seen_rightly(shown: Shown) -> None:
    """Size, channels, pixels and the class of every pixel are those that were written."""
    if shown.seen is None:
        return
    told, seen = shown.told, shown.seen
    height, width, channels = seen.pixels.shape
    items = {item.id: item for item in discover(shown.source, RunConfig()).items}
    image, mask = open_pair(items[shown.case.name], ReadOptions())
    pixels = image.plane(0)

    assert [height, width, 1] in told["sizes"]["most_common"]
    assert told["channels"] == channels
    assert pixels.dtype == image.dtype == seen.pixels.dtype
    assert pixels.shape == seen.pixels.shape
    assert np.abs(pixels.astype(int) - seen.pixels).max() <= seen.tolerance
    assert np.array_equal(mask.plane(0), seen.labels)
    assert told["classes"][1]["pixels"] == GOOD * FOREGROUND + seen.foreground


def check_reason(case: Case[Pair, Seen], path: str, reason: str) -> None:
    """Check that a reason is one line that names file, rule, value and way out."""
    assert Path(path).stem == case.name
    case.check_reason(reason)
    assert case.stage == "discover" or f"{case.name}." in reason
    assert ";" in reason or case.stage == "images", f"no way out: {reason}"


def test_there_are_as_many_odd_pictures_as_promised() -> None:
    """Each case is one of its own."""
    assert len(set(NAMES)) == len(NAMES) >= 60


@dataclass(frozen=True)
class WholeRun:
    """A run over all cases at once."""

    source: Path
    output: Path
    result: click.testing.Result


@pytest.fixture(scope="module")
def whole(
    run_cli: Callable[..., click.testing.Result], tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> WholeRun:
    """A complete run over all cases at once."""
    folder = tmp_path_factory.mktemp("odd_pictures")
    source, output = folder / "source", folder / "output"
    add_good(source)
    for case in CASES:
        case.make(Pair(source, case.name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = run_cli("run", source, output, *tiny, *VALUES, "--copies", 1)
    return WholeRun(source, output, result)


def test_run_over_all_odd_pictures_refuses_exactly_the_bad_ones(whole: WholeRun) -> None:
    """A job over thousands of files meets all of them in one night."""
    assert whole.result.exit_code == 0, whole.result.stderr
    assert "Traceback" not in whole.result.output
    with (whole.output / "refused.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    expected = {case.name: case for case in CASES if case.told}
    assert set(rows) == set(expected)
    for name, case in expected.items():
        assert rows[name]["stage"] in {case.stage, "scan" if case.stage == "images" else case.stage}
        check_reason(case, rows[name]["path"], rows[name]["reason"])


def test_dataset_of_odd_pictures_is_sound(whole: WholeRun, run_cli: Callable[..., click.testing.Result]) -> None:
    """What was used can be made again, also from the oddest files."""
    result = run_cli("verify", whole.output, "--replay", 3)

    assert result.exit_code == 0, result.output
    assert "Traceback" not in result.output
