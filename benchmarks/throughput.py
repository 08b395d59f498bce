"""How much faster samples are made from the cache, encoded and written, than computed anew each time.

Everything runs on one core: the product's unit of work for one WebDataset shard against the same samples computed
on the fly (from decoded images, not encoded, not written). Every image of the shard is read from the cache once, as in
a set much larger than the memory for rows that were read before; what that memory brings is printed beside.
Rounds alternate; ratios are medians over the rounds. Takes three to five minutes.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from on_the_fly import MapSaliency, Origin, Pair, Pixels, looped, superpixels, vectorised, vectorised_batch
from report import Claim, conclude, print_table
from synthetic import write_source

from hsmix_gen.pipeline.cli.config_resolution import resolve
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.features import networks
from hsmix_gen.pipeline.features.cache_description import Prepared
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.gradcam_units import cam_options
from hsmix_gen.pipeline.features.layers import quantised
from hsmix_gen.pipeline.features.network_task import network_path, record_path
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.jobs.run import run_prepare
from hsmix_gen.pipeline.mixing.make_shard import ShardTask, make_one, make_shard, warm_cache
from hsmix_gen.pipeline.mixing.output_plan import plan_samples
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import Mode, SamplePlan
from hsmix_gen.stages.mixing.draws import draw_parent
from hsmix_gen.stages.randomness import generator_for
from hsmix_gen.stages.saliency.backends.fine_grained import fine_grained
from hsmix_gen.stages.saliency.gradcam import GradCam
from hsmix_gen.stages.superpixels.label_maps import stratified_counts

SYNTHETIC_IMAGES = 96
LEAST_OVER_LOOPS = 80.0
LEAST_OVER_VECTORISED = 25.0
CACHE = "from the cache, encoded and written: a whole run"
COLD = "  the same, every image used once only"
WARM = "  the same, all images in memory already"
LOOPS = "loops over regions, Grad-CAM"
VECTORISED = "vectorised, Grad-CAM"
PROBABILITIES: dict[Mode, tuple[float, float, float]] = {"none": (1, 0, 0), "hard": (0, 1, 0), "soft": (0, 0, 1)}


@dataclass(frozen=True)
class Timing:
    """Time of one sample in milliseconds, by the clock and of the processor."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Way:
    """A way to make samples.

    Attributes
    ----------
    make : callable
        Makes them.
    n_samples : int
        How many that gives.
    before : callable
        What is done before, unmeasured.
    """

    make: Callable[[], object]
    n_samples: int
    before: Callable[[], object] = lambda: None

    def timed(self) -> Timing:
        """Make the samples once and return the time of one of them."""
        self.before()
        wall, cpu = time.perf_counter(), time.process_time()
        self.make()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return Timing(wall * 1e3 / self.n_samples, cpu * 1e3 / self.n_samples)


