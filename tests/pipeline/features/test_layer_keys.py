"""A layer of the cache is made anew by what its bytes depend on, and by nothing else: features are the costly half."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.features.brought_regions import regions_key
from hsmix_gen.pipeline.features.layer_keys import name_layers
from hsmix_gen.pipeline.sources.discovery import Discovery
from hsmix_gen.pipeline.sources.inventory import Inventory
from hsmix_gen.schemas.config import SuperpixelsConfig
from hsmix_gen.schemas.records import DatasetFacts, SourceRecord
from tests.pipeline.jobs.plans import FACTS, configured, records_of

RECORDS = records_of(train=4, val=2)
ALL = {"images", "superpixels", "saliency"}
GRADCAM = {"saliency": {"backend": "gradcam"}}
STATIC = {"saliency": {"backend": "fine_grained"}}


def names(
    sections: dict[str, Any],
    *,
    facts: DatasetFacts = FACTS,
    records: list[SourceRecord] = RECORDS,
    gpu: bool = False,
) -> dict[str, str]:
    inventory = Inventory(Discovery("folder", (), ()), [], [], facts, records, [], ())
    (layers,) = name_layers(Path("cache"), records, inventory, configured(**sections), gpu=gpu)
    return {layer: getattr(layers, layer) for layer in ALL}


def remade(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Return the layers that have another name."""
    return {layer for layer in ALL if before[layer] != after[layer]}


@pytest.mark.parametrize("backend", [STATIC, GRADCAM], ids=["static", "gradcam"])
@pytest.mark.parametrize(
    "mix",
    [{"copies": 2}, {"select": 0.5}, {"policy": "paired"}, {"aggregate": "mean"}, {"probabilities": [0, 1, 1]},
     {"geometry": "none"}, {"lambda_range": [0.1, 0.6]}],
    ids=lambda mix: next(iter(mix)),
)  # fmt: skip
def test_an_option_of_mixing_remakes_nothing(backend: dict[str, Any], mix: dict[str, Any]) -> None:
    assert remade(names(backend), names(backend | {"mix": mix, "output": {"shards": 2}})) == set()


@pytest.mark.parametrize(
    "superpixels",
    [{"regions": [5, 10]}, {"variants": 3}, {"compactness": 3}, {"sigma": 0}, {"method": "grid"}],
    ids=lambda superpixels: next(iter(superpixels)),
)
def test_an_option_of_superpixels_remakes_superpixels_alone(superpixels: dict[str, Any]) -> None:
    """Trying other superpixels must not cost another pass over images and network."""
    assert remade(names(GRADCAM), names(GRADCAM | {"superpixels": superpixels})) == {"superpixels"}


@pytest.mark.parametrize(
    ("kind", "option", "is_read"),
    [
        ("grid", {"compactness": 80}, False),
        ("grid", {"sigma": 3}, False),
        ("grid", {"body": "all"}, False),
        ("grid", {"regions": [5, 10]}, True),
        ("grid", {"variants": 3}, True),
        ("felzenszwalb", {"compactness": 80}, False),
        ("felzenszwalb", {"sigma": 3}, True),
        *((kind, {name: value}, True) for kind in ("slic", "hierarchical", "watershed")
          for name, value in (("compactness", 80), ("sigma", 3), ("body", "all"))),
    ],
)  # fmt: skip
def test_what_a_kind_of_superpixels_does_not_read_remakes_nothing(
    kind: str, option: dict[str, Any], is_read: bool
) -> None:
    """Equal squares were made twice under two names."""
    before, after = ({"superpixels": {"method": kind, **more}} for more in ({}, option))

    assert remade(names(before), names(after)) == ({"superpixels"} if is_read else set())


@pytest.mark.parametrize("kind", ["slic", "hierarchical", "watershed", "felzenszwalb", "grid"])
def test_superpixels_that_read_their_options_keep_their_names(kind: str) -> None:
    """A cache of an earlier version is found again."""
    reading = {"compactness": 3.0, "sigma": 2.0} if kind in ("slic", "hierarchical", "watershed") else {}
    config = SuperpixelsConfig.model_validate({"method": kind, "regions": (5, 10), **reading})

    assert regions_key(config, ()) == {
        "method": kind, "regions": [5, 10], "variants": 4, "compactness": None, "sigma": 1.0, "body": "auto", **reading,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (STATIC, {"saliency": {"backend": "uniform"}}),
        (STATIC, GRADCAM),
        (GRADCAM, {"saliency": {"backend": "gradcam", "fit_steps": 3}}),
        (GRADCAM, {**GRADCAM, "seed": 7}),
    ],
    ids=["backend", "network", "fit", "seed-of-the-fit"],
)
def test_an_option_of_saliency_remakes_saliency_alone(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert remade(names(before), names(after)) == {"saliency"}


def test_a_seed_remakes_nothing_where_no_network_is_fitted() -> None:
    """Many datasets are mixed from features made once."""
    assert remade(names(STATIC), names({**STATIC, "seed": 7})) == set()


def test_a_gpu_and_another_split_remake_the_maps_of_a_network_alone() -> None:
    """Float sums differ in their last bits between devices; the network is fitted to the training images."""
    turned = [dataclasses.replace(RECORDS[0], split="val"), *RECORDS[1:]]

    assert remade(names(GRADCAM), names(GRADCAM, gpu=True)) == {"saliency"}
    assert remade(names(GRADCAM), names(GRADCAM, records=turned)) == {"saliency"}
    assert (
        remade(names(STATIC), names(STATIC, gpu=True)) == remade(names(STATIC), names(STATIC, records=turned)) == set()
    )


@pytest.mark.parametrize("change", [{"size": (32, 48)}, {"channels": 1}, {"dtype": "uint16"}, {"fit": "pad"}])
def test_other_pixels_remake_all(change: dict[str, Any]) -> None:
    other = dataclasses.replace(RECORDS[0], image_sha256="f" * 64)

    assert remade(names(STATIC), names(STATIC, facts=dataclasses.replace(FACTS, **change))) == ALL
    assert remade(names(STATIC), names(STATIC, records=[other, *RECORDS[1:]])) == ALL
