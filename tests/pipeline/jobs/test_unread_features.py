"""Features that no sample reads are neither made nor budgeted, and the words of a run name what mixed it."""

import json
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline import generate, prepare
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.jobs.run import uses_gpu, warn_of_unread_features, without_unread_maps
from hsmix_gen.pipeline.mixing.card import mixed_by
from hsmix_gen.schemas.config import RunConfig
from tests.command_line import error_of, run_cli
from tests.small_sources import make_source

# Grad-CAM is the default: with it a run would fit a network.
PLAIN = (
    *("--size", 48, 64, "--regions", 6, 20, "--variants", 1, "--copies", 2, "--shards", 1),
    *("--backend", "serial", "--progress", "none"),
)
SERIAL = {"run.backend": "serial"}


def configured(**mix: Any) -> RunConfig:
    return RunConfig.model_validate({"mix": mix})


@pytest.mark.parametrize(
    ("mix", "is_read"),
    [
        ({}, True),
        ({"probabilities": (0.5, 0.5, 0)}, False),
        ({"weight": "random"}, False),
        ({"weight": "random", "area": "matched"}, True),
        ({"method": "cutmix", "probabilities": (0, 1, 0)}, False),
        ({"method": "mixup", "probabilities": (0, 0, 1), "area": "matched"}, False),
        ({"method": "guided", "probabilities": (0, 0, 1)}, True),
        ({"method": "cutmix,cam-superpixels", "probabilities": (0, 1, 0)}, True),
        ({"probabilities": (0, 1, 0), "policy": "paired"}, True),
    ],
)
def test_maps_are_made_where_a_sample_reads_them(mix: dict[str, Any], is_read: bool) -> None:
    config = configured(**mix)

    found = without_unread_maps(config)

    assert found.saliency.backend == ("gradcam" if is_read else "none")
    assert uses_gpu(found, lambda: True) is is_read
    assert found.model_copy(update={"saliency": config.saliency}) == config


class Warnings(SilentDisplay):
    """Keeps what a user would be warned of."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.parametrize(
    ("sections", "start"),
    [
        ({"saliency": {"backend": "gradcam"}}, "saliency.backend (--saliency) gradcam has no effect: no sample of"),
        (
            {"saliency": {"backend": "fine_grained", "batch": 8}},
            "saliency.backend (--saliency) fine_grained has no effect: no sample of",
        ),
        ({"saliency": {"layer": "up"}}, "saliency.layer (--layer) up has no effect: no sample of"),
        ({"saliency": {"backend": "none"}}, None),
        ({}, None),
    ],
)
def test_a_saliency_that_is_asked_for_in_vain_is_named(sections: dict[str, Any], start: str | None) -> None:
    """It was replaced in silence, as if even maps had been chosen."""
    shown = Warnings()
    config = RunConfig.model_validate({"mix": {"probabilities": (0, 1, 0)}, **sections})

    warn_of_unread_features([config], Reporter(shown))

    assert [text[: len(start or "")] for text in shown.texts] == ([start] if start else [])
    assert all(text.endswith("for other runs with hsmix-gen prepare") for text in shown.texts)


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        (
            {"superpixels": {"method": "grid", "regions": (10, 20)}},
            "superpixels.method (--superpixels) grid, superpixels.regions (--regions) 10 20",
        ),
        ({"superpixels": {"body": "all"}}, "superpixels.body all"),
        ({"superpixels": {"method": "slic", "variants": 4}}, None),
        ({"preset": "isic2017", "superpixels": {"regions": (30, 80), "compactness": 10.0}}, None),
        ({"superpixels": {"regions": (10, 20)}, "mix": {"area": "matched"}}, None),
        ({"superpixels": {"regions": (10, 20)}, "mix": {"method": "cutmix,hsmix"}}, None),
        ({}, None),
    ],
)
def test_superpixels_that_are_asked_for_in_vain_are_named(sections: dict[str, Any], named: str | None) -> None:
    """What a preset says is nobody's wish; a control that takes its area from superpixels reads them."""
    shown = Warnings()
    mix = {"method": "cutmix", "probabilities": (0, 1, 0), **sections.get("mix", {})}

    warn_of_unread_features([RunConfig.model_validate({**sections, "mix": mix})], Reporter(shown))

    start = f"{named} has no effect: no sample of this run reads superpixels"
    assert [text[: len(start)] for text in shown.texts] == ([start] if named else [])


