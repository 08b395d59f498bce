"""Fitting a network is most of the time of a small set, and is shown and timed as what it is."""

import json
import re
from pathlib import Path

from tests.command_line import run_cli
from tests.small_sources import make_source


def test_the_network_is_a_stage_of_its_own(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source")
    options = (
        *("--size", 48, 64, "--regions", 6, 20, "--variants", 1, "--copies", 1, "--backend", "serial"),
        *("--progress", "plain", "-o", "saliency.fit_steps=40", "-o", "saliency.probe_images=2"),
    )

    result = run_cli("run", source, tmp_path / "out", *options)

    assert "network: 1 to do" in result.stderr
    assert result.stderr.index("network: 1/1") < result.stderr.index("superpixels: 8/8")
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    made = sum(run["saliency"]["seconds"].values())
    assert run["seconds"]["network"] >= made - 0.1
    assert run["seconds"]["superpixels"] < made
    assert not re.search(r"superpixels: .*, 0\.0/s", result.stderr)
