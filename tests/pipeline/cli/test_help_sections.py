"""Help lists options of one subject together."""

import re

import click
import pytest
from click.testing import CliRunner

from hsmix_gen.pipeline.cli.commands import cli
from hsmix_gen.pipeline.cli.help_sections import TITLES


def sections_of(command: str) -> dict[str, list[str]]:
    """Return the longest name of each option below each title of a command's help."""
    shown = CliRunner().invoke(cli, [command, "--help"]).stdout
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
    firsts = [names[0].split()[0] for names in found.values()]
    assert firsts == ["--layout", "--axis", "--superpixels", "--copies", "--format", "--preset", "--backend", "-h,"]


@pytest.mark.parametrize("name", list(cli.commands))
def test_no_option_is_left_out(name: str) -> None:
    command = cli.commands[name]
    options = [one for one in command.get_params(click.Context(command)) if isinstance(one, click.Option)]
    shown = [line for lines in sections_of(name).values() for line in lines]

    assert len(shown) == len(options)
    assert all(any(option.opts[-1] in line for line in shown) for option in options)


def test_a_required_option_comes_first() -> None:
    assert sections_of("generate")["Source"] == ["--cache DIR"]
