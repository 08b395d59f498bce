"""The resolved configuration: defaults, preset, profile, control, file, ``-o`` and options, in rising order."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from hsmix_gen.pipeline.files.store_paths import is_address
from hsmix_gen.schemas.checking import check_effects, checked, message_of
from hsmix_gen.schemas.config import SECTIONS, MixConfig, RunConfig, chances_for, fields, modes_of_methods, named_key
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.families import METHODS, nearest
from hsmix_gen.schemas.options import option_of
from hsmix_gen.schemas.presets import CONTROLS, PRESETS, PROFILES, Preset
from hsmix_gen.stages.mixing.method import check_maps, needs_of_all

Flat = dict[str, Any]
"""Values by ``section.key`` (top-level keys without a dot)."""

_NAMED: dict[str, Mapping[str, Preset]] = {"preset": PRESETS, "profile": PROFILES, "control": CONTROLS}

_PATHS = ("saliency.weights", "saliency.folder", "superpixels.folder")
"""Values that workers read, which are started in another folder."""
_VALUES = re.compile(r"\s*(?P<first>-?\d+)\s*(?:-\s*(?P<last>\d+)\s*)?=\s*(?P<class>-?\d+)\s*")
_MOST_RANGE = 65536
_DECIDING = ("mix.", "superpixels.")
"""Sections whose keys controls set."""


def resolve(
    *, file: Path | None = None, overrides: Iterable[str] = (), options: Mapping[str, Any] | None = None,
    base: Mapping[str, Any] | None = None, without: Collection[str] = (), mixes: bool = True,
) -> RunConfig:  # fmt: skip
    """Return the checked configuration.

    Parameters
    ----------
    file : Path or None
        A YAML file of sections, or of options by their names; or the ``run.json`` of a dataset, whose values go under
        everything else.
    overrides : iterable of str
        Texts ``section.key=value``; values are YAML.
    options : mapping
        Options of the command line by name (``copies``) or key (``mix.copies``); None values count as not given.
    base : mapping
        Values by key under everything else, in place of the defaults.
    without : collection of str
        Keys of which no value is taken.
    mixes : bool
        Whether samples are going to be mixed, for which what they read has to be there.

    Raises
    ------
    ConfigError
        Naming the key, the rule, the value and the nearest right one.
    """
    under, given = (
        {key: value for key, value in values.items() if key not in without}
        for values in _read_values(file, overrides, options or {})
    )
    base = {**(base or {}), **under}
    given, named = _with_names(given)
    found = _composed(given, named, base)
    check_effects(found, given, {**base, **named})
    if mixes:
        check_maps(found)
    return found


def _with_names(given: Flat) -> tuple[Flat, Flat]:
    """Return what is given, with whole paths, and the values that the names in it stand for."""
    paths = {key: given[key] for key in _PATHS if isinstance(given.get(key), str) and not is_address(given[key])}
    named: Flat = {}
    for kind, known in _NAMED.items():
        named |= _named_values(kind, given.get(kind), known)
    return {**given, **{key: str(Path(path).resolve()) for key, path in paths.items()}}, named


def _composed(given: Flat, named: Flat, base: Mapping[str, Any]) -> RunConfig:
    """Return the configuration of what is given over the values of names, over a base."""
    # The dataset would be named after what did not make it.
    if undone := _undone(given):
        key, value = undone
        raise ConfigError(
            f"--control {given['control']} sets {named_key(key)} to {value}, got {given[key]}; leave out one of the two"
        )
    flat = {**base, **_with_chances(named | given, given, base)}
    found = checked({key: _plain(key, value) for key, value in flat.items()})
    if given.get("control") is not None:
        if method := _unread_by(found):
            raise ConfigError(
                f"--control {found.control} changes nothing in method {method}; leave out --control, or choose "
                "--method hsmix"
            )
        if _is_without_effect(found, given, base):
            raise ConfigError(
                f"--control {found.control} changes nothing: with the other options all samples are the same without "
                "it; leave out --control"
            )
    elif any(key.startswith(_DECIDING) for key in named | given) and (
        _undone(flat) or _unread_by(found) or _is_without_effect(found, given, base)
    ):
        # What a control of a cache or a run.json did, other options have changed.
        found = checked({key: _plain(key, value) for key, value in (flat | {"control": None}).items()})
    return found


def _read_values(file: Path | None, overrides: Iterable[str], options: Mapping[str, Any]) -> tuple[Flat, Flat]:
    """Return the values of a ``run.json``, which go under everything else, and those that are given, by key."""
    written = None if file is None else _from_run(file)
    given = {} if file is None or written is not None else _from_file(file)
    for text in overrides:
        given |= _from_override(text)
    return written or {}, {**given, **_by_key(options)}


def _by_key(options: Mapping[str, Any]) -> Flat:
    """Return options that are given by their keys."""
    return {_key(name, "option"): value for name, value in options.items() if value is not None}


def resolve_compared(
    text: str, *, file: Path | None, overrides: Iterable[str], options: Mapping[str, Any]
) -> dict[str, RunConfig]:
    """Return a configuration for each name of a comparison; the options of one method go to the others unread.

    Raises
    ------
    ConfigError
        As of `resolve`, and if a name is neither method nor control, or stands twice.
    """
    chosen = _compared(text)
    under, given = _read_values(file, overrides, options)
    idle = {
        name: _composed(*_with_names({**given, **_by_key(value)}), under).idle_keys().keys()
        for name, value in chosen.items()
    }
    # What none of them reads stays, and is refused.
    in_all = set[str].intersection(*[set(keys) for keys in idle.values()])
    return {
        name: resolve(file=file, overrides=overrides, options={**options, **value}, without=idle[name] - in_all)
        for name, value in chosen.items()
    }


def _compared(text: str) -> dict[str, dict[str, str]]:
    """Return the option that each name of a comparison stands for: a method, else a control."""
    names = [name.strip() for name in text.split(",")]
    known = dict.fromkeys((*METHODS.names, *CONTROLS))
    for place, name in enumerate(names):
        if name not in known:
            raise ConfigError(
                f"--compare must name methods or controls ({', '.join(known)}), got {name or 'nothing'}"
                f"{nearest(name, known)}"
            )
        if name in names[:place]:
            raise ConfigError(f"--compare must name each once, got {name} twice in {text}")
    return {name: {"method" if name in METHODS.names else "control": name} for name in names}


def known_keys() -> list[str]:
    """Return every key of the configuration as ``section.key``."""
    return [key for key, _, _ in fields()]


def option_keys() -> dict[str, str]:
    """Return the key of every option of the configuration, by its name; a YAML file has both."""
    options = ((key, option_of(field)) for key, field, _ in fields())
    return {option.name or key.rpartition(".")[2]: key for key, option in options if option}


def parse_mask_values(text: str) -> dict[int, int]:
    """Return the map of a text such as ``0=0,255=1`` or, with ranges, ``0-127=0,128-255=1``.

    Raises
    ------
    ConfigError
        If it has another form, a range is empty or longer than 65 536 values, or a value stands twice.
    """
    found: dict[int, int] = {}
    for part in text.split(","):
        match = _VALUES.fullmatch(part)
        if match is None:
            raise ConfigError(f"--mask-values must be VALUE=CLASS,…, got {text}; for example 0=0,255=1")
        first, last = int(match["first"]), int(match["last"] or match["first"])
        if not first <= last < first + _MOST_RANGE:
            raise ConfigError(
                f"--mask-values has the range {first}-{last}, expected FIRST-LAST in rising order and at most "
                f"{_MOST_RANGE} values"
            )
        again = found.keys() & range(first, last + 1)
        if again:
            raise ConfigError(f"--mask-values must name each value once, got {min(again)} twice in {text}")
        found |= dict.fromkeys(range(first, last + 1), int(match["class"]))
    return found


def parse_label_regions(text: str) -> dict[str, list[int]]:
    """Return the map of a text such as ``WT=1+2+4,TC=1+4,ET=4``, in its order."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {name.strip(): [int(value) for value in values.split("+")] for name, values in pairs}
    except ValueError:
        raise ConfigError(
            f"--label-regions must be NAME=VALUE+VALUE,…, got {text}; for example WT=1+2+4,TC=1+4,ET=4"
        ) from None


