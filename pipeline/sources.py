"""Source records: from what was found and scanned to the rows of the cache."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from hsmix_gen.pipeline.tables import read_sources
from hsmix_gen.schemas.digests import digest_of
from hsmix_gen.schemas.errors import CacheError, SourceError
from hsmix_gen.schemas.records import Refusal, ScanResult, SourceItem, SourceRecord

SOURCES_FILE = "sources.parquet"
STATE = ".hsmix"
"""Folder inside an output that holds its state and, unless another is named, its cache."""
_SHOWN = 5


def make_records(items: Sequence[SourceItem], scans: Sequence[ScanResult]) -> list[SourceRecord]:
    """Return a record for each item; one with a problem keeps it as its refusal."""
    records = [
        SourceRecord(
            id=item.id,
            group=item.group or item.id,
            split=item.split or "train",
            fold=None,
            image=item.image,
            mask=item.mask,
            image_sha256=scan.image_sha256,
            mask_sha256=scan.mask_sha256,
            height=scan.height,
            width=scan.width,
            refusal=f"scan: {scan.problem}" if scan.problem else None,
        )
        for item, scan in zip(items, scans, strict=True)
    ]
    _check_groups(records)
    return _without_leaks(records)


def with_refusals(records: Sequence[SourceRecord], refusals: Iterable[Refusal]) -> list[SourceRecord]:
    """Return the records, those named by a refusal refused."""
    reasons = {refusal.id: f"{refusal.stage}: {refusal.reason}" for refusal in refusals}
    return [
        dataclasses.replace(record, refusal=reasons[record.id])
        if record.refusal is None and record.id in reasons
        else record
        for record in records
    ]


def refusals_of(records: Iterable[SourceRecord]) -> list[Refusal]:
    """Return the refusals that records carry."""
    found = []
    for record in records:
        if record.refusal is not None:
            stage, _, reason = record.refusal.partition(": ")
            found.append(Refusal(record.id, record.image, stage, reason))
    return found


def content_digest(records: Iterable[SourceRecord]) -> str:
    """Return the digest of ids and contents of all records, in order."""
    return digest_of([(r.id, r.image_sha256, r.mask_sha256) for r in records])


def check_same(root: Path, records: Sequence[SourceRecord]) -> None:
    """Refuse a cache whose sources have other ids or contents.

    Raises
    ------
    CacheError
        With the difference and the ways out.
    """
    path = root / SOURCES_FILE
    if not path.is_file():
        return
    difference = describe_difference(read_sources(path), records)
    if difference:
        clear = "start anew with --fresh" if root.parent.name == STATE else "remove it"
        raise CacheError(f"cache {root} was made from other sources: {difference}; choose another folder, or {clear}")


def describe_difference(old: Iterable[SourceRecord], new: Iterable[SourceRecord]) -> str:
    """Return in words what changed between two sets of sources, or an empty text."""
    before = {r.id: (r.image_sha256, r.mask_sha256) for r in old}
    after = {r.id: (r.image_sha256, r.mask_sha256) for r in new}
    kinds = {
        "changed": [name for name in after if name in before and before[name] != after[name]],
        "added": [name for name in after if name not in before],
        "missing": [name for name in before if name not in after],
    }
    return "; ".join(f"{len(names)} {kind} ({_listed(names)})" for kind, names in kinds.items() if names)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _check_groups(records: Sequence[SourceRecord]) -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    for record in records:
        splits[record.group].add(record.split)
    torn = sorted(group for group, found in splits.items() if len(found) > 1)
    if torn:
        raise SourceError(
            f"{len(torn)} groups stand in more than one split (leakage), first {torn[0]} in "
            f"{' and '.join(sorted(splits[torn[0]]))}; correct the split or --group-by"
        )


def _without_leaks(records: list[SourceRecord]) -> list[SourceRecord]:
    """Refuse images whose exact bytes also stand in a split that is tested on; the test side is kept."""
    rank = {"train": 0, "val": 1, "test": 2}
    best: dict[str, SourceRecord] = {}
    for record in records:
        known = best.get(record.image_sha256)
        if record.refusal is None and (known is None or rank[record.split] > rank[known.split]):
            best[record.image_sha256] = record
    return [
        dataclasses.replace(
            record, refusal=f"scan: has the same bytes as {twin.split} image {twin.id} (leakage); remove one"
        )
        if record.refusal is None and (twin := best[record.image_sha256]).split != record.split
        else record
        for record in records
    ]
