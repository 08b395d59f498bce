"""The GPU half: from an inventory to a finished cache; what is finished already is kept."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hsmix_gen.pipeline import storage
from hsmix_gen.pipeline.cache import FeatureCache
from hsmix_gen.pipeline.features import Layers, make_images, make_static_saliency, make_superpixels
from hsmix_gen.pipeline.inventory import Inventory
from hsmix_gen.pipeline.prepared import Prepared, begin, save
from hsmix_gen.pipeline.progress import Reporter
from hsmix_gen.pipeline.running import Runner, Unit, Worker
from hsmix_gen.pipeline.sources import check_same, with_refusals
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import BlockRecord, Refusal, SourceRecord

if TYPE_CHECKING:
    from hsmix_gen.pipeline.gradcam_units import GradCam


def prepare(inventory: Inventory, layers: Layers, config: RunConfig, runner: Runner, reporter: Reporter) -> Prepared:
    """Fill the cache with the features of every usable source.

    Parameters
    ----------
    inventory : Inventory
        What the source holds.
    layers : Layers
        Where the features go.
    config : RunConfig
    runner : Runner
        Does the units.
    reporter : Reporter

    Raises
    ------
    CacheError
        If the cache belongs to other sources.
    """
    check_same(layers.root, inventory.records)
    storage.remove_temporaries(layers.root)
    begin(layers, inventory.records)
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
    prepared = Prepared(layers, records, inventory.unpaired, report, config.seed)
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
