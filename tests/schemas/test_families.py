"""Families list the modules of a folder, and import one only when it is asked for."""

import sys
from pathlib import Path

import pytest

from hsmix_gen.schemas.families import Family


@pytest.fixture
def colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family:
    folder = tmp_path / "toy_family_colours"
    folder.mkdir()
    for name, text in {
        "__init__": "",
        "dark_red_colour": "VALUE = 3",
        "green_colour": "VALUE = 4",
        "mixer": "",
    }.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return Family("colour", "toy_family_colours", "_colour")


def test_members_are_the_modules_with_the_ending(colours: Family) -> None:
    """What helps the members lies beside them without being one."""
    assert colours.names == ("dark-red", "green")


def test_names_are_listed_without_importing_a_member(colours: Family) -> None:
    """The help of the command line lists them; torch and the like take seconds."""
    assert colours.names
    assert not any(name.startswith("toy_family_colours.") for name in sys.modules)


def test_a_member_is_imported_by_its_name(colours: Family) -> None:
    assert colours.module("dark-red").VALUE == 3


def test_an_unknown_name_is_refused_with_all_that_are_known(colours: Family) -> None:
    with pytest.raises(ValueError, match="colour must be one of dark-red, green, got blue"):
        colours.module("blue")
