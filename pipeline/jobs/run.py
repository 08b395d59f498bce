"""The jobs behind the commands: a runner is started, the halves are run, a summary comes back."""

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.execution.human_units import text_of
from hsmix_gen.pipeline.execution.late_start import LateRunner
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.signals import ended_by_signals
from hsmix_gen.pipeline.execution.units import Runner, SerialRunner
from hsmix_gen.pipeline.features.cache_description import Prepared, load, of_options
from hsmix_gen.pipeline.features.chosen_sources import choose_sources
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.gradcam_stage import check_network
from hsmix_gen.pipeline.features.layer_keys import name_layers
from hsmix_gen.pipeline.features.prepare import FeatureGeneration, prepare
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.lease import Lease
from hsmix_gen.pipeline.files.store_paths import is_remote, location
from hsmix_gen.pipeline.jobs.export_fit import check_exports
from hsmix_gen.pipeline.jobs.extension import check_kept, compute_features, known_of, link_features
from hsmix_gen.pipeline.jobs.preflight import Preflight, check_writable
from hsmix_gen.pipeline.mixing.generate import Outcome, generate
from hsmix_gen.pipeline.mixing.output_plan import OutputPlan, check_output, options_of
from hsmix_gen.pipeline.sources.discovery import check_there
from hsmix_gen.pipeline.sources.earlier_sources import Known, Retry
from hsmix_gen.pipeline.sources.inventory import Inventory, take_inventory
from hsmix_gen.pipeline.sources.source_records import per_fold
from hsmix_gen.schemas.config import RunConfig, SaliencyConfig, named_key
from hsmix_gen.schemas.errors import HsmixError, OutputError
from hsmix_gen.schemas.presets import PRESETS
from hsmix_gen.stages.mixing.method import needs_of_all
from hsmix_gen.stages.saliency.backend import backend_of

Scan = Callable[[Path, RunConfig, Runner, Reporter, Known | None], Inventory]
"""What reads a source, see `take_inventory`."""


@dataclass(frozen=True)
class Finished:
    """A finished run: where it is, what it holds; of folds each has an output and an outcome of its own."""

    output: Output
    cache: Path
    outcomes: list[tuple[Output, Outcome]]


@contextlib.contextmanager
def running(
    config: RunConfig, reporter: Reporter, make: Callable[[RunConfig], Runner] | None = None
) -> Iterator[Runner]:
    """Give the runner of a configuration, started by its first unit; signals of schedulers end it as interrupts do."""

    def start() -> Runner:
        if config.run.backend == "ray":
            reporter.note("starting Ray" if config.run.address is None else f"joining Ray at {config.run.address}")
        return (make or make_runner)(config)

    with ended_by_signals():
        runner = LateRunner(start)
        try:
            yield runner
        finally:
            runner.close()


def make_runner(config: RunConfig, *, sees_gpu: Callable[[], bool] | None = None) -> Runner:
    """Return the runner of a configuration.

    Parameters
    ----------
    config : RunConfig
    sees_gpu : callable, optional
        Whether torch sees a GPU in this process, which may hide those of the machine; asked only if Grad-CAM is wanted.
    """
    sees_gpu, execution = sees_gpu or _torch_sees_gpu, config.run
    if execution.backend == "serial":
        return SerialRunner(has_gpu=uses_gpu(config, sees_gpu))
    from hsmix_gen.pipeline.execution.ray_runner import RayRunner

    runner = RayRunner(
        address=execution.address, workers=execution.workers, processors=processors(), timeout_s=execution.timeout_s
    )
    # The machines of a cluster may have GPUs where the driver has none.
    on_cluster = execution.address is not None
    runner.has_gpu = runner.has_gpu and uses_gpu(config, (lambda: True) if on_cluster else sees_gpu)
    return runner


def uses_gpu(config: RunConfig, sees_gpu: Callable[[], bool] | None = None) -> bool:
    """Return whether this process computes features on a GPU: Grad-CAM is wanted, and torch sees one."""
    return backend_of(config.saliency).map_of is None and (sees_gpu or _torch_sees_gpu)()


def processors() -> int:
    """Return the processors that this process may use, which a scheduler may have made fewer than there are."""
    return len(os.sched_getaffinity(0))


