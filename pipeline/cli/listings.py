"""What users choose by name, in words: dataset presets with their sources, and mixing methods."""

from hsmix_gen.pipeline.execution.human_units import text_of
from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.families import METHODS, nearest
from hsmix_gen.schemas.presets import PRESETS
from hsmix_gen.stages.mixing.method import Method, method_named


def presets_text() -> str:
    """Return a line for each preset."""
    width = max(len(name) for name in PRESETS)
    return "\n".join(f"{name:<{width}}  {preset.summary}" for name, preset in PRESETS.items())


def preset_text(name: str) -> str:
    """Return the values of a preset, each with its source; raises ConfigError if there is no such preset."""
    if name not in PRESETS:
        raise ConfigError(f"a preset must be one of {', '.join(PRESETS)}, got {name}")
    preset = PRESETS[name]
    lines = [f"{name}: {preset.summary}"]
    lines += [f"  {key} = {text_of(value)}  ({preset.sources[key]})" for key, value in preset.values.items()]
    return "\n".join(lines)


def methods_text() -> str:
    """Return what there is to know of each method, one after the other."""
    return "\n\n".join(method_text(name) for name in METHODS.names)


def method_text(name: str) -> str:
    """Return what there is to know of a method; raises ConfigError if there is no such method."""
    if name not in METHODS.names:
        known = METHODS.names
        raise ConfigError(f"a method must be one of {', '.join(known)}, got {name}{nearest(name, known)}")
    method = method_named(name)
    lines = [
        f"modes: {', '.join(method.modes)}",
        f"needs: {_needs_text(method)}",
        *([f"formula: {method.formula}"] if method.formula else []),
        *([f"options: {', '.join(f'mix.{field}' for field in method.options)}"] if method.options else []),
        f"paper: {method.paper}",
    ]
    return "\n".join([f"{name}: {METHODS.summary(name)}", *(f"  {line}" for line in lines)])


def _needs_text(method: Method) -> str:
    """Return what a method reads of the cache by default, mode by mode where they differ."""
    found = {mode: method.needs(mode, MixConfig()) for mode in method.modes}
    words = {
        mode: ", ".join(["images", "masks", *["superpixels"] * needed.superpixels, *["saliency"] * needed.saliency])
        for mode, needed in found.items()
    }
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return "; ".join(f"{mode}: {text}" for mode, text in words.items())
