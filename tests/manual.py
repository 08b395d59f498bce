"""The pages of the manual that follow from the code; ``python -m tests.manual`` writes them below docs/.

They are made before the manual is built, and not kept: options, keys and functions have their words in the code.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import click

import hsmix_gen.pipeline as public
from hsmix_gen.pipeline import api
from hsmix_gen.pipeline.cli.commands import cli
from hsmix_gen.pipeline.reporting.report import Reported
from hsmix_gen.schemas.config import fields

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RESULTS = (api.Inspection, api.PreparedCache, api.Made, api.Verification, Reported, api.Progress)


def cli_page() -> str:
    """Return all commands with their options, as the help has them."""
    parts = ["# Commands\n", cli.get_short_help_str(200), "\n"]
    with click.Context(cli, info_name="hsmix-gen") as parent:
        for name in cli.list_commands(parent):
            command = cli.get_command(parent, name)
            assert command is not None
            with click.Context(command, info_name=name, parent=parent) as context:
                usage = " ".join(command.collect_usage_pieces(context))
                parts.append(
                    f"## {name}\n\n```\nhsmix-gen {name} {usage}\n```\n\n{inspect.cleandoc(command.help or '')}\n"
                )
                rows = [_option_row(param, context) for param in command.get_params(context)]
                shown = [row for row in rows if row]
                if shown:
                    parts.append("\n".join(["| option | words |", "|---|---|", *shown]) + "\n")
    return "\n".join(parts)


def configuration_page() -> str:
    """Return all keys of the configuration with type, default and words."""
    lines = ["# Configuration\n", "Each key is one of a YAML file (`--config`) and of `-o section.key=value`.\n"]
    lines += ["| key | default | words |", "|---|---|---|"]
    for key, field, _ in fields():
        default = "" if field.default is None else f"`{field.default}`"
        lines.append(f"| `{key}` | {_cell(default)} | {_cell(field.description or '')} |")
    return "\n".join(lines) + "\n"


def python_page() -> str:
    """Return the Python interface: functions, then what they return."""
    parts = ["# Python\n", inspect.cleandoc(api.__doc__ or ""), ""]
    for name in public.__all__:
        function = getattr(public, name)
        parts.append(f"## {name}\n\n```\n{_signature(name, function)}\n```\n\n{_text(function)}\n")
    parts.append("## Results\n")
    parts += [f"### {kind.__name__}\n\n{_text(kind)}\n" for kind in RESULTS if is_dataclass(kind)]
    return "\n".join(parts)


def pages() -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of each page."""
    yield DOCS / "reference" / "cli.md", cli_page()
    yield DOCS / "reference" / "configuration.md", configuration_page()
    yield DOCS / "reference" / "python.md", python_page()


def write() -> None:
    """Write the pages."""
    for path, text in pages():
        path.write_text(text, encoding="utf-8")


def _option_row(param: click.Parameter, context: click.Context) -> str:
    if not isinstance(param, click.Option) or param.hidden:
        return ""
    record = param.get_help_record(context)
    return f"| `{_cell(record[0])}` | {_cell(record[1])} |" if record else ""


def _signature(name: str, function: Any) -> str:
    text = str(inspect.signature(function)).replace("hsmix_gen.pipeline.", "")
    return f"{name}{re.sub(r'([a-z_]+[.])+(?=[A-Z])', '', text)}"


def _text(thing: Any) -> str:
    """Return a docstring as Markdown: headings of numpydoc become bold."""
    return re.sub(r"^(\w[\w ]*)\n-+$", r"**\1**\n", inspect.getdoc(thing) or "", flags=re.MULTILINE)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    write()
