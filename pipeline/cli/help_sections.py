"""Help in sections: options of one subject stand together under its title."""

from collections import defaultdict
from typing import Any

import click

_OTHERS = "Options"


class SectionOption(click.Option):
    """An option that is listed under the title of its section."""

    def __init__(self, *arguments: Any, section: str, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.section = section


class SectionCommand(click.Command):
    """A command whose help lists its options by section, in the order of their first options, and others last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options; the name is click's."""
        sections: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for parameter in self.get_params(ctx):
            # Arguments have no line of their own: they stand in the usage.
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                sections[getattr(parameter, "section", _OTHERS)].append(record)
        for title in sorted(sections, key=lambda title: title == _OTHERS):
            with formatter.section(title):
                formatter.write_dl(sections[title])
