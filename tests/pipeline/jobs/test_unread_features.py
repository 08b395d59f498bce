"""Features that no sample reads are neither made nor budgeted, and the words of a run name what mixed it."""

import json
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.jobs.run import uses_gpu, without_unread_maps
from hsmix_gen.pipeline.mixing.card import mixed_by
from hsmix_gen.schemas.config import RunConfig
from tests.command_line import error_of, run_cli
from tests.small_sources import make_source

# Grad-CAM is the default: with it a run would fit a network.
PLAIN = (
    *("--size", 48, 64, "--regions", 6, 20, "--variants", 1, "--copies", 2, "--shards", 1),
    *("--backend", "serial", "--progress", "none"),
)


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
def test_grad_cam_is_computed_where_a_sample_reads_it(mix: dict[str, Any], is_read: bool) -> None:
    config = configured(**mix)

    found = without_unread_maps(config)

    assert found.saliency.backend == ("gradcam" if is_read else "uniform")
    assert uses_gpu(found, lambda: True) is is_read
    assert found.model_copy(update={"saliency": config.saliency}) == config


def test_maps_that_cost_little_stay_as_they_were_chosen() -> None:
    config = RunConfig.model_validate(
        {"mix": {"method": "cutmix", "probabilities": (0, 1, 0)}, "saliency": {"backend": "fine_grained"}}
    )

    assert without_unread_maps(config) == config


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
    assert run["saliency"] == {"backend": "uniform"}
    card = (output / "README.md").read_text()
    assert "Method mixup (selection bernoulli, control mixup)" in card
    assert not any(word in card for word in ("gradcam", "profile paper", "Profile"))


def test_maps_that_nobody_read_are_not_mixed_by(tmp_path: Path) -> None:
    """They are even: soft samples would be of no saliency, in silence. Who asks for even ones gets them."""
    source, cache = make_source(tmp_path / "source"), tmp_path / "cache"
    run_cli("run", source, tmp_path / "out", *PLAIN, "--cache", cache, "--profile", "tuned")
    generate = ("generate", "--cache", cache, "--backend", "serial", "--progress", "none")

    refused = run_cli(*generate, tmp_path / "soft", "--method", "hsmix", status=1)
    run_cli(*generate, tmp_path / "hard", "--method", "cutmix")
    run_cli(*generate, tmp_path / "even", "--method", "hsmix", "-o", "saliency.backend=uniform")

    assert "no features of saliency.backend (--saliency) gradcam are in the cache" in error_of(refused)
    assert "or run prepare with it, into the same cache" in error_of(refused)
