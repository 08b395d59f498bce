"""What lies in a source: items with unique ids, groups and splits, and a word for everything left out."""

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.readers.registry import readers
from hsmix_gen.pipeline.sources.discovery import Discovery, discover
from hsmix_gen.schemas.config import RunConfig, SourceConfig
from hsmix_gen.schemas.errors import ConfigError, SourceError


def laid_out(folder: Path, *names: str) -> Path:
    for name in names:
        for kind in ("images", "masks"):
            path = folder / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return folder


def discovered(source: Path, *, seed: int = 0, **config: Any) -> Discovery:
    return discover(source, RunConfig.model_validate({"source": config, "seed": seed}))


def ids(found: Discovery) -> list[str]:
    return [item.id for item in found.items]


def test_items_are_sorted_and_have_group_and_split(tmp_path: Path) -> None:
    found = discovered(laid_out(tmp_path, "b", "c", "a"))

    assert ids(found) == ["a", "b", "c"]
    assert [item.group for item in found.items] == ["a", "b", "c"]
    assert all(item.split in ("train", "val", "test") for item in found.items)


def test_a_folder_and_a_list_are_distinguished(tmp_path: Path) -> None:
    laid_out(tmp_path, "a", "b")
    (tmp_path / "list.csv").write_text("image,mask\nimages/a.png,masks/a.png\n")

    assert discovered(tmp_path).layout == "folder"
    assert discovered(tmp_path / "list.csv").layout == "list"


def test_a_layout_may_be_named(tmp_path: Path) -> None:
    laid_out(tmp_path, "a")

    assert discovered(tmp_path, layout="folder").layout == "folder"
    with pytest.raises(SourceError, match="is no list"):
        discovered(tmp_path, layout="list")


def test_every_reader_can_be_named_in_the_configuration() -> None:
    assert all(RunConfig.model_validate({"source": {"layout": name}}) for name in readers())


def test_an_option_that_a_layout_does_not_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("image,mask\nimages/a.png,masks/a.png\n")

    with pytest.raises(ConfigError) as refused:
        discovered(tmp_path / "list.csv", mask_suffix="_mask")

    assert str(refused.value) == (
        "source.mask_suffix (--mask-suffix) is an option of the layouts isic, glas, monuseg, arrays, folder, "
        f"and {tmp_path / 'list.csv'} was read as list; "
        "leave it away, or choose one of those with --layout"
    )


@pytest.mark.parametrize("name", readers())
def test_readers_say_which_options_they_read(name: str, tmp_path: Path) -> None:
    """What a reader reads of its configuration, apart from options that are read for all layouts."""
    asked: set[str] = set()

    class Asked(SourceConfig):
        def __getattribute__(self, name: str) -> Any:
            asked.add(name)
            return super().__getattribute__(name)

    with contextlib.suppress(SourceError):
        readers()[name].find(laid_out(tmp_path, "a", "b"), Asked())

    some_layouts = frozenset[str]().union(*(known.OPTIONS for known in readers().values()))
    assert asked & some_layouts <= readers()[name].OPTIONS


