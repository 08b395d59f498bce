"""What a source holds, after every file was looked at once; nothing is computed yet."""

from dataclasses import dataclass
from pathlib import Path

from hsmix_gen.pipeline.progress import Reporter
from hsmix_gen.pipeline.reading import Discovery, discover
from hsmix_gen.pipeline.running import Runner, Unit
from hsmix_gen.pipeline.scanning import SCAN_BLOCK, scan, understand, with_value_problems
from hsmix_gen.pipeline.sources import make_records
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import DatasetFacts, Refusal, ScanResult, SourceRecord


@dataclass(frozen=True)
class Inventory:
    """What a source holds, after every file was looked at once.

    Attributes
    ----------
    records : list of SourceRecord
        One for each pair, sorted by id; those that cannot be used are refused.
    unpaired : tuple of Refusal
        Files that are no part of a pair.
    """

    discovery: Discovery
    scans: list[ScanResult]
    facts: DatasetFacts
    records: list[SourceRecord]

    @property
    def unpaired(self) -> tuple[Refusal, ...]:
        """Files that are no part of a pair."""
        return self.discovery.refusals


def take_inventory(source: Path, config: RunConfig, runner: Runner, reporter: Reporter) -> Inventory:
    """Find, look at and understand all pairs of a source."""
    discovery = discover(source, config)
    for note in discovery.notes:
        reporter.note(note)
    items = discovery.items
    pieces = [items[i : i + SCAN_BLOCK] for i in range(0, len(items), SCAN_BLOCK)]
    units = [Unit(f"scan {i}", scan, (piece, config.source.max_pixels)) for i, piece in enumerate(pieces)]
    by_name: dict[str, list[ScanResult]] = {}
    with reporter.stage("scan", len(items)) as stage:
        for unit, results in runner.run(units):
            by_name[unit.name] = results
            stage.advance(len(results))
    scans = [result for unit in units for result in by_name[unit.name]]
    facts = understand(scans, config)
    scans = with_value_problems(scans, facts, items)
    return Inventory(discovery, scans, facts, make_records(items, scans))
