"""The last words of a run state what was made of its options."""

from pathlib import Path

import pytest

from tests.command_line import TINY, run_cli
from tests.small_sources import make_source


@pytest.mark.parametrize(
    ("split", "stated"),
    [
        ("0.5/0.6/0.1", "the parts 0.5/0.6/0.1 are the shares 0.417/0.5/0.0833 of all images; train 5, val 6, test 1"),
        ("0.5/0.5/0", None),
    ],
)
def test_parts_of_a_split_are_stated_as_shares(tmp_path: Path, split: str, stated: str | None) -> None:
    """Numbers that were meant as shares and sum to 1.2 were scaled as if they had been meant so."""
    source = make_source(tmp_path / "source", train=12, val=0, test=0)

    made = run_cli("run", source, tmp_path / "out", *TINY, "--split", split, "--copies", 1, "--variants", 1)

    assert [line for line in made.stdout.splitlines() if line.startswith("splits: ")] == (
        [f"splits: {stated}"] if stated else []
    )
