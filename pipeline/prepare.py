"""The GPU half: from a source to a finished cache; what is finished already is kept."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsmix_gen.pipeline import storage
from hsmix_gen.pipeline.cache import FeatureCache
from hsmix_gen.pipeline.features import Layers, make_images, make_static_saliency, make_superpixels
from hsmix_gen.pipeline.layer_names import name_layers
from hsmix_gen.pipeline.progress import Reporter
from hsmix_gen.pipeline.reading import Discovery, discover
from hsmix_gen.pipeline.running import Runner, Unit, Worker
from hsmix_gen.pipeline.scanning import SCAN_BLOCK, scan, understand, with_value_problems
from hsmix_gen.pipeline.sources import (
    SOURCES_FILE,
    check_same,
    make_records,
    refusals_of,
    with_refusals,
)
from hsmix_gen.pipeline.tables import read_sources, write_sources
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import CacheError
from hsmix_gen.schemas.records import BlockRecord, DatasetFacts, Refusal, ScanResult, SourceRecord

if TYPE_CHECKING:
    from hsmix_gen.pipeline.gradcam_units import GradCam

FEATURES_FILE = "features.json"


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


@dataclass(frozen=True)
class Prepared:
    """A finished cache: its sources, its layers and how the saliency came about."""

    layers: Layers
    records: list[SourceRecord]
    unpaired: tuple[Refusal, ...]
    saliency: dict[str, Any]

    @property
    def refusals(self) -> list[Refusal]:
        """Everything that was left out so far."""
        return [*self.unpaired, *refusals_of(self.records)]


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


def prepare(inventory: Inventory, root: Path, config: RunConfig, runner: Runner, reporter: Reporter) -> Prepared:
    """Fill the cache with the features of every usable source.

    Parameters
    ----------
    inventory : Inventory
        What the source holds.
    root : Path
        Folder of the cache.
    config : RunConfig
    runner : Runner
        Does the units.
    reporter : Reporter

    Raises
    ------
    CacheError
        If the cache belongs to other sources.
    """
    check_same(root, inventory.records)
    storage.remove_temporaries(root)
    layers = name_layers(root, inventory.records, inventory.facts, config, gpu=runner.has_gpu)
    _begin(layers, inventory.records)
    filler = _Filler(layers, runner, reporter)
    records = inventory.records
    gradcam = _gradcam(layers, config, reporter)
    if gradcam:
        gradcam.check(runner)

    units = _block_units("images", layers, make_images, records, config.source.max_pixels)
    records = with_refusals(records, filler.fill("images", layers.images, units))
    units = _block_units("superpixels", layers, make_superpixels, records, config.superpixels)
    network = gradcam.network_units(records) if gradcam else []
    filler.fill("superpixels", layers.superpixels, units, first=network)
    if gradcam:
        units = _block_units("saliency", layers, None, records)
        refusals = filler.fill("saliency", layers.saliency, units, make_worker=gradcam.worker)
    else:
        units = _block_units("saliency", layers, make_static_saliency, records, config.saliency)
        refusals = filler.fill("saliency", layers.saliency, units)
    records = with_refusals(records, refusals)
    report = gradcam.report() if gradcam else {"backend": config.saliency.backend}
    prepared = Prepared(layers, records, inventory.unpaired, report)
    save(prepared, config)
    return prepared


def _gradcam(layers: Layers, config: RunConfig, reporter: Reporter) -> "GradCam | None":
    if config.saliency.backend != "gradcam":
        return None
    # Imports torch: two seconds and some hundred megabytes that the other backends need not spend.
    from hsmix_gen.pipeline.gradcam_units import GradCam

    return GradCam(layers, config, reporter)


def _block_units(
    stage: str, layers: Layers, call: Callable[..., Any] | None, records: Sequence[SourceRecord], *arguments: Any
) -> list[Unit]:
    """Return one unit for each block, in order."""
    units = []
    for block in range(layers.n_blocks):
        rows = layers.rows(block)
        name = f"{stage} of {records[rows.start].id} to {records[rows.stop - 1].id}"
        units.append(Unit(name, call, (layers, block, records[rows.start : rows.stop], *arguments)))
    return units


def _begin(layers: Layers, records: Sequence[SourceRecord]) -> None:
    """Bind a new cache to its sources; withdraw the description of a cache that will hold something else."""
    sources, features = layers.root / SOURCES_FILE, layers.root / FEATURES_FILE
    if not sources.is_file():
        write_sources(sources, records)
    homes = [(record.split, record.group) for record in records]
    if features.is_file() and (
        storage.read_json(features)["layers"] != _layer_names(layers)
        or [(record.split, record.group) for record in read_sources(sources)] != homes
    ):
        features.unlink()


def _layer_names(layers: Layers) -> dict[str, str]:
    return {"images": layers.images, "superpixels": layers.superpixels, "saliency": layers.saliency}


class _Filler:
    """Runs the missing blocks of one layer after the other and commits what is finished."""

    def __init__(self, layers: Layers, runner: Runner, reporter: Reporter) -> None:
        self._layers, self._runner, self._reporter = layers, runner, reporter
        self._cache = FeatureCache(layers.root)

    def fill(
        self,
        stage: str,
        layer: str,
        units: list[Unit],
        *,
        first: Sequence[Unit] = (),
        make_worker: Callable[[], Worker] | None = None,
    ) -> list[Refusal]:
        """Do the units whose block has no valid record, after those of `first`, and return all refusals."""
        self._cache.create(layer, self._layers.arrays(layer), n_rows=self._layers.n_rows, block=self._layers.block)
        records = self._cache.records(layer)
        missing = [unit for block, unit in enumerate(units) if block not in records]
        n_done = sum(len(self._layers.rows(block)) for block in records)
        with self._reporter.stage(stage, self._layers.n_rows, done=n_done) as progress:
            for _, result in self._results(first, missing, make_worker):
                if isinstance(result, BlockRecord):
                    self._cache.commit(result)
                    records[result.block] = result
                    progress.advance(len(self._layers.rows(result.block)))
        return [refusal for record in records.values() for refusal in record.refusals]

    def _results(
        self, first: Sequence[Unit], missing: list[Unit], make_worker: Callable[[], Worker] | None
    ) -> Iterator[tuple[Unit, Any]]:
        if make_worker is None:
            return self._runner.run([*first, *missing])
        return self._runner.run_on_workers(make_worker, missing)


def save(prepared: Prepared, config: RunConfig) -> None:
    """Write the sources and the description of a finished cache, which `load` reads."""
    root = prepared.layers.root
    write_sources(root / SOURCES_FILE, prepared.records)
    description = {
        "config": config.to_dict(),
        "facts": dataclasses.asdict(prepared.layers.facts),
        "layers": _layer_names(prepared.layers),
        "saliency": prepared.saliency,
        "unpaired": [dataclasses.asdict(refusal) for refusal in prepared.unpaired],
    }
    storage.write_json(root / FEATURES_FILE, description)


def load(root: Path) -> tuple[Prepared, RunConfig]:
    """Return what `save` wrote: a finished cache and the configuration that it was made with.

    Raises
    ------
    CacheError
        If there is no finished cache.
    """
    try:
        raw = storage.read_json(root / FEATURES_FILE)
        records = read_sources(root / SOURCES_FILE)
        config = RunConfig.model_validate(raw["config"])
        facts = raw["facts"]
        layers = Layers(
            root=root,
            **raw["layers"],
            facts=DatasetFacts(
                size=tuple(facts["size"]),
                channels=facts["channels"],
                dtype=facts["dtype"],
                classes=tuple(facts["classes"]),
                mask_values=tuple((value, class_id) for value, class_id in facts["mask_values"]),
            ),
            n_rows=len(records),
            variants=config.superpixels.variants,
        )
    except (FileNotFoundError, NotADirectoryError):
        raise CacheError(
            f"{root} holds no finished features; make them with hsmix-gen prepare SOURCE --cache {root}"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise CacheError(f"{root / FEATURES_FILE} is damaged ({error}); run prepare again") from None
    unpaired = tuple(Refusal(**refusal) for refusal in raw["unpaired"])
    return Prepared(layers, records, unpaired, raw["saliency"]), config
