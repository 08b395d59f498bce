"""Which arm is compared with which, and the gains of all that was run, corrected for their number."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pyarrow as pa

from training.datasets import measured_unit
from training.results import SCORES, scores_by_run
from training.statistics import Gain, gain, holm, paired

UNITS = {"dice": 100.0, "boundary_f": 100.0, "hd95": 1.0}
"""Factors to points of a hundred, and to pixels."""


@dataclass(frozen=True, order=True)
class Setting:
    """What compared runs have in common."""

    dataset: str
    n: int
    network: str
    steps: int
    size: int


@dataclass(frozen=True)
class Comparison:
    """An arm against its reference.

    Attributes
    ----------
    level : float
        Mean score of the arm, in the units of the gain.
    holm : float
        p after Holm's correction over the comparisons that were asked for together.
    """

    setting: Setting
    arm: str
    reference: str
    score: str
    level: float
    gain: Gain
    holm: float = float("nan")


Scored = dict[Setting, dict[str, dict[tuple[str, int], float]]]
"""Scores by (image, seed), by arm, by setting."""


def scored(table: pa.Table, score: str, *, corruption: str = "clean", on: str = "test") -> Scored:
    """Return one score of all runs, in points or pixels; slices of a patient count as one, by their mean."""
    found: Scored = defaultdict(lambda: defaultdict(dict))
    for run, of_images in scores_by_run(table, score, corruption).items():
        if run.on == on:
            setting = Setting(run.dataset, run.n, run.network, run.steps, run.size)
            units = defaultdict(list)
            for image, value in of_images.items():
                units[measured_unit(run.dataset, image)].append(UNITS[score] * value)
            found[setting][run.arm].update({(unit, run.seed): _mean(values) for unit, values in units.items()})
    return found


def _mean(values: list[float]) -> float:
    """Return the mean of the scores that there are: an image without foreground has none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def reference_of(arm: str) -> str:
    """Return what an arm is measured against: fresh samples of the same, the same layer alone, or flips.

    An arm that is its own reference has none other.
    """
    rest, _, copies = arm.partition("@")
    if copies:
        return rest
    layer, _, method = rest.rpartition("+")
    return f"{layer}+flips" if layer and method != "flips" else "flips"


def against_references(
    table: pa.Table, *, score: str = "dice", corruption: str = "clean", reference: str | None = None
) -> list[Comparison]:
    """Return the comparisons of all arms with their references, or all with one, in the order of settings.

    Arms are compared on the seeds that both have.
    """
    found = []
    for setting, arms in sorted(scored(table, score, corruption=corruption).items()):
        for arm in arms:
            other = reference or reference_of(arm)
            if other in arms and other != arm:
                one = comparison(setting, arms, arm, other, score)
                found += [one] if one is not None else []
    return corrected(found)


def comparison(
    setting: Setting, arms: dict[str, dict[tuple[str, int], float]], arm: str, reference: str, score: str
) -> Comparison | None:
    """Return one comparison; None without a seed that both have."""
    differences, seeds = paired(arms[arm], arms[reference])
    if not seeds:
        return None
    return Comparison(setting, arm, reference, score, _mean(list(arms[arm].values())), gain(differences))


def corrected(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Return comparisons with p values corrected for their number; single seeds do not count."""
    all_of_them = list(comparisons)
    counted = [one for one in all_of_them if one.gain.seeds > 1]
    p = dict(zip(map(id, counted), holm([one.gain.p for one in counted]), strict=True))
    return [replace(one, holm=p.get(id(one), float("nan"))) for one in all_of_them]


assert set(UNITS) == set(SCORES)
