"""The dry run: how many samples, bytes and minutes a run would take, from a timed probe on a few images."""

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.execution.human_units import counted, size_text, time_text
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.execution.units import SerialRunner
from hsmix_gen.pipeline.features.cache_description import Prepared, check_sources
from hsmix_gen.pipeline.features.layer_keys import name_layers
from hsmix_gen.pipeline.features.network_task import ASK_EVERY, USUAL_ASKS
from hsmix_gen.pipeline.features.prepare import FeatureGeneration, prepare
from hsmix_gen.pipeline.files.lease import Lease
from hsmix_gen.pipeline.jobs.preflight import Preflight, check_access
from hsmix_gen.pipeline.jobs.run import (
    WholeJob,
    beyond_trial,
    cache_of,
    processors,
    uses_gpu,
    warn_of_unread_features,
    without_unread_maps,
)
from hsmix_gen.pipeline.mixing.card import mixed_by
from hsmix_gen.pipeline.mixing.generate import generate
from hsmix_gen.pipeline.sources.inventory import Inventory, of_records
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.stages.mixing.method import needs_of_all
from hsmix_gen.stages.planning.pairing import Plan

PROBE_IMAGES = 6
PROBE_STEPS = 10
PROBE_COPIES = 3


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a run would take."""

    images: int
    refused: int
    samples: int
    shards: int
    output_bytes: int
    cache_bytes: int
    seconds: dict[str, float]
    """Work of each stage on one processor."""
    workers: int

    @property
    def wall_seconds(self) -> float:
        """Time with all workers; the network is fitted by one of them while the others segment."""
        rest = sum(value for name, value in self.seconds.items() if name != "network")
        return max(self.seconds.get("network", 0.0), (rest + self.seconds.get("network", 0.0)) / self.workers)


def estimates_text(
    source: Path, parts: Mapping[str, tuple[Output, RunConfig]], reporter: Reporter, *, fresh: bool
) -> str:
    """Return the estimate of each dataset in words, under its name if it has one; see `estimate_text`."""
    warn_of_unread_features([config for _, config in parts.values()], reporter)
    return "\n".join(
        (f"{name}: " if name else "") + estimate_text(source, output, config, reporter, fresh=fresh)
        for name, (output, config) in parts.items()
    )


def estimate_text(source: Path, output: Output, config: RunConfig, reporter: Reporter, *, fresh: bool) -> str:
    """Return the estimate of a run in words, or refuse what the run would; nothing is written but temporary files."""
    config = without_unread_maps(config)
    found = estimate(source, output, config, reporter, fresh=fresh)
    shown = found.seconds if needs_of_all(config.mix).saliency else {**found.seconds, "saliency": None}
    stages = ", ".join(f"{name} {time_text(value)}" for name, value in shown.items() if value is not None)
    return "\n".join(
        [
            f"would write {counted(found.samples, 'sample')} in {counted(found.shards, 'shard')} "
            f"from {counted(found.images, 'image')} "
            f"({found.refused} refused), by {mixed_by(config)}",
            f"  output about {size_text(found.output_bytes)}, cache about {size_text(found.cache_bytes)}",
            f"  about {time_text(found.wall_seconds)} with {counted(found.workers, 'worker')} "
            f"(one processor: {stages})",
        ]
    )


def estimate(source: Path, output: Output, config: RunConfig, reporter: Reporter, *, fresh: bool) -> Estimate:
    """Measure the whole job on a few training images and scale it to the plan.

    Parameters
    ----------
    source : Path
    output : Output
        Is only read.
    config : RunConfig
    reporter : Reporter
    fresh : bool
        Whether the run would remove first what an earlier one left.

    Raises
    ------
    HsmixError
        What the run would refuse.
    """
    inventory, plans = _checked(source, output, config, reporter, fresh=fresh)
    runner = SerialRunner(has_gpu=False)
    probe = _probe_inventory(inventory)
    n_probe = len(probe.records)
    reporter.note(f"timing a probe of {n_probe} images")
    small = _probe_config(config)
    with tempfile.TemporaryDirectory() as folder:
        # Done twice: the first time pays for imports and first use, which a long run does not notice.
        for name in ("warm", "timed"):
            quiet = Reporter(SilentDisplay())
            cache = Path(folder) / name / "cache"
            layers = name_layers(cache, probe.records, probe, small, gpu=False)
            (prepared,) = prepare(probe, FeatureGeneration(layers, probe.records), small, runner, quiet)
            result = generate(prepared, Output(Path(folder) / name / "output"), small, runner, quiet)
        cache_bytes = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    usable = [record for record in inventory.records if record.refusal is None]
    n_samples = sum(plan.n_samples for plan in plans)
    more = {"images": len(usable) / n_probe, "samples": n_samples / result.samples}
    return Estimate(
        images=len(usable),
        refused=len(inventory.records) - len(usable) + len(inventory.unpaired),
        samples=n_samples,
        shards=sum(part.n_shards for plan in plans for part in plan.splits),
        output_bytes=result.bytes * n_samples // result.samples,
        cache_bytes=cache_bytes * len(inventory.records) // n_probe,
        seconds=_scaled(quiet.seconds, prepared, config, n_folds=len(plans), **more),
        workers=config.run.workers or processors(),
    )


def _checked(
    source: Path, output: Output, config: RunConfig, reporter: Reporter, *, fresh: bool
) -> tuple[Inventory, list[Plan]]:
    """Read the source and refuse what the run would refuse before its work; return the plan of each fold."""
    output.check_own()
    Lease(output.state, str(output.root), reporter.note).check_free()
    cache = cache_of(output, config)
    check_access([output.root, cache])
    if fresh or beyond_trial(output, config, reporter):
        # Nothing is there: a folder that is not made has the file system of the output, and no history.
        output = Output(output.root / "new")
        cache = cache_of(output, config)
    runner = SerialRunner(has_gpu=uses_gpu(config))
    preflight = Preflight(config, SerialRunner(has_gpu=False), reporter)
    _, inventory, wanted, planned = WholeJob(source, cache, output, config, runner, reporter, preflight).planned()
    check_sources(wanted.layers[0].root, wanted.records, config)
    preflight.plan(wanted.layers, planned, inventory=inventory)
    return inventory, [part.plan for part in planned]


def _probe_inventory(inventory: Inventory) -> Inventory:
    records = [r for r in inventory.records if r.split == "train" and r.refusal is None and r.chosen]
    if len(records) < 2:
        raise SourceError(f"the training split has {len(records)} usable image(s), mixing needs 2; see inspect")
    probe = records[:: max(1, len(records) // PROBE_IMAGES)][:PROBE_IMAGES]
    # A probe has no folds: they repeat its work.
    return of_records(inventory, [dataclasses.replace(record, fold=None) for record in probe])


def _probe_config(config: RunConfig) -> RunConfig:
    saliency = config.saliency.model_copy(update={"fit_steps": PROBE_STEPS, "probe_images": 2})
    mix = config.mix.model_copy(update={"copies": PROBE_COPIES, "batch_size": 2, "partners": "any"})
    output = config.output.model_copy(update={"shards": 1, "ranks": 1, "workers_per_rank": 1})
    return config.model_copy(update={"saliency": saliency, "mix": mix, "output": output})


def _scaled(
    seconds: dict[str, float], prepared: Prepared, config: RunConfig, *, images: float, samples: float, n_folds: int
) -> dict[str, float]:
    """Return the seconds of a probe for a run with so many times more images and samples."""
    # A network, and what follows from it, is made for each fold.
    network = prepared.saliency.get("seconds")
    networks = n_folds if network else 1
    scaled = {
        "images": seconds["images"] * images,
        "superpixels": seconds["superpixels"] * images,
        "saliency": seconds["saliency"] * images * networks,
        "mix": seconds["mix"] * samples,
    }
    if network:
        steps = min(USUAL_ASKS * ASK_EVERY, config.saliency.fit_steps)
        layer = network["layer"] * config.saliency.probe_images / 2 * -(-steps // ASK_EVERY)
        scaled["network"] = (network["fit"] * steps / PROBE_STEPS + layer) * networks
    return scaled
