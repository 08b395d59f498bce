"""One whole job in a process of its own, so that runs are independent; prints what it took as one JSON object.

Used by scaling.py: ``python benchmarks/job.py SOURCE OUTPUT -o mix.copies=5 [--kernels]``.
"""

import argparse
import contextlib
import functools
import importlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.cli.config_resolution import resolve
from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.jobs import run

KERNELS = {
    "superpixels": ("hsmix_gen.pipeline.features.layers:_segmented",),
    "fitting the network, choosing its layer": (
        "hsmix_gen.pipeline.features.gradcam_units:fit_network",
        "hsmix_gen.pipeline.features.gradcam_units:rank_layers",
    ),
    "Grad-CAM": ("hsmix_gen.stages.saliency.gradcam:GradCam.maps",),
    "mixing": ("hsmix_gen.pipeline.mixing.make_shard:make_sample",),
    "encoding": ("hsmix_gen.pipeline.dataset.sample_members:encode_members",),
}
"""What the job is about; everything else is overhead, but for the input."""
INPUT = {
    "reading, decoding and resizing the sources": (
        "hsmix_gen.pipeline.sources.scan:look_of",
        "hsmix_gen.pipeline.decoders.picture_codec:read_bytes",
        "hsmix_gen.pipeline.decoders.picture_codec:open_picture",
        "hsmix_gen.pipeline.decoders.picture_codec:decode_image",
        "hsmix_gen.pipeline.decoders.picture_codec:decode_mask",
        "hsmix_gen.stages.imaging.standardise:resize_image",
        "hsmix_gen.stages.imaging.standardise:resize_mask",
    )
}
"""What any program has to spend that reads these files."""


class Stopwatch:
    """Wall time spent in groups of functions, by group; a function called by another watched one is not counted."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._depth = 0

    @contextlib.contextmanager
    def watching(self, groups: dict[str, tuple[str, ...]]) -> Iterator[None]:
        """Put a timer around functions given as ``module:name`` where they are looked up; take it off afterwards."""
        with contextlib.ExitStack() as stack:
            for group, targets in groups.items():
                self.seconds[group] = 0.0
                for target in targets:
                    stack.enter_context(self._replaced(target, group))
            yield

    @contextlib.contextmanager
    def _replaced(self, target: str, group: str) -> Iterator[None]:
        module, _, path = target.partition(":")
        *owners, name = path.split(".")
        owner = functools.reduce(getattr, owners, importlib.import_module(module))
        before = getattr(owner, name)
        setattr(owner, name, self._timed(before, group))
        try:
            yield
        finally:
            setattr(owner, name, before)

    def _timed(self, function: Callable[..., Any], group: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **keywords: Any) -> Any:
            self._depth += 1
            started = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.seconds[group] += time.perf_counter() - started

        return call


def main() -> int:
    """Do the job and print seconds, stages, peak memory and samples."""
    options = _options()
    config = resolve(overrides=options.overrides)
    reporter = Reporter(SilentDisplay())
    start, watch = Stopwatch(), Stopwatch()
    with (
        # The runner's start imports Ray and starts its processes.
        start.watching({"start": ("hsmix_gen.pipeline.jobs.run:make_runner",)}),
        watch.watching({**KERNELS, **INPUT} if options.kernels else {}),
    ):
        before = time.perf_counter()
        finished = run.run_all(options.source, Output(options.output), config, reporter)
        seconds = time.perf_counter() - before
    result = {
        "seconds": seconds,
        "start": start.seconds["start"],
        "stages": reporter.seconds,
        "watched": dict(watch.seconds),
        "samples": sum(outcome.samples for _, outcome in finished.outcomes),
        "peak_mib": _peak_mib(),
    }
    print(json.dumps(result))
    return 0


def _peak_mib() -> float:
    """Return the greatest memory of this process; `getrusage` would count that of the process that started it too."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("-o", dest="overrides", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--kernels", action="store_true", help="time the kernels (in this process: serial backend)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
