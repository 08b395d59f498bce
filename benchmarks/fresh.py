"""Samples mixed fresh while training, beside reading the same kind of samples from our shards, and beside no cache.

All ways give whole samples, image, mask and soft label, on one core and take turns; a third is unmixed, a third hard
and a third soft. Ratios are medians over the rounds, by processor time, as other work disturbs that less. On the fly
gets decoded images in memory, which favours it. Fresh samples begin with nothing in memory; what that brings is printed
beside. Datasets are opened before time is taken, as a training does it once.
The second part is a training loop with two workers whose step takes 100 ms: how long it waits for its loader.
Takes about two minutes.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import torch
import webdataset
from loaders import plain
from on_the_fly import Pair, vectorised
from report import Claim, conclude, print_table
from synthetic import write_source
from throughput import Workshop
from torch.utils.data import DataLoader, Dataset, RandomSampler

from hsmix_gen.pipeline.cli.config_resolution import resolve
from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.features.cache_description import Prepared
from hsmix_gen.pipeline.jobs.run import run_generate, run_prepare
from hsmix_gen.pipeline.loading import HsmixDataset, HsmixFresh, HsmixStream
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.stages.planning.endless_plan import EndlessPlan

LEAST_OF_READING = 0.8
LEAST_OVER_ON_THE_FLY = 8.0
MOST_WAIT = 0.05
STEP_S = 0.1
Work = Callable[[], int]
FRESH = "fresh from the cache"
KEPT = "  the same, all rows in memory already"
COLD = "  the same, no memory for rows"
WEBDATASET = "shards by webdataset, Pillow and numpy"
HELPER = "shards by our helper, in order"
ON_THE_FLY = "HSMix without a cache, vectorised, Grad-CAM"


def ways(cache: Path, output: Path, prepared: Prepared, config: RunConfig) -> dict[str, Callable[[], Work]]:
    """Return all ways by name; each opens what it reads, and returns what makes or reads samples and says how many."""
    kept = HsmixFresh(cache, raw=True)
    stored = HsmixDataset(output, raw=True)
    tars = sorted(map(str, (output / "webdataset").glob("train-*.tar")))
    online = OnTheFly(prepared, config)
    return {
        FRESH: lambda: partial(_all, HsmixFresh(cache, raw=True)),
        COLD: lambda: partial(_all, HsmixFresh(cache, raw=True, kept_bytes=0)),
        KEPT: lambda: partial(_all, kept),
        HELPER: lambda: partial(_all, stored),
        "shards by our helper, shuffled": lambda: partial(_count, HsmixStream(stored, shuffle_seed=0)),
        WEBDATASET: lambda: partial(_count, webdataset.WebDataset(tars, shardshuffle=False).map(_decoded)),
        ON_THE_FLY: lambda: online.make,
    }


class OnTheFly:
    """An epoch of fresh samples as an online loader makes them: features are computed anew for each."""

    def __init__(self, prepared: Prepared, config: RunConfig) -> None:
        self._mix = config.mix
        self._workshop = Workshop(prepared, config, Path())
        plan = EndlessPlan(prepared.records, config.mix, "train", seed=config.seed, other_group=False)
        planned = [plan.sample(0, number) for number in range(len(plan))]
        self._pairs: list[Pair] = [self._workshop.pair(sample) for sample in planned if sample.row_b is not None]
        self._n_unmixed = len(planned) - len(self._pairs)

    def make(self) -> int:
        """Make the mixed samples; the unmixed ones of an epoch are counted without any work."""
        n_classes, gradcam = self._workshop.n_classes, self._workshop.gradcam
        for pair in self._pairs:
            vectorised(pair, gradcam, self._mix, n_classes=n_classes)
        return len(self._pairs) + self._n_unmixed


def _all(samples: HsmixFresh | HsmixDataset) -> int:
    return sum(len(samples[number]) > 0 for number in range(len(samples)))


def _count(samples: Iterable[object]) -> int:
    return sum(1 for _ in samples)


def _decoded(members: Mapping[str, bytes]) -> object:
    return plain((members[name] for name in ("image.png", "mask.png")), members["soft.npz"])


def measure(made: Mapping[str, Callable[[], Work]], n_rounds: int) -> dict[str, list[float]]:
    """Return the processor's milliseconds for a sample of each way and round, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in made}
    for number in range(n_rounds + 1):
        for name, begin in made.items():
            make = begin()
            started = time.process_time()
            count = make()
            if number:
                times[name].append((time.process_time() - started) * 1e3 / count)
    return times