_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "source.mask_values": parse_mask_values,
    "source.label_regions": parse_label_regions,
    "source.classes": lambda text: [name.strip() for name in text.split(",")],
    "run.exports": lambda text: [name.strip() for name in text.split(",")],
    "output.formats": lambda text: [text],
}


def _named_values(kind: str, name: Any, known: Mapping[str, Preset]) -> Flat:
    if name is None:
        return {}
    if not isinstance(name, str) or name not in known:
        raise ConfigError(f"{named_key(kind)} must be one of {', '.join(known)}, got {name}{nearest(str(name), known)}")
    return dict(known[name].values)


def _undone(values: Flat) -> tuple[str, Any] | None:
    """Return a key that has another value than its control sets, and the value that it sets, if there is one."""
    control = CONTROLS.get(str(values.get("control")))
    if control is None:
        return None
    for key, value in control.values.items():
        # Of chances beside a mode that all mixed samples have, the share of the unmixed ones is taken.
        if control.mixed and key == "mix.probabilities":
            continue
        wanted = values.get(key, value)
        if wanted != value and wanted not in (list(value) if isinstance(value, tuple) else value,):
            return key, value
    return None


def _is_without_effect(config: RunConfig, given: Flat, base: Mapping[str, Any]) -> bool:
    """Return whether the samples of a configuration with a control are those of all else that was given.

    Values of the control that are repeated beside it, as in a configuration that is written out, are its own; so are
    superpixels of a base, which were prepared for it.
    """
    control = CONTROLS.get(str(config.control))
    if control is None:
        return False
    own = {"control", *control.values}
    given = {key: value for key, value in given.items() if key not in own}
    of_base = own if base.get("control") == config.control else {key for key in own if key.startswith("superpixels.")}
    base = {key: value for key, value in base.items() if key not in of_base}
    flat = {**base, **_with_chances(_with_names(given)[1] | given, given, base), "control": None}
    try:
        without = checked({key: _plain(key, value) for key, value in flat.items()})
    except ConfigError:
        return False  # what has no meaning without it
    return _effective(without) == _effective(config)


