"""The GPU half: from an inventory to a finished cache; what is finished already is kept."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from hsmix_gen.pipeline.execution.isolation import Job, WholeUnit, finish_jobs
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.units import Runner, Unit, Worker
from hsmix_gen.pipeline.features.brought_regions import PRECOMPUTED, make_brought_regions
from hsmix_gen.pipeline.features.cache_description import Prepared, begin, save
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.gradcam_stage import GradCamStage
from hsmix_gen.pipeline.features.image_units import make_images
from hsmix_gen.pipeline.features.layers import (
    BlockTask,
    Kind,
    Layers,
    ReusedRows,
    make_static_saliency,
    make_superpixels,
)
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.sources.inventory import ImageOrigin, Inventory
from hsmix_gen.pipeline.sources.scan import read_options
from hsmix_gen.pipeline.sources.source_records import per_fold, with_refusals
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import BlockRecord, Refusal, SourceItem, SourceRecord
from hsmix_gen.stages.saliency.backend import backend_of


@dataclass(frozen=True)
class FeatureGeneration:
    """The features of one generation of sources."""

    layers: Sequence[Layers]
    """One for each fold."""
    records: Sequence[SourceRecord]
    """Their rows, each with its own fold."""
    earlier: "FeatureGeneration | None" = None
    """The features that those of the same images are taken over from."""

    @property
    def is_whole(self) -> bool:
        """Whether every block is there and matches its record."""
        cache = FeatureCache(self.layers[0].root)
        names = {name for fold in self.layers for name in fold.names.values()}
        return all(len(cache.records(name)) == self.layers[0].n_blocks for name in names)

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Row of each image that was used."""
        return {record.id: row for row, record in enumerate(self.records) if record.refusal is None}

    def reused(self, fold: int, sources: Sequence[SourceRecord]) -> ReusedRows:
        """Return the rows of a block that are known from the generation before."""
        if self.earlier is None:
            return ReusedRows()
        known = self.earlier.rows
        rows = {i: known[s.id] for i, s in enumerate(sources) if s.refusal is None and s.id in known}
        return ReusedRows(self.earlier.layers[fold], rows)


def prepare(
    inventory: Inventory,
    wanted: FeatureGeneration,
    config: RunConfig,
    runner: Runner,
    reporter: Reporter,
    *,
    is_half: bool = False,
) -> list[Prepared]:
    """Fill the cache with the features of every usable source; return what is prepared for each fold.

    All folds share images and superpixels; what is known from an earlier generation is copied. `is_half` says whether
    ``generate`` is to take over all options, those of mixing too. Raises CacheError if the cache belongs to other
    sources.
    """
    layers, records = wanted.layers, inventory.records
    shared = layers[0]
    begin(layers, records, config)
    atomic_files.remove_temporaries(shared.root)
    before: Sequence[Layers | None] = wanted.earlier.layers if wanted.earlier else [None] * len(layers)
    has_network = backend_of(config.saliency).has_network
    saliency = [
        GradCamStage(fold, config, reporter, old) if has_network else None
        for fold, old in zip(layers, before, strict=True)
    ]

    filler = _Filler(wanted, runner, reporter)
    records = filler.fill("images", records, make_images, read_options(config), origins=inventory.places)
    folds = per_fold(records)
    networks = [
        unit for maker, seen in zip(saliency, folds, strict=True) if maker for unit in maker.network_units(seen)
    ]
    regions = config.superpixels
    if regions.method == PRECOMPUTED:
        how, origins = read_options(config), inventory.places
        records = filler.fill(
            "superpixels", records, make_brought_regions, how, regions, origins=origins, first=networks
        )
    else:
        records = filler.fill("superpixels", records, make_superpixels, regions, first=networks)
    distinct = {fold.saliency: number for number, fold in enumerate(layers)}
    for number in sorted(distinct.values()):
        filler = _Filler(wanted, runner, reporter, fold=number, is_alone=len(distinct) == 1)
        maker = saliency[number]
        if maker and runner.has_gpu:
            records = filler.fill("saliency", records, None, make_worker=maker.worker)
        elif maker:
            records = filler.fill("saliency", records, maker.on_processor)
        else:
            records = filler.fill("saliency", records, make_static_saliency, config.saliency)
    reports = [maker.report() if maker else {"backend": config.saliency.backend} for maker in saliency]
    prepared = [
        Prepared(fold, seen, inventory.unpaired, report, config.seed)
        for fold, seen, report in zip(layers, per_fold(records), reports, strict=True)
    ]
    save(prepared, records, config, is_half=is_half)
    return prepared


