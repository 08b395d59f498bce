"""One finished dataset that all tests of growing begin with."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.command_line import TINY
from tests.pipeline.jobs.growth.growing import OPTIONS, GrowingDataset


@pytest.fixture(scope="session")
def begun(finished: Callable[..., Any]) -> GrowingDataset:
    """Six training images in two copies."""
    made = finished(*OPTIONS, "--copies", 2)
    return GrowingDataset(made.source, made.output, (*TINY, *OPTIONS))