def run_all(
    source: Path, output: Output, config: RunConfig, reporter: Reporter, *, fresh: bool = False, extend: bool = False
) -> Finished:
    """Do the whole job; what is finished is kept.

    Parameters
    ----------
    source : Path
    output : Output
    config : RunConfig
    reporter : Reporter
    fresh : bool
        Remove what an earlier run left in the output, once the new dataset is planned.
    extend : bool
        Add copies and sources to a finished dataset; its shards stay as they are.
    """
    warn_of_unread_features([config], reporter)
    config = without_unread_maps(config)
    check_source(source, output)
    if fresh or (not extend and beyond_trial(output, config, reporter)):
        output = output.renewed()
    elif not extend:
        for part in _outputs(output, config):
            part.bindings.check_options(options_of(config))
    with _whole_job(source, output, config, reporter) as job:
        return job.extend() if extend else job.run()


def retry_refused(source: Path, output: Output, config: RunConfig, reporter: Reporter) -> Finished:
    """Try again what a dataset refused: its sources, and its samples with their shards; all else is kept."""
    with _whole_job(source, output, config, reporter) as job:
        return job.retry()


@contextlib.contextmanager
def _whole_job(source: Path, output: Output, config: RunConfig, reporter: Reporter) -> Iterator["WholeJob"]:
    cache = cache_of(output, config)
    check_source(source, output)
    with held(output, reporter), held_cache(cache, output, reporter), running(config, reporter) as runner:
        yield placed_job(source, cache, output, config, runner, reporter)


def check_source(source: Path, output: Output) -> None:
    """Refuse a source that is not there, or lies in what is removed, before an output is begun.

    What lies in a store is fetched later; of it only the place is checked.

    Raises
    ------
    HsmixError
    """
    if output.anew:
        output.check_outside(source)
    if not is_remote(source):
        check_there(source)


def placed_job(
    source: Path,
    cache: Path,
    output: Output,
    config: RunConfig,
    runner: Runner,
    reporter: Reporter,
    scan: Scan = take_inventory,
) -> "WholeJob":
    """Return the job on an output that is held, once its places are checked."""
    preflight = Preflight(config, runner, reporter)
    preflight.places(source, [output.state, cache])
    return WholeJob(source, cache, output, config, runner, reporter, preflight, scan)


@dataclass(frozen=True)
class WholeJob:
    """The whole job on an output that is held."""

    source: Path
    cache: Path
    output: Output
    config: RunConfig
    runner: Runner
    reporter: Reporter
    preflight: Preflight
    scan: Scan = take_inventory

    def planned(self, retry: Retry = "nothing") -> tuple[Known | None, Inventory, FeatureGeneration, list[OutputPlan]]:
        """Read the source, and refuse what an output cannot hold; return what is known, found, wanted and planned."""
        config, outputs = self.config, _outputs(self.output, self.config)
        folds = [part.bindings.read() for part in outputs]
        known = known_of(folds, retry)
        inventory = self.scan(self.source, config, self.runner, self.reporter, known)
        check_exports(inventory.facts, str(self.source), config.run.exports)
        wanted = link_features(self.cache, folds, inventory, config, gpu=self.runner.has_gpu)
        plans = [
            check_output(part, layers, records, config, extend=retry != "nothing")
            for layers, part, records in zip(wanted.layers, outputs, per_fold(inventory.records), strict=True)
        ]
        check_kept(self.output.root, folds, wanted)
        check_network(wanted.layers[0], config.saliency, self.runner, self.reporter)
        return known, inventory, wanted, plans

    def run(self) -> Finished:
        """Do what is missing."""
        _, _, plans, features = self._prepared("nothing")
        return self._generated(plans, features)

    def extend(self) -> Finished:
        """Add copies, sources, and sources whose scan finds no problem any more."""
        _, _, plans, features = self._prepared("mended")
        return self._generated(plans, features)

    def retry(self) -> Finished:
        """Look again at all sources that were refused, and make refused samples again with their shards."""
        known, wanted, plans, features = self._prepared("all")
        for planned in plans:  # shards that lack samples
            planned.output.forget(lambda record: not record.refusals)
        used = {record.id for record in features[0].records if record.refusal is None}
        if known is None or used - known.used:
            return self._generated(plans, features)
        if any(record.refusal is not None for record in known.records):
            self.reporter.note("none of the sources that were refused can be used")
        folder = wanted.layers[0].root
        bound = {one.features for planned in plans for one in planned.output.bindings.read()}
        if wanted.earlier is not None and folder.name not in bound:
            atomic_files.remove_tree(folder)
        return self.run()

    def _prepared(self, retry: Retry) -> tuple[Known | None, FeatureGeneration, list[OutputPlan], list[Prepared]]:
        """Check and plan the outputs and fill the cache; return what is known, wanted and planned, and the features."""
        known, inventory, wanted, plans = self.planned(retry)
        _clear_renewed(self.output, plans)
        self.preflight.plan(wanted.layers, plans, inventory=inventory)
        for planned in plans:
            planned.output.bindings.begin(planned.identity)
        try:
            features = compute_features(wanted, inventory, self.config, self.runner, self.reporter)
        except HsmixError:
            for planned in plans:
                planned.output.bindings.withdraw()
            raise
        return known, wanted, plans, features

    def _generated(self, plans: list[OutputPlan], features: list[Prepared]) -> Finished:
        return _generated(features, self.output, plans, self.config, self.runner, self.reporter)


