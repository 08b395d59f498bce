"""Layouts of empty files: readers look at names only."""

from pathlib import Path


def lay(source: Path, *paths: str) -> Path:
    """Write empty files and return their folder."""
    for path in paths:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).touch()
    return source
