"""A seeded search of settings by successive halving, on training images that a subset leaves out, never on tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from report import print_table

from hsmix_gen.stages.randomness import generator_for, integer
from training import plan
from training.arms import METHODS, is_available
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
    "copies": ("", "@3", "@10"),
}
"""What is searched; ``unmixed`` and ``hard`` (of what is mixed) make the probabilities, ``copies`` ends the name."""


def drawn_setting(number: int) -> tuple[str, Mapping[str, Any]]:
    """Return the arm of a setting and the values of its method, by its number alone."""
    rng = generator_for(0, "setting", number)
    drawn = {key: values[integer(rng, 0, len(values) - 1)] for key, values in CHOICES.items()}
    unmixed, hard, copies = (drawn.pop(key) for key in ("unmixed", "hard", "copies"))
    chances = (unmixed, (1 - unmixed) * hard, (1 - unmixed) * (1 - hard))
    return f"{plan.LAYER}+setting-{number:02d}{copies}", {**drawn, "mix.probabilities": chances}


def search(place: Place, *, until: float) -> None:
    """Run rung after rung and print what is left after each; a search that is stopped goes on where it was."""
    settings = dict(drawn_setting(number) for number in range(N_SETTINGS))
    METHODS.update({_method(arm): values for arm, values in settings.items()})
    left = [arm for arm in settings if is_available(arm)]
    for steps, seeds in RUNGS:
        runs = _runs([_REFERENCE, *left], steps, seeds)
        work_through(runs, place, until=until)
        results = Results(place.results)
        missing = sum(not results.has(run) for run in runs)
        if missing:
            print(f"{missing} of {len(runs)} runs of this rung are missing; run the search again")
            return
        ranked = ranking(results.table(), left, steps, seeds)
        rows = [[arm, f"{value:+.2f}", str(settings[arm])] for arm, value in ranked]
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


def _method(arm: str) -> str:
    return arm.partition("@")[0].rpartition("+")[2]


def _runs(arms: Sequence[str], steps: int, seeds: range) -> list[Run]:
    return [
        Run(dataset, 40, plan.NETWORK, arm, steps, plan.SIZE, "held-out", seed)
        for seed in seeds
        for dataset in DATASETS
        for arm in arms
    ]
