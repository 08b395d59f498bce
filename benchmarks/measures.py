"""What the measures in the manifest cost: their share of the time of one sample, encoded but not written.

Processor time on one core, the product's own functions in turn; medians over the samples. Takes half a minute.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from report import Claim, conclude, print_table
from synthetic import write_source

from hsmix_gen.pipeline.cli.config_resolution import resolve
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.features.cache_description import Prepared
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.jobs.run import run_prepare
from hsmix_gen.pipeline.mixing.make_shard import make_one, read_parent
from hsmix_gen.pipeline.mixing.output_plan import plan_samples
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import SamplePlan
from hsmix_gen.stages.measures.sample_measures import measure_sample
from hsmix_gen.stages.mixing.draws import ParentDraw
from hsmix_gen.stages.mixing.sample import make_sample

IMAGES, SAMPLES = 24, 40
MOST_SHARE = 0.08
OPTIONS = {"size": (224, 224), "backend": "serial", "saliency": "fine_grained", "copies": 5, "probabilities": (0, 1, 1)}


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measuring(cache: FeatureCache, prepared: Prepared, plan: SamplePlan, config: RunConfig) -> float:
    """Return the processor time of the measures of one sample."""
    assert plan.row_b is not None
    rows = (plan.row_a, plan.row_b)
    a, b = (read_parent(cache, prepared.layers, plan, row, ParentDraw(0, 0), config.mix) for row in rows)
    n_classes = prepared.layers.facts.n_classes
    sample = make_sample(plan, a, b, config.mix, n_classes=n_classes)
    return seconds(lambda: measure_sample(sample, a, b, n_classes=n_classes, has_maps=plan.mode == "soft"))


def main() -> None:
    """Print the table and check the claim."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_source(root / "source", IMAGES)
        config = resolve(file=None, overrides=(), options=OPTIONS, base=None)
        prepared = run_prepare(root / "source", root / "cache", config, Reporter(SilentDisplay()))[0]
        plan = plan_samples(prepared.layers.facts, prepared.records, config)
        part, sources = plan.splits[0], dict(enumerate(prepared.records))
        samples = [sample for n in range(part.n_shards) for sample in plan.samples(part, n, prepared.records)]
        cache = FeatureCache(prepared.layers.root)
        rows, shares = [], []
        for mode in ("hard", "soft"):
            chosen = [sample for sample in samples if sample.mode == mode][:SAMPLES]
            made = [seconds(partial(make_one, cache, prepared.layers, one, sources, config.mix)) for one in chosen]
            measured = [measuring(cache, prepared, one, config) for one in chosen]
            whole, measures = statistics.median(made), statistics.median(measured)
            shares.append(measures / whole)
            rows.append([mode, f"{whole * 1e3:.1f}", f"{measures * 1e3:.2f}", f"{measures / whole:.1%}"])
    print_table("one sample of 224 x 224, RGB, two classes", ["mode", "sample, ms", "measures, ms", "share"], rows)
    sys.exit(conclude([Claim("measures take at most 8 % of a sample", max(shares), most=MOST_SHARE)]))


if __name__ == "__main__":
    main()
