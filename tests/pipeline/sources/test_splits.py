"""Splits come from the user, from the source, or from a draw, in this order; a contradiction is refused."""

from pathlib import Path

import pytest

from hsmix_gen.pipeline.readers.paths.ids import safe_id
from hsmix_gen.pipeline.sources.splits import assign_splits
from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.records import SourceItem, Split, picture


def items(*names: str, split: Split | None = None) -> list[SourceItem]:
    return [
        SourceItem(safe_id(name), picture(f"{name}.png"), picture(f"{name}_m.png"), safe_id(name), split)
        for name in names
    ]


def assigned(found: list[SourceItem], source: Path, split: str = "auto", *, seed: int = 0) -> dict[str, str | None]:
    return {item.id: item.split for item in assign_splits(found, source, split, seed=seed)[0]}


def lists(folder: Path, **names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split, text in names.items():
        (folder / f"{split}.txt").write_text(text)
    return folder


def test_without_any_word_a_split_is_drawn(tmp_path: Path) -> None:
    found, notes = assign_splits(items(*(f"a{i}" for i in range(20))), tmp_path, "auto", seed=3)

    assert [sum(item.split == split for item in found) for split in ("train", "val", "test")] == [16, 2, 2]
    assert notes == ["splits were drawn 0.8/0.1/0.1 by group with seed 3"]


def test_a_ratio_goes_before_the_split_of_the_source(tmp_path: Path) -> None:
    found = items("a", "b", "c", split="test")

    assert set(assigned(found, tmp_path, "1/0/0").values()) == {"train"}


def test_the_split_of_the_source_is_kept(tmp_path: Path) -> None:
    found, notes = assign_splits([*items("a", split="train"), *items("b", split="test")], tmp_path, "auto", seed=0)

    assert [item.split for item in found] == ["train", "test"]
    assert notes == ["splits were taken from the source"]


def test_a_source_that_names_some_splits_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="1 items have no split while others have one, first b"):
        assign_splits([*items("a", split="train"), *items("b")], tmp_path, "auto", seed=0)


def test_lists_in_the_source_go_before_its_folders(tmp_path: Path) -> None:
    lists(tmp_path / "splits", train="b\n", test="a\n")

    assert assigned(items("a", "b", split="val"), tmp_path) == {"a": "test", "b": "train"}


def test_given_lists_go_before_those_in_the_source(tmp_path: Path) -> None:
    lists(tmp_path / "splits", train="a\nb\n")
    given = lists(tmp_path / "mine", train="a\n", val="b\n")

    assert assigned(items("a", "b"), tmp_path, str(given)) == {"a": "train", "b": "val"}


@pytest.mark.parametrize("line", ["a", "a.png", "  a  ", "\ufeffa", "a.jpg\r"])
def test_a_list_may_name_files_or_ids(tmp_path: Path, line: str) -> None:
    given = lists(tmp_path / "s", train=f"{line}\n\n")

    assert assigned(items("a"), tmp_path, str(given)) == {"a": "train"}


@pytest.mark.parametrize("name", ["scan.01", "two words", "Übersicht"])
@pytest.mark.parametrize("ending", ["", ".png"])
def test_a_list_may_name_what_gets_another_id(tmp_path: Path, name: str, ending: str) -> None:
    """The dot of a name is not the dot of an ending."""
    given = lists(tmp_path / "s", train=f"{name}{ending}\n")

    assert assigned(items(name), tmp_path, str(given)) == {safe_id(name): "train"}


def test_pairs_in_no_list_are_left_out_and_told(tmp_path: Path) -> None:
    given = lists(tmp_path / "s", train="a\ngone\n", val="c\n")

    found, notes = assign_splits(items("a", "b", "c"), tmp_path, str(given), seed=0)

    assert [item.id for item in found] == ["a", "c"]
    assert notes == [
        f"splits were read from {given}",
        "1 pairs stand in no list and are left out",
        "1 listed ids have no pair in the source",
    ]


def test_an_id_in_two_lists_is_refused(tmp_path: Path) -> None:
    given = lists(tmp_path / "s", train="a\n", test="a\n")

    with pytest.raises(SourceError, match="lists a in train and in test; keep one"):
        assigned(items("a"), tmp_path, str(given))


def test_an_id_twice_in_one_list_is_no_harm(tmp_path: Path) -> None:
    given = lists(tmp_path / "s", train="a\na\n")

    assert assigned(items("a"), tmp_path, str(given)) == {"a": "train"}


def test_lists_that_name_nothing_we_have_are_refused_with_an_example(tmp_path: Path) -> None:
    given = lists(tmp_path / "s", train="x\n")

    with pytest.raises(SourceError, match="names none of the 2 ids, which look like a"):
        assigned(items("a", "b"), tmp_path, str(given))


def test_a_folder_without_a_training_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no train\.txt"):
        assigned(items("a"), tmp_path, str(lists(tmp_path / "s", val="a\n")))


@pytest.mark.parametrize(
    "text", ["a train\nb test\n", "a,train\nb,test\n", "a\tTRAIN\nb\tTest\n", "id,split\na,train\nb,test\n"]
)
def test_a_file_may_have_two_columns(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.txt").write_text(text)

    assert assigned(items("a", "b"), tmp_path, str(tmp_path / "s.txt")) == {"a": "train", "b": "test"}


@pytest.mark.parametrize("line", ["b", "b later", "b c train"])
def test_a_line_of_another_form_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / "s.txt").write_text(f"a train\n{line}\n")

    with pytest.raises(ConfigError, match=f"line 2 must be ID SPLIT with split train, val or test, got {line}"):
        assigned(items("a", "b"), tmp_path, str(tmp_path / "s.txt"))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_bytes(b"\xff\xfe\x00a")

    with pytest.raises(ConfigError, match=r"s\.txt"):
        assigned(items("a"), tmp_path, str(tmp_path / "s.txt"))


def test_a_split_that_is_neither_ratio_nor_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be a ratio such as 0\.8/0\.1/0\.1, a folder or a file, got none"):
        assigned(items("a"), tmp_path, "none")


def test_a_drawn_split_does_not_depend_on_the_order_of_items(tmp_path: Path) -> None:
    found = items(*(f"a{i}" for i in range(9)))

    assert assigned(found, tmp_path) == assigned(found[::-1], tmp_path)


def test_where_only_the_test_images_are_told_all_others_are_for_training(tmp_path: Path) -> None:
    found = [*items("a", "b"), *items("c", split="test")]

    assert assigned(found, tmp_path) == {"a": "train", "b": "train", "c": "test"}


def test_a_source_of_training_images_only_is_drawn(tmp_path: Path) -> None:
    """Their layout knows no other split, which leaves it to us what is validated on."""
    found = assigned(items(*(f"a{i}" for i in range(20)), split="train"), tmp_path)

    assert sorted(found.values()) == ["test"] * 2 + ["train"] * 16 + ["val"] * 2  # type: ignore[type-var]


def test_listed_ids_that_were_left_aside_are_not_missing(tmp_path: Path) -> None:
    """A trial run on some of the pairs looks at as many; the lists are right all the same."""
    given = lists(tmp_path / "s", train="a\nb\ngone\n")

    _, notes = assign_splits(items("a"), tmp_path, str(given), seed=0, aside={"a", "b"})

    assert notes == [f"splits were read from {given}", "1 listed ids have no pair in the source"]
