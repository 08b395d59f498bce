"""What a source holds, after every file was read once; nothing is computed yet."""

import contextlib
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.execution.human_units import counted
from hsmix_gen.pipeline.execution.isolation import Job, finish_jobs
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.units import Runner, Unit
from hsmix_gen.pipeline.files.local_mirror import naming_addresses, with_addresses
from hsmix_gen.pipeline.sources.dataset_facts import understand, with_problems
from hsmix_gen.pipeline.sources.discovery import Discovery, discover
from hsmix_gen.pipeline.sources.earlier_sources import Known
from hsmix_gen.pipeline.sources.palettes import COLOURED_FORMATS, by_colour, colour_classes, with_coloured_mask
from hsmix_gen.pipeline.sources.scan import SCAN_BLOCK, ScanOptions, scan, scan_options
from hsmix_gen.pipeline.sources.scan_notes import scan_notes
from hsmix_gen.pipeline.sources.source_records import make_records, with_folds
from hsmix_gen.pipeline.sources.staging import stage
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import DatasetFacts, Part, Refusal, ScanResult, SourceItem, SourceRecord, picture
from hsmix_gen.stages.imaging.similarity import near_duplicates

_SHOWN_TWINS = 3


@dataclass(frozen=True)
class ImageOrigin:
    """Where one image comes from: an item and a part of it."""

    item: SourceItem
    part: Part


@dataclass(frozen=True)
class Inventory:
    """What a source holds, after every file was read once."""

    discovery: Discovery
    scans: list[ScanResult]
    """One for each image, sorted by id, as are `places` and `records`."""
    places: list[ImageOrigin]
    facts: DatasetFacts
    records: list[SourceRecord]
    """Images that cannot be used carry their refusal."""
    twins: list[tuple[int, int, int]]
    """Pairs of images of different groups that look alike, and in how many of 64 bits they differ."""
    notes: tuple[str, ...]
    """What was understood and chosen, for the user."""

    @property
    def unpaired(self) -> tuple[Refusal, ...]:
        """Files that are no part of a pair."""
        return self.discovery.refusals


def take_inventory(
    source: Path, config: RunConfig, runner: Runner, reporter: Reporter, known: Known | None = None,
    *, states_notes: bool = False,
) -> Inventory:  # fmt: skip
    """Read a source, which is staged first where it lies in a store; messages about it name its addresses.

    What a dataset knows of its sources already is kept. What is understood is not reported if the caller states it.
    """
    with naming_addresses():
        local, seen = stage(source, config, reporter.note)
        with reporter.of_stages() if states_notes else contextlib.nullcontext(reporter) as shown:
            inventory = _take_inventory(local, seen, runner, shown, known)
    unpaired = tuple(
        dataclasses.replace(refusal, path=with_addresses(refusal.path), reason=with_addresses(refusal.reason))
        for refusal in inventory.unpaired
    )
    notes = tuple(with_addresses(note) for note in inventory.notes)
    discovery = dataclasses.replace(inventory.discovery, refusals=unpaired)
    return dataclasses.replace(inventory, discovery=discovery, notes=notes)


