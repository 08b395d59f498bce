"""Cases of BraTS are found in every tree of 2015 to 2021, each file in its role; what is incomplete is reported."""

import re
from pathlib import Path

import pytest

from hsmix_gen.pipeline.readers import brats_reader
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from tests.pipeline.readers.layouts import lay, reasons

KINDS = ("flair", "t1", "t1ce", "t2", "seg")


def case(folder: str, *kinds: str, ending: str = ".nii.gz") -> list[str]:
    """Return the files of a case, all five if no kinds are given."""
    return [f"{folder}/{folder.rpartition('/')[2]}_{kind}{ending}" for kind in kinds or KINDS]


def find(source: Path, *paths: str) -> Found:
    return brats_reader.find(lay(source, *paths), SourceConfig())


def images(found: Found) -> dict[str, list[str]]:
    return {item.id: [Path(path).name for path in item.image.paths] for item in found.items}


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
@pytest.mark.parametrize(
    "folder",
    [
        "MICCAI_BraTS_2018_Data_Training/HGG/Brats18_2013_10_1",
        "HGG/Brats17_TCIA_105_1",
        "LGG/Brats18_TCIA09_141_1",
        "BraTS2021_00006",
        "MICCAI_BraTS2020_TrainingData/BraTS20_Training_001",
    ],
)
def test_a_case_is_found_in_every_tree(tmp_path: Path, folder: str, ending: str) -> None:
    found = find(tmp_path, *case(folder, ending=ending))

    name = folder.rpartition("/")[2]
    (item,) = found.items
    assert brats_reader.recognises(tmp_path)
    assert (item.id, item.group, item.split) == (name, name, None)
    assert item.image.format == item.mask.format == "nifti"
    assert item.image.paths == tuple(
        str(tmp_path / folder / f"{name}_{kind}{ending}") for kind in ("flair", "t1", "t1ce", "t2")
    )
    assert item.mask.paths == (str(tmp_path / folder / f"{name}_seg{ending}"),)
    assert item.image.body == ""
    assert found.refusals == ()


def test_a_source_may_be_a_case_itself(tmp_path: Path) -> None:
    lay(tmp_path, *case("BraTS2021_00006"))

    found = brats_reader.find(tmp_path / "BraTS2021_00006", SourceConfig())

    assert brats_reader.recognises(tmp_path / "BraTS2021_00006")
    assert list(images(found)) == ["BraTS2021_00006"]


def test_cases_may_share_a_folder(tmp_path: Path) -> None:
    names = [f"all/BraTS2021_{number}_{kind}.nii.gz" for number in ("00001", "00002") for kind in KINDS]

    found = find(tmp_path, *names)

    assert [(item.id, Path(item.mask.paths[0]).name) for item in found.items] == [
        ("BraTS2021_00001", "BraTS2021_00001_seg.nii.gz"),
        ("BraTS2021_00002", "BraTS2021_00002_seg.nii.gz"),
    ]


def test_names_may_differ_in_case(tmp_path: Path) -> None:
    found = find(tmp_path, *(f"p1/Brats_p1_{kind}.NII.gz" for kind in ("FLAIR", "T1", "T1CE", "T2", "Seg")))

    assert images(found) == {"Brats_p1": [f"Brats_p1_{kind}.NII.gz" for kind in ("FLAIR", "T1", "T1CE", "T2")]}


def test_files_as_deepmedic_names_them_are_a_case_of_2015(tmp_path: Path) -> None:
    names = ("Flair_subtrMeanDivStd", "T1c_subtrMeanDivStd", "OTMultiClass", "brainmask")
    folder = tmp_path / "train" / "brats_2013_pat0006_1"

    found = find(folder, *(f"{name}.nii.gz" for name in names), "License_CC_BY_NC_SA_3.0.txt")

    (item,) = brats_reader.find(tmp_path, SourceConfig()).items
    assert brats_reader.recognises(tmp_path)
    assert item.id == item.group == "brats_2013_pat0006_1"
    assert item.image.paths == tuple(str(folder / f"{name}.nii.gz") for name in names[:2])
    assert item.mask.paths == (str(folder / "OTMultiClass.nii.gz"),)
    assert item.image.body == str(folder / "brainmask.nii.gz")
    assert found.items == (item,)
    assert found.labelling.values == ((0, 0), (1, 1), (2, 2), (3, 3), (4, 4))
    assert found.labelling.classes == (
        "background", "necrosis", "oedema", "non-enhancing tumour", "enhancing tumour",
    )  # fmt: skip
    assert found.labelling.regions == (("WT", (1, 2, 3, 4)), ("TC", (1, 3, 4)), ("ET", (4,)))


