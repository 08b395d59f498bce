"""Records of sources carry refusals, refuse leakage, and say what changed since."""

from dataclasses import replace
from pathlib import Path

import pytest

from hsmix_gen.pipeline.files.state_names import STATE
from hsmix_gen.pipeline.files.tables import read_sources, write_sources
from hsmix_gen.pipeline.sources.source_records import (
    SOURCES_FILE,
    check_same,
    content_digest,
    describe_difference,
    item_ids,
    make_records,
    of_fold,
    per_fold,
    refusals_of,
    with_folds,
    with_refusals,
)
from hsmix_gen.schemas.errors import CacheError, SourceError
from hsmix_gen.schemas.records import Content, Part, Refusal, ScanResult, SourceItem, SourceRecord, Split, picture

TILE = (0, 64, 32, 32)


def item(name: str, split: Split | None = "train", group: str | None = None) -> SourceItem:
    return SourceItem(name, picture(f"{name}.png"), picture(f"{name}_m.png"), group, split)


def result(name: str, image: str | None = None, problem: str | None = None) -> ScanResult:
    return ScanResult(name, Part(), image or f"i-{name}", f"m-{name}", 4, 5, 3, problem=problem)


def record(name: str, image: str = "i", mask: str = "m", refusal: str | None = None) -> SourceRecord:
    return SourceRecord(name, name, "train", None, f"{name}.png", f"{name}_m.png", image, mask, 4, 5, refusal=refusal)


def refusals(records: list[SourceRecord]) -> dict[str, str]:
    return {r.id: r.refusal for r in records if r.refusal is not None}


def test_a_record_joins_item_and_scan() -> None:
    made = make_records([item("a", "val", "p")], [result("a")])

    assert made == [SourceRecord("a", "p", "val", None, "a.png", "a_m.png", "i-a", "m-a", 4, 5, whole=True)]
    assert make_records([item("a", None)], [result("a")])[0].group == "a"
    assert per_fold(made) == [made]


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ({"case-z004": Part()}, "case-z004"),
        ({"case-z004": Part(4)}, "case"),
        ({"case-z000": Part(), "case-z001": Part(1)}, "case"),
        (
            {"case-z000-y0000-x0064": Part(0, TILE), "case-z004-y0000-x0064": Part(4, (0, 64, 32, 32))},
            "case",
        ),
        ({"slide-y0000-x0064": Part(0, TILE)}, "slide"),
        ({"case-z004-y0000-x0064": Part(0, TILE)}, "case-z004"),
    ],
)
def test_a_part_knows_the_id_of_the_whole(parts: dict[str, Part], whole: str) -> None:
    """A picture may be called like a slice, and the first plane of a volume has the name of its file."""
    scans = [replace(result(name), part=part) for name, part in parts.items()]

    assert item_ids(make_records([item(whole)] * len(scans), scans)) == [whole] * len(scans)


def test_a_problem_of_the_scan_is_a_refusal() -> None:
    made = make_records([item("a"), item("b")], [result("a", problem="a.png: is torn"), result("b")])

    assert refusals(made) == {"a": "scan: a.png: is torn"}
    assert refusals_of(made) == [Refusal("a", "a.png", "scan", "a.png: is torn")]


def test_a_group_in_two_splits_is_refused() -> None:
    with pytest.raises(SourceError, match=r"1 group stands in more than one split .*, first p in test and train"):
        make_records([item("a", "train", "p"), item("b", "test", "p")], [result("a"), result("b")])


@pytest.mark.parametrize(
    ("first", "second", "refused", "kept"),
    [("train", "test", "a", "b"), ("test", "train", "b", "a"), ("train", "val", "a", "b"), ("test", "val", "b", "a")],
)
def test_equal_bytes_in_two_splits_stay_in_the_one_that_is_tested_on(
    first: Split, second: Split, refused: str, kept: str
) -> None:
    made = make_records([item("a", first), item("b", second)], [result("a", "same"), result("b", "same")])

    assert list(refusals(made)) == [refused]
    assert f"has the same bytes as {second if kept == 'b' else first} image {kept} (leakage)" in refusals(made)[refused]


UNREAD = ScanResult("", problem="torn")


@pytest.mark.parametrize(
    ("splits", "results", "refused"),
    [
        (["val", "test", "train"], [result(name, "same") for name in "abc"], ["a", "c"]),
        (["train", "train"], [result("a", "same"), result("b", "same")], []),
        (["train", "test"], [result("a", "same"), result("b", "same", "torn")], ["b"]),
        # Both have an empty checksum.
        (["train", "test"], [replace(UNREAD, id="a"), replace(UNREAD, id="b")], ["a", "b"]),
    ],
    ids=["three splits", "one split", "a refused twin", "two that could not be read"],
)
def test_only_twins_in_several_splits_leak(splits: list[Split], results: list[ScanResult], refused: list[str]) -> None:
    made = make_records([item(name, split) for name, split in zip("abc", splits, strict=False)], results)

    assert sorted(refusals(made)) == refused


def blank(name: str) -> ScanResult:
    """Return what a plane beside the body shows, of equal pixels like any other."""
    return replace(result(name, "equal"), volume=True, range=(-1000.0, -1000.0))


def test_blank_planes_of_volumes_are_no_copies_of_each_other() -> None:
    """Neither leakage, nor a reason to keep two patients in one fold; a plane that shows something is."""
    items = [item("a", "train"), item("b", "test")]

    assert refusals(make_records(items, [blank("a"), blank("b")])) == {}
    assert refusals(make_records(items, [replace(blank(n), range=(0.0, 9.0)) for n in "ab"])).keys() == {"a"}
    pooled = [item(name, "train") for name in "abc"]
    scans = [blank(name) for name in "abc"]
    folds = with_folds(make_records(pooled, scans), scans, 3, seed=0)
    assert sorted(record.fold for record in folds if record.fold is not None) == [0, 1, 2]


