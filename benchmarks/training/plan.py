"""The whole plan: which runs answer which question, the most telling first."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from training.arms import is_available
from training.networks import WITH_ENCODER
from training.results import Run

SHORT, LONG, LONGEST = 300, 900, 3000
"""Optimiser steps of the budgets; the long one ends with the training loss at rest."""
SIZE = 64
NETWORK = "unet-half"
LAYER = "strong"
MAIN = ("strong+flips", "strong+cutmix", "strong+hsmix", "strong+hsmix-connected")
MIXED = (
    "cutmix", "mixup", "hsmix", "hsmix-robust", "hsmix-hard", "hsmix-soft", "hsmix-connected", "hsmix-object",
    "hsmix-grid", "hsmix-random", "classmix", "copy-paste", "carvemix", "soft-cp", "guided", "cam-superpixels", "fmix",
)  # fmt: skip
CAUSES = (
    "cutmix-third", "hsmix-hard-third", "hsmix-soft-third", "hsmix-soft-mean", "hsmix-soft-half", "hsmix-half",
    "hsmix-coarse", "hsmix-connected-hard", "hsmix-object-mask", "cutmix-matched",
)  # fmt: skip
SEARCHED, PIECES, TUNED = "strong+hsmix-searched", "strong+hsmix-connected-hard", "strong+hsmix-tuned"
POLICIES = ("none", "trivial+flips", "rand+flips", "augmix+flips")


@dataclass(frozen=True)
class Stage:
    """Runs that answer one question.

    Attributes
    ----------
    question : str
    arms : sequence of str
    seeds : range
    datasets, sizes_n, networks, steps : sequences
        All are crossed.
    """

    question: str
    arms: Sequence[str]
    seeds: range = field(kw_only=True)
    datasets: Sequence[str] = ("isic", "glas")
    sizes_n: Sequence[int] = (40,)
    steps: Sequence[int] = (LONG,)
    networks: Sequence[str] = (NETWORK,)
    size: int = SIZE

    def runs(self) -> Iterator[Run]:
        """Yield the runs, seed after seed, so that whatever is finished is balanced over arms."""
        for seed, steps, dataset, n, network in product(
            self.seeds, self.steps, self.datasets, self.sizes_n, self.networks
        ):
            for arm in self.arms:
                yield Run(dataset, n, network, arm, steps, self.size, "test", seed)


def _on_strong(methods: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{LAYER}+{method}" for method in methods)


ASKED = ("strong+flips", "strong+cutmix", "strong+hsmix-connected")
"""What is run where a question is dear: the layer alone, the method to beat, and the best selection of HSMix."""
DECIDED = (*ASKED, PIECES, TUNED)
"""What is run in the longest trainings: these and both forms that did best before."""
SHOWN = (*MAIN, SEARCHED, PIECES, TUNED)
"""What the first tables compare."""

STAGES = (
    Stage("Does mixing help on top of strong augmentation, in a short training?", MAIN, steps=(SHORT,), seeds=range(3)),
    Stage("The same in a long one", MAIN, seeds=range(3)),
    Stage("The same with ten seeds", ASKED, seeds=range(10)),
    Stage("The same in the longest, with ten seeds", DECIDED, datasets=("isic",), steps=(LONGEST,), seeds=range(10)),
    Stage("And on glands", (*ASKED[:2], PIECES, TUNED), datasets=("glas",), steps=(LONGEST,), seeds=range(10)),
    Stage("And the published draw, the default", (MAIN[2],), steps=(LONGEST,), seeds=range(10)),
    Stage("And whole pieces alone, hard", (PIECES,), seeds=range(10)),
    Stage("Does the setting that the search found do better?", (SEARCHED,), seeds=range(10)),
    Stage("How many offline copies?", tuple(f"{arm}@{k}" for k in (10, 3, 1, 30) for arm in ASKED[1:]),
          datasets=("isic",), seeds=range(5)),
    Stage("Other networks", ASKED, datasets=("isic",), steps=(SHORT,),
          networks=("unet", "hybrid", "two-scale", "deeplabv3plus", "segformer"), seeds=range(2)),
    Stage("Other forms of HSMix, its controls and relatives", _on_strong((MIXED[1], *MIXED[3:6], *MIXED[7:])),
          steps=(SHORT,), seeds=range(3)),
    Stage("What is strong augmentation worth, and what are policies?", ("flips", *POLICIES), steps=(SHORT,),
          seeds=range(3)),
    Stage("Other data", MAIN, datasets=("cells", "hippocampus"), seeds=range(3)),
    Stage("How many images?", ASKED, datasets=("isic",), sizes_n=(10, 20, 80), seeds=range(3)),
    Stage("Why? One change at a time", _on_strong(CAUSES), datasets=("isic",), steps=(SHORT,), seeds=range(3)),
    Stage("Without strong augmentation", MIXED, datasets=("isic",), steps=(SHORT,), seeds=range(2)),
    Stage("Several modalities", ASKED, datasets=("brats",), sizes_n=(20,), seeds=range(2)),
    Stage("Other data in the longest", (*ASKED[:2], TUNED), datasets=("cells", "hippocampus"), steps=(LONGEST,),
          seeds=range(5)),
    Stage("Drawn images, for where there are no others", MAIN, datasets=("drawn",), steps=(SHORT,), seeds=range(3)),
    Stage("Other data with all methods", _on_strong(("flips", *MIXED)), datasets=("cells", "hippocampus"),
          steps=(SHORT,), seeds=range(2)),
)  # fmt: skip
"""In the order in which they are run."""

QUICK = Stage(
    "Does the harness find what is there?",
    ("flips", "planted-good", "planted-bad+flips"),
    datasets=("drawn",),
    sizes_n=(10,),
    steps=(120,),
    seeds=range(4),
    size=48,
)


def planned(stages: Sequence[Stage] = STAGES) -> Iterator[Run]:
    """Yield every run of the plan once, in order, of arms that this version of hsmix-gen has."""
    seen = set()
    for stage in stages:
        for run in stage.runs():
            if run not in seen and is_available(run.arm):
                seen.add(run)
                yield run


def on_cuda(stages: Sequence[Stage] = STAGES[:2]) -> Iterator[Run]:
    """Yield the first questions again for larger networks at 224 pixels, which a GPU does in minutes."""
    for stage in stages:
        for run in stage.runs():
            if is_available(run.arm):
                yield Run(run.dataset, run.n, "unet-large", run.arm, run.steps, 224, run.on, run.seed)


def with_encoder(runs: Iterable[Run], weights: str) -> list[Run]:
    """Return the runs whose network has an encoder, named so that it starts from weights of a file."""
    return [replace(run, network=f"{run.network}@{weights}") for run in runs if run.network in WITH_ENCODER]
