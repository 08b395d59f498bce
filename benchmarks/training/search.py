"""A seeded search of settings by successive halving, on training images that a subset leaves out, never on tests."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hsmix_gen.stages.randomness import generator_for, integer
from training import plan
from training.arms import METHODS, is_available
from training.comparisons import scored
from training.results import Results, Run, scores_by_run
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

Ranked = list[tuple[str, float]]
"""Arms with their gain over the layer alone in points, best first."""


def choices_of(number: int) -> dict[str, Any]:
    """Return what a setting chooses of each of `CHOICES`, by its number alone."""
    rng = generator_for(0, "setting", number)
    return {key: values[integer(rng, 0, len(values) - 1)] for key, values in CHOICES.items()}


def drawn_setting(number: int) -> tuple[str, Mapping[str, Any]]:
    """Return the arm of a setting and the values of its method, by its number alone."""
    drawn = choices_of(number)
    unmixed, hard, copies = (drawn.pop(key) for key in ("unmixed", "hard", "copies"))
    chances = (unmixed, (1 - unmixed) * hard, (1 - unmixed) * (1 - hard))
    return f"{plan.LAYER}+setting-{number:02d}{copies}", {**drawn, "mix.probabilities": chances}


def search(place: Place, *, until: float) -> None:
    """Run rung after rung and print what is left after each; a search that is stopped goes on where it was."""
    settings = dict(drawn_setting(number) for number in range(N_SETTINGS))
    METHODS.update({_method(arm): values for arm, values in settings.items()})
    left = [arm for arm in settings if is_available(arm)]
    for steps, seeds in RUNGS:
        runs = runs_of(left, steps, seeds)
        work_through(runs, place, until=until)
        results = Results(place.results)
        missing = sum(not results.has(run) for run in runs)
        if missing:
            print(f"{missing} of {len(runs)} runs of this rung are missing; run the search again")
            return
        ranked = ranking(results.table(), left, steps, seeds)
        print(f"\n{steps} steps, seeds {seeds.start} to {seeds.stop - 1}; gain over strong augmentation alone")
        for arm, value in ranked:
            print(f"  {value:+.2f}  {arm}: {words_of_choices(arm)}")
        left = _best(ranked)


def finished_rungs(table: pa.Table) -> Iterator[tuple[int, range, Ranked]]:
    """Yield steps, seeds and ranking of each rung that was run whole, in their order."""
    done = scores_by_run(table, "dice").keys()
    left = [drawn_setting(number)[0] for number in range(N_SETTINGS)]
    for steps, seeds in RUNGS:
        if not done >= set(runs_of(left, steps, seeds)):
            return
        ranked = ranking(table, left, steps, seeds)
        yield steps, seeds, ranked
        left = _best(ranked)


def choices_of_arm(arm: str) -> dict[str, Any]:
    """Return what the setting of an arm chooses of each of `CHOICES`."""
    return choices_of(int(_method(arm).removeprefix("setting-")))


def words_of_choices(arm: str) -> str:
    """Return what the setting of an arm chooses, for people."""
    return ", ".join(f"{key.rpartition('.')[2]} {value_in_words(value)}" for key, value in choices_of_arm(arm).items())


def value_in_words(value: Any) -> str:
    """Return a value of `CHOICES` for people."""
    if isinstance(value, tuple):
        return " to ".join(map(value_in_words, value))
    return f"{value:.2g}" if isinstance(value, float) else str(value).removeprefix("@") or "fresh"


def by_choice(ranked: Ranked) -> list[tuple[str, Any, float, float, int]]:
    """Return of each choice its key and value, and the gains of the settings with it: mean, standard error, number."""
    gains = [(choices_of_arm(arm), gain) for arm, gain in ranked]
    found = []
    for key, values in CHOICES.items():
        for value in values:
            chosen = [gain for choices, gain in gains if choices[key] == value]
            if len(chosen) > 1:
                error = float(np.std(chosen, ddof=1) / np.sqrt(len(chosen)))
                found.append((key, value, float(np.mean(chosen)), error, len(chosen)))
    return found


def ranking(table: pa.Table, arms: Sequence[str], steps: int, seeds: range) -> Ranked:
    """Return the arms with their gain over the layer alone, the mean over data sets and seeds, best first."""
    gains: dict[str, list[float]] = {arm: [] for arm in arms}
    for setting, of_arm in scored(table, "dice", on="held-out").items():
        if setting.steps != steps:
            continue
        levels = {arm: _mean(of_arm[arm], seeds) for arm in (*arms, _REFERENCE)}
        for arm in arms:
            gains[arm].append(levels[arm] - levels[_REFERENCE])
    return sorted(((arm, float(np.mean(values))) for arm, values in gains.items()), key=lambda pair: -pair[1])


def _best(ranked: Ranked) -> list[str]:
    return [arm for arm, _ in ranked[: max(1, len(ranked) // KEPT)]]


def _mean(values: Mapping[tuple[str, int], float], seeds: range) -> float:
    return float(np.nanmean([value for (_, seed), value in values.items() if seed in seeds]))


def _method(arm: str) -> str:
    return arm.partition("@")[0].rpartition("+")[2]


def runs_of(settings: Sequence[str], steps: int, seeds: range) -> list[Run]:
    """Return the runs of a rung: the layer alone, and the settings that are left."""
    return [
        Run(dataset, 40, plan.NETWORK, arm, steps, plan.SIZE, "held-out", seed)
        for seed in seeds
        for dataset in DATASETS
        for arm in (_REFERENCE, *settings)
    ]
