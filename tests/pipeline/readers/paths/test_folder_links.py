"""Links to folders are followed once, and what is not followed is stated."""

import os
import re
from pathlib import Path

import pytest

from hsmix_gen.pipeline.readers.paths.folder_links import FolderLinks
from hsmix_gen.pipeline.readers.paths.folder_walk import Walked, folders_near, walk
from hsmix_gen.pipeline.readers.registry import layout_of
from hsmix_gen.pipeline.sources.discovery import discover
from hsmix_gen.schemas.config import RunConfig
from tests.pipeline.readers.layouts import lay


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with one file."""
    return lay(tmp_path / "source", "train/a.png")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Another folder, elsewhere."""
    return lay(tmp_path / "store", "v/b.png", "w/c.png")


def link(source: Path, **targets: Path) -> Walked:
    """Add links to folders and walk."""
    for name, target in targets.items():
        (source / name).symlink_to(target)
    return walk(source)


def test_a_link_is_followed_and_stated(source: Path, store: Path) -> None:
    found = link(source, val=store / "v")

    assert found.files == ("train/a.png", "val/b.png")
    assert found.notes == (f"followed 1 link to folders: val to {store / 'v'}",)


def test_a_split_behind_a_link_is_a_split(source: Path, tmp_path: Path) -> None:
    (source / "train" / "a.png").unlink()
    for name, split in (("a", "train"), ("b", "val")):
        lay(tmp_path / "store" / split, f"images/{name}.png", f"masks/{name}.png")
    (source / "train").rmdir()
    for split in ("train", "val"):
        (source / split).symlink_to(tmp_path / "store" / split)

    found = discover(source, RunConfig())

    assert {item.id: item.split for item in found.items} == {"a": "train", "b": "val"}
    assert any(note.startswith("followed ") for note in found.notes)


@pytest.mark.parametrize("up", [".", "..", "train", "/"])
def test_a_link_that_leads_back_is_left_alone(source: Path, up: str) -> None:
    found = link(source, again=source / up)

    assert found.files == ("train/a.png",)
    assert found.notes[0].startswith("left alone 1 link: again (")


def test_two_links_to_one_folder_give_its_files_once(source: Path, store: Path) -> None:
    found = link(source, one=store / "v", two=store / "v")

    assert found.files == ("one/b.png", "train/a.png")
    assert "two (leads where one leads)" in found.notes[1]


@pytest.mark.parametrize(("first", "second"), [("v", "."), (".", "v")])
def test_a_link_into_what_another_leads_to_gives_files_once(source: Path, store: Path, first: str, second: str) -> None:
    found = link(source, one=store / first, two=store / second)

    assert sorted(name.rpartition("/")[2] for name in found.files) == ["a.png", "b.png", "c.png"]


def test_links_that_lead_to_each_other_have_an_end(source: Path, store: Path) -> None:
    (store / "v" / "loop").symlink_to(store / "w")
    (store / "w" / "loop").symlink_to(store / "v")
    (store / "w" / "self").symlink_to(store / "w")

    assert link(source, val=store / "v").files == ("train/a.png", "val/b.png", "val/loop/c.png")


def test_a_hidden_folder_of_the_source_is_read_through_a_link(source: Path) -> None:
    """Stores of versioned data lie in one."""
    lay(source, ".store/v/b.png")

    assert link(source, val=source / ".store" / "v").files == ("train/a.png", "val/b.png")


def test_a_link_whose_end_is_gone_is_stated(source: Path, tmp_path: Path) -> None:
    assert link(source, val=tmp_path / "gone").notes == ("left alone 1 link: val (its end is not there)",)


def test_so_many_links_are_followed_and_no_more(source: Path, store: Path) -> None:
    links = FolderLinks(source, most=1)
    for name in ("v", "w"):
        (source / name).symlink_to(store / name)

    assert [links.follows(source / name) for name in ("v", "w", "train")] == [True, False, True]
    assert "w (there are more than 1)" in links.notes()[1]


def test_what_hsmix_gen_wrote_is_left_alone_behind_a_link(source: Path, store: Path) -> None:
    lay(store / "v", ".hsmix/state.json")

    found = link(source, old=store / "v")

    assert found.files == ("train/a.png",)
    assert any("hsmix-gen wrote" in note for note in found.notes)


def test_a_layout_is_recognised_behind_links(tmp_path: Path) -> None:
    store = lay(tmp_path / "store", "images/ISIC_0000001.jpg", "truth/ISIC_0000001_segmentation.png")
    source = tmp_path / "source"
    source.mkdir()
    (source / "ISIC_Training_Data").symlink_to(store / "images")
    (source / "ISIC_Training_GroundTruth").symlink_to(store / "truth")

    assert layout_of(source) == "isic"
    assert len(discover(source, RunConfig()).items) == 1


def test_looking_near_the_top_ends_with_loops(source: Path) -> None:
    os.symlink(source, source / "images")  # noqa: PTH211 - the kind of loop that tar makes

    assert len(list(folders_near(source, re.compile("")))) < 10
