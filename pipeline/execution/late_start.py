"""A runner that is started by the first unit: source, options and output are checked without waiting for Ray."""

from collections.abc import Callable
from typing import Any

from hsmix_gen.pipeline.execution.units import Runner


class LateRunner:
    """Stands for a runner and starts it when something of it is first asked for; asking for `run` is enough.

    Parameters
    ----------
    start : callable
        Returns the runner.
    """

    def __init__(self, start: Callable[[], Runner]) -> None:
        self._start = start
        self._runner: Runner | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            # Copies and inspections ask for such names, of objects that were not initialised too: they start nothing.
            raise AttributeError(f"{type(self).__name__} has no {name}")
        self._runner = self._runner or self._start()
        return getattr(self._runner, name)

    def close(self) -> None:
        """Close the runner, if it was started."""
        if self._runner is not None:
            self._runner.close()
