"""What an output knows of its sources, which later runs keep: splits, folds, refusals."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from hsmix_gen.schemas.records import SourceItem, SourceRecord, Split

Retry = Literal["nothing", "mended", "all"]
"""Which refused sources a run reads again: none, those whose scan finds no problem any more, or whatever failed
later than that too."""
_SCAN = "scan: "


@dataclass(frozen=True)
class Known:
    """The sources that an output is bound to."""

    records: Sequence[SourceRecord]
    """By the last run, each with its own fold."""
    first: Sequence[SourceRecord]
    """By the first run, from which the classes and the like were understood."""
    retry: Retry = "nothing"
    """Which of the refused ones are read again."""

    @cached_property
    def splits(self) -> Mapping[str, Split]:
        """Split of each group, without folds."""
        return {record.group: record.split for record in self.records}

    @cached_property
    def folds(self) -> Mapping[str, int]:
        """Fold of each group that has one."""
        return {record.group: record.fold for record in self.records if record.fold is not None}

    @cached_property
    def used(self) -> frozenset[str]:
        """Ids of the sources that are mixed or passed through."""
        return frozenset(record.id for record in self.records if record.refusal is None)

    @cached_property
    def refused_by_scan(self) -> frozenset[str]:
        """Ids of the sources that were refused by their first look."""
        return frozenset(r.id for r in self.records if (r.refusal or "").startswith(_SCAN))

    @cached_property
    def contents(self) -> frozenset[tuple[str, str, str]]:
        """Ids and contents that the first run saw."""
        return frozenset((r.id, r.image_sha256, r.mask_sha256) for r in self.first)

    def kept(self, records: Sequence[SourceRecord], items: Sequence[SourceItem]) -> list[SourceRecord | None]:
        """Return what becomes of records as they were found, in order; None: it is left out.

        A source that was refused stays as it was unless it is read again, and so do the slices of a volume
        that was refused as a whole.

        Parameters
        ----------
        records : sequence of SourceRecord
        items : sequence of SourceItem
            The picture or volume of each record.
        """
        before = {record.id: record for record in self.records}
        kept: list[SourceRecord | None] = []
        for record, item in zip(records, items, strict=True):
            whole = before.get(record.id) or before.get(item.id)
            if whole is None or whole.refusal is None or self._is_retried(whole, record):
                kept.append(record)
            else:
                kept.append(whole if whole.id == record.id else None)
        return kept

    def lost(self, records: Sequence[SourceRecord], items: Sequence[SourceItem]) -> list[SourceRecord]:
        """Return refused sources that are not among the records and did not become slices of a volume either."""
        there = {record.id for record in records} | (set() if self.retry == "nothing" else {item.id for item in items})
        return [record for record in self.records if record.refusal is not None and record.id not in there]

    def _is_retried(self, before: SourceRecord, now: SourceRecord) -> bool:
        if self.retry == "nothing" or now.refusal is not None:
            return False
        return self.retry == "all" or before.id in self.refused_by_scan


def without_fold_view(folds: Sequence[Sequence[SourceRecord]]) -> list[SourceRecord]:
    """Return records with the fold in which each is validated on, from the records as each fold sees them."""
    home = {r.id: k for k, records in enumerate(folds) for r in records if r.fold is not None and r.split == "val"}
    return [
        record if record.fold is None else dataclasses.replace(record, split="train", fold=home[record.id])
        for record in folds[0]
    ]
