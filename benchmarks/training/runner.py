"""Runs of a plan, one after the other, by any number of processes, until all are done or the time is over."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hsmix_gen.schemas.config import SuperpixelsConfig
from training.arms import Arm, arm_of
from training.datasets import DATASETS, Prepared, prepare
from training.results import Results, Run
from training.samples import Samples

Rows = list[dict[str, Any]]
"""Of one run: scores of each test image under each corruption."""


@dataclass(frozen=True)
class Place:
    """Where runs read and write.

    Attributes
    ----------
    source : Path or None
        Folder of the data sets; None: the drawn set alone.
    work : Path
        Caches of features; may be removed.
    results : Path
    device : str
    encoder_weights : Path or None
    """

    source: Path | None
    work: Path
    results: Path
    device: str = "cpu"
    encoder_weights: Path | None = None


def work_through(
    runs: Iterable[Run], place: Place, *, until: float, do: Callable[[Run, Place], Rows] | None = None
) -> int:
    """Do the runs that nobody has done or does, and whose data are there; return how many.

    Parameters
    ----------
    until : float
        Moment of `time.monotonic` after which no run is started.
    do : callable, optional
        Does a run; None trains and measures.
    """
    results, done = Results(place.results), 0
    for run in runs:
        if time.monotonic() >= until:
            break
        if results.has(run) or not _has_data(run, place):
            continue
        with results.claimed(run) as mine:
            if mine:
                rows = (do or train_and_measure)(run, place)
                results.write(run, rows)
                done += 1
                scores = [row["dice"] for row in rows if row["corruption"] == "clean"]
                print(f"{run.name}: Dice {np.nanmean(scores):.4f}, {rows[0]['seconds']:.0f} s", flush=True)
    return done


def train_and_measure(run: Run, place: Place) -> Rows:
    """Train and measure one run and return its rows."""
    import torch  # a listing of the plan need not wait for it

    from training.fit import Recipe, evaluate, train

    torch.set_num_threads(1)
    arm = arm_of(run.arm)
    prepared = prepared_for(arm, run.dataset, run.size, place)
    rows = prepared.subset(run.n * arm.more_images, run.seed)
    recipe = Recipe(network=run.network, steps=run.steps, device=place.device, encoder_weights=place.encoder_weights)
    samples = Samples(
        prepared, rows, arm, seed=run.seed, exposures=run.steps * recipe.batch, saliency=place.work / "saliency"
    )
    trained = train(
        samples, recipe, channels=prepared.layers.facts.channels, classes=prepared.n_classes, seed=run.seed,
        layer=arm.layer,
    )  # fmt: skip
    tested = prepared.test if run.on == "test" else prepared.held_out(rows)
    scores = evaluate(
        trained.network, prepared.images[tested], prepared.masks[tested], n_classes=prepared.n_classes,
        device=place.device,
    )  # fmt: skip
    common = {
        "loss": trained.loss, "seconds": trained.seconds, "device": place.device, "version": version("hsmix-gen")
    }  # fmt: skip
    return [
        {"image": prepared.ids[row], "corruption": corruption, **asdict(one), **common}
        for corruption, of_images in scores.items()
        for row, one in zip(tested, of_images, strict=True)
    ]


def in_processes(arguments: Sequence[str], count: int) -> int:
    """Start this program `count` times and wait; return the greatest exit status."""
    started = [subprocess.Popen([sys.executable, sys.argv[0], *arguments]) for _ in range(count)]
    return max(process.wait() for process in started)


def prepared_for(arm: Arm, dataset: str, size: int, place: Place) -> Prepared:
    """Return a data set with the superpixels that an arm reads; those of the last arms are kept in memory."""
    return _prepared(dataset, size, arm.config.superpixels, place)


@lru_cache(maxsize=3)
def _prepared(dataset: str, size: int, superpixels: SuperpixelsConfig, place: Place) -> Prepared:
    return prepare(DATASETS[dataset], place.source, place.work, size, superpixels)


def _has_data(run: Run, place: Place) -> bool:
    folder = DATASETS[run.dataset].folder
    return not folder or (place.source is not None and (place.source / folder).is_dir())
