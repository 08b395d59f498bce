"""A seeded search of settings by successive halving, on training images that a subset leaves out, never on tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from report import print_table

from hsmix_gen.stages.randomness import generator_for, integer
from training import plan
from training.arms import METHODS
from training.comparisons import scored
from training.results import Results, Run
from training.runner import Place, work_through

N_SETTINGS = 36
KEPT = 3
"""One of so many settings goes on to the next rung."""
RUNGS = ((plan.SHORT, range(2)), (plan.LONG, range(3)), (plan.LONG, range(8)))
"""Steps and seeds of each rung."""
DATASETS = ("isic", "glas")
_REFERENCE = f"{plan.LAYER}+flips"

CHOICES: dict[str, Sequence[Any]] = {
    "unmixed": (0.0, 1 / 3, 0.5, 0.7),
    "hard": (0.0, 0.5, 0.8, 1.0),
    "mix.selection": ("bernoulli", "connected", "object"),
    "mix.select": (0.1, 0.2, 0.35, 0.5),
    "superpixels.regions": ((20, 40), (50, 200), (150, 300)),
    "superpixels.variants": (1, 4),
    "mix.aggregate": ("sum", "mean"),
    "mix.lambda_range": ((0.0, 1.0), (0.0, 0.5), (0.2, 0.8)),
    "mix.geometry": ("flips", "none"),
}
"""What is searched; ``unmixed`` and ``hard`` (of what is mixed) make the probabilities."""


def drawn_setting(number: int) -> Mapping[str, Any]:
    """Return the values of a setting, by its number alone."""
    rng = generator_for(0, "setting", number)
    drawn = {key: values[integer(rng, 0, len(values) - 1)] for key, values in CHOICES.items()}
    unmixed, hard = drawn.pop("unmixed"), drawn.pop("hard")
    return {**drawn, "mix.probabilities": (unmixed, (1 - unmixed) * hard, (1 - unmixed) * (1 - hard))}


def search(place: Place, *, until: float) -> None:
    """Run rung after rung and print what is left after each; a search that is stopped goes on where it was."""
    METHODS.update({_name(number): drawn_setting(number) for number in range(N_SETTINGS)})
    left = [f"{plan.LAYER}+{_name(number)}" for number in range(N_SETTINGS)]
    for steps, seeds in RUNGS:
        runs = _runs([_REFERENCE, *left], steps, seeds)
        work_through(runs, place, until=until)
        results = Results(place.results)
        missing = sum(not results.has(run) for run in runs)
        if missing:
            print(f"{missing} of {len(runs)} runs of this rung are missing; run the search again")
            return
        ranked = ranking(results.table(), left, steps, seeds)
        rows = [[arm, f"{value:+.2f}", str(METHODS[arm.partition("+")[2]])] for arm, value in ranked]
        print_table(f"{steps} steps, seeds {seeds.start} to {seeds.stop - 1}", ["setting", "gain", "values"], rows)
        left = [arm for arm, _ in ranked[: max(1, len(ranked) // KEPT)]]


def ranking(table: pa.Table, arms: Sequence[str], steps: int, seeds: range) -> list[tuple[str, float]]:
    """Return the arms with their gain over the layer alone, the mean over data sets and seeds, best first."""
    gains: dict[str, list[float]] = {arm: [] for arm in arms}
    for setting, of_arm in scored(table, "dice", on="held-out").items():
        if setting.steps != steps:
            continue
        levels = {arm: _mean(values, seeds) for arm, values in of_arm.items()}
        for arm in arms:
            gains[arm].append(levels[arm] - levels[_REFERENCE])
    return sorted(((arm, float(np.mean(values))) for arm, values in gains.items()), key=lambda pair: -pair[1])


def _mean(values: Mapping[tuple[str, int], float], seeds: range) -> float:
    return float(np.nanmean([value for (_, seed), value in values.items() if seed in seeds]))


def _name(number: int) -> str:
    return f"setting-{number:02d}"


def _runs(arms: Sequence[str], steps: int, seeds: range) -> list[Run]:
    return [
        Run(dataset, 40, plan.NETWORK, arm, steps, plan.SIZE, "held-out", seed)
        for seed in seeds
        for dataset in DATASETS
        for arm in arms
    ]
