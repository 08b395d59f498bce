"""GlaS: glands find their masks in both layouts, patients come from Grade.csv, the official split is judged."""

from collections import Counter
from pathlib import Path

import pytest

from hsmix_gen.pipeline.readers import glas_reader
from hsmix_gen.pipeline.readers.glas_reader import read_patients
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Labelling, picture
from tests.pipeline.readers.layouts import GLAS as RELEASE
from tests.pipeline.readers.layouts import columns, lay, warwick

HEADER = "name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)"
NO_TABLE = "there is no Grade.csv, so patients are not known and each image is a group of its own"


def find(source: Path, *paths: str, **config: str) -> Found:
    return glas_reader.find(lay(source, *paths), SourceConfig.model_validate(config))


def write_grades(folder: Path, *rows: str, end: str = "\r", header: str = HEADER) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "Grade.csv"
    path.write_bytes(end.join([header, *rows]).encode())
    return path


def groups(found: Found) -> dict[str, str | None]:
    return {item.id: item.group for item in found.items}


def test_an_image_finds_its_annotation(tmp_path: Path) -> None:
    found = find(tmp_path, *warwick("train_1", "testA_2", folder=f"{RELEASE}/"))

    assert [(item.id, item.image, item.mask) for item in found.items] == [
        (
            name,
            picture(str(tmp_path / RELEASE / f"{name}.bmp")),
            picture(str(tmp_path / RELEASE / f"{name}_anno.bmp")),
        )
        for name in ("testA_2", "train_1")
    ]
    assert found.refusals == ()
    # Taken for classes, the numbers of glands would make one of each.
    assert found.labelling == Labelling(classes=("background", "gland"), instances=True)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (warwick("testA_1", "testB_1", "train_1"), {"testA_1": "test", "testB_1": "test", "train_1": "train"}),
        (warwick("train_1", "train_2"), {"train_1": None, "train_2": None}),
        ([*columns("Val_Folder", "a"), *columns("z", "b")], {"val_a": "val", "b": None}),
        ([*columns("latest", "a"), *columns("z", "b")], {"a": None, "b": None}),
        (["img/1.jpg", "labelcol/1_anno.png"], {"1": None}),
        ([*columns("a", "1"), *columns("b", "1")], {"a-1": None, "b-1": None}),
    ],
    ids=["official", "training-alone", "folder", "other-word", "other-ending", "one-name-twice"],
)
def test_names_and_folders_state_the_split(tmp_path: Path, paths: list[str], expected: dict[str, str | None]) -> None:
    assert {item.id: item.split for item in find(tmp_path, *paths).items} == expected


@pytest.mark.parametrize(
    ("data", "patients"),
    [
        # The real table has bare CR, which Python's csv refuses in a file that is opened as text.
        *((f"{HEADER}{end}train_1,4,benign,x{end}train_2,10,benign,x", {"train_1": "4", "train_2": "10"})
          for end in ("\r", "\n", "\r\n")),
        (" name , patient ID, grade (GlaS),g\r train_1 , 4 , benign, x", {"train_1": "4"}),
        ("grade,Patient ID,Name\rbenign,7,train_1", {"train_1": "7"}),
        *((f"{HEADER}\r{row}\rtrain_1,4,benign,x", {"train_1": "4"}) for row in ("", "train_2", "train_2,", ",5,b,x")),
        (f"{HEADER}\rtrain_1,4,b,x\rtrain_1,5,b,x\rtrain_2,5,b,x\rtrain_2,5,b,x", {"train_2": "5"}),
        (b"\xef\xbb\xbfname,patient ID\rtrain_1,4", {"train_1": "4"}),
        (b"name,patient ID,grad\xe9\rtrain_1,4,\xe9", {"train_1": "4"}),
    ],
    ids=[
        "CR", "LF", "CRLF", "blanks", "other-order", "no-row", "no-patient", "empty-patient", "no-name",
        "two-patients", "byte-order-mark", "Latin-1",
    ],
)  # fmt: skip
def test_patients_are_read_from_tables_of_any_form(tmp_path: Path, data: str | bytes, patients: dict[str, str]) -> None:
    (tmp_path / "Grade.csv").write_bytes(data if isinstance(data, bytes) else data.encode())

    assert read_patients(tmp_path / "Grade.csv") == patients


