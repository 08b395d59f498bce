"""What every benchmark prints: a table, then its claims, each with the bound and whether it was met."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """A measured number and the bound that it has to keep.

    Attributes
    ----------
    least, most : float or None
        Bounds; one of them is given.
    """

    name: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the bound is kept; NaN keeps none."""
        above = self.least is None or self.value >= self.least
        below = self.most is None or self.value <= self.most
        return above and below

    def __str__(self) -> str:
        bound = f"at least {self.least:.4g}" if self.least is not None else f"at most {self.most:.4g}"
        return f"{'met   ' if self.is_met else 'MISSED'}  {self.name}: {self.value:.3g} (claimed: {bound})"


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of texts in columns; the first column is set left, the others right."""
    print(f"\n{title}")
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        first, *rest = (text.ljust(width) if i == 0 else text.rjust(width) for i, (text, width) in enumerate(
            zip(line, widths, strict=True)
        ))  # fmt: skip
        print("  ".join(["", first, *rest]))


def conclude(claims: Sequence[Claim]) -> int:
    """Print the claims and return the exit status: 1 if one was missed, else 0."""
    print()
    for claim in claims:
        print(claim)
    return 0 if all(claim.is_met for claim in claims) else 1
