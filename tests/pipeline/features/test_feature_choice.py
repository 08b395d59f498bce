"""Of several sets of features in a cache the one is taken that options mean."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.cli.config_resolution import resolve
from hsmix_gen.pipeline.features.cache_description import FeatureSet
from hsmix_gen.pipeline.features.feature_choice import choose_features
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import ConfigError

PLAIN = FeatureSet([], RunConfig(), is_half=True)
IN_FOLDS = FeatureSet([], resolve(options={"folds": 3}), is_half=True)


def chosen(*sets: FeatureSet, **options: object) -> FeatureSet:
    def resolved(values: Mapping[str, Any] | None) -> RunConfig:
        return resolve(options=options, base=values)

    return choose_features(Path("cache"), list(sets), resolved)


def test_a_set_that_excludes_an_option_does_not_keep_another_from_it() -> None:
    assert chosen(IN_FOLDS, PLAIN, subset=4) is PLAIN
    with pytest.raises(ConfigError, match="--subset draws from one training split, and --folds makes several"):
        chosen(IN_FOLDS, subset=4)


def test_what_holds_over_no_set_is_refused() -> None:
    with pytest.raises(ConfigError, match="probabilities must hold one positive number"):
        chosen(IN_FOLDS, PLAIN, probabilities=(0, 0, 0))


def made_with(**sections: Any) -> FeatureSet:
    return FeatureSet([], RunConfig.model_validate(sections), is_half=True)


GRADCAM, NO_MAPS, UNIFORM, EDGES = (
    made_with(saliency={"backend": name}) for name in ("gradcam", "none", "uniform", "fine_grained")
)


def test_of_maps_that_no_sample_reads_the_choice_is_the_same_in_any_order() -> None:
    for sets, expected in (
        ((EDGES, NO_MAPS, UNIFORM), NO_MAPS),
        ((NO_MAPS, GRADCAM), GRADCAM),
        ((UNIFORM, EDGES), EDGES),
    ):
        assert chosen(*sets, profile="tuned") is expected
        assert chosen(*reversed(sets), profile="tuned") is expected
    with pytest.raises(ConfigError, match="holds 2 sets of features that fit"):
        chosen(UNIFORM, EDGES)


def test_sets_that_differ_in_more_than_unread_maps_have_to_be_named() -> None:
    few = made_with(saliency={"backend": "uniform"}, superpixels={"regions": (5, 9)})
    fewer = made_with(saliency={"backend": "fine_grained"}, superpixels={"regions": (4, 8)})
    copied = made_with(saliency={"backend": "uniform"}, mix={"copies": 9})

    assert chosen(UNIFORM, EDGES, fewer, profile="tuned") is EDGES
    for others in ((few, fewer), (copied, EDGES)):
        with pytest.raises(ConfigError, match="name the values of one"):
            chosen(*others, profile="tuned")


def test_an_output_goes_on_with_the_features_that_it_was_begun_with() -> None:
    """Whatever was prepared since."""
    few = made_with(superpixels={"regions": (5, 9)})

    def going_on(begun: FeatureSet, **options: object) -> FeatureSet:
        bound = json.loads(json.dumps(begun.config.of_bytes()))
        return choose_features(Path("cache"), [PLAIN, few], lambda base: resolve(options=options, base=base), bound)

    assert going_on(few) is few
    assert going_on(few, copies=9) is few
    assert going_on(PLAIN) is PLAIN
    assert going_on(EDGES) is PLAIN
    assert going_on(few, regions=(50, 200)) is PLAIN


def test_a_cache_lacks_maps_only_if_none_of_its_sets_has_any() -> None:
    with pytest.raises(ConfigError, match="the cache cache has no saliency maps, which mixing by hsmix reads"):
        chosen(NO_MAPS)
    with pytest.raises(ConfigError, match=r"no features of .* gradcam are in the cache cache \(\(1\) .* none; \(2\)"):
        chosen(NO_MAPS, EDGES, **{"saliency.backend": "gradcam"})
    assert chosen(NO_MAPS, EDGES) is EDGES
