"""The GPU half: from an inventory to a finished cache; what is finished already is kept."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hsmix_gen.pipeline import storage
from hsmix_gen.pipeline.cache import FeatureCache
from hsmix_gen.pipeline.features import Layers, make_static_saliency, make_superpixels
from hsmix_gen.pipeline.image_units import make_images
from hsmix_gen.pipeline.inventory import Inventory
from hsmix_gen.pipeline.prepared import Prepared, begin, save
from hsmix_gen.pipeline.progress import Reporter
from hsmix_gen.pipeline.running import Runner, Unit, Worker
from hsmix_gen.pipeline.scanning import read_options
from hsmix_gen.pipeline.sources import check_same, per_fold, with_refusals
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import BlockRecord, Refusal, SourceRecord

if TYPE_CHECKING:
    from hsmix_gen.pipeline.gradcam_units import GradCam


def prepare(
    inventory: Inventory, layers: Sequence[Layers], config: RunConfig, runner: Runner, reporter: Reporter
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
    storage.remove_temporaries(shared.root)
    begin(layers, inventory.records)
    filler = _Filler(shared, runner, reporter)
    records = inventory.records
    saliency = [_gradcam(fold, config, reporter) for fold in layers]
    if saliency[0]:
        saliency[0].check(runner)

    records = with_refusals(records, filler.fill("images", shared.images, _image_units(shared, inventory, config)))
    units = _block_units("superpixels", shared, make_superpixels, records, config.superpixels)
    folds = per_fold(records)
    networks = [
        unit for maker, seen in zip(saliency, folds, strict=True) if maker for unit in maker.network_units(seen)
    ]
    filler.fill("superpixels", shared.superpixels, units, first=networks)
    distinct = {fold.saliency: (fold, maker) for fold, maker in zip(layers, saliency, strict=True)}
    for number, (fold, maker) in enumerate(distinct.values()):
        stage = "saliency" if len(distinct) == 1 else f"saliency of fold {number}"
        refusals = _fill_saliency(_Filler(fold, runner, reporter), stage, maker, records, config)
        records = with_refusals(records, refusals)
    prepared = [
        Prepared(fold, seen, inventory.unpaired, _report(maker, config), config.seed)
        for fold, seen, maker in zip(layers, per_fold(records), saliency, strict=True)
    ]
    save(prepared, records, config)
    return prepared


def _image_units(layers: Layers, inventory: Inventory, config: RunConfig) -> list[Unit]:
    return [
        Unit(
            unit.name,
            make_images,
            (*unit.arguments, [inventory.places[row] for row in layers.rows(block)], read_options(config)),
        )
        for block, unit in enumerate(_block_units("images", layers, make_images, inventory.records))
    ]


def _fill_saliency(
    filler: "_Filler", stage: str, maker: "GradCam | None", records: Sequence[SourceRecord], config: RunConfig
) -> list[Refusal]:
    layers = filler.layers
    if maker:
        units = _block_units(stage, layers, None, records)
        return filler.fill(stage, layers.saliency, units, make_worker=maker.worker)
    units = _block_units(stage, layers, make_static_saliency, records, config.saliency)
    return filler.fill(stage, layers.saliency, units)


def _report(maker: "GradCam | None", config: RunConfig) -> dict[str, Any]:
    return maker.report() if maker else {"backend": config.saliency.backend}


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


class _Filler:
    """Runs the missing blocks of one layer after the other and commits what is finished."""

    def __init__(self, layers: Layers, runner: Runner, reporter: Reporter) -> None:
        self.layers, self._runner, self._reporter = layers, runner, reporter
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
        self._cache.create(layer, self.layers.arrays(layer), n_rows=self.layers.n_rows, block=self.layers.block)
        records = self._cache.records(layer)
        missing = [unit for block, unit in enumerate(units) if block not in records]
        n_done = sum(len(self.layers.rows(block)) for block in records)
        with self._reporter.stage(stage, self.layers.n_rows, done=n_done) as progress:
            for _, result in self._results(first, missing, make_worker):
                if isinstance(result, BlockRecord):
                    self._cache.commit(result)
                    records[result.block] = result
                    progress.advance(len(self.layers.rows(result.block)))
        return [refusal for record in records.values() for refusal in record.refusals]

    def _results(
        self, first: Sequence[Unit], missing: list[Unit], make_worker: Callable[[], Worker] | None
    ) -> Iterator[tuple[Unit, Any]]:
        if make_worker is None:
            return self._runner.run([*first, *missing])
        return self._runner.run_on_workers(make_worker, missing)
