"""Ids of what is found are safe, short and unique whatever the names, and the same wherever the source lies."""

import re
from pathlib import Path

import hypothesis
from hypothesis import strategies as st

from hsmix_gen.pipeline.readers.paths.ids import MAX_ID, safe_id
from tests.pipeline.readers.layouts import pairs
from tests.pipeline.readers.plain_folders import find

NAMES = ["Übersicht", "two words", "scan.01", "scan.02", "scan_01", "図", "a+b", "x" * 90, "x" * 91, "l'été"]


def test_any_names_give_safe_unique_ids(tmp_path: Path) -> None:
    found = find(tmp_path, *(f"{kind}/{name}.png" for name in NAMES for kind in ("images", "masks")))

    ids = [item.id for item in found.items]
    assert len(set(ids)) == len(NAMES)
    assert all(re.fullmatch("[A-Za-z0-9_-]+", item_id) and len(item_id) <= MAX_ID for item_id in ids)


def test_a_name_that_is_safe_is_its_own_id() -> None:
    assert safe_id("ISIC_0012345-b") == "ISIC_0012345-b"


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(st.lists(st.text("ab .é_-", min_size=1, max_size=70), min_size=2, max_size=5, unique=True))
def test_two_names_never_become_one_id(names: list[str]) -> None:
    ids = [safe_id(name) for name in names]

    assert len(set(ids)) == len(names)
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", item_id) for item_id in ids)


def test_the_id_of_a_name_that_is_no_text_is_safe() -> None:
    """File systems allow bytes that are no UTF-8."""
    assert re.fullmatch("[A-Za-z0-9_-]+", safe_id(b"caf\xe9".decode("utf-8", "surrogateescape")))


def test_ids_do_not_depend_on_where_the_source_lies(tmp_path: Path) -> None:
    names = [f"{kind}/{name}.png" for name in NAMES for kind in ("images", "masks")]

    here, there = find(tmp_path / "here", *names), find(tmp_path / "there" / "deep", *names)

    assert [item.id for item in here.items] == [item.id for item in there.items]


def test_unique_stems_in_many_folders_are_the_ids(tmp_path: Path) -> None:
    found = find(tmp_path, "images/p/a.png", "images/q/b.png", "masks/p/a.png", "masks/q/b.png")

    assert sorted(pairs(tmp_path, found)) == ["a", "b"]


def test_ids_differ_in_more_than_capitals_where_folders_allow(tmp_path: Path) -> None:
    found = find(tmp_path, "p/a.png", "p/a_mask.png", "q/A.png", "q/A_mask.png")

    assert sorted(pairs(tmp_path, found)) == ["p-a", "q-A"]