def test_images_of_a_patient_are_one_group(tmp_path: Path) -> None:
    """The table names more images than there are."""
    write_grades(tmp_path / RELEASE, *(f"train_{n},{p}, benign, x" for n, p in ((1, 4), (2, 10), (3, 4), (4, 9))))

    found = find(tmp_path, *warwick("train_1", "train_2", "train_3", folder=f"{RELEASE}/"))

    assert groups(found) == {"train_1": "patient-4", "train_2": "patient-10", "train_3": "patient-4"}
    assert (found.refusals, found.notes) == ((), ())


def test_images_without_a_row_are_reported(tmp_path: Path) -> None:
    write_grades(tmp_path, "train_1,4, benign, x")

    found = find(tmp_path, *warwick("train_1", "train_2", "train_3"))

    assert groups(found) == {"train_1": "patient-4", "train_2": None, "train_3": None}
    assert found.notes == ("Grade.csv names no one patient for 2 images, first train_2; each is its own",)


def test_a_source_without_the_table_is_reported(tmp_path: Path) -> None:
    found = find(tmp_path, *warwick("train_1"))

    assert (groups(found), found.notes) == ({"train_1": None}, (NO_TABLE,))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "has columns none, expected name and patient ID"),
        (b"image,grade\rtrain_1,benign", "has columns image, grade, expected name and patient ID"),
        (b"name,patient ID\r\"" + b"x" * 200_000, "is damaged (field larger than field limit (131072))"),
    ],
)  # fmt: skip
def test_a_table_that_is_not_understood_is_reported(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "Grade.csv").write_bytes(data)

    found = find(tmp_path, *warwick("train_1"))

    assert groups(found) == {"train_1": None}
    assert found.notes == (
        f"{tmp_path / 'Grade.csv'} {reason}, so patients are not known and each image is a group of its own",
    )


TORN = ("train_1,4,b,x", "train_2,4,b,x", "train_3,5,b,x", "testA_1,4,b,x", "testB_1,6,b,x")
NAMES = ("train_1", "train_2", "train_3", "testA_1", "testB_1")


def test_patients_on_both_sides_of_the_official_split_are_parted_and_reported(tmp_path: Path) -> None:
    """The official split is the benchmark; refused as leakage, the data could not be used with it at all."""
    write_grades(tmp_path, *TORN)

    found = find(tmp_path, *warwick(*NAMES))

    assert groups(found) == {
        "train_1": "patient-4-train", "train_2": "patient-4-train", "train_3": "patient-5",
        "testA_1": "patient-4-test", "testB_1": "patient-6",
    }  # fmt: skip
    assert found.notes == (
        "1 of 3 patients have images in several parts of the official split, which was kept: "
        "results on its test images flatter; --split 0.8/0.1/0.1 draws one by patient",
    )


@pytest.mark.parametrize(
    ("config", "lists"),
    [({"split": "0.5/0.2/0.3"}, ()), ({"split": "lists"}, ()), ({"group_by": "^train|^test"}, ()),
     ({}, ("splits/train.txt",))],
)  # fmt: skip
def test_patients_stay_whole_where_the_user_says_how(
    tmp_path: Path, config: dict[str, str], lists: tuple[str, ...]
) -> None:
    """A drawn split has to keep them together, and lists that tear them have to be refused."""
    write_grades(tmp_path, *TORN)

    found = find(tmp_path, *warwick(*NAMES), *lists, **config)

    assert Counter(groups(found).values()) == {"patient-4": 3, "patient-5": 1, "patient-6": 1}
    assert found.notes == ()


