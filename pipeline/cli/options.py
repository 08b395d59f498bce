"""The options of commands, in sections of the help: those of the configuration, by its schema, and those of jobs."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import click

from hsmix_gen.pipeline.files.store_paths import is_address, is_remote, location
from hsmix_gen.schemas.errors import HsmixError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from hsmix_gen.schemas.families import Family
    from hsmix_gen.schemas.options import Option

_Command = TypeVar("_Command", bound=Callable[..., Any])

TITLES = (
    "Source", "Images", "Superpixels and saliency", "Mixing", "Output", "Configuration", "Running", "Options",
)  # fmt: skip
"""In the order of the help; the last is of options that have none."""
SOURCE = ("Source", "Images")
FEATURES = ("Superpixels and saliency",)
MIXING = ("Mixing", "Output")
JOB = ("Configuration", "Running")
"""Titles whose options commands show."""

_METAVARS = {int: "N", float: "X", str: "TEXT"}
_SIDES = "H W"
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_SHORT = 16
"""Characters of choices that stand for the value; longer ones are named in the words of the option."""


class LocalPath(click.Path):
    """A path made absolute, so that workers with another working directory find it."""

    def __init__(self) -> None:
        super().__init__(resolve_path=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse addresses of object stores, which would be taken for a relative path."""
        if is_address(str(value)):
            self.fail("must be a local or mounted path here, got an address of a store", param, ctx)
        return super().convert(value, param, ctx)


class Location(LocalPath):
    """A local path made absolute, or an address in an object store; with `as_text` an address stays a text."""

    def __init__(self, *, as_text: bool = False) -> None:
        super().__init__()
        self._as_text = as_text

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check an address without any request."""
        if is_remote(value):
            return value
        if not is_address(str(value)):
            return super().convert(value, param, ctx)
        try:
            address = location(str(value))
        except HsmixError as error:
            self.fail(str(error), param, ctx)
        return str(address) if self._as_text else address


LOCAL_PATH = LocalPath()
LOCATION = Location()
_PATHS = {"local": LOCAL_PATH, "any": Location(as_text=True)}
"""The configuration is plain text."""


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


class ConfiguredCommand(click.Command):
    """A command that shows the options of the configuration below some titles, but for those that it has itself.

    They are made when they are first asked for: the list of commands answers without loading the schema. The help lists
    options by section, the common ones unless all are asked for, and what members of families are, by a title for each.
    """

    def __init__(
        self,
        *arguments: Any,
        titles: tuple[str, ...] = (),
        more: Mapping[str, str] | None = None,
        lists: Mapping[str, "Family"] | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(*arguments, **attributes)
        self._titles, self._more, self._lists = titles, more or {}, lists or {}

    @cached_property
    def _of_schema(self) -> list[click.Option]:
        own = {param.name for param in self.params}
        return [option for option in schema_options(self._titles, self._more) if option.name not in own]

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return all options and arguments, with one for the whole help where it is long; the name is click's."""
        found = [*self._of_schema, *super().get_params(ctx)]
        return [*found[:-1], _HELP_ALL, *found[-1:]] if self._titles else found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take one number where height and width are wanted as both; the name is click's."""
        flags = {flag for option in self._of_schema if option.metavar == _SIDES for flag in option.opts}
        return super().parse_args(ctx, list(_with_both_sides(args, flags)))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options; the name is click's."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in TITLES}
        for parameter in sorted(self.get_params(ctx), key=lambda parameter: not parameter.required):
            # Arguments have no line of their own: they stand in the usage.
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            short = bool(self._titles) and not ctx.meta.get(_ALL)
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


def _with_both_sides(args: Sequence[str], flags: Collection[str]) -> Iterator[str]:
    """Yield arguments, a value alone behind one of the flags twice: ``--size 224`` is ``--size 224 224``."""
    words: list[str] = []
    for arg in args:
        flag, joined, value = arg.partition("=")
        words += [flag, value] if joined and flag in flags else [arg]
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        yield word
        if before in flags and not word.startswith("--") and not _NUMBER.fullmatch(after):
            yield word