def test_later_refusals_are_added_and_earlier_ones_kept() -> None:
    records = [record("a"), record("b", refusal="scan: torn"), record("c")]

    found = with_refusals(records, [Refusal("b", "b.png", "images", "late"), Refusal("c", "c.png", "images", "worse")])

    assert refusals(found) == {"b": "scan: torn", "c": "images: worse"}
    assert refusals(records) == {"b": "scan: torn"}


@pytest.mark.parametrize(
    ("new", "text"),
    [
        ([record("a"), record("b")], ""),
        ([record("b"), record("a")], ""),
        ([record("a", image="x"), record("b")], "1 changed (a)"),
        ([record("a", mask="x"), record("b")], "1 changed (a)"),
        ([record("a"), record("b"), record("c")], "1 added (c)"),
        ([record("a")], "1 missing (b)"),
        ([record("a", image="x"), record("c")], "1 changed (a); 1 added (c); 1 missing (b)"),
    ],
)
def test_a_difference_is_reported_in_words(new: list[SourceRecord], text: str) -> None:
    assert describe_difference([record("a"), record("b")], new) == text


def test_many_differences_are_listed_in_part() -> None:
    assert describe_difference([], [record(name) for name in "abcdefg"]) == "7 added (a, b, c, d, e, …)"


def test_a_place_is_no_content() -> None:
    moved = replace(record("a"), image="elsewhere/a.png")

    assert describe_difference([record("a")], [moved]) == ""
    assert content_digest([record("a")]) == content_digest([moved])


@pytest.mark.parametrize("other", [record("b"), record("a", image="x"), record("a", mask="x")])
def test_other_content_has_another_digest(other: SourceRecord) -> None:
    assert content_digest([record("a")]) != content_digest([other])


def test_records_survive_their_table(tmp_path: Path) -> None:
    records = [record("a"), replace(record("b", refusal="scan: ä torn"), split="test", fold=3)]

    write_sources(tmp_path / SOURCES_FILE, records)

    assert read_sources(tmp_path / SOURCES_FILE) == records


def test_a_cache_of_other_sources_is_refused_with_the_difference(tmp_path: Path) -> None:
    check_same(tmp_path, [record("a")])  # there is nothing yet
    write_sources(tmp_path / SOURCES_FILE, [record("a")])

    check_same(tmp_path, [record("a")])
    with pytest.raises(CacheError, match=r"other sources: 1 changed \(a\); choose another folder, or remove it$"):
        check_same(tmp_path, [record("a", image="x")])


def test_a_cache_inside_its_output_goes_with_fresh(tmp_path: Path) -> None:
    write_sources(tmp_path / STATE / "cache" / SOURCES_FILE, [record("a")])

    with pytest.raises(CacheError, match=r"choose another folder, or start anew with --fresh$"):
        check_same(tmp_path / STATE / "cache", [record("b")])


def test_a_plane_and_a_tile_are_named_in_the_tables() -> None:
    volume = SourceItem("v", Content("nifti", ("v.nii", "w.nii")), Content("array", ("m.h5",), "label"))
    part = Part(7, (0, 8, 4, 4))

    (made,) = make_records([volume], [ScanResult("v-z007", part, spacing=(1.0, 1.0, 3.0))])

    assert (made.image, made.mask) == ("v.nii#plane=7,tile=0,8,4,4", "m.h5#label#plane=7,tile=0,8,4,4")
    assert (made.id, made.group, made.plane, made.spacing) == ("v-z007", "v", 7, (1.0, 1.0, 3.0))


def pooled(count: int = 12) -> tuple[list[SourceRecord], list[ScanResult]]:
    """Two images of each patient, every third patient with a class of its own, and one test image."""
    names = [f"p{i // 2}-{i}" for i in range(count)]
    records = [
        *(replace(record(name, image=name), group=name.partition("-")[0]) for name in names),
        replace(record("t"), split="test"),
    ]
    scans = [ScanResult(r.id, mask_counts=((0, 9), (1 + (i // 2) % 3, 1))) for i, r in enumerate(records)]
    return records, scans


def test_folds_hold_whole_groups_and_leave_the_test_images_alone() -> None:
    records, scans = pooled()

    dealt = with_folds(records, scans, 3, seed=0)

    assert {r.fold for r in dealt[:-1]} == {0, 1, 2}
    assert (dealt[-1].split, dealt[-1].fold) == ("test", None)
    for group in {r.group for r in dealt}:
        assert len({r.fold for r in dealt if r.group == group}) == 1


def test_equal_contents_come_into_one_fold_whatever_their_groups() -> None:
    records, scans = pooled()
    twins = [replace(r, image_sha256="same") if r.group in ("p0", "p5") else r for r in records]

    for seed in range(5):
        dealt = with_folds(twins, scans, 3, seed=seed)
        assert len({r.fold for r in dealt if r.image_sha256 == "same"}) == 1


def test_a_fold_validates_on_its_own_images_and_trains_on_the_others() -> None:
    records = [replace(record(name), fold=fold) for name, fold in (("a", 0), ("b", 1), ("c", 1))]
    records.append(replace(record("t"), split="test"))

    seen = of_fold(records, 1)

    assert [r.split for r in seen] == ["train", "val", "val", "test"]
    assert [r.fold for r in seen] == [1, 1, 1, None]
    assert [[r.split for r in fold] for fold in per_fold(records)] == [
        ["val", "train", "train", "test"],
        ["train", "val", "val", "test"],
    ]