def test_img_and_labelcol_are_read(tmp_path: Path) -> None:
    found = find(tmp_path, *columns("Train_Folder", "3"), *columns("Test_Folder", "3"))

    assert [(item.id, item.image, item.mask, item.split) for item in found.items] == [
        (
            f"{split}_3",
            picture(str(tmp_path / folder / "img/3.png")),
            picture(str(tmp_path / folder / "labelcol/3.png")),
            split,
        )
        for folder, split in (("Test_Folder", "test"), ("Train_Folder", "train"))
    ]
    assert (found.refusals, found.notes) == ((), (NO_TABLE,))


def test_columns_with_names_of_warwick_have_their_patients(tmp_path: Path) -> None:
    write_grades(tmp_path, "train_1,4,b,x")

    found = find(tmp_path, *columns("Train_Folder", "train_1"))

    assert groups(found) == {"train_1": "patient-4"}


def test_what_has_no_partner_is_refused_by_name(tmp_path: Path) -> None:
    found = find(tmp_path, "train_1.bmp", "testA_1_anno.bmp", "Test_Folder/img/2.png")

    assert found.items == ()
    assert [(r.id, r.path, r.stage, r.reason.split(";")[0]) for r in found.refusals] == [
        ("test_2", str(tmp_path / "Test_Folder/img/2.png"), "discover", "image has no mask"),
        ("testA_1", str(tmp_path / "testA_1_anno.bmp"), "discover", "mask has no image"),
        ("train_1", str(tmp_path / "train_1.bmp"), "discover", "image has no mask"),
    ]


def test_one_name_with_two_endings_is_refused(tmp_path: Path) -> None:
    found = find(tmp_path, *warwick("train_1"), "train_1.png")

    assert found.items == ()
    assert [refusal.reason.split(";")[0] for refusal in found.refusals] == [
        "2 images have one name: train_1.bmp, train_1.png"
    ]


def test_other_pictures_are_reported(tmp_path: Path) -> None:
    write_grades(tmp_path, "train_1,4,b,x")

    found = find(tmp_path, *warwick("train_1"), "overview.png", "._train_1.bmp")

    assert (len(found.items), found.refusals) == (1, ())
    assert found.notes == ("1 pictures belong to no layout of GlaS and were left aside",)


def test_the_whole_listing_with_the_real_table_makes_165_pairs(tmp_path: Path, shared_data: Path) -> None:
    names = (shared_data / "layouts/listings/glas_warwick_qu_full.txt").read_text().split()
    lay(tmp_path, *names)
    table = shared_data / "layouts/glas_warwick_qu" / RELEASE / "Grade.csv"
    (tmp_path / "Grade.csv").write_bytes(table.read_bytes())

    found = find(tmp_path)

    assert glas_reader.recognises(tmp_path)
    assert Counter(item.split for item in found.items) == {"train": 85, "test": 80}
    assert found.refusals == ()
    # Patient 12 is only tested on; 6, 8, 14 and 16 are only trained on.
    parted = {group for group in groups(found).values() if group and group.count("-") == 2}
    assert {int(group.split("-")[1]) for group in parted} == {1, 2, 3, 4, 5, 7, 9, 10, 11, 13, 15}
    assert len(set(groups(found).values())) == 5 + 2 * 11
    assert [note[:24] for note in found.notes] == ["11 of 16 patients have i"]
    assert len({(item.group, item.split) for item in found.items}) == len({item.group for item in found.items})


def test_the_real_folders_hold_six_and_three_pairs(shared_data: Path) -> None:
    official = glas_reader.find(shared_data / "layouts/glas_warwick_qu", SourceConfig())
    folders = glas_reader.find(shared_data / "layouts/glas_img_labelcol", SourceConfig())

    assert groups(official) == {
        "testA_1": "patient-4", "testB_1": "patient-3", "train_1": "patient-2", "train_12": "patient-13",
        "train_2": "patient-5", "train_57": "patient-11",
    }  # fmt: skip
    assert groups(folders) == {"test_2": None, "train_3": None, "train_4": None}
    assert official.refusals == folders.refusals == ()
