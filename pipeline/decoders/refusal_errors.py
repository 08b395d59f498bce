"""One line for whatever a library raises for a damaged file: its name, what is wrong, and the way out."""

import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hsmix_gen.schemas.errors import SourceError

# Some libraries quote headers at length.
_MAX_REASON = 160
Reasons = Mapping[type[Exception], str]
"""What to say of kinds of errors that mean something else than damage."""
_NOTHING: Reasons = {}


@contextmanager
def refusing(name: str | Path, *, reasons: Reasons = _NOTHING) -> Iterator[None]:
    """Turn whatever is raised within into a ``SourceError`` of one line that begins with a name.

    A text that begins with the name is left as it is; an empty name leaves it to the caller. `reasons` is what to say
    of kinds of errors that mean something else than damage.
    """
    start = str(name)
    try:
        yield
    except SourceError as error:
        text = str(error)
        raise SourceError(text if text.startswith(start) else f"{start} {text}") from None
    except Exception as error:
        text = next((said for kind, said in reasons.items() if isinstance(error, kind)), "") or _said(error)
        raise SourceError(f"{start} {text}".lstrip()) from None


def _said(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "needs more memory than is free; run fewer workers or leave it out"
    # Libraries use it for damage as well, then without the words of the system.
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror}); check that it exists and its permissions"
    lines = str(error).strip().splitlines()
    reason = " ".join(lines[0][:_MAX_REASON].split()).rstrip(". ") if lines else ""
    return f"is damaged: {reason or type(error).__name__}; copy it again"


def first_bytes(path: Path, count: int) -> bytes:
    """Return how a file begins; refuse what is empty, or no file, as a pipe would be waited for without end.

    Raises
    ------
    SourceError
        The text lacks the file.
    OSError
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise SourceError("cannot be read (it is no file); remove it")
    with path.open("rb") as file:
        start = file.read(count)
    if not start:
        raise SourceError("is empty (0 bytes); copy it again")
    return start


def start_of(path: Path, count: int) -> bytes:
    """Return how a file begins; nothing of what `first_bytes` refuses, or cannot read."""
    try:
        return first_bytes(path, count)
    except (OSError, SourceError):
        return b""
