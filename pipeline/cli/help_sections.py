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

    def __init__(self, *arguments: Any, section: str, common: bool = False, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.section = section
        self.common = common
        """Whether the short help of a command with many options shows it."""


_ALL = "hsmix_gen.all_options"


def _show_all(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


_HELP_ALL = click.Option(
    ["--help-all"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_all,
    help="Show all options, and exit.",
)


class SectionCommand(click.Command):
    """A command whose help lists its options by section, and what members of families are, by a title for each."""

    def __init__(self, *arguments: Any, lists: Mapping[str, Family] | None = None, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self._lists = lists or {}

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return all options and arguments, with one for the whole help where it is long; the name is click's."""
        found = super().get_params(ctx)
        return [*found[:-1], _HELP_ALL, *found[-1:]] if self.is_long else found

    @property
    def is_long(self) -> bool:
        """Whether the help has so many options that it shows the common ones unless all are asked for."""
        return False

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options; the name is click's."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in TITLES}
        for parameter in sorted(self.get_params(ctx), key=lambda parameter: not parameter.required):
            # Arguments have no line of their own: they stand in the usage.
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            short = self.is_long and not ctx.meta.get(_ALL)
            is_shown = not short or getattr(parameter, "common", parameter.name in ("help", _HELP_ALL.name))
            if record is not None and (is_shown or parameter.required):
                sections[getattr(parameter, "section", TITLES[-1])].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        for title, family in self._lists.items():
            with formatter.section(title):
                formatter.write_dl([(name, family.summary(name)) for name in family.names])