class Workshop:
    """A prepared cache and the ways to make samples of it.

    Parameters
    ----------
    prepared : Prepared
    config : RunConfig
    folder : Path
        Where shards are written.
    """

    def __init__(self, prepared: Prepared, config: RunConfig, folder: Path) -> None:
        self.prepared, self.config, self.folder = prepared, config, folder
        self.n_classes = prepared.layers.facts.n_classes
        self._cache = FeatureCache(prepared.layers.root)
        record = atomic_files.read_json(record_path(prepared.layers))
        network = networks.load_fitted(network_path(prepared.layers))
        self._gradcam = GradCam(network, [record["layer"]], cam_options(config.saliency, record["side"]))

    def gradcam(self, images: Pixels) -> Pixels:
        """Return the maps of the default backend, (N, H, W) uint8."""
        return quantised(self._gradcam.maps(images))

    @staticmethod
    def fine_grained(images: Pixels) -> Pixels:
        """Return the maps of the fastest static backend that the published code uses, (N, H, W) uint8."""
        return quantised(np.stack([fine_grained(image) for image in images]))

    def task(self, mode: Mode, n_samples: int) -> ShardTask:
        """Return a shard of at most so many samples of one mode; each image is parent of one of them.

        With 0 samples asked, all of a run: its images are parents of several samples, as they are in every run.
        """
        mix = self.config.mix.model_copy(update={"probabilities": PROBABILITIES[mode]})
        plan = plan_samples(
            self.prepared.layers.facts, self.prepared.records, self.config.model_copy(update={"mix": mix})
        )
        planned = plan.samples(plan.splits[0], 0, self.prepared.records)
        samples = _of_different_images(planned, n_samples) if n_samples else tuple(planned)
        rows = {row for sample in samples for row in (sample.row_a, sample.row_b) if row is not None}
        return ShardTask(
            layers=self.prepared.layers,
            root=self.folder,
            formats=("webdataset",),
            number=0,
            total=1,
            samples=samples,
            sources={row: self.prepared.records[row] for row in rows},
            mix=mix,
        )

    def pair(self, plan: SamplePlan) -> Pair:
        """Return the parents of a mixed sample as an online loader has them."""
        assert plan.row_b is not None
        return Pair(plan, self._origin(plan, "a", plan.row_a), self._origin(plan, "b", plan.row_b))

    def _origin(self, plan: SamplePlan, name: str, row: int) -> Origin:
        layers = self.prepared.layers
        draw = draw_parent(plan.seed, name, variants=layers.variants, size=layers.facts.size, mix=self.config.mix)
        rng = generator_for(0, "regions", self.prepared.records[row].id)
        counts = stratified_counts(*self.config.superpixels.regions, layers.variants, rng)
        image, mask = (self._cache.read(layers.images, array, row) for array in ("image", "mask"))
        return Origin(image, mask, counts[draw.variant], draw.transform)

    def check(self, pair: Pair, task: ShardTask) -> None:
        """Refuse to compare unless all ways make the same soft sample, up to the rounding of lambda."""
        made = make_one(self._cache, task.layers, pair.plan, task.sources, task.mix)
        cached = made.sample.mixed.image.astype(np.float64)
        images = {
            VECTORISED: vectorised(pair, self.gradcam, task.mix, n_classes=self.n_classes).mixed.image,
            LOOPS: looped(pair, self.gradcam, task.mix, wide=True)[0],
        }
        for name, image in images.items():
            worst = np.abs(image - cached).max()
            assert worst <= 2, f"{name} makes another sample than the cache: {worst} grey levels away"


def main() -> int:
    """Prepare a source, time all ways and judge the ratios."""
    options = _options()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        source = options.source or write_source(Path(folder) / "source", SYNTHETIC_IMAGES, side=options.size[0])
        config = resolve(
            options={
                "size": options.size,
                "regions": options.regions,
                "backend": "serial",
                "shards": 1,
            }
        )
        (prepared,) = run_prepare(source, Path(folder) / "cache", config, Reporter(SilentDisplay()))
        workshop = Workshop(prepared, config, Path(folder) / "output")
        rounds = _measure(_ways(workshop, options), options.rounds)
    _print_methods(rounds)
    _print_modes(rounds)
    return conclude(
        [
            Claim("cache against loops over regions", _ratio(rounds, LOOPS, CACHE), least=LEAST_OVER_LOOPS),
            Claim("cache against vectorised", _ratio(rounds, VECTORISED, CACHE), least=LEAST_OVER_VECTORISED),
        ]
    )


def _ways(workshop: Workshop, options: argparse.Namespace) -> dict[str, Way]:
    """Return all ways by name, in the order in which a round goes through them."""
    tasks = {mode: workshop.task(mode, options.shard_samples) for mode in PROBABILITIES}
    soft = [workshop.pair(plan) for plan in tasks["soft"].samples[: options.samples]]
    hard = [workshop.pair(plan) for plan in tasks["hard"].samples[: options.samples]]
    for pair in soft[:2]:
        workshop.check(pair, tasks["soft"])
    mix, n_classes = tasks["soft"].mix, workshop.n_classes
    gradcam, fine_grained = workshop.gradcam, workshop.fine_grained

    def shard(mode: Mode, *, warm: bool = False, whole: bool = False) -> Way:
        task = workshop.task(mode, 0) if whole else tasks[mode]
        return Way(
            lambda: make_shard(task), len(task.samples), (lambda: make_shard(task)) if warm else warm_cache.cache_clear
        )

    def loops(map_saliency: MapSaliency, *, wide: bool = True) -> Way:
        return Way(lambda: [looped(pair, map_saliency, mix, wide=wide) for pair in soft], len(soft))

    def fast(map_saliency: MapSaliency, pairs: list[Pair]) -> Way:
        return Way(lambda: [vectorised(pair, map_saliency, mix, n_classes=n_classes) for pair in pairs], len(pairs))

    return {
        LOOPS: loops(gradcam),
        "loops over regions, fine_grained": loops(fine_grained),
        "loops with masks of one plane, Grad-CAM": loops(gradcam, wide=False),
        CACHE: shard("soft", whole=True),
        COLD: shard("soft"),
        WARM: shard("soft", warm=True),
        VECTORISED: fast(gradcam, soft),
        "vectorised, fine_grained": fast(fine_grained, soft),
        "vectorised, Grad-CAM, once per image of a mini-batch": Way(
            lambda: vectorised_batch(soft, gradcam, mix, n_classes=n_classes), len(soft)
        ),
        "SLIC of one image": Way(lambda: [superpixels(pair.a) for pair in soft], len(soft)),
        "hard from the cache": shard("hard", whole=True),
        "hard vectorised": fast(gradcam, hard),
        "none from the cache": shard("none", whole=True),
    }


