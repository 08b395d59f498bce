"""The dataset presets in words."""

from typing import Any

from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.presets import PRESETS


def presets_text() -> str:
    """Return a line for each preset."""
    width = max(len(name) for name in PRESETS)
    return "\n".join(f"{name:<{width}}  {preset.summary}" for name, preset in PRESETS.items())


def preset_text(name: str) -> str:
    """Return the values of a preset, each with its source.

    Raises
    ------
    ConfigError
        If there is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset must be one of {', '.join(PRESETS)}, got {name}")
    preset = PRESETS[name]
    lines = [f"{name}: {preset.summary}"]
    lines += [f"  {key} = {_value(value)}  ({preset.sources[key]})" for key, value in preset.values.items()]
    return "\n".join(lines)


def _value(value: Any) -> str:
    return " ".join(str(entry) for entry in value) if isinstance(value, tuple) else str(value)