NAMES_2023 = ("t2f", "t1n", "t1c", "t2w", "seg")


def case_2023(name: str, *kinds: str) -> list[str]:
    """Return the files of a case with names of 2023."""
    return [f"{name}/{name}-{kind}.nii.gz" for kind in kinds or NAMES_2023]


def test_cases_of_2023_are_found(tmp_path: Path) -> None:
    name = "BraTS-GLI-00005-000"

    found = find(tmp_path, *case_2023(name))

    assert brats_reader.recognises(tmp_path)
    assert images(found) == {name: [f"{name}-{kind}.nii.gz" for kind in NAMES_2023[:4]]}
    assert found.items[0].mask.paths == (str(tmp_path / name / f"{name}-seg.nii.gz"),)


@pytest.mark.parametrize(
    ("files", "values", "regions", "cavity"),
    [
        (case("Brats18_2013_10_1"), (0, 1, 2, 4), (("WT", (1, 2, 4)), ("TC", (1, 4)), ("ET", (4,))), ()),
        (case_2023("BraTS-MET-00005-000"), (0, 1, 2, 3), (("WT", (1, 2, 3)), ("TC", (1, 3)), ("ET", (3,))), ()),
        (
            case_2023("BraTS-GLI-00005-100"),
            (0, 1, 2, 3, 4),
            (("WT", (1, 2, 3)), ("TC", (1, 3)), ("ET", (3,)), ("RC", (4,))),
            ("resection cavity",),
        ),
    ],
    ids=["2017", "2023", "after-treatment"],
)
def test_labels_are_those_of_their_year(
    tmp_path: Path,
    files: list[str],
    values: tuple[int, ...],
    regions: tuple[tuple[str, tuple[int, ...]], ...],
    cavity: tuple[str, ...],
) -> None:
    """The enhancing tumour is 4, and 3 since 2023; after treatment 4 is the cavity."""
    labelling = find(tmp_path, *files).labelling

    assert labelling.values == tuple((value, number) for number, value in enumerate(values))
    assert labelling.classes == ("background", "necrotic core", "oedema", "enhancing tumour", *cavity)
    assert labelling.regions == regions


def test_labels_that_changed_from_year_to_year_are_left_open(tmp_path: Path) -> None:
    found = find(tmp_path, *case_2023("BraTS-PED-00005-000"))

    assert found.labelling.values == ()
    assert any("labels of BraTS-PED changed" in note for note in found.notes)


def test_the_target_of_a_meningioma_is_a_label(tmp_path: Path) -> None:
    found = find(tmp_path, *(f"BraTS-MEN-RT-0004-1/BraTS-MEN-RT-0004-1_{kind}.nii.gz" for kind in ("t1c", "gtv")))

    assert brats_reader.recognises(tmp_path)
    assert images(found) == {"BraTS-MEN-RT-0004-1": ["BraTS-MEN-RT-0004-1_t1c.nii.gz"]}


def test_time_points_of_a_patient_are_one_group(tmp_path: Path) -> None:
    found = find(tmp_path, *case_2023("BraTS-GLI-00005-000"), *case_2023("BraTS-GLI-00005-001"))

    assert [(item.id, item.group) for item in found.items] == [
        ("BraTS-GLI-00005-000", "BraTS-GLI-00005"),
        ("BraTS-GLI-00005-001", "BraTS-GLI-00005"),
    ]


def test_a_case_of_2023_that_lacks_modalities_is_refused_by_their_names(tmp_path: Path) -> None:
    whole = [path for number in range(2) for path in case_2023(f"BraTS-GLI-0000{number}-000")]

    found = find(tmp_path, *whole, *case_2023("BraTS-GLI-00009-000", "t1c", "t2f", "seg"))

    assert reasons(found) == {
        "BraTS-GLI-00009-000": "has no t1n, t2w, which most cases have; add it or remove the case"
    }


def test_years_with_other_labels_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="before 2023, where 4 is the enhancing tumour, and since 2023"):
        find(tmp_path, *case("Brats18_2013_10_1"), *case_2023("BraTS-GLI-00005-000"))


