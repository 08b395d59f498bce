"""The configuration is resolved in one order, refused in one line, and the help states its defaults."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hsmix_gen.pipeline.cli.config_resolution import (
    known_keys,
    option_keys,
    parse_mask_values,
    resolve,
    resolve_compared,
)
from hsmix_gen.pipeline.cli.options import TITLES, schema_options
from hsmix_gen.schemas.config import RunConfig, fields, named_key
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.presets import CONTROLS, PRESETS

OPTIONS = {str(option.name): option for option in schema_options(TITLES)}


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(**arguments: Any) -> str:
    with pytest.raises(ConfigError) as error:
        resolve(**arguments)
    return str(error.value)


def test_nothing_given_is_the_defaults() -> None:
    assert resolve() == RunConfig()


def test_each_source_of_a_value_goes_before_the_ones_below_it(tmp_path: Path) -> None:
    """Option, then ``-o``, then file, then control, profile and preset, then default."""
    file = written(tmp_path, "preset: isic2017\nmix: {copies: 2, select: 0.3}\nseed: 4\n")

    made = resolve(file=file, overrides=["mix.copies=3", "seed=5"], options={"seed": 6, "copies": None})

    assert (made.seed, made.mix.copies, made.mix.select) == (6, 3, 0.3)
    assert made.superpixels.regions == PRESETS["isic2017"].values["superpixels.regions"]
    assert made.superpixels.variants == RunConfig().superpixels.variants


@pytest.mark.parametrize(
    "given", [{"overrides": ["image.size=48"]}, {"options": {"size": 48}}, {"overrides": ["image.tiles=48", "size=48"]}]
)
def test_one_number_is_height_and_width(given: dict[str, Any]) -> None:
    made = resolve(**given)

    assert made.image.size == (48, 48)
    assert made.image.tiles in (None, (48, 48))


def test_a_later_override_goes_before_an_earlier_one() -> None:
    assert resolve(overrides=["seed=1", "seed=2"]).seed == 2


def test_a_profile_goes_before_the_base() -> None:
    made = resolve(base={"mix.aggregate": "sum", "mix.copies": 9}, options={"profile": "robust"})

    assert (made.mix.aggregate, made.mix.copies) == ("mean", 9)


def test_a_control_sets_its_values() -> None:
    assert resolve(options={"control": "random-lambda"}).mix.weight == "random"
    assert resolve(options={"control": "cutmix", "method": "cutmix"}).mix.method == "cutmix"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"control": "cutmix", "method": "fmix"},
            "--control cutmix sets mix.method \\(--method\\) to cutmix, got fmix; ",
        ),
        (
            {"control": "square-grid", "superpixels": "slic"},
            "sets superpixels.method \\(--superpixels\\) to grid, got slic",
        ),
        ({"control": "random-lambda", "mix.weight": "saliency"}, "sets mix.weight to random, got saliency"),
        (
            {"control": "none", "mix.probabilities": [0, 1, 0]},
            "--control none sets mix.probabilities \\(--probabilities\\) to",
        ),
        ({"control": "random-lambda", "method": "cutmix"}, "random-lambda changes nothing in method cutmix; leave out"),
        ({"control": "square-grid", "method": "hsmix,mixup"}, "square-grid changes nothing in method mixup"),
    ],
)
def test_what_undoes_a_control_is_refused(options: dict[str, Any], message: str) -> None:
    """The dataset would be named after a control that did not make it."""
    with pytest.raises(ConfigError, match=message):
        resolve(options=options)


@pytest.mark.parametrize(
    "options",
    [
        {"profile": "tuned", "control": "random-lambda"},
        {"profile": "tuned", "control": "hard-only"},
        {"policy": "paired", "control": "hard-only"},
        {"policy": "paired", "control": "none"},
        {"probabilities": (0, 1, 0), "control": "random-lambda"},
        {"method": "cutmix", "control": "hard-only"},
        {"probabilities": (1, 0, 0), "control": "square-grid"},
        {"superpixels": "grid", "control": "square-grid", "probabilities": (2 / 3, 0, 0)},
    ],
)
def test_a_control_without_effect_is_refused(options: dict[str, Any]) -> None:
    """Its dataset would have been that without it, byte for byte."""
    stated = f"--control {options['control']} changes nothing: with the other options all samples are the same"
    assert stated in refused(options=options)
    base = resolve(options={name: value for name, value in options.items() if name != "control"}).flat()
    assert stated in refused(base=base, options={"control": options["control"]})


@pytest.mark.parametrize(
    "options",
    [
        {"method": "hsmix,cutmix", "control": "hard-only"},
        {"profile": "tuned", "control": "soft-only"},
        {"profile": "tuned", "control": "square-grid"},
        {"profile": "tuned", "control": "none"},
        {"profile": "robust", "control": "random-lambda"},
        {"policy": "paired", "control": "random-lambda"},
        {"method": "cutmix", "control": "cutmix"},
        {"method": "cutmix", "control": "none"},
        *({"control": control} for control in CONTROLS),
    ],
)
def test_a_control_with_an_effect_may_be_repeated(options: dict[str, Any], tmp_path: Path) -> None:
    """Whoever writes a configuration out repeats the values of its control."""
    made = resolve(options=options)
    run = tmp_path / "run.json"
    run.write_text(json.dumps({"config": made.to_dict(), "config_digest": "", "versions": {}}))

    for again in (
        resolve(options=made.flat()),
        resolve(base=made.flat(), options={"control": options["control"]}),
        resolve(file=run, options={"control": options["control"]}),
        resolve(file=run),
    ):
        assert again == made


@pytest.mark.parametrize(
    ("control", "chances", "expected"),
    [
        ("hard-only", None, (1 / 3, 2 / 3, 0)),
        ("soft-only", None, (1 / 3, 0, 2 / 3)),
        ("cutmix", (0.25, 0.5, 0.25), (0.25, 0.75, 0)),
        ("mixup", (0.25, 0.5, 0.25), (0.25, 0, 0.75)),
        ("hard-only", (0, 0.5, 0.5), (0, 1, 0)),
        ("hard-only", (1, 1, 1), (0.5, 1, 0)),
        ("none", None, (1, 0, 0)),
        ("square-grid", (0.25, 0.5, 0.25), (0.25, 0.5, 0.25)),
    ],
)
def test_a_control_keeps_the_share_of_unmixed_samples(
    control: str, chances: tuple[float, ...] | None, expected: tuple[float, ...]
) -> None:
    """Else a control would differ from what it is compared with in more than one thing."""
    assert resolve(options={"control": control, "probabilities": chances}).mix.probabilities == expected
    if chances is not None:
        assert resolve(base={"mix.probabilities": chances}, options={"control": control}).mix.probabilities == expected


@pytest.mark.parametrize(
    ("method", "chances"),
    [
        ("cutmix", (1 / 3, 2 / 3, 0)),
        ("mixup", (1 / 3, 0, 2 / 3)),
        ("hsmix", (1 / 3, 1 / 3, 1 / 3)),
        ("cutmix, mixup", (1 / 3, 1 / 3, 1 / 3)),
        ("cutmix,copy-paste", (1 / 3, 2 / 3, 0)),
    ],
)
def test_a_method_gets_the_chance_of_a_mode_that_it_lacks(method: str, chances: tuple[float, ...]) -> None:
    """Else each of them would be refused until three numbers are given as well."""
    assert resolve(options={"method": method}).mix.probabilities == chances
    assert resolve(base=RunConfig().flat(), options={"method": method}).mix.probabilities == chances


def test_chances_that_are_given_stay_as_they_are() -> None:
    assert resolve(options={"method": "cutmix", "control": "none"}).mix.probabilities == (1, 0, 0)
    assert "cutmix has no soft form" in refused(options={"method": "cutmix", "probabilities": (0, 0.5, 0.5)})


def test_the_first_name_of_a_method_is_taken_and_stays_in_digests() -> None:
    """Configurations and datasets that were made before it was renamed keep their meaning and their identity."""
    made = resolve(overrides=["mix.method=superpixel"])

    assert made == RunConfig()
    assert (made.flat()["mix.method"], made.of_bytes()["mix.method"]) == ("hsmix", "superpixel")


def test_profile_and_control_apply_together() -> None:
    made = resolve(options={"profile": "robust", "control": "square-grid"})

    assert (made.mix.aggregate, made.superpixels.method) == ("mean", "grid")


def test_the_names_of_preset_profile_and_control_are_kept() -> None:
    made = resolve(options={"preset": "isic2017", "profile": "robust", "control": "soft-only"})

    assert (made.preset, made.profile, made.control) == ("isic2017", "robust", "soft-only")


@pytest.mark.parametrize("place", ["file", "override", "option"])
def test_a_preset_may_be_named_in_any_place(tmp_path: Path, place: str) -> None:
    places: dict[str, dict[str, Any]] = {
        "file": {"file": written(tmp_path, "preset: isic2017")},
        "override": {"overrides": ["preset=isic2017"]},
        "option": {"options": {"preset": "isic2017"}},
    }

    assert resolve(**places[place]).superpixels.regions == (30, 80)


@pytest.mark.parametrize(
    "text",
    [
        "mix: {copies: 7, small_object_guard: true}\nimage: {size: [32, 48]}\noutput: {formats: [parquet]}\n",
        "copies: 7\nmix.small_object_guard: true\nsize: [32, 48]\nformat: parquet\n",
        "mix: {copies: 7}\nmix.small-object-guard: true\nsize: [32, 48]\nformat: [parquet]\n",
    ],
)
def test_a_file_may_have_sections_or_the_names_of_options(tmp_path: Path, text: str) -> None:
    made = resolve(file=written(tmp_path, text))

    assert (made.mix.copies, made.mix.small_object_guard) == (7, True)
    assert (made.image.size, made.output.formats) == ((32, 48), ("parquet",))


def test_the_name_of_a_section_may_also_be_an_option(tmp_path: Path) -> None:
    """``saliency`` is both."""
    assert resolve(file=written(tmp_path, "saliency: uniform")).saliency.backend == "uniform"
    assert resolve(file=written(tmp_path, "saliency: {backend: uniform}")).saliency.backend == "uniform"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"])
def test_an_empty_file_gives_nothing(tmp_path: Path, text: str) -> None:
    assert resolve(file=written(tmp_path, text)) == RunConfig()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"overrides": ["mix.copy=3"]}, "-o has no key mix.copy; did you mean mix.copies?"),
        ({"overrides": ["copis=3"]}, "-o has no key copis; did you mean copies?"),
        ({"options": {"region": 3}}, "option has no key region; did you mean regions?"),
        ({"overrides": ["zzzzzz=3"]}, "-o has no key zzzzzz"),
        ({"overrides": ["copies"]}, "-o must be SECTION.KEY=VALUE, got copies; for example -o mix.copies=5"),
        ({"overrides": ["copies=[1"]}, "-o copies has a value that is no YAML: [1; put it in quotes"),
        (
            {"options": {"preset": "isic"}},
            "preset (--preset) must be one of isic2017, glas, monuseg, synapse, brats2018, got isic; "
            "did you mean isic2017?",
        ),
        (
            {"options": {"profile": "robst"}},
            "profile (--profile) must be one of paper, robust, tuned, got robst; did you mean robust?",
        ),
        (
            {"options": {"control": "grid"}},
            "control (--control) must be one of square-grid, random-lambda, cutmix, mixup, hard-only, soft-only, none, "
            "got grid; did you mean square-grid?",
        ),
        ({"options": {"policy": "per_sample"}}, "mix.policy (--policy) must be one of per-sample, per-batch, paired, "
         "got per_sample; did you mean per-sample?"),
        ({"options": {"format": ("zip",)}},
         "output.formats (--format) must be one of folder, parquet, webdataset, got zip"),
        ({"options": {"channels": "2"}}, "image.channels (--channels) must be one of auto, 1, 3, got 2"),
        ({"options": {"copies": 0}}, "mix.copies (--copies): input should be greater than 0, got 0"),
        ({"options": {"select": 1.5}}, "mix.select (--select): input should be less than or equal to 1, got 1.5"),
        ({"options": {"seed": -1}}, "seed (--seed): input should be greater than or equal to 0, got -1"),
        ({"overrides": ["mix.copies=many"]},
         "mix.copies (--copies): input should be a valid integer, unable to parse string "
         "as an integer, got many"),
        ({"options": {"probabilities": (0.5, 0.5, 7)}},
         "mix.probabilities (--probabilities): input should be less than or equal to 1, "
         "got 7"),
        ({"options": {"size": (8, 8)}}, "--size must be at least 16 16, got 8 8"),
        ({"options": {"control": "cutmix", "policy": "paired"}}, "--policy paired emits hard and soft samples, "
         "cutmix has only one of them; choose another policy"),
        ({"options": {"mask_values": "0:0"}}, "--mask-values must be VALUE=CLASS,…, got 0:0; for example 0=0,255=1"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_reported_with_its_key_its_rule_and_the_way_out(given: dict[str, Any], message: str) -> None:
    assert refused(**given) == message


def test_an_unknown_key_of_a_file_is_reported_with_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "mix: {copis: 3}")

    assert refused(file=file) == f"{file} has no key mix.copis; did you mean mix.copies?"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: [1", "is no YAML"),
        (b"- a\n- b\n", "must hold keys and values, got a list"),
        (b"\xff\xfe\x00s", "run.yaml"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, data: bytes | None, message: str) -> None:
    if data is not None:
        (tmp_path / "run.yaml").write_bytes(data)
    assert message in refused(file=tmp_path / "run.yaml")


NONSENSE = [
    "", "x", "-1", "0", "1", "0.5", "1e9", ".nan", ".inf", "null", "true", "[]", "[1]", "[1, 2, 3, 4]", "{}", "{1: 2}",
    "{a: b}", "[[1]]", "2020-01-01", "0=0", "auto", "sum",
]  # fmt: skip


@pytest.mark.parametrize("key", known_keys())
def test_no_value_of_a_key_raises_anything_but_one_line(key: str) -> None:
    """A traceback is for defects of ours; what is accepted can be written down and read again."""
    for value in NONSENSE:
        try:
            made = resolve(overrides=[f"{key}={value}"])
        except ConfigError as error:
            assert "\n" not in str(error)
        else:
            assert RunConfig.model_validate(json.loads(json.dumps(made.to_dict(), allow_nan=False))) == made


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"preset": "isic2017", "profile": "robust", "control": "soft-only"},
        {"mask_values": "0=0,128=255,255=1", "classes": "background, lesion", "size": (32, 64), "format": ("parquet",)},
        {"policy": "paired", "max_errors": 0, "workers": 3, "split": "0.6/0.2/0.2", "compactness": 3.5},
    ],
)
def test_a_resolved_configuration_resolves_to_itself(tmp_path: Path, given: dict[str, Any]) -> None:
    made = resolve(options=given)

    assert resolve(base=made.flat()) == made
    assert resolve(file=written(tmp_path, yaml.safe_dump(made.to_dict()))) == made
    assert resolve(options=made.flat()) == made


def test_a_name_in_the_base_does_not_bring_back_the_values_it_stood_for() -> None:
    """A cache made with a preset and an option keeps the option."""
    made = resolve(options={"preset": "isic2017", "regions": (5, 9)})

    again = resolve(base=made.flat(), options={"copies": 2})

    assert (again.preset, again.superpixels.regions, again.mix.copies) == ("isic2017", (5, 9), 2)


def test_texts_of_options_become_lists_and_maps() -> None:
    made = resolve(options={"mask_values": "0=0,255=1", "classes": "a, b", "format": ("webdataset", "parquet")})

    assert made.source.mask_values == {0: 0, 255: 1}
    assert made.source.classes == ("a", "b")
    assert made.output.formats == ("webdataset", "parquet")


@pytest.mark.parametrize("value", [1, "1"])
def test_channels_may_be_a_number(value: object) -> None:
    assert resolve(options={"channels": value}).image.channels == "1"


@pytest.mark.parametrize("text", ["", "0", "0=", "a=1", "0=0=0", "0=0;1=1"])
def test_a_map_of_mask_values_has_one_form(text: str) -> None:
    with pytest.raises(ConfigError, match="for example 0=0,255=1"):
        parse_mask_values(text)


def test_mask_values_may_be_ranges(tmp_path: Path) -> None:
    expected = {**dict.fromkeys(range(128), 0), **dict.fromkeys(range(128, 256), 1)}

    assert parse_mask_values("0-127=0,128-255=1") == expected
    file = written(tmp_path, "source: {mask_values: {0-127: 0, 128-255: 1}}")
    assert resolve(file=file).source.mask_values == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9-3=1", "has the range 9-3, expected FIRST-LAST in rising order"),
        ("0-70000=1", "has the range 0-70000, expected .* at most 65536 values"),
        ("0-5=0,5-9=1", "must name each value once, got 5 twice"),
    ],
)
def test_a_range_that_means_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"--mask-values {message}"):
        parse_mask_values(text)


@pytest.mark.parametrize("other", [{"ignore": 9}, {"mask_values": "0=0,1=1"}, {"instances": True}])
def test_a_threshold_and_another_way_to_classes_contradict_each_other(other: dict[str, Any]) -> None:
    (name,) = other

    assert f"so that {named_key(f'source.{name}')} has no meaning" in refused(options={"threshold": 128, **other})


def test_the_keys_are_those_of_a_flat_configuration() -> None:
    assert known_keys() == list(RunConfig().flat())


def test_the_options_are_those_that_name_a_key() -> None:
    """The schema alone decides which keys have an option."""
    assert option_keys().keys() == OPTIONS.keys()
    assert set(option_keys().values()) <= set(known_keys())


def test_no_two_options_stand_for_one_name_or_key() -> None:
    named = [option.name for option in schema_options(TITLES)]

    assert len(set(named)) == len(named) == len(set(option_keys().values()))


def test_every_key_says_what_it_is() -> None:
    """Help and configuration files show these words."""
    assert [key for key, field, _ in fields() if not field.description] == []


@pytest.mark.parametrize(
    ("name", "nargs", "kind", "metavar"),
    [
        ("copies", 1, "integer", "K"),
        ("select", 1, "float", "P"),
        ("size", 2, "integer", "H W"),
        ("probabilities", 3, "float", "NONE HARD SOFT"),
        ("aggregate", 1, "text", "sum|mean"),
        ("intensity", 1, "text", "NAME"),
        ("mask_suffix", 1, "text", "TEXT"),
        ("label_regions", 1, "text", "NAME=V+V,…"),
        ("compactness", 1, "float", "C"),
    ],
)
def test_an_option_takes_what_the_type_of_its_key_takes(name: str, nargs: int, kind: str, metavar: str) -> None:
    option = OPTIONS[name]

    assert (option.nargs, option.type.name, option.metavar) == (nargs, kind, metavar)


def test_a_list_is_an_option_that_repeats_and_a_choice_of_two_a_pair_of_flags() -> None:
    assert OPTIONS["format"].multiple
    assert (OPTIONS["instances"].opts, OPTIONS["instances"].secondary_opts) == (["--instances"], ["--no-instances"])


SPOKEN = {"probabilities": "1/3 each", "split": "SOURCE/splits, else the source's own, else 0.8/0.1/0.1"}


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_the_help_states_the_default_of_the_configuration(name: str) -> None:
    """No default and an empty one are put into words, or go without saying; every other is stated as it is."""
    default = RunConfig().flat()[option_keys()[name]]
    stated = re.search(r"  \[default: (.*)\]$", OPTIONS[name].help or "")

    if default in (None, "", []):
        assert stated is None or re.search("[a-z]{3}|/", stated[1])
    else:
        values = default if isinstance(default, list) else [default]
        flags = {"True": "yes", "False": "no"}
        plain = " ".join(f"{v:g}" if isinstance(v, float) else flags.get(str(v), str(v)) for v in values)
        assert stated
        assert stated[1] == SPOKEN.get(name, plain)


CONNECTED = {"selection": "connected"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {**CONNECTED, "select": 0.5},
            "mix.select (--select) 0.5 changes nothing: hsmix reads it with --selection bernoulli only; "
            "drop one of them",
        ),
        ({"profile": "tuned", "select": 0.5}, "hsmix reads it with --selection bernoulli only"),
        (
            {"mix.grown_area": (0, 0.3)},
            "mix.grown_area 0.0 0.3 changes nothing: hsmix reads it with another --selection",
        ),
        ({"probabilities": (0.5, 0.5, 0), "aggregate": "mean"}, "hsmix reads it in soft samples whose lambda follows"),
        ({"control": "hard-only", "mix.lambda_range": (0, 0.5)}, "hsmix reads it in soft samples only"),
        ({"control": "none", "select": 0.5}, "no sample is mixed; drop it, or give mixing a chance by --probabilities"),
        ({"mix.small_object_ratio": 3}, "hsmix reads it with mix.small_object_guard=true only"),
        ({"mix.weight": "random", "aggregate": "mean"}, "in soft samples whose lambda follows saliency only"),
        ({"mix.area": "matched"}, "hsmix reads it in soft samples with mix.weight=random only"),
        ({"method": "guided", "mix.area": "matched"}, "it is used by cutmix and fmix and hsmix and mixup only"),
        ({"method": "cutmix", **CONNECTED}, "it is used by hsmix only, got --method cutmix; drop one of them"),
        ({"mix.scale_range": (0.5, 1)}, "it is used by copy-paste only, got --method hsmix; drop one of them"),
        ({"mix.edge_sigma": 1.0}, "it is used by soft-cp only"),
        ({"mix.batch_size": 3}, "it is used by --policy per-batch only, got per-sample; drop one of them"),
        ({"policy": "paired", "probabilities": (0.5, 0.5, 0)}, "--policy paired mixes every pair hard and soft"),
        (
            {"saliency": "uniform", "layer": "up"},
            "it is used by --saliency gradcam only, got uniform; drop one of them",
        ),
        ({"saliency": "uniform", "saliency.cam": "layercam"}, "it is used by --saliency gradcam only, got uniform"),
        ({"saliency": "uniform", "saliency_dir": "a"}, "it is used by --saliency precomputed only, got uniform"),
        ({"model": "m:f", "saliency.fit_steps": 9}, "--model is taken as it is, not fitted; drop one of them"),
        ({"superpixels": "felzenszwalb", "compactness": 3}, "--superpixels felzenszwalb does not read it"),
        ({"regions_dir": "maps"}, "it is used by --superpixels precomputed only, got slic; drop one of them"),
        ({"superpixels": "precomputed", "regions_dir": "a", "variants": 2}, "takes the maps as they are"),
        ({"intensity": "zscore", "window": (0, 9)}, "--intensity zscore takes mean and deviation of each volume"),
        ({"intensity": "none", "image.per_channel": False}, "--intensity none measures no channel; drop one of them"),
        ({"run.backend": "serial", "address": "auto"}, "it is used by --backend ray only, got serial"),
        ({"ids": "names", "id_key": "secret"}, "--ids names hashes nothing; drop one of them"),
    ],
)
def test_a_value_that_can_change_nothing_is_refused_with_the_reason(given: dict[str, Any], message: str) -> None:
    """Who asked for it believes that it was done."""
    assert message in refused(options=given)


@pytest.mark.parametrize(
    "given",
    [
        {**CONNECTED, "select": 0.2},
        {**CONNECTED, "mix.grown_area": (0, 0.3)},
        {"selection": "object-mask", "mix.grown_area": (0, 0.3)},
        {"control": "cutmix", "select": 0.5},
        {"control": "cutmix", **CONNECTED},
        {"method": "hsmix,cam-superpixels", **CONNECTED, "select": 0.5},
        {"method": "hsmix,mixup", "probabilities": (0, 1, 1), "mix.lambda_range": (0, 0.5)},
        {"control": "random-lambda", "aggregate": "mean"},
        {"control": "square-grid", "compactness": 3.0},
        {"profile": "robust", "control": "hard-only"},
        {"preset": "glas", "profile": "tuned"},
        {"policy": "paired", "mix.lambda_range": (0, 0.5)},
    ],
)
def test_a_value_that_something_reads_or_nobody_changed_is_taken(given: dict[str, Any]) -> None:
    """What profiles and presets say, and what holds anyway, is nobody's wish."""
    made = resolve(options=given)

    assert resolve(options=made.flat()) == made


