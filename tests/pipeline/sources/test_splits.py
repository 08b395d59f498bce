"""Splits come from the user, from the source, or from a draw, in this order; a contradiction is refused."""

from pathlib import Path

import pytest

from hsmix_gen.pipeline.readers.paths.ids import safe_id
from hsmix_gen.pipeline.sources.splits import assign_splits, few_shot
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


def test_the_split_of_the_source_is_kept(tmp_path: Path) -> None:
    found, notes = assign_splits([*items("a", split="train"), *items("b", split="test")], tmp_path, "auto", seed=0)

    assert [item.split for item in found] == ["train", "test"]
    assert notes == ["splits were taken from the source"]


def test_a_source_that_names_some_splits_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="1 items have no split while others have one, first b"):
        assign_splits([*items("a", split="train"), *items("b")], tmp_path, "auto", seed=0)


@pytest.mark.parametrize(
    ("found", "files", "split", "expected"),
    [
        pytest.param(items("a", split="test"), {}, "1/0/0", {"a": "train"}, id="a ratio before the source"),
        pytest.param(
            items("a", "b", split="val"), {"splits/train.txt": "b\n", "splits/test.txt": "a\n"}, "auto",
            {"a": "test", "b": "train"}, id="lists in the source before its folders",
        ),
        pytest.param(
            items("a", "b"), {"splits/train.txt": "a\nb\n", "s/train.txt": "a\n", "s/val.txt": "b\n"}, "s",
            {"a": "train", "b": "val"}, id="given lists before those in the source",
        ),
        *(pytest.param(items("a"), {"s/train.txt": f"{line}\n\n"}, "s", {"a": "train"}, id=f"list of {line!r}")
          for line in ("a", "a.png", "  a  ", "\ufeffa", "a.jpg\r", "a\na")),
        *(pytest.param(items("a", "b"), {"s": text}, "s", {"a": "train", "b": "test"}, id=f"table of {text!r}")
          for text in ("a train\nb test\n", "a,train\nb,test\n", "a\tTRAIN\nb\tTest\n", "id,split\na,train\nb,test\n")),
        pytest.param(
            [*items("a", "b"), *items("c", split="test")], {}, "auto", {"a": "train", "b": "train", "c": "test"},
            id="test images alone",
        ),
    ],
)  # fmt: skip
def test_a_split_is_that_of_the_user_of_lists_or_of_the_source(
    tmp_path: Path, found: list[SourceItem], files: dict[str, str], split: str, expected: dict[str, str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert assigned(found, tmp_path, str(tmp_path / "s") if split == "s" else split) == expected


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"s/train.txt": "a\n", "s/test.txt": "a\n"}, "lists a in train and in test; keep one"),
        ({"s/train.txt": "x\n"}, "names none of the 2 ids, which look like a"),
        ({"s/val.txt": "a\n"}, r"has no train\.txt"),
        *(({"s": f"a train\n{line}\n"}, f"line 2 must be ID SPLIT with split train, val or test, got {line}")
          for line in ("b", "b later", "b c train")),
        ({"s": "\udcff\udcfe\0a"}, "s cannot be read|s is no text|s "),
    ],
)  # fmt: skip
def test_lists_that_contradict_or_say_nothing_are_refused(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises((ConfigError, SourceError), match=reason):
        assigned(items("a", "b"), tmp_path, str(tmp_path / "s"))


@pytest.mark.parametrize("name", ["scan.01", "two words", "Übersicht"])
@pytest.mark.parametrize("ending", ["", ".png", ".nii.gz", ".OME.TIF", ".npz"])
def test_a_list_may_name_what_gets_another_id(tmp_path: Path, name: str, ending: str) -> None:
    """The dot of a name is not the dot of an ending."""
    given = lists(tmp_path / "s", train=f"{name}{ending}\n")

    assert assigned(items(name), tmp_path, str(given)) == {safe_id(name): "train"}


@pytest.mark.parametrize("listed", ["images/a.png", "/home/x/data/images/a.png", "images\\a.png", "./a"])
def test_a_list_may_name_paths(tmp_path: Path, listed: str) -> None:
    given = lists(tmp_path / "s", train="b\n.\n.png\n", val=f"{listed}\n")

    assert assigned(items("a", "b"), tmp_path, str(given)) == {"a": "val", "b": "train"}


def test_a_path_is_the_longest_id_that_it_ends_with(tmp_path: Path) -> None:
    for folder in ("data/p1", "data/p1/images", "images/p1", "p1/images"):  # ids leave out what kind of files there are
        given = lists(tmp_path / "s", train=f"{folder}/a.png\n", test="data/a.png\n")

        assert assigned(items("p1/a", "a"), tmp_path, str(given)) == {"p1-a": "train", "a": "test"}


def test_lists_in_the_source_itself_are_remarked(tmp_path: Path) -> None:
    """Kvasir-SEG has train.txt and val.txt beside its folders."""
    found = items("a", "b", "c")
    lists(tmp_path, train="a\nb\n", val="c\n")

    note = f"train.txt in {tmp_path} names a split that was left alone; --split {tmp_path} takes it"
    assert assign_splits(found, tmp_path, "auto", seed=0)[1][1:] == [note]
    for log in ("0 0.1 0.2\n", "a\n0.1\n0.2\n"):
        lists(tmp_path, train=log, val="notes\n")
        assert len(assign_splits(found, tmp_path, "auto", seed=0)[1]) == 1


def test_pairs_in_no_list_are_left_out_and_reported(tmp_path: Path) -> None:
    given = lists(tmp_path / "s", train="a\ngone\n", val="c\n")

    found, notes = assign_splits(items("a", "b", "c"), tmp_path, str(given), seed=0)

    assert [item.id for item in found] == ["a", "c"]
    assert notes == [
        f"splits were read from {given}",
        "1 pairs stand in no list and are left out",
        "1 listed ids have no pair in the source",
    ]


def test_a_split_that_is_neither_ratio_nor_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"must be a ratio such as 0\.8/0\.1/0\.1, a folder or a file, got none, which does not"
    ):
        assigned(items("a"), tmp_path, "none")


