"""The functions that benchmarks watch are named by texts, which no renaming finds."""

import importlib
import re
from operator import attrgetter
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
_NAMED = re.compile(r'"(hsmix_gen[a-z_.]*):([A-Za-z_.]+)"')


def test_what_benchmarks_watch_is_there() -> None:
    named = [found for path in sorted(BENCHMARKS.glob("*.py")) for found in _NAMED.findall(path.read_text("utf-8"))]

    assert len(named) > 30
    assert all(callable(attrgetter(name)(importlib.import_module(module))) for module, name in named)
