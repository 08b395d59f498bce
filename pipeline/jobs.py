"""The jobs behind the commands: a runner is started, the halves are run, a summary comes back."""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from hsmix_gen.pipeline.cache import FeatureCache
from hsmix_gen.pipeline.generate import Outcome, generate, identity_of
from hsmix_gen.pipeline.inventory import take_inventory
from hsmix_gen.pipeline.layer_names import name_layers
from hsmix_gen.pipeline.lease import Lease
from hsmix_gen.pipeline.locations import location
from hsmix_gen.pipeline.output import Output
from hsmix_gen.pipeline.preflight import Preflight
from hsmix_gen.pipeline.prepare import prepare
from hsmix_gen.pipeline.prepared import Prepared, load
from hsmix_gen.pipeline.progress import Reporter
from hsmix_gen.pipeline.running import Runner, SerialRunner
from hsmix_gen.pipeline.sources import per_fold
from hsmix_gen.schemas.config import ExecutionConfig, RunConfig
from hsmix_gen.schemas.errors import OutputError


class Terminated(BaseException):
    """SIGTERM arrived."""


@dataclass(frozen=True)
class Finished:
    """A finished run: where it is, what it holds; of folds each has an output and an outcome of its own."""

    output: Output
    cache: Path
    outcomes: list[tuple[Output, Outcome]]


@contextlib.contextmanager
def running(config: ExecutionConfig) -> Iterator[Runner]:
    """Start the runner of a configuration; SIGTERM ends it as an interrupt does."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        runner = make_runner(config)
        # Once more: Ray sets a handler of its own.
        signal.signal(signal.SIGTERM, _terminate)
        try:
            yield runner
        finally:
            runner.close()
    finally:
        signal.signal(signal.SIGTERM, before)


def make_runner(config: ExecutionConfig) -> Runner:
    """Return the runner of a configuration."""
    if config.backend == "serial":
        return SerialRunner(has_gpu=_cuda_is_there())
    from hsmix_gen.pipeline.ray_run import RayRunner

    return RayRunner(
        address=config.address, workers=config.workers, processors=processors(), timeout_s=config.timeout_s
    )


def processors() -> int:
    """Return the processors that this process may use, which a scheduler may have made fewer than there are."""
    return len(os.sched_getaffinity(0))


def run_all(source: Path, output: Output, config: RunConfig, reporter: Reporter, *, fresh: bool = False) -> Finished:
    """Do the whole job; what is finished is kept."""
    cache = location(config.run.cache) if config.run.cache else output.default_cache
    with _held(output, reporter, fresh=fresh), _held_cache(cache, output, reporter), running(config.run) as runner:
        preflight = Preflight(config, runner, reporter)
        preflight.places(source, [output.state, cache])
        inventory = take_inventory(source, config, runner, reporter)
        layers = name_layers(cache, inventory, config, gpu=runner.has_gpu)
        outputs = _outputs(output, config)
        for fold, part, records in zip(layers, outputs, per_fold(inventory.records), strict=True):
            part.check_identity(identity_of(fold, records, config), records)
        seen, space = per_fold(inventory.records), config.run.check_space
        preflight.plan(layers, outputs, seen, inventory=inventory, space=space)
        prepared = prepare(inventory, layers, config, runner, reporter)
        return _generated(prepared, output, outputs, config, runner, reporter)


def run_prepare(source: Path, cache: Path, config: RunConfig, reporter: Reporter) -> list[Prepared]:
    """Do the GPU half."""
    with _held_cache(cache, None, reporter), running(config.run) as runner:
        preflight = Preflight(config, runner, reporter)
        preflight.places(source, [cache])
        inventory = take_inventory(source, config, runner, reporter)
        layers = name_layers(cache, inventory, config, gpu=runner.has_gpu)
        preflight.plan(layers, [], [], inventory=inventory, space=config.run.check_space)
        return prepare(inventory, layers, config, runner, reporter)


def run_generate(
    cache: Path, output: Output, config: RunConfig, reporter: Reporter, *, fresh: bool = False
) -> Finished:
    """Do the CPU half from a finished cache."""
    with _held(output, reporter, fresh=fresh):
        prepared, _ = load(cache)
        for layer in sorted({name for fold in prepared for name in fold.layers.names.values()}):
            FeatureCache(cache).check_whole(layer, prepared[0].layers.n_blocks)
        outputs = _outputs(output, config)
        for fold, part in zip(prepared, outputs, strict=True):
            part.check_identity(identity_of(fold.layers, fold.records, config), fold.records)
        with running(config.run) as runner:
            preflight = Preflight(config, runner, reporter)
            preflight.places(None, [output.state, cache])
            layers, records = [fold.layers for fold in prepared], [fold.records for fold in prepared]
            preflight.plan(layers, outputs, records, space=config.run.check_space)
            return _generated(prepared, output, outputs, config, runner, reporter)


@contextlib.contextmanager
def _held(output: Output, reporter: Reporter, *, fresh: bool) -> Iterator[None]:
    """Keep other drivers off an output, emptied first if wanted."""
    output.check_usable()
    lease = Lease(output.state, str(output.root), reporter.note)
    if fresh:
        lease.check_free()
        output.clear()
    with lease:
        output.guard = lease.check
        yield


@contextlib.contextmanager
def _held_cache(cache: Path, output: Output | None, reporter: Reporter) -> Iterator[None]:
    """Keep other drivers off a cache that is filled, unless it lies in an output that is held already."""
    if output is not None and cache == output.default_cache:
        yield
        return
    with Lease(cache, f"cache {cache}", reporter.note):
        yield


def _outputs(output: Output, config: RunConfig) -> list[Output]:
    """Return where each fold goes; without folds the output itself."""
    output.check_folds(config.source.folds)
    return [output] if config.source.folds is None else [output.fold(k) for k in range(config.source.folds)]


def _generated(
    prepared: list[Prepared],
    output: Output,
    outputs: list[Output],
    config: RunConfig,
    runner: Runner,
    reporter: Reporter,
) -> Finished:
    outcomes = []
    for fold, part in zip(prepared, outputs, strict=True):
        if fold.fold is not None:
            reporter.note(f"fold {fold.fold}: {part.root}")
        outcomes.append((part, generate(fold, part, config, runner, reporter)))
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
            f"{refused} {kinds} were refused, more than run.max_errors = {limit}; "
            "the reasons stand in refused.csv: mend them, or raise --max-errors"
        )


def _cuda_is_there() -> bool:
    # Asking torch takes two seconds; the driver's device file tells as much.
    return Path("/dev/nvidia0").exists()


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