def test_of_compared_runs_one_that_reads_superpixels_is_enough() -> None:
    shown = Warnings()
    named = {"superpixels": {"regions": (10, 20)}}
    without = RunConfig.model_validate({"mix": {"method": "cutmix", "probabilities": (0, 1, 0)}, **named})

    warn_of_unread_features([without, RunConfig.model_validate(named)], Reporter(shown))
    warn_of_unread_features([without, without], Reporter(shown))

    assert [text.count("--regions") for text in shown.texts] == [1]


def test_a_run_of_cutmix_warns_of_superpixels_and_its_report_has_no_light_on_them(tmp_path: Path) -> None:
    source, output = make_source(tmp_path / "source"), tmp_path / "out"

    made = run_cli("run", source, output, *PLAIN, "--method", "cutmix", "--superpixels", "grid")
    run_cli("report", output, "--to", tmp_path, "--progress", "none")

    assert "warning: superpixels.method (--superpixels) grid, superpixels.regions (--regions) 6 20, " in made.stderr
    assert next(output.glob(".hsmix/cache/superpixels-*"))
    found = {one["rule"]: one["light"] for one in json.loads((tmp_path / "report.json").read_text())["findings"]}
    assert (found["object_size"], found["boundary_recall"], found["seam"]) == ("grey", "grey", "grey")


def test_of_compared_runs_one_that_reads_saliency_is_enough() -> None:
    shown = Warnings()
    named = {"saliency": {"backend": "fine_grained"}}
    without = RunConfig.model_validate({"mix": {"probabilities": (0, 1, 0)}, **named})

    warn_of_unread_features([without, RunConfig.model_validate(named)], Reporter(shown))

    assert shown.texts == []


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({}, "hsmix (profile paper, selection bernoulli)"),
        (
            {"profile": "robust", "control": "hard-only", "mix": {"selection": "object"}},
            "hsmix (profile robust, selection object, control hard-only)",
        ),
        ({"mix": {"method": "cutmix,mixup"}}, "cutmix, mixup"),
        (
            {"control": "mixup", "mix": {"method": "mixup", "probabilities": (0, 0, 1), "area": "matched"}},
            "mixup (selection bernoulli, control mixup)",
        ),
    ],
)
def test_what_mixed_the_samples_is_stated_in_words(sections: dict[str, Any], words: str) -> None:
    assert mixed_by(RunConfig.model_validate(sections)) == words


def test_a_run_of_mixup_names_it_everywhere_and_fits_no_network(tmp_path: Path) -> None:
    source, output = make_source(tmp_path / "source"), tmp_path / "out"

    planned = run_cli("run", source, output, *PLAIN, "--control", "mixup", "--dry-run")
    made = run_cli("run", source, output, *PLAIN, "--control", "mixup")

    words = "by mixup (selection bernoulli, control mixup)"
    assert words in planned.stdout
    assert words in made.stdout
    assert "network" not in planned.stdout
    assert not any(word in planned.stdout + made.stdout for word in ("saliency", "Grad-CAM", "gradcam", "paper"))
    described, run = (json.loads((output / name).read_text()) for name in ("dataset.json", "run.json"))
    assert (described["method"], described["control"], described["selection"]) == ("mixup", "mixup", "bernoulli")
    assert run["saliency"] == {"backend": "none"}
    assert run["config"]["saliency"]["backend"] == "none"
    assert "warning" not in made.stderr
    card = (output / "README.md").read_text()
    assert "Method mixup (selection bernoulli, control mixup)" in card
    assert not any(word in card for word in ("gradcam", "profile paper", "Profile"))


def test_maps_that_nobody_read_are_not_mixed_by(tmp_path: Path) -> None:
    """There are none: soft samples would be of no saliency, in silence."""
    source, cache = make_source(tmp_path / "source"), tmp_path / "cache"
    run_cli("run", source, tmp_path / "out", *PLAIN, "--cache", cache, "--profile", "tuned")
    mixed = ("generate", "--cache", cache, "--backend", "serial", "--progress", "none")

    refused = run_cli(*mixed, tmp_path / "soft", "--method", "hsmix", status=1)
    run_cli(*mixed, tmp_path / "hard", "--method", "cutmix")
    unread = run_cli(*mixed, tmp_path / "hard", "--method", "cutmix", "-o", "saliency.backend=uniform", status=1)
    vain = run_cli(*mixed, tmp_path / "soft", "--method", "hsmix", "-o", "saliency.backend=none", status=1)

    assert error_of(refused) == (
        f"error: the cache {cache} has no saliency maps, which mixing by hsmix reads; mix without (--profile tuned, "
        f"--method cutmix), or add maps by hsmix-gen prepare SOURCE --cache {cache} --saliency BACKEND"
    )
    assert "no features of saliency.backend (--saliency) uniform are in the cache" in error_of(unread)
    assert "--saliency none makes no maps, which mixing by hsmix reads here" in error_of(vain)


