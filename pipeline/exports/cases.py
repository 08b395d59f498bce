"""Whole cases of a dataset: the slices of each volume that is evaluated on, put together again."""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from hsmix_gen.pipeline.exports.base import Dataset, Sample
from hsmix_gen.schemas.records import SourceRecord

_PLANE = re.compile(r"#plane=(\d+)")


@dataclass
class Case:
    """A volume on its way: its slices so far, by plane."""

    name: str
    split: str
    wanted: int = 0
    """Slices that it has."""
    thickness: float | None = None
    """Millimetres between its planes, where the source states them."""
    slices: dict[int, Sample] = field(default_factory=dict)

    def add(self, plane: int, sample: Sample) -> bool:
        """Take a slice; return whether the volume is whole."""
        self.slices[plane] = sample
        return len(self.slices) == self.wanted

    def take(self) -> list[Sample]:
        """Return the slices in the order of their planes, and keep them no longer."""
        ordered = [self.slices[plane] for plane in sorted(self.slices)]
        self.slices = {}
        return ordered


def cases_of(dataset: Dataset, splits: Collection[str]) -> dict[str, tuple[Case, int]]:
    """Return volume and plane of each sample of some splits, by its key; a picture is a volume of one slice.

    A volume has the name of its group, where that has one volume only, else that of its first sample.
    """
    members: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    for row in sorted(dataset.rows.values(), key=lambda row: row.key):
        if row.split in splits:
            record = dataset.sources.get(row.source_a)
            # Without its record a sample is a volume by itself. Tiles of a plane are no slices: each tile of a volume
            # is a volume of its own.
            volume, plane = (_PLANE.sub("", record.image), record.plane) if record else (row.source_a, 0)
            members.setdefault((row.split, volume), []).append((plane, row.key, row.group_a))
    groups = Counter((split, slices[0][2]) for (split, _), slices in members.items())
    found: dict[str, tuple[Case, int]] = {}
    used: set[str] = set()
    for (split, _), slices in members.items():
        _, first, group = min(slices)
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", group)
        name = name if len(slices) > 1 and groups[split, group] == 1 and name not in used else first
        used.add(name)
        case = Case(name, split, len(slices), _thickness(dataset.sources.get(dataset.rows[first].source_a)))
        found |= {key: (case, plane) for plane, key, _ in slices}
    return found


def _thickness(record: SourceRecord | None) -> float | None:
    spacing = record.spacing if record else None
    return spacing[2] if spacing is not None and len(spacing) > 2 and spacing[2] > 0 else None