def schema_options(titles: tuple[str, ...], more: Mapping[str, str] = MappingProxyType({})) -> list[click.Option]:
    """Return the options of the configuration that stand below some titles of the help, in the order of the schema.

    Those with a key in `more` stand there too, whatever their title, with the default in words that they have there.
    """
    if not titles:
        return []
    from hsmix_gen.schemas.config import fields
    from hsmix_gen.schemas.options import option_of

    found = []
    # What stands in no section sets values of others, and comes after them.
    for key, field, section in sorted(fields(), key=lambda entry: "." not in entry[0]):
        option = option_of(field)
        if option is not None and key in more:
            option = replace(option, otherwise=more[key])
        if option is not None and ((option.title or section) in titles or key in more):
            found.append(_option(key.rpartition(".")[2], field, option, option.title or section))
    return found


def _option(name: str, field: "FieldInfo", option: "Option", title: str) -> click.Option:
    from hsmix_gen.schemas.options import flag_of

    plain, flag = option.name or name, flag_of(name, field)
    kind = _plain_type(field.annotation)
    text = f"{field.description}{_default_text(field, option)}"
    if kind is bool:
        return SectionOption([f"{flag}/--no-{flag[2:]}"], section=title, common=option.common, default=None, help=text)
    several = get_args(kind) if get_origin(kind) is tuple and not option.repeats and ... not in get_args(kind) else ()
    each = _plain_type(several[0]) if several else kind
    return SectionOption(
        [flag, plain],
        section=title,
        common=option.common,
        type=_PATHS.get(option.path, each if each in (int, float) else str),
        nargs=len(several) or 1,
        multiple=option.repeats,
        metavar=option.metavar or _metavar(each),
        help=text,
    )


def _plain_type(annotation: Any) -> Any:
    """Return a type without its limits, and without None."""
    if get_origin(annotation) is Annotated:
        return _plain_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _plain_type(next(kind for kind in get_args(annotation) if kind is not NoneType))
    return annotation


def _metavar(kind: Any) -> str:
    if get_origin(kind) is not Literal:
        return _METAVARS[kind]
    choices = "|".join(get_args(kind))
    return choices if len(choices) <= _SHORT else "NAME"


def _default_text(field: "FieldInfo", option: "Option") -> str:
    if not option.otherwise and field.default in (None, "", ()):
        return ""
    values = field.default if isinstance(field.default, tuple) else (field.default,)
    return f"  [default: {option.otherwise or ' '.join(map(_stated, values))}]"


def _stated(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def own_option(title: str, *names: str, **attributes: Any) -> Callable[[_Command], _Command]:
    """Return what gives a command an option that is no part of the configuration, below a title of the help."""
    return click.option(*names, cls=SectionOption, section=title, **attributes)


# fmt: off
_progress = own_option("Running", "--progress", type=click.Choice(["auto", "plain", "none"]), default="auto", help="Bars, lines or nothing on stderr.")
_log_format = own_option("Running", "--log-format", type=click.Choice(["text", "json"]), default="text", help="json: one object a line on stderr.")
_of_jobs = (
    own_option("Configuration", "--config", "config_file", common=True, type=click.Path(path_type=Path), metavar="FILE", help="YAML file with the same names (hsmix-gen init writes one), or the run.json of a dataset."),
    own_option("Configuration", "-o", "overrides", common=True, multiple=True, metavar="SECTION.KEY=VALUE", help="Set any key of the configuration; repeat it for more."),
    _progress,
    _log_format,
    own_option("Running", "-q", "--quiet", is_flag=True, help="Warnings and errors only."),
    own_option("Running", "-v", "--verbose", is_flag=True, help="Show a traceback also for errors that you can mend."),
)
fresh_option = own_option("Output", "--fresh", common=True, is_flag=True, help="Remove what an earlier run left in OUTPUT, once the new dataset is planned.")
extend_option = own_option("Output", "--extend", common=True, is_flag=True, help="Add more --copies or new sources to a finished OUTPUT, in new shards; those that are there stay as they are.")
# fmt: on


def reporting_options(command: _Command) -> _Command:
    """Give a command the options of how it reports."""
    return _progress(_log_format(command))


def job_options(command: _Command) -> _Command:
    """Give a command the options that all jobs share besides those of the configuration."""
    for decorate in reversed(_of_jobs):
        command = decorate(command)
    return command


def cache_option(title: str, text: str) -> Callable[[_Command], _Command]:
    """Return what gives a command the folder of a cache that it cannot do without."""
    return own_option(title, "--cache", required=True, type=LOCATION, metavar="DIR", help=text)
