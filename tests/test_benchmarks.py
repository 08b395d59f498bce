"""The parts of the benchmarks that their numbers rest on."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import SamplePlan
from hsmix_gen.stages.superpixels.slic_regions import segment

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


def test_superpixels_without_a_cache_are_those_of_the_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    on_the_fly, synthetic = load("on_the_fly", monkeypatch), load("synthetic", monkeypatch)
    picture, mask = synthetic.draw_pair(np.random.default_rng(1), 48)

    found = on_the_fly.superpixels(on_the_fly.Origin(picture, mask, 20, 0))

    assert np.array_equal(found, segment(picture, [20], sigma=on_the_fly.SIGMA)[0])


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


@pytest.mark.filterwarnings("ignore")  # pycocotools warns at every call with numpy 2
def test_bare_calls_give_the_values_that_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of reading is compared with that of bare calls, so they have to read the same."""
    for name in ("report", "synthetic"):
        load(name, monkeypatch)
    layouts, reading = (load(name, monkeypatch) for name in ("layouts", "reading"))

    sources = layouts.write_layouts(tmp_path, list(layouts.LAYOUTS), shrink=8)

    for name, source in sources.items():
        _, items = reading.find_items(source, 1)
        assert len(items) == 1, name
        for ours, bare in zip(reading.read_ours(items[0]), reading.read_bare(items[0]), strict=True):
            counts = [np.unique(np.concatenate([a.ravel() for a in side]), return_counts=True) for side in (ours, bare)]
            assert np.array_equal(counts[0], counts[1]), name
            assert len(counts[0][0]) > 1, name


def test_the_ratio_of_reading_is_that_within_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What slows the machine down for one round slows down both sides of it."""
    for name in ("report", "synthetic", "layouts"):
        load(name, monkeypatch)
    reading = load("reading", monkeypatch)
    bare, ours = ([reading.Timing(ms, 2 * ms) for ms in side] for side in ((10, 40, 20), (11, 48, 22)))

    layout = reading.Layout("x", 1, 2, bare, ours, 0.0)

    assert layout.ratio == pytest.approx(1.1)
    assert layout.best_ratio == pytest.approx(1.1)
    assert layout.cpu_ratio == pytest.approx(1.1)


@pytest.mark.slow  # imports torch
def test_a_benchmark_of_a_gpu_says_so_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    load("report", monkeypatch)
    monkeypatch.setattr(sys, "argv", ["gradcam_gpu.py"])

    assert load("gradcam_gpu", monkeypatch).main() == 1
    assert capsys.readouterr().out.startswith("no CUDA device is here: nothing was measured")


def test_cold_reading_is_compared_on_equal_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("report", "synthetic"):
        load(name, monkeypatch)
    paired = load("paired", monkeypatch)

    ours, theirs = paired.readers(tmp_path)

    for index in (("image", 3), ("mask", 0), ("labels", 15, 2), ("saliency", 7)):
        assert ours(*index).max() > 0
        assert np.array_equal(ours(*index), theirs(*index))
