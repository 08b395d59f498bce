"""Families list the modules of a folder, and import one only when it is asked for."""

import sys
from pathlib import Path

import pytest

from hsmix_gen.schemas.families import BACKENDS, EXPORTS, METHODS, READERS, Family


@pytest.fixture
def colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family:
    folder = tmp_path / "toy_family_colours"
    folder.mkdir()
    for name, text in {
        "__init__": "",
        "dark_red_colour": "VALUE = 3",
        "green_colour": '"""Green: of leaves.\n\nMore.\n"""\nVALUE = 4\n',
        "mixer": "",
    }.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("toy_family_colours")]:
        monkeypatch.delitem(sys.modules, name)
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


def test_names_keep_their_underscores_where_the_family_says_so(colours: Family) -> None:
    """Those of saliency backends are older than the families, and stand in digests."""
    plain = Family("colour", colours.package, "_colour", hyphens=False)

    assert plain.names == ("dark_red", "green")
    assert plain.module("dark_red").VALUE == 3


def test_names_are_listed_in_a_sentence(colours: Family) -> None:
    assert colours.listed == "dark-red or green"


def test_a_summary_is_the_first_line_of_the_docstring_and_imports_nothing(colours: Family) -> None:
    assert (colours.summary("green"), colours.summary("dark-red")) == ("Green: of leaves", "")
    assert not any(name.startswith("toy_family_colours.") for name in sys.modules)


def test_every_member_says_what_it_is() -> None:
    """Help and cards show the line."""
    families = (READERS, METHODS, BACKENDS, EXPORTS)

    assert all(len(family.names) > 2 for family in families)
    assert [name for family in families for name in family.names if len(family.summary(name)) < 20] == []
