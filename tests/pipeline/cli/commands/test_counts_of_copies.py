"""`--copies` counts samples, of which a third stays unmixed by default: help, card and the last words say so."""

import json
from collections.abc import Callable
from typing import Any

from tests.command_line import TINY, run_cli


def test_help_states_what_copies_are() -> None:
    stated = " ".join(run_cli("generate", "--help-all").stdout.split())

    for word in ("Samples per training image", "unmixed", "hard", "soft"):
        assert word in stated.partition(" --copies K ")[2][:250]


def test_run_and_card_state_originals_and_modes(finished: Callable[..., Any]) -> None:
    made = finished("--copies", 5, "--shards", 2)

    again = run_cli("run", made.source, made.output, *TINY, "--copies", 5, "--shards", 2)

    modes = json.loads((made.output / "run.json").read_text())["modes"]
    assert sum(modes.values()) == 30
    text = f"6 originals, 30 samples made of them: {modes['none']} unmixed, {modes['hard']} hard, {modes['soft']} soft"
    assert f"training: {text}" in again.stdout
    assert text in (made.output / "README.md").read_text()