def _of_different_images(plans: Iterable[SamplePlan], count: int) -> tuple[SamplePlan, ...]:
    chosen: list[SamplePlan] = []
    used: set[int | None] = set()
    for plan in plans:
        rows = {plan.row_a, plan.row_b} - {None}
        if len(chosen) < count and not rows & used:
            chosen.append(plan)
            used |= rows
    return tuple(chosen)


def _measure(ways: dict[str, Way], n_rounds: int) -> list[dict[str, Timing]]:
    """Return the timings of each round; all ways are tried once before, unmeasured."""
    for way in ways.values():
        way.timed()
    return [{name: way.timed() for name, way in ways.items()} for _ in range(n_rounds)]


def _print_methods(rounds: list[dict[str, Timing]]) -> None:
    names = [name for name in rounds[0] if not name.startswith(("hard", "none"))]
    table = [
        [
            name,
            f"{_median(rounds, name):.1f}",
            f"{_ratio(rounds, name, CACHE):.1f}",
            f"{statistics.median(each[name].cpu / each[CACHE].cpu for each in rounds):.1f}",
        ]
        for name in names
    ]
    title = f"a soft sample on one core, medians of {len(rounds)} rounds"
    print_table(title, ["", "ms", "times the cache", "by processor time"], table)


def _print_modes(rounds: list[dict[str, Timing]]) -> None:
    cache = {"none": "none from the cache", "hard": "hard from the cache", "soft": CACHE}
    online = {"hard": "hard vectorised", "soft": VECTORISED}
    table = []
    for mode, name in cache.items():
        made = _median(rounds, online[mode]) if mode in online else 0.0
        table.append([mode, f"{_median(rounds, name):.1f}", f"{made:.1f}", f"{made / _median(rounds, name):.1f}"])
    mean_cache = statistics.mean(_median(rounds, name) for name in cache.values())
    mean_online = sum(_median(rounds, name) for name in online.values()) / len(cache)
    table.append(["mean of the three", f"{mean_cache:.1f}", f"{mean_online:.1f}", f"{mean_online / mean_cache:.1f}"])
    title = "by mode: hard samples need superpixels of B only, unmixed ones nothing at all"
    print_table(title, ["mode", "ms from the cache", "ms vectorised", "ratio"], table)


def _median(rounds: list[dict[str, Timing]], name: str) -> float:
    return statistics.median(each[name].wall for each in rounds)


def _ratio(rounds: list[dict[str, Timing]], name: str, base: str) -> float:
    """Return the median over the rounds of the ratio within a round."""
    return statistics.median(each[name].wall / each[base].wall for each in rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--source", type=Path, help="folder of images and masks; none: a synthetic set")
    parser.add_argument("--size", type=int, nargs=2, default=(224, 224), metavar=("H", "W"), help="pixels")
    parser.add_argument("--regions", type=int, nargs=2, default=(200, 400), metavar=("MIN", "MAX"), help="superpixels")
    parser.add_argument("--rounds", type=int, default=7, help="how often everything is timed")
    parser.add_argument("--samples", type=int, default=8, help="samples of each on-the-fly way in a round")
    parser.add_argument("--shard-samples", type=int, default=32, help="samples of a shard, at most")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
