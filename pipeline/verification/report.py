"""What a check of a dataset covered and what it found, for people and for scripts."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from hsmix_gen.pipeline.execution.human_units import counted

Depth = Literal["names", "checksums", "samples"]
DEPTHS: tuple[Depth, ...] = get_args(Depth)
"""How deep a dataset is checked, each with all that those before it check."""
_SHOWN = 20
_LEFT_OUT: dict[Depth, str] = {
    "names": "; no shard was opened",
    "checksums": "; no sample was decoded",
    "samples": "",
}


@dataclass
class Report:
    """What was checked and what is wrong."""

    root: str
    depth: Depth
    checked: Counter[str] = field(default_factory=Counter)
    """How many things of each kind were checked."""
    problems: list[str] = field(default_factory=list)
    """Each names the file or sample, the rule and what was seen."""
    method: str = ""
    """The mixing method that made the samples; empty where it is not recorded."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {**asdict(self), "checked": dict(self.checked), "sound": not self.problems}

    def text(self) -> str:
        """Return the report for people."""
        checked = ", ".join(f"{count} {kind}" for kind, count in self.checked.items())
        left_out = _LEFT_OUT[self.depth] + (f"; mixed by {self.method}" if self.method else "")
        if not self.problems:
            return f"{self.root} is sound at depth {self.depth}: {checked} checked{left_out}"
        shown = [f"problem: {problem}" for problem in self.problems[:_SHOWN]]
        more = len(self.problems) - _SHOWN
        tail = [f"and {counted(more, 'more problem')}; --json lists all"] if more > 0 else []
        count = counted(len(self.problems), "problem")
        end = f"{self.root} has {count} at depth {self.depth}; {checked} checked{left_out}"
        return "\n".join([*shown, *tail, end])