def _take_inventory(
    source: Path, config: RunConfig, runner: Runner, reporter: Reporter, known: Known | None
) -> Inventory:
    """Find, read and understand all images of a source."""
    discovery = discover(source, config, known.splits if known else None)
    for note in discovery.notes:
        reporter.note(with_addresses(note))
    options = scan_options(config, discovery.labelling)
    scans, places = _scanned(discovery.items, options, runner, reporter)
    seen = scan_notes(scans, [place.item for place in places], config)
    discovery = dataclasses.replace(discovery, warnings=(*discovery.warnings, *seen))
    for warning in discovery.warnings:
        reporter.warn(with_addresses(warning))
    colours = colour_classes(scans, config.source) if options.has_palettes else None
    labelling = discovery.labelling
    if colours is not None:
        labelling = colours[0]
        scans = [by_colour(scan) for scan in scans]
        places = [dataclasses.replace(place, item=with_coloured_mask(place.item)) for place in places]
    facts, notes, shades = understand(_first_seen(scans, known), config, labelling)
    scans = with_problems(
        scans,
        facts,
        [place.item.without_hidden(place.item.mask.uri) for place in places],
        shades=shades,
        bits=discovery.labelling.bits and not facts.multilabel,
        coloured=any(place.item.mask.format in COLOURED_FORMATS for place in places),
    )
    scans = _whole_or_refused(scans, places)
    records = make_records([place.item for place in places], scans, known.used if known else frozenset())
    facts = _with_slices(facts, records, scans, known, of_pictures=discovery.has_slices)
    if config.source.folds is not None:
        dealt = known.folds if known else None
        records = with_folds(records, scans, config.source.folds, seed=config.seed, known=dealt)
    looks = [scan.look if record.refusal is None else None for record, scan in zip(records, scans, strict=True)]
    twins = near_duplicates(looks, [record.group for record in records])
    notes = [*([colours[1]] if colours else []), *notes, *_twin_notes(records, twins)]
    for note in notes:
        reporter.note(note)
    inventory = Inventory(discovery, scans, places, facts, records, twins, (*discovery.notes, *notes))
    return _keeping(inventory, known, reporter) if known else inventory


def _whole_or_refused(scans: Sequence[ScanResult], places: Sequence[ImageOrigin]) -> list[ScanResult]:
    """Return the scans, those of a volume that is evaluated on refused together: metrics are of whole volumes.

    Of a volume that is also trained on, in other folds, the slices that are chosen stay.
    """
    first: dict[str, ScanResult] = {}
    for one, place in zip(scans, places, strict=True):
        if one.volume and one.problem is not None:
            first.setdefault(place.item.id, one)
    return [
        dataclasses.replace(one, problem=f"its volume has the slice {torn.id}, which cannot be used: {torn.problem}")
        if one.problem is None
        and (torn := first.get(place.item.id)) is not None
        and (place.item.split in ("val", "test") or not one.chosen)
        else one
        for one, place in zip(scans, places, strict=True)
    ]


def _first_seen(scans: Sequence[ScanResult], known: Known | None) -> Sequence[ScanResult]:
    """Return what was seen of the images from which a dataset was understood first, or of all."""
    if known is None:
        return scans
    return [s for s in scans if (s.id, s.image_sha256, s.mask_sha256) in known.contents] or scans


def _keeping(inventory: Inventory, known: Known, reporter: Reporter) -> Inventory:
    """Return an inventory in which sources that a dataset refused stay refused, but for those read again."""
    items = [place.item for place in inventory.places]
    kept = known.kept(inventory.records, items)
    pairs = zip(kept, inventory.records, strict=True)
    mended = {old.id for old, new in pairs if old and old.refusal and not new.refusal} & known.refused_by_scan
    if mended and known.retry == "nothing":
        reporter.note(
            f"{len(mended)} source(s) that the dataset refused could be used now, first {min(mended)}; "
            "hsmix-gen retry-refused takes them in"
        )
    records = [record for record in kept if record is not None]
    records += known.lost(inventory.records, items)
    return of_records(inventory, sorted(records, key=lambda record: record.id))


def of_records(inventory: Inventory, records: Sequence[SourceRecord]) -> Inventory:
    """Return an inventory of some records, which by their ids are those of the inventory, or refused."""
    rows = {record.id: row for row, record in enumerate(inventory.records)}
    scans, places = [], []
    for record in records:
        if record.id in rows:
            scans.append(inventory.scans[rows[record.id]])
            places.append(inventory.places[rows[record.id]])
        else:
            item = SourceItem(record.id, picture(record.image), picture(record.mask))
            scans.append(ScanResult(record.id, problem=record.refusal or "missing"))
            places.append(ImageOrigin(item, Part()))
    return dataclasses.replace(inventory, records=list(records), scans=scans, places=places, twins=[])


