"""The stages with their compiled loops and without."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from hsmix_gen.stages.kernels import compiled

_Found = TypeVar("_Found")


@contextmanager
def without_loops() -> Iterator[None]:
    """Let libraries and Python do what loops do, as where there was no compiler."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "native", None)
        yield


def both_ways(work: Callable[[], _Found]) -> tuple[_Found, _Found]:
    """Return what is found by compiled loops, and without them."""
    found = work()
    with without_loops():
        return found, work()
