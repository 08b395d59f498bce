"""The GPU half: from an inventory to a finished cache; what is finished already is kept."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from hsmix_gen.pipeline.execution.isolation import WholeUnit, finish_jobs
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.units import Runner, Unit, Worker
from hsmix_gen.pipeline.features.cache_description import Prepared, begin, save
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.image_units import make_images
from hsmix_gen.pipeline.features.layers import Layers, ReusedRows, make_static_saliency, make_superpixels
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.sources.inventory import Inventory
from hsmix_gen.pipeline.sources.scan import read_options
from hsmix_gen.pipeline.sources.source_records import check_same, per_fold, with_refusals
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import BlockRecord, Refusal, SourceItem, SourceRecord
from hsmix_gen.stages.saliency.backend import backend_of

if TYPE_CHECKING:
    from hsmix_gen.pipeline.features.gradcam_units import GradCam


@dataclass(frozen=True)
class Earlier:
    """The features of a dataset that is extended: of images that are in it they are taken over.

    Attributes
    ----------
    layers : sequence of Layers
        One for each fold.
    records : sequence of SourceRecord
        Their rows.
    """

    layers: Sequence[Layers]
    records: Sequence[SourceRecord]

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Row of each image that was used."""
        return {record.id: row for row, record in enumerate(self.records) if record.refusal is None}


def prepare(
    inventory: Inventory,
    layers: Sequence[Layers],
    config: RunConfig,
    runner: Runner,
    reporter: Reporter,
    earlier: Earlier | None = None,
) -> list[Prepared]:
    """Fill the cache with the features of every usable source.

    Parameters
    ----------
    inventory : Inventory
        What the source holds.
    layers : sequence of Layers
        Where the features go, for each fold; all share images and superpixels.
    config : RunConfig
    runner : Runner
        Does the units.
    reporter : Reporter
    earlier : Earlier or None
        A finished cache of some of the sources.

    Returns
    -------
    list of Prepared
        One for each fold.

    Raises
    ------
    CacheError
        If the cache belongs to other sources.
    """
    shared = layers[0]
    check_same(shared.root, inventory.records)
    atomic_files.remove_temporaries(shared.root)
    begin(layers, inventory.records)
    filler = _Filler(shared, runner, reporter)
    records = inventory.records
    before: Sequence[Layers | None] = earlier.layers if earlier else [None] * len(layers)
    saliency = [_gradcam(fold, config, reporter, old) for fold, old in zip(layers, before, strict=True)]
    if saliency[0]:
        saliency[0].check(runner)

    blocks = _image_blocks(shared, inventory, config, _carrying(earlier, 0))
    records = with_refusals(records, filler.fill("images", shared.images, blocks))
    blocks = _blocks("superpixels", shared, make_superpixels, records, _carrying(earlier, 0), config.superpixels)
    folds = per_fold(records)
    networks = [
        unit for maker, seen in zip(saliency, folds, strict=True) if maker for unit in maker.network_units(seen)
    ]
    records = with_refusals(records, filler.fill("superpixels", shared.superpixels, blocks, first=networks))
    distinct = {fold.saliency: number for number, fold in enumerate(layers)}
    for number in sorted(distinct.values()):
        stage = "saliency" if len(distinct) == 1 else f"saliency of fold {number}"
        filler = _Filler(layers[number], runner, reporter)
        refusals = _fill_saliency(filler, stage, saliency[number], records, config, _carrying(earlier, number))
        records = with_refusals(records, refusals)
    prepared = [
        Prepared(fold, seen, inventory.unpaired, _report(maker, config), config.seed)
        for fold, seen, maker in zip(layers, per_fold(records), saliency, strict=True)
    ]
    save(prepared, records, config)
    return prepared


@dataclass(frozen=True)
class Block:
    """The job of filling one block of a layer; its parts are the rows that are not refused.

    Attributes
    ----------
    stage : str
        For messages and refusals.
    call : callable or None
        Takes layers, number, sources, `reused`, `more` and, for a trial, the place of a row; None for a worker's.
    items : sequence of SourceItem
        What files are read, if any are.
    reused : ReusedRows
        The rows that are known already.
    """

    stage: str
    layers: Layers
    number: int
    call: Callable[..., BlockRecord] | None
    sources: Sequence[SourceRecord]
    more: tuple[Any, ...] = ()
    items: Sequence[SourceItem] = ()
    reused: ReusedRows = dataclasses.field(default_factory=ReusedRows)

    @property
    def name(self) -> str:
        """What is done, for messages."""
        return f"{self.stage} of {self.sources[0].id} to {self.sources[-1].id}"

    @property
    def parts(self) -> Mapping[int, str]:
        """Ids of the images, by their place in the block."""
        return {i: source.id for i, source in enumerate(self.sources) if source.refusal is None}

    def unit(self, left_out: Mapping[int, str]) -> Unit:
        """Return the unit that fills the block, rows that are left out with zeros."""
        sources = [
            dataclasses.replace(source, refusal=left_out[i]) if i in left_out else source
            for i, source in enumerate(self.sources)
        ]
        arguments = (self.layers, self.number, sources, self.reused, *self.more)
        return Unit(self.name, self.call, arguments, may_fail=True)

    def trial(self, part: int) -> Unit:
        """Return a unit that computes one row."""
        name = f"{self.stage} of {self.sources[part].id}"
        arguments = (self.layers, self.number, self.sources, self.reused, *self.more, part)
        return Unit(name, self.call, arguments, may_fail=True, is_trial=True)

    def finished(self, result: BlockRecord, left_out: Mapping[int, str]) -> BlockRecord:
        """Return the record of the block with all refusals."""
        stage = self.stage.partition(" ")[0]
        refusals = [
            Refusal(self.sources[i].id, self.sources[i].image, stage, reason) for i, reason in sorted(left_out.items())
        ]
        return dataclasses.replace(result, refusals=(*result.refusals, *refusals))

    def told(self, reason: str) -> str:
        """Return a reason without names that are to be hidden."""
        for item in self.items:
            reason = item.told(reason)
        return reason