def test_maps_that_are_asked_for_in_vain_change_no_sample(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source")
    asked = run_cli("run", source, tmp_path / "asked", *PLAIN, "--profile", "tuned", "--saliency", "gradcam")
    run_cli("run", source, tmp_path / "plain", *PLAIN, "--profile", "tuned", "--saliency", "none")

    assert "warning: saliency.backend (--saliency) gradcam has no effect" in asked.stderr
    names = ("manifest.parquet", *(f"webdataset/{split}-000000.tar" for split in ("train", "val", "test")))
    assert [(tmp_path / "asked" / name).read_bytes() for name in names] == [
        (tmp_path / "plain" / name).read_bytes() for name in names
    ]


def samples_of(output: Path) -> list[bytes]:
    names = ("manifest.parquet", *(f"webdataset/{split}-000000.tar" for split in ("train", "val", "test")))
    return [(output / name).read_bytes() for name in names]


def test_maps_that_were_added_later_keep_nobody_from_mixing_without(tmp_path: Path) -> None:
    """The very same command was refused, as two sets of features fitted."""
    source, cache = make_source(tmp_path / "source"), tmp_path / "cache"
    run_cli("run", source, tmp_path / "out", *PLAIN, "--cache", cache, "--profile", "tuned")
    tuned = ("--cache", cache, "--backend", "serial", "--progress", "none", "--shards", 1, "--profile", "tuned")
    run_cli("generate", tmp_path / "before", *tuned)
    features = (*PLAIN[:8], "--backend", "serial", "--progress", "none")
    for backend in ("fine_grained", "uniform"):
        run_cli("prepare", source, "--cache", cache, *features, "--saliency", backend)

    run_cli("generate", tmp_path / "before", *tuned)
    run_cli("generate", tmp_path / "none", *tuned)
    run_cli("generate", tmp_path / "named", *tuned, "-o", "saliency.backend=uniform")
    run_cli("generate", tmp_path / "named", *tuned)  # goes on with what it was begun with
    generate(cache, tmp_path / "named", shards=1, profile="tuned", settings=SERIAL)

    names = {"before": "none", "none": "none", "named": "uniform"}
    runs = {name: json.loads((tmp_path / name / "run.json").read_text()) for name in names}
    assert {name: run["config"]["saliency"]["backend"] for name, run in runs.items()} == names
    assert samples_of(tmp_path / "none") == samples_of(tmp_path / "before") == samples_of(tmp_path / "named")


def test_a_cache_without_maps_may_be_prepared(tmp_path: Path) -> None:
    """Nothing is mixed there, so that nothing is read; `prepare` has no option that mixes without maps."""
    source, cache = make_source(tmp_path / "source"), tmp_path / "cache"
    run_cli("prepare", source, "--cache", cache, *PLAIN[:8], *PLAIN[-4:], "--saliency", "none")
    prepare(source, cache, size=(48, 64), regions=(6, 20), variants=1, saliency="none", settings=SERIAL)
    mixed = ("generate", "--cache", cache, *PLAIN[-4:])

    run_cli(*mixed, tmp_path / "tuned", "--profile", "tuned")
    refused = run_cli(*mixed, tmp_path / "soft", status=1)

    assert "has no saliency maps, which mixing by hsmix reads" in error_of(refused)
    assert len(list(cache.glob("features-*.json"))) == 1


def test_a_forgotten_profile_is_refused_without_the_maps_that_follow_from_it(tmp_path: Path) -> None:
    source, output = make_source(tmp_path / "source"), tmp_path / "out"
    run_cli("run", source, output, *PLAIN, "--profile", "tuned")

    line = error_of(run_cli("run", source, output, *PLAIN, status=1))

    assert "profile (--profile) was tuned, is paper (give --profile tuned again); choose another folder" in line