def _effective(config: RunConfig) -> Flat:
    """Return the values that samples depend on, by key: all that are read, chances by their shares."""
    unread, needed = {*config.idle_keys(), *_NAMED}, needs_of_all(config.mix)
    sections = [f"{name}." for name in ("superpixels", "saliency") if not getattr(needed, name)]
    chances = [chance / sum(config.mix.probabilities) for chance in config.mix.probabilities]
    return {
        key: value
        for key, value in {**config.flat(), "mix.probabilities": chances}.items()
        if key not in unread and not key.startswith(tuple(sections))
    }


def _unread_by(config: RunConfig) -> str | None:
    """Return a method that does not read what the control changes, if there is one."""
    mix = config.mix
    reads: dict[str | None, Callable[[Any], bool]] = {
        "random-lambda": lambda method: method.follows_weight,
        "square-grid": lambda method: any(method.needs(mode, mix).superpixels for mode in method.modes),
    }
    if config.control not in reads:
        return None
    return next((name for name in mix.methods if not reads[config.control](METHODS.module(name).METHOD)), None)


def _with_chances(chosen: Flat, given: Flat, base: Mapping[str, Any]) -> Flat:
    """Return the values with chances of the modes that a chosen method has, or that a control leaves.

    As many samples stay unmixed as without. Chances that are given stay as they are, but for a control.
    """
    control = CONTROLS.get(str(chosen.get("control")))
    mode = control.mixed if control else ""
    method = chosen.get("mix.method")
    if not mode and (not isinstance(method, str) or "mix.probabilities" in given):
        return chosen
    known = given if mode else chosen
    default = MixConfig.model_fields["probabilities"].default
    chances = known.get("mix.probabilities", base.get("mix.probabilities", default))
    try:
        known_chances = TypeAdapter(tuple[float, float, float]).validate_python(chances)
    except ValidationError:
        return chosen  # the check of all values says what is wrong
    modes = {mode} if mode else modes_of_methods(str(method))
    return {**chosen, "mix.probabilities": chances_for(modes, known_chances)}


def _from_run(path: Path) -> Flat | None:
    """Return the configuration that a run wrote, or None where a file is no ``run.json``."""
    try:
        loaded = json.loads(path.read_bytes())
        if not {"config", "config_digest", "versions"} <= loaded.keys():
            return None
    except (OSError, ValueError, AttributeError):
        return None
    try:
        return RunConfig.model_validate(loaded["config"]).flat()
    except ValidationError as error:
        raise ConfigError(f"configuration {path}: {message_of(error)}") from None


def _from_file(path: Path) -> Flat:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"configuration {path} cannot be read: {error.strerror}; check its path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration {path} is no YAML: {' '.join(str(error).split())}; correct it") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"configuration {path} must hold keys and values, got a {type(loaded).__name__}")
    flat: Flat = {}
    for name, value in loaded.items():
        if value is None and name in SECTIONS:
            continue  # a section without any key
        if name in SECTIONS and isinstance(value, dict):
            flat |= {_key(f"{name}.{key}", str(path)): entry for key, entry in value.items()}
        else:
            flat[_key(str(name), str(path))] = value
    return flat


def _from_override(text: str) -> Flat:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"-o must be SECTION.KEY=VALUE, got {text}; for example -o mix.copies=5")
    try:
        return {_key(name.strip(), "-o"): yaml.safe_load(value)}
    except yaml.YAMLError:
        raise ConfigError(f"-o {name} has a value that is no YAML: {value}; put it in quotes") from None


def _key(name: str, origin: str) -> str:
    """Return the full key of an option name or key."""
    plain = name.replace("-", "_")
    options = option_keys()
    full = options.get(plain, plain)
    keys = known_keys()
    if full not in keys:
        raise ConfigError(f"{origin} has no key {name}{nearest(plain, [*keys, *options])}")
    return full


def _plain(key: str, value: Any) -> Any:
    """Return a value in the form the schema takes: texts for lists and maps are split."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str) and key in _FROM_TEXT:
        return _FROM_TEXT[key](value)
    if key == "source.mask_values" and isinstance(value, dict) and any(isinstance(name, str) for name in value):
        return parse_mask_values(",".join(f"{values}={class_id}" for values, class_id in value.items()))
    if key == "image.channels" and value is not None:
        return str(value)
    return value
