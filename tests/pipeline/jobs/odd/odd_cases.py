"""What tests of odd files share: cases that spoil one of many good pairs, and what has to be told of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

PairT = TypeVar("PairT")
SeenT = TypeVar("SeenT")


@dataclass(frozen=True)
class Case(Generic[PairT, SeenT]):
    """An odd pair; `told` is what its refusal says, nothing where it is used."""

    make: Callable[[PairT], SeenT | None]
    told: tuple[str, ...] = ()
    stage: str = "scan"

    @property
    def name(self) -> str:
        """Stem of its files."""
        return self.make.__name__

    def check_reason(self, reason: str) -> None:
        """Check that a reason is one line and says what it has to."""
        assert len(reason.splitlines()) == 1
        assert [text for text in self.told if text not in reason] == [], reason


class Cases(Generic[PairT, SeenT]):
    """Cases in the order in which their functions are decorated."""

    def __init__(self) -> None:
        self._all: list[Case[PairT, SeenT]] = []

    def __iter__(self) -> Iterator[Case[PairT, SeenT]]:
        """Give one case after the other."""
        return iter(self._all)

    def used(self, make: Callable[[PairT], SeenT]) -> Callable[[PairT], SeenT]:
        """Add a case that is used."""
        self._all.append(Case(make))
        return make

    def refused(self, *told: str, stage: str = "scan") -> Callable[[Callable[[PairT], None]], Callable[[PairT], None]]:
        """Add a case that is refused."""

        def add(make: Callable[[PairT], None]) -> Callable[[PairT], None]:
            self._all.append(Case(make, told, stage))
            return make

        return add
