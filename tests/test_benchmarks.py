"""The parts of the benchmarks that their numbers rest on."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import SamplePlan

FOLDER = Path(__file__).parents[1] / "benchmarks"


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a file of benchmarks/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("wide", [False, True])
def test_loops_over_regions_make_the_same_sample_as_the_stages(wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timings of two ways to one result are compared, so the results have to be equal up to rounding."""
    on_the_fly, synthetic = load("on_the_fly", monkeypatch), load("synthetic", monkeypatch)
    plan = SamplePlan(key="k", split="train", mode="soft", row_a=0, row_b=1, seed=5, shard="s", index=0)
    pictures = [synthetic.draw_pair(np.random.default_rng(number), 48) for number in (1, 2)]
    a, b = (
        on_the_fly.Origin(image, mask // 255, 20, turn) for (image, mask), turn in zip(pictures, (1, 6), strict=True)
    )
    pair = on_the_fly.Pair(plan, a, b)

    def map_saliency(images: np.ndarray) -> np.ndarray:
        return images[..., 0]

    sample = on_the_fly.vectorised(pair, map_saliency, MixConfig(), n_classes=2)
    image, mask = on_the_fly.looped(pair, map_saliency, MixConfig(), wide=wide)

    assert np.abs(image - sample.mixed.image).max() < 1.1
    assert np.abs(mask - sample.mixed.soft[1]).max() < 0.01
    assert 0.1 < sample.area_b < 0.9


def test_synthetic_pictures_depend_on_their_generator_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks without data have to see the same pixels everywhere."""
    draw_pair = load("synthetic", monkeypatch).draw_pair

    first, second = (draw_pair(np.random.default_rng(3), 48) for _ in range(2))

    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
    assert set(np.unique(first[1])) == {0, 255}


@pytest.mark.parametrize(
    ("value", "bounds", "met"),
    [
        (1.8, {"least": 1.8}, True),
        (1.7, {"least": 1.8}, False),
        (0.3, {"most": 0.25}, False),
        (np.nan, {"most": 1}, False),
    ],
)
def test_a_claim_is_met_inside_its_bound_only(
    value: float, bounds: dict[str, float], met: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A benchmark that could not measure must not pass."""
    report = load("report", monkeypatch)

    claim = report.Claim("name", value, **bounds)

    assert claim.is_met is met
    assert report.conclude([claim]) == (0 if met else 1)
