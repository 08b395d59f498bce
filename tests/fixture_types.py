"""Types of fixtures that many tests take; what they are called with stands at the fixtures."""

from collections.abc import Callable
from pathlib import Path

Maker = Callable[..., Path]
Noted = Callable[[str, object], None]
Options = tuple[str, ...]
