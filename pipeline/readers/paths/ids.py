"""What a reader finds, and the ids it gives: short, safe and the same on every machine; what is no pair."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from hsmix_gen.pipeline.readers.paths.grouped import grouped
from hsmix_gen.schemas.records import Labelling, Refusal, SourceItem

Channel = TypeVar("Channel", int, str)
MAX_ID = 64
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Found:
    """Items and refusals of one source in any order, what its layout states about labels, and notes for the user."""

    items: tuple[SourceItem, ...]
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    labelling: Labelling = field(default_factory=Labelling)
    names_persons: bool = False
    """Whether names may be those of persons, so that ids are hashed unless somebody says otherwise."""
    free_names: bool = True
    """Whether names are the user's own, so that they may show which images are of one patient; a challenge that gave
    its names says otherwise."""
    left: tuple[tuple[str, int], ...] = ()
    """Files that the reader does not open: their number by ending."""
    hints: tuple[str, ...] = ()
    """What else lies there that masks can be made of; where nothing was found it says what to do."""


def parted(read: Iterable[SourceItem | Refusal]) -> tuple[tuple[SourceItem, ...], tuple[Refusal, ...]]:
    """Return the items among what was read, and the refusals."""
    of_kind = grouped((isinstance(one, Refusal), one) for one in read)
    return tuple(of_kind.get(False, ())), tuple(of_kind.get(True, ()))  # type: ignore[arg-type]


def safe_id(name: str) -> str:
    """Return an id of letters, digits, ``_`` and ``-`` for a name or relative path without its ending.

    Names that lose something (dots, blanks, letters outside ASCII, length) get eight hexadecimal digits of their
    digest, so that two names never become one id.
    """
    plain = name.replace("/", "-")
    safe = _UNSAFE.sub("_", plain)
    if safe == plain and len(safe) <= MAX_ID:
        return safe
    mark = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
    return f"{safe[: MAX_ID - 9]}-{mark}"


def case_ids(cases: Sequence[tuple[str, str]]) -> list[str]:
    """Return the id of each case, given as name and relative path: its path where several have the name."""
    named = Counter(safe_id(name).casefold() for name, _ in cases)
    return [safe_id(name if named[safe_id(name).casefold()] == 1 else path) for name, path in cases]


def common_channels(cases: Sequence[Collection[Channel]]) -> list[Channel]:
    """Return the channels that at least half of the cases have, sorted."""
    counts = Counter(channel for case in cases for channel in set(case))
    return sorted(channel for channel, count in counts.items() if 2 * count >= len(cases))


def pair_problem(images: Sequence[str], masks: Sequence[str]) -> str:
    """Return why images and masks of one name are no pair, or an empty text."""
    if not masks:
        return "image has no mask; add the mask or remove the image"
    if not images:
        return "mask has no image; add the image or remove the mask"
    for kind, paths in (("images", images), ("masks", masks)):
        if len(paths) > 1:
            return f"{len(paths)} {kind} have one name: {', '.join(paths)}; keep one, or give a folder with one of them"
    return ""