def without_unread_maps(config: RunConfig) -> RunConfig:
    """Return the configuration of a run, which makes no saliency maps where none of its samples reads any."""
    if needs_of_all(config.mix).saliency:
        return config
    return config.model_copy(update={"saliency": SaliencyConfig(backend="none")})


def warn_of_unread_features(configs: Collection[RunConfig], reporter: Reporter) -> None:
    """State that superpixels or a saliency which were asked for have no effect, as no sample of any run reads them."""
    read = [needs_of_all(config.mix) for config in configs]
    regions = _asked_for(configs, "superpixels")
    if regions and not any(one.superpixels for one in read):
        reporter.warn(
            f"{regions} has no effect: no sample of this run reads superpixels, which only its cache holds; leave "
            "it out, or make superpixels for other runs with hsmix-gen prepare"
        )
    maps = _asked_for([config for config in configs if config.saliency.backend != "none"], "saliency")
    if maps and not any(one.saliency for one in read):
        reporter.warn(
            f"{maps} has no effect: no sample of this run reads saliency, so that no maps are made; leave "
            "it out, or make maps for other runs with hsmix-gen prepare"
        )


def _asked_for(configs: Collection[RunConfig], name: Literal["superpixels", "saliency"]) -> str:
    """Return in words the values of a section that somebody asked for in any of some configurations.

    Those are other values than the defaults and those of a preset; a backend of saliency counts whatever it is.
    """
    given: dict[str, None] = {}
    for config in configs:
        section = getattr(config, name)
        defaults = type(section)()
        named = PRESETS[config.preset].values if config.preset else {}
        for field in type(section).model_fields:
            key, value = f"{name}.{field}", getattr(section, field)
            usual = (getattr(defaults, field), named.get(key, getattr(defaults, field)))
            if field in section.model_fields_set and (field == "backend" or value not in usual):
                given[f"{named_key(key)} {text_of(value)}"] = None
    return ", ".join(given)


def cache_of(output: Output, config: RunConfig) -> Path:
    """Return where the features of a run lie."""
    return location(config.run.cache) if config.run.cache else output.default_cache


def beyond_trial(output: Output, config: RunConfig, reporter: Reporter) -> bool:
    """Return whether an output holds a trial (`--limit`) of just this job, which is made anew with more; say so."""
    output.check_own()
    part = output if config.source.folds is None else output.fold(0)
    limit = part.bindings.trial(options_of(config))
    if limit is not None:
        more = "all" if config.source.limit is None else str(config.source.limit)
        reporter.note(f"{output.root} holds a trial with --limit {limit}: it is made anew, with {more}")
    return limit is not None


def run_prepare(source: Path, cache: Path, config: RunConfig, reporter: Reporter) -> list[Prepared]:
    """Do the GPU half."""
    with held_cache(cache, None, reporter), running(config, reporter) as runner:
        preflight = Preflight(config, runner, reporter)
        preflight.places(source, [cache])
        inventory = take_inventory(source, config, runner, reporter)
        layers = name_layers(cache, inventory.records, inventory, config, gpu=runner.has_gpu)
        preflight.plan(layers, [], inventory=inventory)
        check_network(layers[0], config.saliency, runner, reporter)
        wanted = FeatureGeneration(layers, inventory.records)
        return prepare(inventory, wanted, config, runner, reporter, is_half=True)