@dataclass(frozen=True, eq=False)
class Piece(Job):
    """The job of reading some items; its parts are the items."""

    options: ScanOptions
    items: Sequence[SourceItem] = ()

    @property
    def name(self) -> str:
        """What is done, for messages."""
        return f"scan of {self.items[0].id} to {self.items[-1].id}"

    @property
    def parts(self) -> Mapping[int, str]:
        """Ids of the items, by their place."""
        return {i: item.id for i, item in enumerate(self.items)}

    def unit(self, left_out: Mapping[int, str]) -> Unit | None:
        """Return the unit that reads the items that are not left out."""
        items = [item for i, item in enumerate(self.items) if i not in left_out]
        return Unit(self.name, scan, (items, self.options), may_fail=True) if items else None

    def trial(self, part: int) -> Unit:
        """Return a unit that reads one item."""
        item = self.items[part]
        return Unit(f"scan of {item.id}", scan, ([item], self.options), may_fail=True, is_trial=True)

    def finished(self, result: Any, left_out: Mapping[int, str]) -> list[list[ScanResult]]:
        """Return the images of each item; what was left out has its reason as its problem."""
        seen = iter(result or ())
        return [
            [ScanResult(item.id, problem=left_out[i])] if i in left_out else next(seen)
            for i, item in enumerate(self.items)
        ]


def _with_slices(
    facts: DatasetFacts,
    records: Sequence[SourceRecord],
    scans: Sequence[ScanResult],
    known: Known | None,
    *,
    of_pictures: bool,
) -> DatasetFacts:
    """Return the facts with `volumes` set where several arrays are of one case: slices in files of their own.

    With `of_pictures`, names show the same for pictures.
    """
    first = {scan.id for scan in _first_seen(scans, known)}
    cases = [
        record.group
        for record, scan in zip(records, scans, strict=True)
        if record.refusal is None and (of_pictures or not scan.picture) and record.id in first
    ]
    return dataclasses.replace(facts, volumes=facts.volumes or len(set(cases)) < len(cases))


def _scanned(
    items: Sequence[SourceItem], options: ScanOptions, runner: Runner, reporter: Reporter
) -> tuple[list[ScanResult], list[ImageOrigin]]:
    """Return what was seen of each image and where it comes from, sorted by id."""
    pieces = [Piece(options, tuple(piece)) for piece in _pieces(items)]
    found: dict[Piece, list[list[ScanResult]]] = {}
    # Starts Ray where it is late, which is no part of the scan's time.
    run = runner.run
    with reporter.stage("scan", len(items)) as stage:
        for piece, results in finish_jobs(run, pieces, "scan", reporter):
            found[piece] = results
            stage.advance(len(results))
    seen = [
        (result, ImageOrigin(item, result.part))
        for piece in pieces
        for item, results in zip(piece.items, found[piece], strict=True)
        for result in results
    ]
    seen.sort(key=lambda pair: pair[0].id)
    for (one, place), (other, twin) in itertools.pairwise(seen):
        if one.id == other.id:
            raise SourceError(
                f"{place.item.image.uri} and {twin.item.image.uri} both have an image {one.id}; rename one of them"
            )
    return [result for result, _ in seen], [place for _, place in seen]


def _pieces(items: Sequence[SourceItem]) -> list[list[SourceItem]]:
    """Cut items into units: pictures in blocks, others, which may be volumes, one by one."""
    pieces: list[list[SourceItem]] = []
    for item in items:
        small = item.image.format == "picture"
        if pieces and small and len(pieces[-1]) < SCAN_BLOCK and pieces[-1][0].image.format == "picture":
            pieces[-1].append(item)
        else:
            pieces.append([item])
    return pieces


def _twin_notes(records: Sequence[SourceRecord], twins: Sequence[tuple[int, int, int]]) -> list[str]:
    if not twins:
        return []
    homes = [(record.split, record.fold) for record in records]
    across = [pair for pair in twins if homes[pair[0]] != homes[pair[1]]]
    first = list(dict.fromkeys([*across, *twins]))[:_SHOWN_TWINS]
    shown = ", ".join(f"{records[i].id} and {records[j].id}" for i, j, _ in first)
    where = f", {len(across)} of them across splits or folds" if across else ""
    pairs = f"{counted(len(twins), 'pair')} of images of different groups look alike"
    return [f"{pairs}{where}: {shown}; see whether they are copies"]
