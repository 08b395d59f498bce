"""What readers of cases with several files share: channels that cases have in common, and ids."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TypeVar

from hsmix_gen.pipeline.readers.paths.ids import safe_id

Channel = TypeVar("Channel", int, str)


def common_channels(cases: Sequence[Collection[Channel]]) -> list[Channel]:
    """Return the channels that at least half of the cases have, sorted."""
    counts = Counter(channel for case in cases for channel in set(case))
    return sorted(channel for channel, count in counts.items() if 2 * count >= len(cases))


def case_ids(cases: Sequence[tuple[str, str]]) -> list[str]:
    """Return an id for each case: of its name, or of its path where several cases have the name.

    Parameters
    ----------
    cases : sequence of (str, str)
        Name and relative path of each case.
    """
    named = Counter(safe_id(name).casefold() for name, _ in cases)
    return [safe_id(name if named[safe_id(name).casefold()] == 1 else path) for name, path in cases]
