"""The rules of the report, and their table in the manual."""

import math
from pathlib import Path

import pytest

from hsmix_gen.pipeline.reporting.findings import _LOOKS
from hsmix_gen.pipeline.reporting.thresholds import RULES

MANUAL = Path(__file__).parents[3] / "docs" / "reference" / "thresholds.md"
BY_NAME = {rule.name: rule for rule in RULES}


def thresholds_table() -> str:
    """Return the rules as a table of Markdown, as the manual has it."""
    lines = ["| what | measured | amber | red | why | way out |", "|---|---|---|---|---|---|"]
    for rule in RULES:
        word = "below" if rule.low_is_bad else "above"
        amber, red = (f"{word} {bound:g}" if bound is not None else "never" for bound in (rule.amber, rule.red))
        lines.append(f"| {rule.title} | {rule.measure} | {amber} | {red} | {rule.reason} | {rule.way_out} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_the_manual_is_that_of_the_code() -> None:
    assert thresholds_table() in MANUAL.read_text(encoding="utf-8")


def test_every_rule_has_a_look_a_reason_and_a_way_out() -> None:
    assert _LOOKS.keys() == BY_NAME.keys()
    assert all(rule.reason and rule.way_out and rule.measure for rule in RULES)


@pytest.mark.parametrize(
    ("rule", "value", "light"),
    [
        ("leakage", 0, "green"),
        ("leakage", 1, "red"),
        ("near_duplicates", 1, "amber"),
        ("object_size", 2.0, "green"),
        ("object_size", 1.9, "amber"),
        ("object_size", 0.9, "red"),
        ("saliency_auc", math.nan, "grey"),
        ("reuse", 1000, "amber"),
    ],
)
def test_lights_follow_the_bounds(rule: str, value: float, light: str) -> None:
    assert BY_NAME[rule].light(value) == light


def test_red_is_beyond_amber() -> None:
    for rule in RULES:
        if rule.amber is not None and rule.red is not None:
            assert (rule.red < rule.amber) == rule.low_is_bad