def _carrying(earlier: Earlier | None, fold: int) -> Callable[[Sequence[SourceRecord]], ReusedRows]:
    """Return what tells which rows of a block are known already."""

    def reused(sources: Sequence[SourceRecord]) -> ReusedRows:
        if earlier is None:
            return ReusedRows()
        rows = {i: earlier.rows[s.id] for i, s in enumerate(sources) if s.refusal is None and s.id in earlier.rows}
        return ReusedRows(earlier.layers[fold], rows)

    return reused


def _blocks(
    stage: str,
    layers: Layers,
    call: Callable[..., BlockRecord] | None,
    records: Sequence[SourceRecord],
    reused: Callable[[Sequence[SourceRecord]], ReusedRows],
    *more: Any,
) -> list[Block]:
    """Return the job of each block, in order."""
    blocks = []
    for number in range(layers.n_blocks):
        rows = layers.rows(number)
        sources = records[rows.start : rows.stop]
        blocks.append(Block(stage, layers, number, call, sources, more, reused=reused(sources)))
    return blocks


def _image_blocks(
    layers: Layers, inventory: Inventory, config: RunConfig, reused: Callable[[Sequence[SourceRecord]], ReusedRows]
) -> list[Block]:
    blocks = []
    for block in _blocks("images", layers, make_images, inventory.records, reused):
        places = [inventory.places[row] for row in layers.rows(block.number)]
        items = [place.item for place in places]
        blocks.append(dataclasses.replace(block, more=(places, read_options(config)), items=items))
    return blocks


def _fill_saliency(
    filler: "_Filler",
    stage: str,
    maker: "GradCam | None",
    records: Sequence[SourceRecord],
    config: RunConfig,
    reused: Callable[[Sequence[SourceRecord]], ReusedRows],
) -> list[Refusal]:
    layers = filler.layers
    if maker:
        blocks = _blocks(stage, layers, None, records, reused)
        return filler.fill(stage, layers.saliency, blocks, make_worker=maker.worker)
    blocks = _blocks(stage, layers, make_static_saliency, records, reused, config.saliency)
    return filler.fill(stage, layers.saliency, blocks)


def _report(maker: "GradCam | None", config: RunConfig) -> dict[str, Any]:
    return maker.report() if maker else {"backend": config.saliency.backend}


def _gradcam(layers: Layers, config: RunConfig, reporter: Reporter, earlier: Layers | None) -> "GradCam | None":
    if not backend_of(config.saliency).has_network:
        return None
    # Imports torch: two seconds and some hundred megabytes that the other backends need not spend.
    from hsmix_gen.pipeline.features.gradcam_units import GradCam

    return GradCam(layers, config, reporter, earlier)


class _Filler:
    """Runs the missing blocks of one layer after the other and commits what is finished."""

    def __init__(self, layers: Layers, runner: Runner, reporter: Reporter) -> None:
        self.layers, self._runner, self._reporter = layers, runner, reporter
        self._cache = FeatureCache(layers.root)

    def fill(
        self,
        stage: str,
        layer: str,
        blocks: Sequence[Block],
        *,
        first: Sequence[Unit] = (),
        make_worker: Callable[[], Worker] | None = None,
    ) -> list[Refusal]:
        """Do the blocks that have no valid record, after the units of `first`, and return all refusals."""
        self._cache.create(layer, self.layers.arrays(layer), n_rows=self.layers.n_rows, block=self.layers.block)
        records = self._cache.records(layer)
        missing = [block for block in blocks if block.number not in records]
        n_done = sum(len(self.layers.rows(number)) for number in records)
        run = self._runner.run if make_worker is None else partial(self._runner.run_on_workers, make_worker)
        jobs: list[WholeUnit | Block] = [*(WholeUnit(unit) for unit in first), *missing]
        with self._reporter.stage(stage, self.layers.n_rows, done=n_done) as progress:
            for _, result in finish_jobs(run, jobs, stage, self._reporter, done=n_done):
                if isinstance(result, BlockRecord):
                    self._cache.commit(result)
                    records[result.block] = result
                    progress.advance(len(self.layers.rows(result.block)))
        return [refusal for record in records.values() for refusal in record.refusals]