def test_what_a_dataset_was_made_with_is_read_whatever_it_lacks(tmp_path: Path) -> None:
    """A `run.json` holds all values, those of a preset too that its profile makes idle."""
    made = resolve(options={"preset": "glas", "profile": "tuned"})
    run = tmp_path / "run.json"
    run.write_text(json.dumps({"config": made.to_dict(), "config_digest": "", "versions": {}}))

    assert made.idle_keys().keys() >= {"mix.select", "mix.aggregate"}
    assert resolve(file=run) == made
    assert resolve(file=run, options={"method": "cutmix"}).mix.select == 0.5


def test_superpixels_of_a_cache_may_be_those_of_a_control() -> None:
    """`prepare --superpixels grid` makes them, and has no control that would name them."""
    made = resolve(base=resolve(options={"superpixels": "grid"}).flat(), options={"control": "square-grid"})

    assert (made.superpixels.method, made.control) == ("grid", "square-grid")


def test_options_of_one_compared_method_go_to_the_others_unread() -> None:
    """What no compared method reads is refused as without a comparison."""

    def comparing(text: str, **options: object) -> dict[str, RunConfig]:
        return resolve_compared(text, file=None, overrides=["mix.copies=3"], options=options)

    found = comparing("hsmix,cutmix,square-grid", selection="connected")

    assert {name: config.mix.selection for name, config in found.items()} == {
        "hsmix": "connected", "cutmix": "bernoulli", "square-grid": "connected",
    }  # fmt: skip
    assert {config.mix.copies for config in found.values()} == {3}
    with pytest.raises(ConfigError, match="connected changes nothing: it is used by hsmix only, got --method cutmix"):
        comparing("cutmix,mixup", selection="connected")


