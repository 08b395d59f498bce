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
