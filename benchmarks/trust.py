"""What it costs that every fault is found: checksums, records, forcing files to disk and the lease, within one job.

A job runs in this process (serial backend) with a timer around each of these; its share of the whole job is judged.
It takes about a minute for 200 images on one core. The disk is that of the folder for temporary files, or of --folder.
"""

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

from job import Stopwatch
from report import Claim, conclude, print_table
from synthetic import write_source

from hsmix_gen.pipeline.cli.config_resolution import resolve
from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.jobs import run

MOST = 0.03
TRUST = {
    "checksums of what was written": (
        "hsmix_gen.pipeline.files.atomic_files:file_record",
        "hsmix_gen.pipeline.files.atomic_files:matches",
        "hsmix_gen.pipeline.files.atomic_files:all_match",
    ),
    "records, the files that they name checked": (
        "hsmix_gen.pipeline.features.feature_cache:FeatureCache.commit",
        "hsmix_gen.pipeline.features.feature_cache:FeatureCache.records",
        "hsmix_gen.pipeline.dataset.output_folder:Output.commit",
        "hsmix_gen.pipeline.dataset.output_folder:Output.records",
        "hsmix_gen.pipeline.dataset.output_folder:Output.rows",
    ),
    "forcing files and folders to disk": ("hsmix_gen.pipeline.files.atomic_files:sync",),
    "is the output ours, and the source the same?": (
        "hsmix_gen.pipeline.dataset.output_folder:Output.check_own",
        "hsmix_gen.pipeline.jobs.run:check_writable",
        "hsmix_gen.pipeline.dataset.output_folder:Output.check_folds",
        "hsmix_gen.pipeline.dataset.run_history:Bindings.check",
        "hsmix_gen.pipeline.dataset.run_history:Bindings.bind",
        "hsmix_gen.pipeline.dataset.run_history:Bindings.pinned",
        "hsmix_gen.pipeline.features.cache_description:check_same",
    ),
    "what dead attempts left": ("hsmix_gen.pipeline.files.atomic_files:remove_temporaries",),
    "the lease: taking it, a beat every 5 s, giving it back": (
        "hsmix_gen.pipeline.files.lease:Lease.__enter__",
        "hsmix_gen.pipeline.files.lease:Lease.__exit__",
        "hsmix_gen.pipeline.files.lease:Lease.check",
        "hsmix_gen.pipeline.files.lease:Lease._write",
    ),
}
"""Kept apart so that none is counted twice: one that another one calls counts for the other."""
CONTENT = {
    "digests of the pixels of every source, twice": (
        "hsmix_gen.pipeline.sources.scan:part_digest",
        "hsmix_gen.pipeline.features.image_units:part_digest",
    )
}
"""They name the layers of the cache too, which other programs do without: shown, and not in the claim."""


class ThreadedStopwatch(Stopwatch):
    """One that knows that the lease beats in a thread of its own, beside what the job does."""

    def __init__(self) -> None:
        self._here = threading.local()
        super().__init__()

    @property
    def _depth(self) -> int:
        return getattr(self._here, "depth", 0)

    @_depth.setter
    def _depth(self, depth: int) -> None:
        self._here.depth = depth


def main() -> int:
    """Do a job and judge what trust costs."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        source = options.source or write_source(Path(folder) / "source", options.images, side=options.side)
        overrides = [f"image.size=[{options.side}, {options.side}]", "run.backend=serial"]
        config = resolve(overrides=[*overrides, f"source.limit={options.images}", *options.overrides])
        watch = ThreadedStopwatch()
        with watch.watching({**TRUST, **CONTENT}):
            before = time.perf_counter()
            finished = run.run_all(source, Output(Path(folder) / "output"), config, Reporter(SilentDisplay()))
            total = time.perf_counter() - before
    cost = sum(watch.seconds[name] for name in TRUST)
    trust, content = ({name: watch.seconds[name] for name in groups} for groups in (TRUST, CONTENT))
    rows = {**trust, "all of these": cost, **content, "whole job": total}
    samples = sum(outcome.samples for _, outcome in finished.outcomes)
    print_table(
        f"a job on {options.images} images, {samples} samples, serial backend",
        ["", "seconds", "%"],
        [[name, f"{seconds:.2f}", f"{100 * seconds / total:.2f}"] for name, seconds in rows.items()],
    )
    return conclude([Claim("share of the job that trust costs", cost / total, most=MOST)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--source", type=Path, help="folder of images and masks")
    parser.add_argument("--folder", type=Path, help="where output and cache are written")
    parser.add_argument("--side", type=int, default=224, help="height and width of the images in pixels")
    parser.add_argument("--images", type=int, default=200, help="images of the source")
    parser.add_argument("-o", dest="overrides", action="append", default=[], metavar="SECTION.KEY=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
