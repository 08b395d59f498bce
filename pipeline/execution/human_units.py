"""Numbers, bytes and seconds in words."""

from collections.abc import Sequence
from typing import Any


def counted(number: int, word: str) -> str:
    """Return a number of things, whose plural has an s."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def first_of(names: Sequence[str], most: int, *, more: str = ", …") -> str:
    """Return some names with commas between, and where there are others `more` behind them."""
    return ", ".join(names[:most]) + (more if len(names) > most else "")


def text_of(value: Any) -> str:
    """Return a value as it is written behind an option."""
    return " ".join(map(text_of, value)) if isinstance(value, list | tuple) else str(value)


def size_text(n_bytes: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def time_text(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
