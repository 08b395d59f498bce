"""Which of the sets of features in a cache the options of a command mean."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.execution.human_units import text_of
from hsmix_gen.pipeline.features.cache_description import (
    FeatureSet,
    feature_options,
    fitting_sets,
    lacking,
    load,
    sets_text,
)
from hsmix_gen.schemas.config import RunConfig, named_key
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.stages.mixing.method import needs_of_all

_BACKEND = "saliency.backend"


def resolve_on_cache(
    cache: Path, resolved: Callable[[Mapping[str, Any] | None], RunConfig], bound: Mapping[str, Any] | None = None
) -> RunConfig:
    """Return the configuration of options over what the features that they mean were made with; see `choose_features`.

    Raises CacheError or ConfigError if there are no features, or not which are meant.
    """
    found = load(cache, lambda root, sets: choose_features(root, sets, resolved, bound))
    return resolved(found.inherited.flat())


def choose_features(
    cache: Path,
    sets: list[FeatureSet],
    resolved: Callable[[Mapping[str, Any] | None], RunConfig],
    bound: Mapping[str, Any] | None = None,
) -> FeatureSet:
    """Return the set of features in a cache that options name; in what they leave open a set of defaults is taken.

    `resolved` returns the configuration of the options over some values by key, or over the defaults. `bound` holds the
    options that an output was begun with: the set that it was begun with goes before others. Raises ConfigError naming
    the key and its values, if no set or more than one is meant.
    """

    def wanted_of(one: FeatureSet) -> dict[str, Any]:
        return feature_options(_config_on(one, resolved))

    sets = _resolvable(sets, wanted_of)
    fitting = fitting_sets(sets, wanted_of)
    if not fitting:
        one = min(sets, key=lambda one: len(lacking(one, wanted_of(one))))
        key = lacking(one, wanted_of(one))[0]
        mix = _config_on(one, resolved).mix
        if key == _BACKEND and {each.options[key] for each in sets} == {"none"} and needs_of_all(mix).saliency:
            raise ConfigError(
                f"the cache {cache} has no saliency maps, which mixing by {mix.method} reads; mix without (--profile "
                f"tuned, --method cutmix), or add maps by hsmix-gen prepare SOURCE --cache {cache} --saliency BACKEND"
            )
        value = text_of(wanted_of(one)[key])
        held = f"{key} is {text_of(one.options[key])}" if len(sets) == 1 else sets_text(sets, key)
        raise ConfigError(
            f"no features of {named_key(key)} {value} are in the cache {cache} ({held}); generate mixes what is "
            "cached: take that option back, or run prepare with it, into the same cache if you like"
        )
    fitting = _one_of_unread_maps(_begun_with(fitting, wanted_of, bound or {}), resolved)
    open_keys = {key for one in fitting for key in one.options if one.options[key] != fitting[0].options[key]}
    if not open_keys:
        return fitting[0]
    defaults = feature_options(resolved(None))
    plain = [one for one in fitting if all(one.options[key] == defaults[key] for key in open_keys)]
    if len(plain) == 1:
        return plain[0]
    raise ConfigError(
        f"cache {cache} holds {len(fitting)} sets of features that fit: {sets_text(fitting)}; "
        f"name the values of one with -o {min(open_keys)}=VALUE (in Python features={{'{min(open_keys)}': VALUE}})"
    )


def _config_on(one: FeatureSet, resolved: Callable[[Mapping[str, Any] | None], RunConfig]) -> RunConfig:
    """Return the configuration of the options over what a set was made with.

    What reads maps wants, in place of none, those that it would have without this set.
    """
    base = one.inherited.flat()
    if base[_BACKEND] == "none":
        other = resolved(_without_saliency(base))
        if needs_of_all(other.mix).saliency:
            return other
    return resolved(base)


def _begun_with(
    sets: list[FeatureSet], wanted_of: Callable[[FeatureSet], dict[str, Any]], bound: Mapping[str, Any]
) -> list[FeatureSet]:
    """Return the sets over which the options are those that an output was begun with; all of them if there is none.

    What was prepared later keeps nobody from going on. A trial may go on with another limit.
    """
    begun = [
        one
        for one in sets
        if all(bound.get(key, value) == value for key, value in wanted_of(one).items() if key != "source.limit")
    ]
    return begun if bound and begun else sets


def _one_of_unread_maps(
    sets: list[FeatureSet], resolved: Callable[[Mapping[str, Any] | None], RunConfig]
) -> list[FeatureSet]:
    """Return the sets, and of those that differ in a saliency that no sample reads one alone, which serves as well.

    It is that of the defaults, else the one without maps, else the first by its values.
    """
    alike: dict[str, list[FeatureSet]] = {}
    for one in sets:
        config = resolved(one.inherited.flat())
        everything = [one.options, config.of_bytes()]
        if not needs_of_all(config.mix).saliency:
            everything = [_without_saliency(values) for values in everything]
        alike.setdefault(repr(everything), []).append(one)
    return [same[0] if len(same) == 1 else _first(same, feature_options(resolved(None))) for same in alike.values()]


def _without_saliency(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if not key.startswith("saliency.")}


def _first(sets: list[FeatureSet], defaults: Mapping[str, Any]) -> FeatureSet:
    open_keys = {key for one in sets for key in one.options if one.options[key] != sets[0].options[key]}

    def place(one: FeatureSet) -> tuple[bool, bool, str]:
        is_default = all(one.options[key] == defaults[key] for key in open_keys)
        return not is_default, one.options[_BACKEND] != "none", repr(one.options)

    return min(sets, key=place)


def _resolvable(sets: list[FeatureSet], wanted_of: Callable[[FeatureSet], Any]) -> list[FeatureSet]:
    """Return the sets over whose configuration the options hold; if there is none, raise what is wrong with the first.

    What a set is made with may exclude an option, such as its folds a subset, which is no reason against another set.
    """
    found, errors = [], []
    for one in sets:
        try:
            wanted_of(one)
            found.append(one)
        except ConfigError as error:
            errors.append(error)
    if errors and not found:
        raise errors[0]
    return found
