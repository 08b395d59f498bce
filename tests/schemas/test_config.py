"""The configuration refuses what cannot be meant, and says the same thing written out and read back."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from hsmix_gen.schemas.config import ImageConfig, MixConfig, RunConfig, SaliencyConfig, fields


def config(**sections: Any) -> RunConfig:
    return RunConfig.model_validate(sections)


def test_the_defaults_are_those_that_the_manual_promises() -> None:
    default = RunConfig()

    assert (default.seed, default.profile, default.image.size) == (0, "paper", (224, 224))
    assert (default.superpixels.regions, default.superpixels.variants) == ((50, 200), 4)
    assert (default.saliency.backend, default.mix.aggregate, default.mix.policy) == ("gradcam", "sum", "per-sample")
    assert (default.mix.copies, default.mix.select, default.mix.probabilities) == (5, 0.2, (1 / 3, 1 / 3, 1 / 3))


def test_a_section_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig().mix.copies = 7


@pytest.mark.parametrize("section", ["source", "image", "superpixels", "saliency", "mix", "output", "run"])
def test_an_unknown_key_is_refused_in_every_section(section: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        config(**{section: {"colour": 1}})


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("image", {"size": (15, 224)}, "--size must be at least 16 16, got 15 224"),
        ("image", {"size": (224, 15)}, "--size must be at least 16 16, got 224 15"),
        ("superpixels", {"regions": (80, 30)}, "2 <= MIN <= MAX <= 65535, got 80 30"),
        ("superpixels", {"regions": (1, 30)}, "2 <= MIN <= MAX <= 65535, got 1 30"),
        ("superpixels", {"regions": (2, 65536)}, "2 <= MIN <= MAX <= 65535, got 2 65536"),
        ("saliency", {"backend": "precomputed"}, "needs a value of saliency.folder (--saliency-dir); add it"),
        ("saliency", {"weights": "w.pt"}, "add --model MODULE:CALLABLE"),
        ("mix", {"probabilities": (0, 0, 0)}, "one positive number"),
        ("mix", {"lambda_range": (0.6, 0.4)}, "lambda_range must be ordered"),
        ("mix", {"grown_area": (0.6, 0.4)}, "grown_area must be ordered"),
        (
            "mix",
            {"method": "cutmix,mixup", "probabilities": (0, 1, 0)},
            "mixup has soft samples only; give them a chance",
        ),
        ("mix", {"method": "cutmix,fmix"}, "cutmix,fmix has no soft form"),
        ("mix", {"method": "hsmix,cutmx"}, "got cutmx; did you mean cutmix?"),
        ("mix", {"method": "hsmix,"}, "got "),
        ("mix", {"method": "hsmix, superpixel"}, "mix.method (--method) must name each method once, got hsmix twice"),
        ("mix", {"method": "hsmix,cutmix", "policy": "paired"}, "cutmix has only one of them"),
        ("mix", {"method": "cutmix"}, "cutmix has no soft form"),
        ("mix", {"method": "mixup"}, "mixup has no hard form"),
        (
            "mix",
            {"method": "cutmix", "policy": "paired", "probabilities": (0, 1, 0)},
            "cutmix has only one of them",
        ),
        ("output", {"formats": ()}, "each format once"),
        ("output", {"formats": ("parquet", "parquet")}, "each format once"),
    ],
)
def test_a_contradiction_is_refused_with_its_rule_and_value(section: str, values: Any, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        config(**{section: values})

    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("mix", {"copies": 0}),
        ("mix", {"select": -0.1}),
        ("mix", {"select": 1.1}),
        ("mix", {"select": float("nan")}),
        ("mix", {"probabilities": (0.5, 0.5)}),
        ("mix", {"probabilities": (-1, 1, 1)}),
        ("mix", {"lambda_range": (0, 1.5)}),
        ("mix", {"batch_size": 0}),
        ("mix", {"small_object_ratio": 0}),
        ("superpixels", {"variants": 0}),
        ("superpixels", {"compactness": 0}),
        ("superpixels", {"sigma": -1}),
        ("output", {"shards": 0}),
        ("output", {"formats": ("zip",)}),
        ("source", {"limit": 0}),
        ("source", {"max_pixels": 0}),
        ("run", {"workers": 0}),
        ("run", {"max_errors": -1}),
        ("image", {"channels": "4"}),
    ],
)
def test_a_value_outside_its_range_is_refused(section: str, values: Any) -> None:
    with pytest.raises(ValidationError):
        config(**{section: values})


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("image", {"size": (16, 16)}),
        ("superpixels", {"regions": (2, 65535)}),
        ("superpixels", {"sigma": 0}),
        ("mix", {"lambda_range": (0.5, 0.5)}),
        ("mix", {"select": 0}),
        ("mix", {"select": 1}),
        ("mix", {"method": "cutmix", "probabilities": (0, 1, 0)}),
        ("mix", {"method": "mixup", "probabilities": (1, 0, 1)}),
        ("mix", {"method": "cutmix,mixup"}),
        ("mix", {"method": "cutmix,mixup", "selection": "connected", "area": "matched"}),
        ("mix", {"weight": "random", "area": "matched"}),
        ("mix", {"method": "hsmix,copy-paste,soft-cp", "scale_range": (0.25, 4), "edge_sigma": 0.5}),
        ("saliency", {"backend": "precomputed", "folder": "maps"}),
        ("saliency", {"model": "m:f", "weights": "w.pt", "layer": "up", "output_key": "out"}),
        ("run", {"max_errors": 0}),
    ],
)
def test_the_edge_of_a_range_belongs_to_it(section: str, values: Any) -> None:
    made = config(**{section: values})

    assert getattr(made, section).model_fields_set == values.keys()


@pytest.mark.parametrize(("section", "key"), [("superpixels", "sigma"), ("superpixels", "compactness")])
def test_infinity_is_refused(section: str, key: str) -> None:
    """Neither a digest nor a JSON file can hold it."""
    with pytest.raises(ValidationError):
        config(**{section: {key: float("inf")}})


def test_a_configuration_survives_json() -> None:
    made = RunConfig(
        preset="isic2017",
        seed=7,
        image=ImageConfig(size=(32, 48)),
        saliency=SaliencyConfig(model="m:f", layer="up"),
        mix=MixConfig(policy="paired", lambda_range=(0.1, 0.9)),
    )
    made = made.model_copy(update={"source": made.source.model_copy(update={"mask_values": {0: 0, 77: 1, 255: 255}})})

    assert RunConfig.model_validate(json.loads(json.dumps(made.to_dict()))) == made


def test_what_decides_the_bytes_is_everything_but_where_the_work_is_done() -> None:
    assert config().of_bytes().keys() == {key for key, _, _ in fields() if not key.startswith("run.")}


def test_another_place_of_work_leaves_what_decides_the_bytes() -> None:
    elsewhere = config(run={"backend": "serial", "workers": 3, "cache": "c", "max_errors": 1})

    assert elsewhere.of_bytes() == config().of_bytes()


def test_another_seed_changes_what_decides_the_bytes() -> None:
    assert config(seed=1).of_bytes() != config().of_bytes()
