"""Names put slices, views and tiles of one patient together, and leave alone what is only numbered."""

import pytest

from hsmix_gen.pipeline.readers.paths.name_groups import candidate_groups, guess_groups

_SERIES = range(1, 101)


def keys(*names: str) -> list[str | None]:
    """Return the group of each name, none where names say nothing."""
    guess = guess_groups(names)
    return [None] * len(names) if guess is None else list(guess.groups)


@pytest.mark.parametrize(
    ("of", "names"),
    [
        ("a running number", [f"p{p}_{s}" for p in range(3) for s in range(4)]),
        ("a number in brackets", [f"P{p:03} ({s})" for p in range(3) for s in range(4)]),
        ("a word and a number", [f"images/patient{p:03}_slice_{s:02}" for p in range(3) for s in range(4)]),
        ("a letter and a number", [f"case{p}-z{s:02}" for p in range(3) for s in range(4)]),
        ("joined words", [f"p{p}slice{s}" for p in range(3) for s in range(4)]),
        ("dots", [f"subj{p}.{s}" for p in range(3) for s in range(4)]),
        ("a date before the slice", [f"TCGA_CS_{p}_19990101_{s}" for p in range(4940, 4943) for s in range(4)]),
        ("folders", [f"TCGA_CS_{p}_1999/TCGA_CS_{p}_1999_{s}" for p in range(4940, 4943) for s in range(4)]),
        ("numbered folders", [f"{p:02}/{s}" for p in range(3) for s in range(4)]),
        ("folders above kinds", [f"p{p}/images/{s:02}" for p in range(3) for s in range(4)]),
        ("folders below splits", [f"train/p{p}/{s:02}" for p in range(3) for s in range(4)]),
        ("letters for patients", [f"patient_{p}/{s}" for p in ("a1", "b1", "c1") for s in range(4)]),
        ("several words", [f"sub-{p}/ses-{s}/sub-{p}_ses-{s}_T1w" for p in range(3) for s in range(4)]),
        ("frames", [f"patient{p:03}/patient{p:03}_frame{s:02}" for p in range(3) for s in (1, 4, 8, 12)]),
        ("two numbers of one person", [f"patient{p}_{s}_{z}" for p in range(3) for s in range(2) for z in range(2)]),
        ("films", [f"video{p}_frame_{s:06}" for p in range(3) for s in range(0, 120, 30)]),
        ("eyes", [f"Image_{p:02}{side}" for p in range(3) for side in ("L", "R", "a", "b")]),
        ("views", [f"P_{p:05}_{s}_{v}" for p in range(3) for s in ("LEFT", "RIGHT") for v in ("CC", "MLO")]),
        ("stems without a number", [f"{p}_slice_{s}" for p in "ABC" for s in range(4)]),
        ("pieces", [f"img_{p}_patch_{s}" for p in range(3) for s in range(4)]),
        ("tiles", [f"slide{p:02}_x{x:04}_y{y:04}" for p in range(3) for x in (0, 512) for y in (0, 512)]),
        ("tiles by numbers", [f"TCGA-AA-000{p}_{x}_{y}" for p in range(3) for x in (0, 512) for y in (0, 512)]),
        (
            "copies beside what they were made of",
            [f"im{p:02}{s}" for p in range(3) for s in ("", "_hflip", "-dark", "_r90")],
        ),
        ("hashes", [f"0cdf5b5d0c{p}e_{s:02}" for p in range(3) for s in range(4)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_of_several_patients_are_groups(of: str, names: list[str]) -> None:
    found = keys(*names)

    assert len(set(found)) == 3, of
    assert None not in found
    assert [len(set(found[i : i + 4])) for i in (0, 4, 8)] == [1, 1, 1]


@pytest.mark.parametrize(
    "names",
    [
        [f"image_{i:03}" for i in _SERIES],
        [f"images/ISIC_{i:07}" for i in _SERIES],
        [f"case_{i:02}" for i in _SERIES],
        [f"patient{i}" for i in _SERIES],
        [f"{i}" for i in _SERIES],
        [f"IMG-{i}" for i in _SERIES],
        [f"patient003_slice_{i:02}" for i in _SERIES],
        [f"{kind}/{kind} ({i})" for kind in ("benign", "malignant", "normal") for i in range(1, 9)],
        [f"{kind}_{i}" for kind in ("benign", "malignant") for i in range(1, 9)],
        [f"{kind}_{i}" for kind in ("train", "testA", "testB") for i in range(1, 9)],
        [f"{kind}/{i}" for kind in ("train", "val", "test") for i in range(1, 9)],
        [f"{kind}/{i}" for kind in ("0", "1") for i in range(1, 9)],
        [f"{kind}/{i}" for kind in ("1_benign", "2_malignant") for i in range(1, 9)],
        [f"site{s}/{i}" for s in (1, 2) for i in range(1, 9)],
        [f"batch{s}_{i}" for s in (1, 2) for i in range(1, 9)],
        [f"fold{s}_{i}" for s in (1, 2) for i in range(1, 9)],
        [f"{s}X_{i}" for s in (10, 40) for i in range(1, 9)],
        [f"{s}X/{i}" for s in (10, 40) for i in range(1, 9)],
        [f"{year}_{i}" for year in (2016, 2017) for i in range(1, 9)],
        [f"{year}/{i}" for year in (2016, 2017) for i in range(1, 9)],
        [f"MCUCXR_{i:04}_{i % 2}" for i in _SERIES],
        [f"{i}_training" for i in range(21, 41)],
        [f"S12-{i}" for i in (3, 4711, 99120)] + [f"S13-{i}" for i in (17, 80123)],
        ["cju0qkwl35piu0993l0dewei2", "cju0qoxqj9q6s0835b43399p4", "cju0qx73cjw570799j4n5cjze"],
        [f"{key}/images/{key}" for key in ("00071198d059ba", "003cee89357d9f", "00ae65c1c6631a")],
        ["p1_1", "p1_2"],
        [],
    ],
    ids=lambda names: names[0] if names else "nothing",
)
def test_names_that_are_only_numbered_are_no_groups(names: list[str]) -> None:
    assert guess_groups(names) is None


def test_a_patient_of_one_image_has_its_group_too() -> None:
    """So that a second image that is added later finds it."""
    assert keys("p01_1", "p02_1", "p02_2", "p03_1", "p03_2") == ["p01", "p02", "p02", "p03", "p03"]


def test_what_was_made_of_an_image_joins_it() -> None:
    assert keys("a1", "a1_flip_0", "a2", "a2_flip_0") == ["a1", "a1", "a2", "a2"]


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        ([f"im{i}{copy}" for i in (1, 2) for copy in ("", "_flip", "_flip_dark")], ["im1"] * 3 + ["im2"] * 3),
        ([f"p{p}_s{s}{copy}" for p in (1, 2) for s in (1, 2) for copy in ("", "_flip")], ["p1"] * 4 + ["p2"] * 4),
        ([f"cvc1_00{i}{copy}" for i in (1, 2) for copy in ("", "_flip")], ["cvc1_001"] * 2 + ["cvc1_002"] * 2),
        (["im1", "im1_flip", "im2", "im3"], ["im1", "im1", None, None]),
        (["w1", *(f"w1_{w}_{i}" for w in "ab" for i in (1, 2))], [None, "w1_a", "w1_a", "w1_b", "w1_b"]),
    ],
    ids=["copies of copies", "copies of slices", "copies of a numbered set", "one copy", "one begin of all"],
)
def test_copies_lie_with_all_that_they_were_made_of(names: list[str], groups: list[str | None]) -> None:
    assert keys(*names) == groups


def test_a_name_that_says_nothing_stays_alone() -> None:
    assert keys("p1_1", "p1_2", "p2_1", "p2_2", "overview") == ["p1", "p1", "p2", "p2", None]


def test_folders_go_before_names() -> None:
    assert keys("p1/a1_1", "p1/a2_1", "p2/a1_2", "p2/a2_2") == ["p1", "p1", "p2", "p2"]


def test_a_guess_names_an_example() -> None:
    guess = guess_groups(["p1_1", "p1_2", "p2_1", "p2_2"])

    assert guess is not None
    assert (guess.by, guess.example) == ("names", ("p1_1", "p1"))


def test_candidates_do_not_depend_on_other_names() -> None:
    assert candidate_groups("p2/p2_slice_3") == ["p2", "p2"]
    assert candidate_groups("image") == []
