"""Types of fixtures that many tests take; what they are called with stands at the fixtures."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing

Cli = Callable[..., click.testing.Result]
Command = Callable[..., subprocess.CompletedProcess[str]]
Digests = Callable[[Path], dict[str, str]]
Inspect = Callable[..., dict[str, Any]]
Leftovers = Callable[[Path], list[str]]
Maker = Callable[..., Path]
Options = tuple[str, ...]
Snapshot = Callable[[Path], dict[str, tuple[str, int]]]