class Ready(Dataset[object]):
    """One sample, ready in memory, again and again: what is waited for it is torch's own handing over of a batch."""

    def __init__(self, samples: HsmixFresh) -> None:
        self._sample, self._count = samples[0], len(samples)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> object:
        return self._sample


def loader_wait(samples: HsmixFresh | Ready, *, batch: int, steps: int) -> tuple[float, float]:
    """Return what share of a training loop waits for its loader, and what share gives back the last batch.

    As in a training, a batch is kept during its step, and its memory given back once the next one is there.
    """
    sampler = RandomSampler(samples, replacement=True, num_samples=batch * (steps + 1))
    loader = DataLoader(samples, batch_size=batch, sampler=sampler, num_workers=2, multiprocessing_context="fork")
    batches = iter(loader)
    kept = next(batches)
    waited = given_back = 0.0
    began = time.perf_counter()
    for _ in range(steps):
        time.sleep(STEP_S)  # a step on a GPU, which leaves the processors to the workers
        asked = time.perf_counter()
        following = next(batches)
        got = time.perf_counter()
        kept = following  # noqa: F841 - its memory is what is timed
        del following
        waited, given_back = waited + got - asked, given_back + time.perf_counter() - got
    whole = time.perf_counter() - began
    return waited / whole, given_back / whole


def main() -> int:
    """Prepare a cache and a dataset of it, time all ways and judge the ratios."""
    options = _options()
    torch.set_num_threads(1)
    reporter = Reporter(SilentDisplay())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = options.source or write_source(folder / "source", options.images, side=options.size[0])
        cache, output = folder / "cache", folder / "output"
        config = resolve(
            options={"size": options.size, "limit": options.images, "backend": "serial", "copies": 2, "shards": 4}
        )
        (prepared,) = run_prepare(source, cache, config, reporter)
        run_generate(cache, Output(output), config, reporter)
        times = measure(ways(cache, output, prepared, config), options.rounds)
        fresh = {"floats": HsmixFresh(cache), "as stored": HsmixFresh(cache, raw=True)}
        waits = {
            name: [loader_wait(one, batch=options.batch, steps=options.steps) for one in (samples, Ready(samples))]
            for name, samples in fresh.items()
        }
    return _judge(times, waits, options)


def _judge(
    times: Mapping[str, list[float]], waits: Mapping[str, list[tuple[float, float]]], options: argparse.Namespace
) -> int:
    ratio = partial(_ratio, times)
    rows = [
        [name, f"{statistics.median(own):.2f}", f"{1e3 / statistics.median(own):.0f}", f"{ratio(name, FRESH):.2f}"]
        for name, own in times.items()
    ]
    head = ["", "ms a sample", "samples/s", "times fresh"]
    print_table(f"samples on one core by processor time, medians of {options.rounds} rounds", head, rows)
    print_table(
        f"a training loop with 2 workers, batches of {options.batch}, steps of {STEP_S * 1e3:.0f} ms",
        ["waiting + giving back memory", "fresh", "where one sample is ready in memory"],
        [[name, *(f"{wait:.1%} + {given_back:.1%}" for wait, given_back in found)] for name, found in waits.items()],
    )
    return conclude(
        [
            Claim("fresh against reading shards by webdataset", ratio(WEBDATASET, FRESH), least=LEAST_OF_READING),
            Claim("fresh against reading shards by our helper", ratio(HELPER, FRESH), least=LEAST_OF_READING),
            Claim("fresh against HSMix without a cache", ratio(ON_THE_FLY, FRESH), least=LEAST_OVER_ON_THE_FLY),
            *(
                Claim(f"share of a training loop that waits, {name}", wait, most=MOST_WAIT)
                for name, ((wait, _), _) in waits.items()
            ),
        ]
    )


def _ratio(times: Mapping[str, list[float]], name: str, base: str) -> float:
    """Return the median over the rounds of the ratio within a round."""
    return statistics.median(one / other for one, other in zip(times[name], times[base], strict=True))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--source", type=Path, help="folder of images and masks; none: a synthetic set")
    parser.add_argument("--images", type=int, default=64, help="images")
    parser.add_argument("--size", type=int, nargs=2, default=(224, 224), metavar=("H", "W"), help="pixels")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is timed")
    parser.add_argument("--batch", type=int, default=16, help="samples of a step")
    parser.add_argument("--steps", type=int, default=40, help="steps of the training loop")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
