"""A configuration to begin with: every key of the schema with its words and its default, commented out."""

import textwrap
from pathlib import Path

import yaml

from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.schemas.config import SECTIONS, RunConfig, fields
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.options import option_of

_WIDTH = 100
_HEAD = """# Configuration of hsmix-gen: hsmix-gen run SOURCE OUTPUT --config THIS_FILE
# Take the # away before a name and its value to change it; every value here is the default.
# Options of the command line win over this file.
"""


def write_starter(file: Path) -> None:
    """Write the configuration into a new file.

    Raises
    ------
    ConfigError
        If the file is there.
    """
    if file.exists():
        raise ConfigError(f"{file} is there already; name another file, or remove it")
    atomic_files.write_whole(file, starter_text().encode())


def starter_text() -> str:
    """Return a YAML file that says nothing but comments; without their signs it says the defaults."""
    defaults = RunConfig().flat()
    parts, section = [_HEAD], ""
    # A section would take in what follows it.
    for key, field, _ in sorted(fields(), key=lambda entry: "." in entry[0]):
        name, dot, inner = key.rpartition(".")
        indent = "  " if dot else ""
        if name != section:
            section = name
            parts.append(f"\n{section}:  # {SECTIONS[section].__doc__}\n")
        option = option_of(field)
        otherwise = f" [default: {option.otherwise}]" if option and option.otherwise else ""
        words = textwrap.wrap(f"{field.description}{otherwise}", _WIDTH - len(indent) - 2, break_on_hyphens=False)
        parts.append("\n" + "".join(f"{indent}# {line}\n" for line in words))
        value = yaml.safe_dump(defaults[key], default_flow_style=True, width=1000).removesuffix("\n")
        parts.append(f"{indent}#{inner}: " + value.removesuffix("\n...") + "\n")
    return "".join(parts)
