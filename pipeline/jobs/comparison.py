"""Several datasets that differ in one thing, of one source: one scan, one cache and one start serve all of them."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.units import Runner
from hsmix_gen.pipeline.files.lease import Lease
from hsmix_gen.pipeline.jobs.run import (
    Finished,
    beyond_trial,
    cache_of,
    check_source,
    held,
    held_cache,
    placed_job,
    running,
    warn_of_unread_features,
    without_unread_maps,
)
from hsmix_gen.pipeline.sources.earlier_sources import Known
from hsmix_gen.pipeline.sources.inventory import Inventory, take_inventory
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.stages.saliency.backend import backend_of


def compared_outputs(home: Output, variants: Mapping[str, RunConfig]) -> dict[str, tuple[Output, RunConfig]]:
    """Return the output of each variant by its name, with its configuration, which names the cache of all.

    Raises
    ------
    OutputError
        If the folder is a dataset itself.
    """
    home.check_folds(None)
    if home.bindings.read():
        raise OutputError(
            f"{home.root} holds a dataset, and --compare makes one in a folder for each name; choose another folder"
        )
    found = {}
    for name, config in variants.items():
        shared = config.run.model_copy(update={"cache": str(cache_of(home, config))})
        found[name] = Output(home.root / name), config.model_copy(update={"run": shared})
    return found


def run_compared(
    source: Path,
    home: Output,
    variants: Mapping[str, RunConfig],
    reporter: Reporter,
    *,
    fresh: bool = False,
    extend: bool = False,
) -> list[Finished]:
    """Make a dataset for each variant, in a folder of its name; all are checked before the first is made.

    Parameters
    ----------
    source : Path
    home : Output
        The folder that holds them; their cache lies in it unless the configuration names another.
    variants : mapping of str to RunConfig
        They differ in mixing and superpixels only.
    reporter : Reporter
    fresh : bool
        Remove what an earlier comparison left, once all new datasets are planned.
    extend : bool
        Add copies and sources to finished datasets.
    """
    if fresh:
        home = home.renewed()
    check_source(source, home)
    home.check_own(of_datasets=True)
    warn_of_unread_features(variants.values(), reporter)
    variants = {name: without_unread_maps(config) for name, config in variants.items()}
    parts = {
        name: (output.renewed() if fresh or (not extend and beyond_trial(output, config, reporter)) else output, config)
        for name, (output, config) in compared_outputs(home, variants).items()
    }
    # A runner that may use a GPU serves those that need none too.
    first = max(variants.values(), key=lambda config: backend_of(config.saliency).has_network)
    taken: list[tuple[Known | None, Inventory]] = []

    def scan(source: Path, config: RunConfig, runner: Runner, reporter: Reporter, known: Known | None) -> Inventory:
        """Read the source once for all outputs that know the same of it; variants do not differ in how it is read."""
        for before, inventory in taken:
            if before == known:
                return inventory
        taken.append((known, take_inventory(source, config, runner, reporter, known)))
        return taken[-1][1]

    with contextlib.ExitStack() as stack:
        if fresh:
            Lease(home.state, str(home.root), reporter.note).check_free()
        for output, _ in parts.values():
            stack.enter_context(held(output, reporter))
        cache = cache_of(home, first)
        stack.enter_context(held_cache(cache, None, reporter))
        runner = stack.enter_context(running(first, reporter))
        jobs = [placed_job(source, cache, output, config, runner, reporter, scan) for output, config in parts.values()]
        if not extend:
            for job in jobs:
                job.planned()
        # All at once: what a stopped comparison has not come to yet must not be taken for a part of it.
        for output in [*(output for output, _ in parts.values()), home]:
            if output.anew:
                output.clear()
        finished = []
        for name, job in zip(parts, jobs, strict=True):
            reporter.note(f"{name}: {job.output.root}")
            finished.append(job.extend() if extend else job.run())
        return finished
