"""What fields of the configuration state besides their type and default: their words, and their option."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import Field
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Option:
    """How a field is given on the command line."""

    metavar: str = ""
    """What stands for the value; empty: follows from the type."""
    name: str = ""
    """Name of the option, with underscores; empty: that of the field."""
    title: str = ""
    """Heading in the help; empty: that of the section."""
    otherwise: str = ""
    """What holds where nothing is given, if the default itself does not say it."""
    repeats: bool = False
    """Whether the option is given once for each value."""
    path: Literal["", "local", "any"] = ""
    """Whether it is a path: of this machine, or an address in a store as well."""
    common: bool = False
    """Whether the short help shows it."""


def key(default: Any, text: str) -> Any:
    """Return a field that files and ``-o`` can set; it has no option of its own."""
    return Field(default, description=text)


def option(default: Any, text: str, metavar: str = "", **attributes: Any) -> Any:
    """Return a field with an option; see `Option` for the attributes."""
    return Field(default, description=text, json_schema_extra={"option": asdict(Option(metavar, **attributes))})


def flag_of(key: str, field: FieldInfo) -> str:
    """Return the option of a key of the configuration, such as ``--regions-dir``; empty if it has none."""
    option = option_of(field)
    return f"--{(option.name or key.rpartition('.')[2]).replace('_', '-')}" if option else ""


def option_of(field: FieldInfo) -> Option | None:
    """Return the option of a field, None if it has none."""
    extra = field.json_schema_extra
    return Option(**extra["option"]) if isinstance(extra, dict) and "option" in extra else None  # type: ignore[arg-type]
