"""Of several sets of features in a cache the one is taken that options mean."""

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
