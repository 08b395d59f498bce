"""What a sample of each mixing method costs beside one of CutMix: weights and mixing, and encoded. Half a minute."""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from report import Claim, conclude, print_table
from synthetic import draw_pair

from hsmix_gen.pipeline.dataset.sample_members import encode_members
from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.families import METHODS
from hsmix_gen.schemas.records import Mode, SamplePlan
from hsmix_gen.stages.mixing.geometry import transform
from hsmix_gen.stages.mixing.method import Parent, method_named
from hsmix_gen.stages.mixing.sample import Sample, make_sample
from hsmix_gen.stages.saliency.backend import Subject
from hsmix_gen.stages.saliency.backends.spectral_residual import BACKEND
from hsmix_gen.stages.superpixels import slic_regions

SIDE = 224
REGIONS = 100
MOST_ABOVE_CUTMIX = 1.0
"""Milliseconds above CutMix, mixed as well as encoded, on an idle core."""


@dataclass(frozen=True)
class Way:
    """A method in a mode, with a selection where it has a choice."""

    method: str
    mode: Mode
    selection: str

    @property
    def name(self) -> str:
        """How tables name it."""
        return " ".join(filter(None, (self.method, self.mode, self.selection)))

    @property
    def mix(self) -> MixConfig:
        """The configuration of such samples alone."""
        chances = (0, self.mode == "hard", self.mode == "soft")
        selection = {"selection": self.selection} if self.selection else {}
        return MixConfig.model_validate({"method": self.method, "probabilities": chances, **selection})


CUTMIX = Way("cutmix", "hard", "")


def ways() -> list[Way]:
    """Return all methods in all modes, CutMix first."""
    found = [CUTMIX]
    for name in METHODS.names:
        for mode in method_named(name).modes:
            kinds = ("bernoulli", "connected", "object", "object-mask") if name == "hsmix" else ("",)
            found += [way for kind in kinds if (way := Way(name, mode, kind)) != CUTMIX]
    return found


def main() -> int:
    """Time all of them in turn, round after round, so that whatever else the machine does slows all."""
    options = _options()
    parents = [_parent(number) for number in range(options.images)]
    times: dict[Way, list[tuple[float, float]]] = {way: [] for way in ways()}
    configured = {way: way.mix for way in times}
    for number in range(options.rounds):
        a, b = (parents[(number + step) % len(parents)] for step in (0, 1))
        for way, mix in configured.items():
            plan = SamplePlan("key", "train", way.mode, 0, 1, number, "shard", 0, way.method)
            made, mixing = _timed(lambda: make_sample(plan, a, b, mix, n_classes=2))  # noqa: B023
            _, encoding = _timed(lambda: _encoded(made))  # noqa: B023
            times[way].append((mixing, mixing + encoding))
    medians = {way: np.median(np.array(found) * 1e3, axis=0) for way, found in times.items()}
    base = medians[CUTMIX]
    rows = [
        [way.name, *(f"{ms:.2f}" for ms in found), *(f"{ms:+.2f}" for ms in found - base)]
        for way, found in medians.items()
    ]
    head = ["", "mixed", "encoded", "mixed, above CutMix", "encoded, above CutMix"]
    print_table(f"processor time of a sample of {SIDE} x {SIDE} in ms, medians of {options.rounds}", head, rows)
    claims = [
        Claim(f"{way.name}, ms above CutMix, {what}", float(ms), most=MOST_ABOVE_CUTMIX)
        for way, found in medians.items()
        if way != CUTMIX
        for what, ms in zip(("mixed", "encoded"), found - base, strict=True)
    ]
    return conclude(claims)


def _parent(number: int) -> Parent:
    image, mask = draw_pair(np.random.default_rng([9, number]), SIDE)
    (labels,) = slic_regions.segment(image, [REGIONS], compactness=None, sigma=1.0, mask=None)
    subject = Subject("a", (SIDE, SIDE), lambda: image, lambda: np.zeros((SIDE, SIDE), np.float32))
    assert BACKEND.map_of is not None
    saliency = np.rint(BACKEND.map_of(subject) * 255).astype(np.uint8)
    # Laid out as the cache gives them.
    return Parent(transform(image, 0), transform(mask // 255, 0), transform(labels, 0), transform(saliency, 0))


def _encoded(sample: Sample) -> Any:
    return encode_members(sample.mixed, {"area_b": sample.area_b, "flags": list(sample.flags)})


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what work returns, and the seconds of the processor that it took."""
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8, metavar="N", help="synthetic images, pairs of which are mixed")
    parser.add_argument("--rounds", type=int, default=60, metavar="N", help="samples of each method")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