def run_generate(
    cache: Path, output: Output, config: RunConfig, reporter: Reporter, *, fresh: bool = False, extend: bool = False
) -> Finished:
    """Do the CPU half from a finished cache; see `run_all`."""
    made = load(cache, lambda root, sets: of_options(root, sets, config))
    if fresh or (not extend and beyond_trial(output, config, reporter)):
        output = output.renewed()
        output.check_outside(cache)
    check_exports(made.folds[0].layers.facts, str(cache), config.run.exports)
    for layer in sorted({name for fold in made.folds for name in fold.layers.names.values()}):
        FeatureCache(cache).check_blocks(layer, made.folds[0].layers.n_blocks)
    prepared = choose_sources(made, config, reporter)
    with held(output, reporter):
        plans = [
            check_output(part, fold.layers, fold.records, config, extend=extend)
            for fold, part in zip(prepared, _outputs(output, config), strict=True)
        ]
        _clear_renewed(output, plans)
        with running(config, reporter) as runner:
            preflight = Preflight(config, runner, reporter)
            preflight.places(None, [output.state], finished=cache)
            preflight.plan([fold.layers for fold in prepared], plans)
            return _generated(prepared, output, plans, config, runner, reporter)


def _clear_renewed(output: Output, plans: list[OutputPlan]) -> None:
    """Remove what is replaced, now that the plans show that something can replace it."""
    if output.anew:
        for part in [*(planned.output for planned in plans), output]:
            part.clear()


@contextlib.contextmanager
def held(output: Output, reporter: Reporter) -> Iterator[None]:
    """Keep other drivers off an output, which has to be a folder of ours that can be written."""
    output.check_own()
    with _tidied(output.default_cache, output.state, output.root, *output.root.parents):
        check_writable(output.state)
        with Lease(output.state, str(output.root), reporter.note) as lease:
            output.guard = lease.check
            yield


@contextlib.contextmanager
def held_cache(cache: Path, output: Output | None, reporter: Reporter) -> Iterator[None]:
    """Keep other drivers off a cache that is filled, unless it lies in an output that is held already."""
    if output is not None and cache == output.default_cache:
        yield
        return
    with _tidied(cache, *cache.parents):
        check_writable(cache)
        with Lease(cache, f"cache {cache}", reporter.note):
            yield


@contextlib.contextmanager
def _tidied(*folders: Path) -> Iterator[None]:
    """Remove the folders that were made meanwhile and hold nothing in the end, innermost first."""
    missing = [folder for folder in folders if not is_remote(folder) and not folder.exists()]
    try:
        yield
    finally:
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _outputs(output: Output, config: RunConfig) -> list[Output]:
    """Return where each fold goes; without folds the output itself."""
    output.check_folds(config.source.folds)
    return [output] if config.source.folds is None else [output.fold(k) for k in range(config.source.folds)]


def _generated(
    prepared: list[Prepared],
    output: Output,
    plans: list[OutputPlan],
    config: RunConfig,
    runner: Runner,
    reporter: Reporter,
) -> Finished:
    outcomes = []
    for fold, planned in zip(prepared, plans, strict=True):
        part = planned.output
        if fold.fold is not None:
            reporter.note(f"fold {fold.fold}: {part.root}")
        outcomes.append((part, generate(fold, part, config, runner, reporter, planned)))
    check_errors(config, outcomes[0][1])
    return Finished(output, prepared[0].layers.root, outcomes)


def check_errors(config: RunConfig, result: Outcome) -> None:
    """Refuse a complete run that left out more than the user tolerates.

    Raises
    ------
    OutputError
        If more than ``run.max_errors`` sources and samples were refused.
    """
    limit = config.run.max_errors
    refused = result.refused + result.refused_samples
    if limit is not None and refused > limit:
        kinds = "sources and samples" if result.refused_samples else "sources"
        raise OutputError(
            f"{refused} {kinds} were refused, more than --max-errors {limit}; "
            "the reasons stand in refused.csv: mend them, or raise it"
        )


def _torch_sees_gpu() -> bool:
    # Imports torch: two seconds.
    from hsmix_gen.pipeline.features.networks import best_device

    return best_device().type != "cpu"