@pytest.mark.parametrize(
    ("files", "source", "reason"),
    [
        ((), "none", "does not exist; give a folder"),
        (("a.docx",), "a.docx", r"is of no known layout; known are .*, list, .*, folder"),
        ((), "", "holds no pair of image and mask; expected images/ and masks/"),
        (("Kvasir.ZIP",), "", r"no pair of image and mask; Kvasir\.ZIP is an archive, unpack it"),
        (("images/a.png",), "", r"1 file refused, first .*a\.png: image has no mask"),
        # Names of ISIC in images/ and masks/: both folders are images there, and nothing says who thinks so.
        (
            ("images/ISIC_0000000.png", "masks/ISIC_0000000.png", "masks/ISIC_0000000_segmentation.png"),
            "",
            r"no pair of image and mask, read as isic \(--layout names another\); 1 ",
        ),
    ],
    ids=["missing", "other-file", "empty", "archive", "refused-alone", "as-ISIC"],
)
def test_a_source_without_pairs_is_refused(tmp_path: Path, files: tuple[str, ...], source: str, reason: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(SourceError, match=reason):
        discovered(tmp_path / source)


def test_names_that_differ_in_case_only_are_refused_together(tmp_path: Path) -> None:
    """Where an output is copied to, they may be one name."""
    found = discovered(laid_out(tmp_path, "scan", "Scan", "b"))

    assert ids(found) == ["b"]
    assert {refusal.id for refusal in found.refusals} == {"scan", "Scan"}
    assert all("2 images share the id" in refusal.reason for refusal in found.refusals)


def test_two_rows_of_one_id_are_refused_together(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("id,image,mask\nx,a.png,m.png\nx,b.png,m.png\ny,c.png,m.png\n")

    found = discovered(tmp_path / "l.csv")

    assert ids(found) == ["y"]
    assert [refusal.id for refusal in found.refusals] == ["x", "x"]


def test_a_limit_keeps_something_in_every_split(tmp_path: Path) -> None:
    """Evenly spread, it would miss the two that validate and test; splits are those without a limit."""
    names = [f"n{number:02d}" for number in range(40)]
    source = laid_out(tmp_path, *names)
    (source / "splits").mkdir()
    for split, members in {"train": names[:37], "val": names[37:38], "test": names[38:]}.items():
        (source / "splits" / f"{split}.txt").write_text("\n".join(members))

    for limit in (4, 5, 12):
        found = Counter(item.split for item in discovered(source, limit=limit).items)
        assert found == {"train": limit - 2, "val": 1, "test": 1}
    assert Counter(item.split for item in discovered(source, limit=2).items) == {"train": 2}


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(1, ["00"]), (2, ["00", "05"]), (5, ["00", "02", "04", "06", "08"]), (10, None), (99, None)],
)
def test_a_limit_takes_items_evenly(tmp_path: Path, limit: int, expected: list[str] | None) -> None:
    names = [f"{i:02d}" for i in range(10)]

    assert ids(discovered(laid_out(tmp_path, *names), limit=limit)) == (expected or names)


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        ("p[0-9]+", ["p1", "p1", "p2"]),
        ("^(p[0-9]+)_", ["p1", "p1", "p2"]),
        ("p1|.*", ["p1", "p1", "p2_a"]),
        ("(?:p)([0-9])", ["1", "1", "2"]),
    ],
)
def test_a_group_is_what_the_expression_captures(tmp_path: Path, pattern: str, groups: list[str]) -> None:
    found = discovered(laid_out(tmp_path, "p1_a", "p1_b", "p2_a"), group_by=pattern)

    assert [item.group for item in found.items] == groups


def test_an_expression_that_misses_an_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not match the id scan"):
        discovered(laid_out(tmp_path, "p1", "scan"), group_by="p[0-9]")


def test_an_image_for_which_the_expression_captures_nothing_is_no_part_of_another_group(tmp_path: Path) -> None:
    found = discovered(laid_out(tmp_path, "p1", "scan", "slide"), group_by="p([0-9])|s.*")

    assert [item.group or item.id for item in found.items] == ["1", "scan", "slide"]


def test_a_broken_expression_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a regular expression, got \\("):
        discovered(laid_out(tmp_path, "a"), group_by="(")


def test_groups_are_never_torn_between_splits(tmp_path: Path) -> None:
    names = [f"p{patient}_{image}" for patient in range(12) for image in range(3)]

    found = discovered(laid_out(tmp_path, *names), group_by="p[0-9]+", split="0.5/0.25/0.25")

    splits = {item.group: {other.split for other in found.items if other.group == item.group} for item in found.items}
    assert all(len(one) == 1 for one in splits.values())
    assert {split for one in splits.values() for split in one} == {"train", "val", "test"}


def test_the_groups_of_a_list_are_kept(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("image,mask,group\na.png,m.png,p\nb.png,m.png,\n")

    assert [item.group for item in discovered(tmp_path / "l.csv").items] == ["p", "b"]


def test_an_expression_goes_before_the_groups_of_a_list(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("image,mask,group\na1.png,m.png,p\n")

    assert [item.group for item in discovered(tmp_path / "l.csv", group_by="[a-z]").items] == ["a"]


def test_what_was_found_is_noted(tmp_path: Path) -> None:
    assert discovered(laid_out(tmp_path, "a"), seed=4).notes == ("splits were drawn 0.8/0.1/0.1 by group with seed 4",)
    assert discovered(laid_out(tmp_path, "a", "b"), seed=4).notes == (
        "each image is its own group; where several are of one patient, name it in the id with --group-by REGEX",
        "splits were drawn 0.8/0.1/0.1 by group with seed 4",
    )
