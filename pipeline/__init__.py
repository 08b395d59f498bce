"""Reading, scheduling, writing and talking; as functions ``inspect, prepare, generate, run, verify, report, load``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hsmix_gen.pipeline.api import generate, inspect, load, prepare, report, run, verify

__all__ = ["generate", "inspect", "load", "prepare", "report", "run", "verify"]


def __getattr__(name: str) -> Any:
    # The command line imports this package too, and its help has to answer at once.
    if name in __all__:
        from hsmix_gen.pipeline import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
