"""Whole cases of a dataset: the slices of each volume that is evaluated on, put together again."""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from hsmix_gen.pipeline.execution.human_units import counted
from hsmix_gen.pipeline.exports.base import Dataset, Sample
from hsmix_gen.pipeline.files.state_names import STATE
from hsmix_gen.schemas.records import SourceRecord

_PLANE = re.compile(r"#plane=(\d+)")
_TILE = re.compile(r"#plane=\d+,tile=")


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

    def add(self, plane: int, sample: Sample) -> list[Sample]:
        """Take a slice; once the volume is whole return all, in the order of their planes, and keep them no longer."""
        self.slices[plane] = sample
        return [self.slices.pop(plane) for plane in sorted(self.slices)] if len(self.slices) == self.wanted else []


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


def has_volumes(cases: dict[str, tuple[Case, int]]) -> bool:
    """Return whether a case has several slices."""
    return any(case.wanted > 1 for case, _ in cases.values())


def case_notes(dataset: Dataset, cases: dict[str, tuple[Case, int]]) -> list[str]:
    """Return why metrics of these cases would not be those of the source, where something is known to be so."""
    rows = [dataset.rows[key] for key in cases]
    if not dataset.sources:
        several = [group for group, count in Counter(row.group_a for row in rows).items() if count > 1]
        # Those of one group may be slices of a volume, or pictures of a patient: nothing else says so here.
        why = f"the dataset lacks its {STATE}, which states what are slices of one volume, so each image is a case"
        return [f"{why}: export volumes where they were made"] if several else []
    records = [dataset.sources[row.source_a] for row in rows if row.source_a in dataset.sources]
    files = {_file_of(record) for record in records}
    lost = [r for r in dataset.sources.values() if r.refusal and not r.is_left_out and _file_of(r) in files]
    notes = []
    if lost:
        notes.append(f"these cases lack {counted(len(lost), 'refused slice')}, first {lost[0].id}")
    if any(_TILE.search(record.image) for record in records):
        notes.append("cases are tiles, as the dataset was made with --tiles: metrics are of tiles, not of whole images")
    elif has_volumes(cases) and not dataset.is_native and {(r.height, r.width) for r in records} != {dataset.size}:
        height, width = dataset.size
        notes.append(
            f"slices of whole volumes have {height} x {width} pixels, not their own: for metrics of the source make "
            "the dataset with --eval-size native"
        )
    return notes


def _file_of(record: SourceRecord) -> str:
    """Return the file that a slice, or a tile of it, was cut from."""
    return record.image.partition("#plane=")[0]


def _thickness(record: SourceRecord | None) -> float | None:
    spacing = record.spacing if record else None
    return spacing[2] if spacing is not None and len(spacing) > 2 and spacing[2] > 0 else None
