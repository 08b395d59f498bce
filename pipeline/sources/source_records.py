"""Source records: from what was found and scanned to the rows of the cache."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hsmix_gen.pipeline.execution.human_units import counted, first_of
from hsmix_gen.pipeline.files.local_mirror import with_addresses
from hsmix_gen.pipeline.files.state_names import STATE
from hsmix_gen.pipeline.files.tables import read_sources
from hsmix_gen.pipeline.readers.paths.grouped import grouped
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.digests import digest_of
from hsmix_gen.schemas.errors import CacheError, OutputError, SourceError
from hsmix_gen.schemas.records import Content, Part, Refusal, ScanResult, SourceItem, SourceRecord
from hsmix_gen.stages.planning.partners import merged_groups
from hsmix_gen.stages.planning.splitting import deal_folds, deal_further

SOURCES_FILE = "sources.parquet"
_SHOWN = 5
_PART = "#plane="
"""How the part of a file begins that an image is, behind the name of the file."""
_SLICE = re.compile(r"(-z\d+)?(-y\d+-x\d+)?$")
_TILE = re.compile(r"-y\d+-x\d+$")
"""What follows the id of a volume in that of its slice, and the id of a picture in that of its tile."""


def make_records(
    items: Sequence[SourceItem], scans: Sequence[ScanResult], used: frozenset[str] = frozenset()
) -> list[SourceRecord]:
    """Return a record for each image, from its item and what was seen of it; a problem becomes its refusal.

    Of images with the same bytes in different splits one is refused, but never one of those that a dataset uses
    already, whose ids are `used`.
    """
    records = [
        SourceRecord(
            id=scan.id,
            group=item.group or item.id,
            split=item.split or "train",
            fold=None,
            image=with_addresses(item.without_hidden(_uri(item.image, scan.part))),
            mask=with_addresses(item.without_hidden(_uri(item.mask, scan.part))),
            image_sha256=scan.image_sha256,
            mask_sha256=scan.mask_sha256,
            height=scan.height,
            width=scan.width,
            plane=scan.part.plane,
            spacing=scan.spacing,
            refusal=with_addresses(f"scan: {scan.problem}") if scan.problem else None,
            chosen=scan.chosen,
            blank=scan.blank,
            whole=scan.whole,
        )
        for item, scan in zip(items, scans, strict=True)
    ]
    return without_leakage(records, used)


def without_leakage(records: list[SourceRecord], used: frozenset[str] = frozenset()) -> list[SourceRecord]:
    """Return the records, those refused whose bytes stand in another split too.

    Raises
    ------
    SourceError
        If a group is torn between splits.
    """
    _check_groups(records)
    order = {"train": 0, "val": 1, "test": 2}
    best: dict[str, SourceRecord] = {}

    def rank(record: SourceRecord) -> tuple[bool, int]:
        return record.id in used, order[record.split]

    for record in records:
        known = best.get(record.content)
        if record.refusal is None and (known is None or rank(record) > rank(known)):
            best[record.content] = record
    return [
        dataclasses.replace(
            record, refusal=f"scan: has the same bytes as {twin.split} image {twin.id} (leakage); remove one"
        )
        if record.refusal is None and (twin := best[record.content]).split != record.split
        else record
        for record in records
    ]


def with_folds(
    records: Sequence[SourceRecord],
    scans: Sequence[ScanResult],
    count: int,
    *,
    seed: int,
    known: Mapping[str, int] | None = None,
) -> list[SourceRecord]:
    """Return the records dealt into folds, whole groups at a time; test images have none.

    Images of equal content come into one fold, whatever their groups, so that no copy is validated on.
    Folds are balanced by the classes that images hold. Where folds are `known` by group they are kept, and other
    groups come to those that hold fewest images.

    Raises
    ------
    SourceError
        If there are fewer groups than folds, or an image equals images of two folds.
    """
    pooled = [i for i, record in enumerate(records) if record.split != "test" and record.refusal is None]
    groups = merged_groups([records[i].group for i in pooled], [records[i].content for i in pooled])
    if known:
        folds = deal_further(groups, _merged_folds([records[i] for i in pooled], groups, known), count)
    else:
        strata = [tuple(value for value, _ in scans[i].mask_counts) for i in pooled]
        ranks = {stratum: rank for rank, stratum in enumerate(sorted(set(strata)))}
        folds = deal_folds(groups, [ranks[stratum] for stratum in strata], count, seed=seed)
    fold_of = dict(zip(pooled, folds, strict=True))
    return [
        dataclasses.replace(record, split="train", fold=fold_of[i]) if i in fold_of else record
        for i, record in enumerate(records)
    ]


def of_fold(records: Sequence[SourceRecord], fold: int) -> list[SourceRecord]:
    """Return the records as one fold sees them: its own images are its validation, the rest its training."""
    return [
        record
        if record.fold is None
        else dataclasses.replace(record, split="val" if record.fold == fold else "train", fold=fold)
        for record in records
    ]


def per_fold(records: Sequence[SourceRecord]) -> list[list[SourceRecord]]:
    """Return the records as each fold sees them, or as they are where there are no folds."""
    folds = sorted({record.fold for record in records if record.fold is not None})
    return [of_fold(records, fold) for fold in folds] or [list(records)]


def is_evaluated(record: SourceRecord) -> bool:
    """Return whether an image is validated on or tested, in one of the folds where there are some."""
    return record.split != "train" or record.fold is not None


def native_pixels(records: Iterable[SourceRecord], config: RunConfig) -> int:
    """Return the pixels of the largest image that is evaluated on, or 0 where all are brought to one size."""
    if config.image.eval_size == "same":
        return 0
    return max((r.height * r.width for r in records if r.refusal is None and is_evaluated(r)), default=0)


def with_refusals(records: Sequence[SourceRecord], refusals: Iterable[Refusal]) -> list[SourceRecord]:
    """Return the records, those named by a refusal refused."""
    reasons = {refusal.id: f"{refusal.stage}: {with_addresses(refusal.reason)}" for refusal in refusals}
    return [
        dataclasses.replace(record, refusal=reasons[record.id])
        if record.refusal is None and record.id in reasons
        else record
        for record in records
    ]


def refusals_of(records: Iterable[SourceRecord]) -> list[Refusal]:
    """Return the refusals that records carry; what was left out on purpose is none."""
    found = []
    for record in records:
        if record.refusal is not None and not record.is_left_out:
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
    known = bound_sources(root)
    difference = "" if known is None else describe_difference(known, records)
    if difference:
        raise CacheError(f"cache {root} was made from other sources: {difference}; {_ways_out(root)}")


def bound_sources(root: Path) -> list[SourceRecord] | None:
    """Return the sources that the last run bound a cache to; None of a new one.

    Raises
    ------
    CacheError
        If their table is damaged, with the ways out.
    """
    try:
        return read_sources(root / SOURCES_FILE)
    except FileNotFoundError:
        return None
    except OutputError:
        raise CacheError(
            f"cache {root} has a damaged {SOURCES_FILE}, so that changed sources are unknown; {_ways_out(root)}"
        ) from None


def _ways_out(cache: Path) -> str:
    clear = "start anew with --fresh" if cache.parent.name == STATE else "remove it"
    return f"choose another folder, or {clear}"


def describe_difference(old: Iterable[SourceRecord], new: Iterable[SourceRecord]) -> str:
    """Return in words what changed between two sets of sources, or an empty text."""
    before = {r.id: (r.image_sha256, r.mask_sha256) for r in old}
    after = {r.id: (r.image_sha256, r.mask_sha256) for r in new}
    kinds = {
        "changed": [name for name in after if name in before and before[name] != after[name]],
        "added": [name for name in after if name not in before],
        "missing": [name for name in before if name not in after],
    }
    return "; ".join(f"{len(names)} {kind} ({first_of(names, _SHOWN)})" for kind, names in kinds.items() if names)


def item_ids(records: Sequence[SourceRecord]) -> list[str]:
    """Return the id of the picture or volume that each image is a part of, which lists name.

    The first plane of a volume has the name of the file alone; its other planes show that it is a slice.
    """
    volumes = {_file(record) for record in records if record.plane}
    found = []
    for record in records:
        part = _SLICE if _file(record) in volumes else _TILE if _PART in record.image else None
        found.append(record.id if part is None else part.sub("", record.id))
    return found


def _file(record: SourceRecord) -> str:
    return record.image.partition(_PART)[0]


def _uri(content: Content, part: Part) -> str:
    """Return how tables name the part of a content: a plane and a tile after ``#``."""
    if part == Part():
        return content.uri
    tile = "" if part.tile is None else ",tile=" + ",".join(str(number) for number in part.tile)
    return f"{content.uri}{_PART}{part.plane}{tile}"


def _merged_folds(records: Sequence[SourceRecord], merged: Sequence[str], known: Mapping[str, int]) -> dict[str, int]:
    """Return the fold of the merged groups of which some group has one."""
    found: dict[str, int] = {}
    for record, group in zip(records, merged, strict=True):
        fold = known.get(record.group)
        if fold is not None and found.setdefault(group, fold) != fold:
            raise SourceError(
                f"{record.image} joins groups that are in folds {found[group]} and {fold} already, as images of equal "
                "content stand in both; remove what was added with it"
            )
    return found


def _check_groups(records: Sequence[SourceRecord]) -> None:
    splits = grouped((record.group, record.split) for record in records if not record.is_left_out)
    torn = sorted(group for group, found in splits.items() if len(set(found)) > 1)
    if torn:
        verb = "stands" if len(torn) == 1 else "stand"
        raise SourceError(
            f"{counted(len(torn), 'group')} {verb} in more than one split (leakage), first {torn[0]} in "
            f"{' and '.join(sorted(set(splits[torn[0]])))}; correct the split or --group-by"
        )
