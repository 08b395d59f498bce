"""Named sets of values fit the configuration and say where each value comes from."""

from typing import Any

import pytest

from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.presets import CONTROLS, PRESETS, PROFILES, Preset
from hsmix_gen.stages.mixing.method import needs_of_all

EVERY = [(kind, name) for kind, known in (("p", PROFILES), ("c", CONTROLS), ("d", PRESETS)) for name in known]
KNOWN = {"p": PROFILES, "c": CONTROLS, "d": PRESETS}


def made_of(preset: Preset) -> RunConfig:
    nested: dict[str, Any] = {}
    for key, value in preset.values.items():
        section, _, name = key.partition(".")
        nested.setdefault(section, {})[name] = value
    return RunConfig.model_validate(nested)


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_the_values_make_a_configuration_that_holds_them(kind: str, name: str) -> None:
    preset = KNOWN[kind][name]

    flat = made_of(preset).flat()

    held = {key: tuple(value) if isinstance(value, list) else value for key, value in flat.items()}
    assert {key: held[key] for key in preset.values} == preset.values


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_summary_fits_on_a_line(kind: str, name: str) -> None:
    assert 0 < len(KNOWN[kind][name].summary) <= 80


@pytest.mark.parametrize("name", PRESETS)
def test_each_value_of_a_dataset_states_its_source(name: str) -> None:
    assert PRESETS[name].sources.keys() == PRESETS[name].values.keys()


def test_the_paper_profile_is_the_defaults() -> None:
    assert made_of(PROFILES["paper"]) == RunConfig()


def test_the_robust_profile_averages_caps_lambda_and_guards_small_objects() -> None:
    mix = made_of(PROFILES["robust"]).mix

    assert (mix.aggregate, mix.lambda_range, mix.small_object_guard) == ("mean", (0.0, 0.5), True)


def test_the_tuned_profile_takes_whole_pieces_hard_and_reads_no_saliency() -> None:
    mix = made_of(PROFILES["tuned"]).mix

    assert (mix.selection, mix.probabilities) == ("connected", (1 / 3, 2 / 3, 0.0))
    assert not needs_of_all(mix).saliency


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_mixes_from_any_cache(name: str) -> None:
    assert all(key.startswith("mix.") for key in PROFILES[name].values)


@pytest.mark.parametrize(
    ("name", "probabilities"),
    [("hard-only", (1 / 3, 2 / 3, 0)), ("soft-only", (1 / 3, 0, 2 / 3)), ("none", (1, 0, 0)),
     ("cutmix", (1 / 3, 2 / 3, 0)), ("mixup", (1 / 3, 0, 2 / 3))],
)  # fmt: skip
def test_a_control_of_one_mode_leaves_as_many_samples_unmixed(name: str, probabilities: tuple[float, ...]) -> None:
    assert made_of(CONTROLS[name]).mix.probabilities == probabilities


@pytest.mark.parametrize("named", [*PRESETS.values(), *PROFILES.values()], ids=[*PRESETS, *PROFILES])
def test_a_preset_names_the_method_and_how_it_selects(named: Preset) -> None:
    selection = "connected" if named is PROFILES["tuned"] else "bernoulli"
    assert (named.values["mix.method"], named.values["mix.selection"]) == ("hsmix", selection)


def test_isic_has_the_published_range_of_regions() -> None:
    isic = made_of(PRESETS["isic2017"])

    assert (isic.superpixels.regions, isic.mix.select) == ((30, 80), 0.2)
    assert isic.source.classes == ("background", "lesion")
