"""Findings that depend on options, from evidence that is written down."""

from pathlib import Path

import numpy as np
import pytest

from hsmix_gen.pipeline.reporting.evidence import Evidence, Measured
from hsmix_gen.pipeline.reporting.findings import _LOOKS
from hsmix_gen.pipeline.reporting.thresholds import RULES
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import SourceRecord, Split
from hsmix_gen.stages.measures.image_measures import ImageMeasures

MODES = {"hard": ["hard"], "soft": ["soft"], "both": ["hard", "soft"], "cache": []}


@pytest.mark.parametrize(
    ("modes", "aggregate", "selection", "method", "light"),
    [
        ("both", "sum", "bernoulli", "hsmix", "red"),
        ("soft", "sum", "connected", "hsmix", "red"),
        ("hard", "mean", "bernoulli", "hsmix", "red"),
        ("hard", "sum", "connected", "hsmix", "grey"),
        ("soft", "mean", "bernoulli", "hsmix", "grey"),
        ("both", "mean", "connected", "hsmix", "grey"),
        ("both", "sum", "bernoulli", "cutmix", "grey"),
        ("both", "sum", "bernoulli", "cutmix,hsmix", "red"),
        ("cache", "sum", "connected", "", "red"),
    ],
)
def test_a_superpixel_above_all_matters_where_mixes_go_by_size(
    modes: str, aggregate: str, selection: str, method: str, light: str
) -> None:
    """A draw may take the air around a body; the sum of saliency over it leaves nothing to all others."""
    measures = [ImageMeasures((), 1.0, size, 1.0, 0.0, 1.0, np.zeros(2)) for size in (2.0, 300.0, 400.0)]
    record = SourceRecord("a", "a", "train", None, "a", "b", "", "", 4, 4)
    samples = {"mode": np.array(MODES[modes]), "split": np.array(["train"] * len(MODES[modes]))} if MODES[modes] else {}
    evidence = Evidence(
        Path(), "output", "set", {"method": method}, [record], samples, [Measured(record, one) for one in measures],
        [], 0, 3, 0, {**RunConfig().flat(), "mix.aggregate": aggregate, "mix.selection": selection},
    )  # fmt: skip

    value, text = _LOOKS["outweighed"](evidence)

    assert next(rule for rule in RULES if rule.name == "outweighed").light(value) == light
    assert ("300 times" in text) == (light == "red")


@pytest.mark.parametrize("blank", [True, False])
def test_blank_planes_of_equal_bytes_are_no_leakage(blank: bool) -> None:
    """Planes beside the body are alike in all volumes, as `verify` says too."""
    splits: tuple[tuple[str, Split], ...] = (("a", "train"), ("b", "test"))
    records = [
        SourceRecord(name, name, split, None, name, name, "equal", "", 4, 4, blank=blank) for name, split in splits
    ]
    evidence = Evidence(Path(), "cache", "set", {}, records, {}, [], [], 0, 2, 0, {})

    value, _ = _LOOKS["leakage"](evidence)

    assert value == (0 if blank else 1)


@pytest.mark.parametrize(("method", "is_judged"), [("hsmix", True), ("", True), ("cutmix", False)])
def test_seams_are_judged_of_superpixels_alone(method: str, is_judged: bool) -> None:
    """A rectangle lies on contours by chance, and no compactness changes that."""
    samples = {
        "mode": np.array(["hard"]), "split": np.array(["train"]), "method": np.array([method]),
        "contour": np.array([0.33]), "contour_chance": np.array([0.33]),
    }  # fmt: skip
    evidence = Evidence(Path(), "output", "set", {}, [], samples, [], [], 0, 1, 0, {})

    value, _ = _LOOKS["seam"](evidence)

    assert (next(rule for rule in RULES if rule.name == "seam").light(value) != "grey") is is_judged


@pytest.mark.parametrize(
    ("mode", "method", "is_judged"),
    [
        ("hard", "hsmix", True),
        ("soft", "hsmix", True),
        ("hard", "cam-superpixels", True),
        ("hard", "cutmix", False),
        ("soft", "guided", False),
        ("none", "", False),
        ("cache", "", True),
    ],
)
def test_superpixels_are_judged_where_samples_are_mixed_by_them(mode: str, method: str, is_judged: bool) -> None:
    """A dataset of CutMix was red for superpixels that none of its samples reads, and `--strict` failed."""
    samples = {} if mode == "cache" else {
        "mode": np.array([mode]), "split": np.array(["train"]), "method": np.array([method]),
    }  # fmt: skip
    record = SourceRecord("a", "a", "train", None, "a", "b", "", "", 4, 4)
    bad = ImageMeasures((), 0.5, 2.0, 0.2, 0.2, 1.0, np.zeros(2))
    evidence = Evidence(Path(), "output", "set", {}, [record], samples, [Measured(record, bad)], [], 0, 1, 0, {})

    lights = {rule.name: rule.light(_LOOKS[rule.name](evidence)[0]) for rule in RULES if rule.name in _OF_SUPERPIXELS}

    assert lights == dict.fromkeys(_OF_SUPERPIXELS, "red" if is_judged else "grey")


_OF_SUPERPIXELS = ("object_size", "boundary_recall")


@pytest.mark.parametrize(
    ("methods", "light"),
    [(["hsmix", "mixup"], "red"), (["guided"], "red"), (["mixup", "mixup"], "grey"), (["mixup", "soft-cp"], "grey")],
)
def test_lambda_is_judged_of_mixes_by_region_or_map(methods: list[str], light: str) -> None:
    """Mixup has one lambda by design, also where another method stands beside it."""
    n = len(methods)
    samples = {
        "mode": np.array(["soft"] * n), "split": np.array(["train"] * n), "method": np.array(methods),
        "lambda_std": np.zeros(n),
    }  # fmt: skip
    described = {"method": ",".join(methods)}
    evidence = Evidence(Path(), "output", "set", described, [], samples, [], [], 0, 1, 0, {})

    value, _ = _LOOKS["flat_lambda"](evidence)

    assert next(rule for rule in RULES if rule.name == "flat_lambda").light(value) == light