def test_what_a_compared_method_reads_depends_on_its_other_options(tmp_path: Path) -> None:
    """Of hsmix only a drawn lambda has an area to match; a rectangle that matches reads the selection too."""
    run = tmp_path / "run.json"
    run.write_text(json.dumps({"config": {"mix": {"selection": "connected"}}, "config_digest": "", "versions": {}}))

    found = resolve_compared("hsmix,cutmix,random-lambda", file=run, overrides=["mix.area=matched"], options={})
    plain = resolve_compared("hsmix,cutmix", file=run, overrides=[], options={})

    assert {name: (config.mix.area, config.mix.selection) for name, config in found.items()} == {
        "hsmix": ("own", "connected"), "cutmix": ("matched", "connected"), "random-lambda": ("matched", "connected"),
    }  # fmt: skip
    assert {name: config.mix.selection for name, config in plain.items()} == {
        "hsmix": "connected", "cutmix": "bernoulli",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("inherited", "given", "control"),
    [
        ({"control": "square-grid"}, {"method": "cutmix"}, None),
        ({"control": "square-grid"}, {"superpixels": "slic"}, None),
        ({"control": "cutmix"}, {"method": "fmix"}, None),
        ({"control": "square-grid"}, {"select": 0.3}, "square-grid"),
        ({"control": "square-grid"}, {}, "square-grid"),
        ({"control": "random-lambda"}, {"profile": "tuned"}, None),
        ({"control": "random-lambda"}, {"copies": 3}, "random-lambda"),
        ({"control": "hard-only"}, {"selection": "connected"}, "hard-only"),
        ({"control": "hard-only"}, {"profile": "tuned"}, None),
        # As it was possible before controls were refused that change nothing; what is finished is extended as it is.
        ({"control": "square-grid", "mix.method": "cutmix"}, {"run.workers": 2}, "square-grid"),
    ],
)
def test_a_control_of_earlier_is_left_behind_by_options_that_undo_it(
    inherited: dict[str, object], given: dict[str, object], control: str | None
) -> None:
    """A cache and a run.json bring theirs, which nobody could leave out."""
    base = RunConfig().flat() | CONTROLS[str(inherited["control"])].values | inherited
    if base["mix.method"] != "hsmix":
        base["mix.probabilities"] = (1, 1, 0)

    assert resolve(base=base, options=given).control == control