def test_a_drawn_split_does_not_depend_on_the_order_of_items(tmp_path: Path) -> None:
    found = items(*(f"a{i}" for i in range(9)))

    assert assigned(found, tmp_path) == assigned(found[::-1], tmp_path)


def test_a_source_of_training_images_only_is_drawn(tmp_path: Path) -> None:
    """Their layout knows no other split, which leaves it to us what is validated on."""
    found = assigned(items(*(f"a{i}" for i in range(20)), split="train"), tmp_path)

    assert sorted(found.values()) == ["test"] * 2 + ["train"] * 16 + ["val"] * 2  # type: ignore[type-var]


def test_listed_ids_that_were_left_aside_are_not_missing(tmp_path: Path) -> None:
    """A trial run on some of the pairs scans as many; the lists are right all the same."""
    given = lists(tmp_path / "s", train="a\nb\ngone\n")

    _, notes = assign_splits(items("a"), tmp_path, str(given), seed=0, aside={"a", "b"})

    assert notes == [f"splits were read from {given}", "1 listed ids have no pair in the source"]


def test_a_few_groups_are_drawn_for_training_and_the_rest_stays() -> None:
    """Whole patients, whatever the order of the files; a larger set holds a smaller one; another seed draws others."""
    slices = [
        SourceItem(f"p{patient}_{n}", picture("i.png"), picture("m.png"), f"p{patient}", "train")
        for patient in range(6)
        for n in range(patient + 1)
    ]
    whole = [*slices, *items("v", split="val"), *items("t", split="test")]

    few, note = few_shot(whole, 2, seed=5)
    more, _ = few_shot(whole[::-1], 4, seed=5)
    other, _ = few_shot(whole, 2, seed=7)

    drawn = {item.group for item in few if item.split == "train"}
    assert len(drawn) == 2
    assert [item for item in whole if item.split != "train" or item.group in drawn] == few
    assert drawn < {item.group for item in more if item.split == "train"}
    assert drawn != {item.group for item in other if item.split == "train"}
    assert note == f"2 groups ({len(few) - 2} of 21 files) are for training, drawn with subset seed 5"


def test_more_groups_than_there_are_cannot_be_drawn() -> None:
    with pytest.raises(SourceError, match=r"subset asks for 3 groups .* has 2; lower --subset"):
        few_shot([*items("a", "b", split="train"), *items("c", split="val")], 3, seed=0)