def test_other_files_are_ignored(tmp_path: Path) -> None:
    others = ("survival_data.csv", "name_mapping.csv", "Brats18_1/._Brats18_1_t1.nii.gz", "Brats18_1/notes.nii.gz")

    found = find(tmp_path, *case("Brats18_1"), *others)

    assert list(images(found)) == ["Brats18_1"]
    assert found.refusals == ()


def test_a_case_without_segmentation_is_refused(tmp_path: Path) -> None:
    found = find(tmp_path, *case("train/Brats18_1"), *case("val/Brats18_2", *KINDS[:4]))

    assert list(images(found)) == ["Brats18_1"]
    assert reasons(found)["Brats18_2"].startswith("has no segmentation (_seg); ")
    assert found.refusals[0].path == str(tmp_path / "val" / "Brats18_2")


def test_a_case_that_lacks_a_modality_of_most_is_refused(tmp_path: Path) -> None:
    found = find(tmp_path, *case("Brats18_1"), *case("Brats18_2"), *case("Brats18_3", "flair", "t1ce", "t2", "seg"))

    assert list(images(found)) == ["Brats18_1", "Brats18_2"]
    assert reasons(found) == {"Brats18_3": "has no t1, which most cases have; add it or remove the case"}


def test_a_modality_of_few_cases_is_left_out(tmp_path: Path) -> None:
    few = [path for number in "12" for path in case(f"Brats18_{number}", "flair", "t2", "seg")]

    found = find(tmp_path, *few, *case("Brats18_3"))

    assert [len(names) for names in images(found).values()] == [2, 2, 2]
    assert found.notes == (
        "channels are flair, t2",
        "t1 is left out: 1 of 3 cases have it",
        "t1ce is left out: 1 of 3 cases have it",
    )


def test_unlabelled_cases_have_no_say_in_the_channels(tmp_path: Path) -> None:
    unlabelled = [path for number in "123" for path in case(f"Brats18_{number}", "flair", "t1")]

    assert list(map(len, images(find(tmp_path, *case("Brats18_4"), *unlabelled)).values())) == [4]


def test_a_label_alone_is_refused(tmp_path: Path) -> None:
    found = find(tmp_path, *case("Brats18_1"), *case("Brats18_2", "seg"))

    assert reasons(found)["Brats18_2"].startswith("has no flair, t1, t1ce, t2, which most cases have")


def test_a_modality_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    found = find(tmp_path, *case("Brats18_1"), "Brats18_1/Brats18_1_t1.nii")

    assert reasons(found) == {
        "Brats18_1": "has Brats18_1_t1.nii and Brats18_1_t1.nii.gz for one thing; keep one of them"
    }


def test_the_label_of_a_lone_case_may_have_a_name_of_its_own(tmp_path: Path) -> None:
    """One case of BraTS 2020 came like this."""
    found = find(tmp_path, *case("BraTS20_355", *KINDS[:4]), "BraTS20_355/W39_1998.09.19_Segm.nii")

    assert [Path(item.mask.paths[0]).name for item in found.items] == ["W39_1998.09.19_Segm.nii"]
    assert list(images(found)) == ["BraTS20_355"]


def test_cases_of_one_name_are_distinguished_and_stay_one_group(tmp_path: Path) -> None:
    found = find(tmp_path, *case("a/Brats18_1"), *case("b/Brats18_1"))

    assert [(item.id, item.group) for item in found.items] == [
        ("a-Brats18_1-Brats18_1", "Brats18_1"),
        ("b-Brats18_1-Brats18_1", "Brats18_1"),
    ]


def test_all_cases_of_the_real_listing_are_found(shared_data: Path, tmp_path: Path) -> None:
    for line in (shared_data / "layouts/listings/brats2018_training_cases_285.txt").read_text().split():
        match = re.fullmatch(r"(.*)\{(.*)\}(.*)", line)
        assert match is not None
        lay(tmp_path, *(f"{match[1]}{kind}{match[3]}" for kind in match[2].split(",")))

    found = brats_reader.find(tmp_path, SourceConfig())

    folders = [Path(item.mask.paths[0]).parts[-3] for item in found.items]
    assert (folders.count("HGG"), folders.count("LGG"), len(folders)) == (210, 75, 285)
    assert {len({*item.image.paths, *item.mask.paths}) for item in found.items} == {5}
    assert len({item.id for item in found.items}) == 285
    assert found.refusals == ()
