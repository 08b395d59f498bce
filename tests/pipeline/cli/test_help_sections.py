"""Help lists options of one subject together."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hsmix_gen.pipeline.cli.commands import cli
from hsmix_gen.pipeline.cli.options import TITLES

README = Path(__file__).parents[3] / "README.md"


def sections_of(command: str, wanted: str = "") -> dict[str, list[str]]:
    """Return the longest name of each option below each title of a command's help, of all options if there are more."""
    has_more = "--help-all" in CliRunner().invoke(cli, [command, "--help"]).stdout
    shown = CliRunner().invoke(cli, [command, wanted or ("--help-all" if has_more else "--help")]).stdout
    found: dict[str, list[str]] = {}
    for line in shown.splitlines():
        if title := re.fullmatch(r"(\w.*):", line):
            found[title[1]] = []
        elif found and (option := re.match(r"  (-.*?)(?=  |$)", line)):
            found[list(found)[-1]].append(option[1])
    return found


def test_options_stand_below_the_title_of_their_subject() -> None:
    found = sections_of("run")

    assert tuple(found) == TITLES
    firsts = " ".join(names[0].split()[0] for names in found.values())
    assert firsts == "--layout --axis --superpixels --copies --format --preset --backend --help-all"


@pytest.mark.parametrize("name", list(cli.commands))
def test_no_option_is_left_out(name: str) -> None:
    command = cli.commands[name]
    options = [one for one in command.get_params(click.Context(command)) if isinstance(one, click.Option)]
    shown = [line for lines in sections_of(name).values() for line in lines]

    assert len(shown) == len(options)
    assert all(any(option.opts[-1] in line for line in shown) for option in options)


@pytest.mark.parametrize("wanted", ["", "--help"], ids=["all", "short"])
def test_a_required_option_comes_first(wanted: str) -> None:
    assert sections_of("generate", wanted)["Source"][0] == "--cache DIR"


@pytest.mark.parametrize("name", ["run", "prepare", "generate", "inspect"])
def test_the_first_help_is_short_and_names_the_whole(name: str) -> None:
    """Sixty options are no help in the first hour."""
    shown = [option for options in sections_of(name, "--help").values() for option in options]

    assert "--help-all" in shown
    assert 4 <= len(shown) <= 18
    assert len([option for options in sections_of(name).values() for option in options]) > 2 * len(shown)


def test_the_short_help_of_run_has_what_a_first_run_needs() -> None:
    """That is, besides the first options, all that the README names to somebody who has read nothing else."""
    shown = " ".join(option for options in sections_of("run", "--help").values() for option in options)
    context = click.Context(cli.commands["run"])
    options = {opt for param in cli.commands["run"].get_params(context) for opt in param.opts}
    named = set(re.findall(r"(?<![\w-])-{1,2}[a-z][a-z-]*", README.read_text(encoding="utf-8"))) & options

    needed = {"--size", "--copies", "--method", "--split", "--limit", "--format", "--saliency", "--config", "--dry-run"}
    assert {"--profile", "-o"} <= named
    assert sorted(option for option in needed | named if option not in shown) == []


@pytest.mark.parametrize("name", ["run", "inspect"])
def test_what_is_nothing_by_default_is_not_stated(name: str) -> None:
    assert "[default: ]" not in CliRunner().invoke(cli, [name, "--help-all"]).stdout
