"""Values checked by the schema: a configuration, or what is wrong in one line: key, rule, value, nearest right one."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hsmix_gen.schemas.config import RunConfig, named_key, nested
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.families import nearest


def checked(flat: Mapping[str, Any]) -> RunConfig:
    """Return the configuration of some values by ``section.key``; all others have their defaults.

    Raises
    ------
    ConfigError
        With the first value that is not valid.
    """
    try:
        return RunConfig.model_validate(nested(flat))
    except ValidationError as error:
        raise ConfigError(message_of(error)) from None


def check_effects(config: RunConfig, given: Mapping[str, Any], otherwise: Mapping[str, Any]) -> None:
    """Refuse a value that is given and changes nothing, because of what the configuration says besides.

    Parameters
    ----------
    config : RunConfig
        With what is given.
    given : mapping
        By ``section.key``.
    otherwise : mapping
        Values by ``section.key`` that hold without what is given, over the defaults; who repeats one is not wrong, as
        a configuration that is written out repeats them all.

    Raises
    ------
    ConfigError
        With the first of them, the reason and the way out.
    """
    idle, values = config.idle_keys(), config.flat()
    before = {**RunConfig().flat(), **{key: _listed(value) for key, value in otherwise.items()}}
    for key in given:
        if key in idle and values[key] != before[key]:
            shown = values[key] if isinstance(values[key], list) else [values[key]]
            raise ConfigError(f"{named_key(key)} {' '.join(map(str, shown))} changes nothing: {idle[key]}")


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def message_of(error: ValidationError) -> str:
    """Return the first problem of a configuration that was refused."""
    detail = error.errors()[0]
    key = named_key(".".join(str(part) for part in detail["loc"] if not isinstance(part, int) and part != "[key]"))
    value = detail["input"]
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if detail["type"] == "literal_error":
        choices = re.findall("'(.*?)'", detail["ctx"]["expected"])
        return f"{key} must be one of {', '.join(choices)}, got {value}{nearest(str(value), choices)}"
    rule = detail["msg"][0].lower() + detail["msg"][1:]
    return f"{key}: {rule}, got {value}"