@dataclass(frozen=True)
class Block(Job):
    """The job of filling one block of a layer; its parts are the rows that are not refused."""

    stage: str
    """For messages."""
    task: BlockTask
    call: Callable[..., BlockRecord] | None
    """Takes the task and `more`; None for a worker's."""
    more: tuple[Any, ...] = ()
    items: Sequence[SourceItem] = ()

    @property
    def name(self) -> str:
        """What is done, for messages."""
        return f"{self.stage} of {self.task.sources[0].id} to {self.task.sources[-1].id}"

    @property
    def parts(self) -> Mapping[int, str]:
        """Ids of the images, by their place in the block."""
        return {i: source.id for i, source in enumerate(self.task.sources) if source.refusal is None}

    def unit(self, left_out: Mapping[int, str]) -> Unit:
        """Return the unit that fills the block, rows that are left out with zeros."""
        sources = [replace(s, refusal=left_out[i]) if i in left_out else s for i, s in enumerate(self.task.sources)]
        return Unit(self.name, self.call, (replace(self.task, sources=sources), *self.more), may_fail=True)

    def trial(self, part: int) -> Unit:
        """Return a unit that computes one row."""
        name = f"{self.stage} of {self.task.sources[part].id}"
        return Unit(name, self.call, (replace(self.task, only=part), *self.more), may_fail=True, is_trial=True)

    def finished(self, result: BlockRecord, left_out: Mapping[int, str]) -> BlockRecord:
        """Return the record of the block with all refusals."""
        sources = self.task.sources
        refusals = [
            Refusal(sources[i].id, sources[i].image, self.task.kind, why) for i, why in sorted(left_out.items())
        ]
        return replace(result, refusals=(*result.refusals, *refusals))


class _Filler:
    """Runs the missing blocks of one layer after the other and commits what is finished."""

    def __init__(
        self, wanted: FeatureGeneration, runner: Runner, reporter: Reporter, *, fold: int = 0, is_alone: bool = True
    ) -> None:
        self._wanted, self._fold, self._is_alone = wanted, fold, is_alone
        self._layers, self._runner, self._reporter = wanted.layers[fold], runner, reporter
        self._cache = FeatureCache(self._layers.root)

    def fill(
        self,
        kind: Kind,
        records: Sequence[SourceRecord],
        call: Callable[..., BlockRecord] | None,
        *more: Any,
        origins: Sequence[ImageOrigin] = (),
        first: Sequence[Unit] = (),
        make_worker: Callable[[], Worker] | None = None,
    ) -> list[SourceRecord]:
        """Do the blocks that have no valid record, after the units of `first`; return the records with all refusals."""
        layers, layer = self._layers, self._layers.names[kind]
        stage = kind if self._is_alone else f"{kind} of fold {self._fold}"
        self._cache.create(layer, layers.arrays(layer), n_rows=layers.n_rows, block=layers.block)
        done = self._cache.records(layer)
        missing = []
        for number in range(layers.n_blocks):
            if number not in done:
                part = slice(layers.rows(number).start, layers.rows(number).stop)
                sources, read = records[part], origins[part]
                task = BlockTask(layers, kind, number, sources, self._wanted.reused(self._fold, sources))
                arguments = (read, *more) if origins else more
                missing.append(Block(stage, task, call, arguments, [origin.item for origin in read]))
        n_done = sum(len(layers.rows(number)) for number in done)
        run = self._runner.run if make_worker is None else partial(self._runner.run_on_workers, make_worker)
        jobs: list[WholeUnit | Block] = [*(WholeUnit(unit) for unit in first), *missing]
        with contextlib.ExitStack() as stack:
            network = stack.enter_context(self._reporter.stage("network", len(first))) if first else None
            progress = stack.enter_context(self._reporter.stage(stage, layers.n_rows, done=n_done))
            for _, result in finish_jobs(run, jobs, stage, self._reporter, done=n_done):
                if isinstance(result, BlockRecord):
                    self._cache.commit(result)
                    done[result.block] = result
                    progress.advance(len(layers.rows(result.block)))
                elif network is not None:
                    network.advance()
                    if not progress.has_advanced:
                        progress.restart()
        return with_refusals(records, [refusal for record in done.values() for refusal in record.refusals])
