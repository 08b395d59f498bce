"""Help in sections: options of one subject stand together under its title."""

from collections.abc import Mapping
from typing import Any

import click

from hsmix_gen.schemas.families import Family

TITLES = (
    "Source", "Images", "Superpixels and saliency", "Mixing", "Output", "Configuration", "Running", "Options",
)  # fmt: skip
"""In the order of the help; the last is of options that have none."""


class SectionOption(click.Option):
    """An option that is listed under the title of its section."""

    def __init__(self, *arguments: Any, section: str, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.section = section


class SectionCommand(click.Command):
    """A command whose help lists its options by section, and what members of families are, by a title for each."""

    def __init__(self, *arguments: Any, lists: Mapping[str, Family] | None = None, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self._lists = lists or {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options; the name is click's."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in TITLES}
        for parameter in self.get_params(ctx):
            # Arguments have no line of their own: they stand in the usage.
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                sections[getattr(parameter, "section", TITLES[-1])].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        for title, family in self._lists.items():
            with formatter.section(title):
                formatter.write_dl([(name, family.summary(name)) for name in family.names])
