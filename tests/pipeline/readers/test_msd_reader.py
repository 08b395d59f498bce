"""Folders of the Decathlon and of nnU-Net give cases with their channels, classes and regions; gaps are reported."""

import json
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.readers import msd_reader, nnunet_reader
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Labelling
from tests.pipeline.readers.layouts import lay, reasons

MSD = ("imagesTr/hip_001.nii.gz", "labelsTr/hip_001.nii.gz")
NNUNET = ("imagesTr/la_003_0000.nii.gz", "labelsTr/la_003.nii.gz")


def lay_out(source: Path, *paths: str, stated: Any = None) -> Path:
    lay(source, *paths)
    if stated is not None:
        source.mkdir(exist_ok=True)
        (source / "dataset.json").write_text(
            stated if isinstance(stated, str) else json.dumps(stated), encoding="utf-8"
        )
    return source


def find_msd(source: Path, *paths: str, stated: Any = None) -> Found:
    return msd_reader.find(lay_out(source, *paths, stated=stated), SourceConfig())


def find_nnunet(source: Path, *paths: str, stated: Any = None) -> Found:
    return nnunet_reader.find(lay_out(source, *paths, stated=stated), SourceConfig())


def names(found: Found) -> dict[str, tuple[list[str], str]]:
    return {
        item.id: ([Path(path).name for path in item.image.paths], Path(item.mask.paths[0]).name) for item in found.items
    }


@pytest.mark.parametrize(
    "pair",
    [
        MSD,
        ("images/a.nii.gz", "labels/a.nii.gz"),
        ("images/a.nii", "masks/a.nii.gz"),
        ("Image/a.nii.gz", "Mask/a.nii.gz"),
        ("images_train/a.nii.gz", "labels_train/a.nii.gz"),
        ("Task04_Hippocampus/imagesTr/a.nii.gz", "Task04_Hippocampus/labelsTr/a.nii.gz"),
    ],
)
def test_sibling_folders_of_equal_names_are_cases(tmp_path: Path, pair: tuple[str, str]) -> None:
    found = find_msd(tmp_path, *pair)

    (item,) = found.items
    assert msd_reader.recognises(tmp_path)
    assert not nnunet_reader.recognises(tmp_path)
    assert item.image.format == item.mask.format == "nifti"
    assert (item.image.paths, item.mask.paths) == ((str(tmp_path / pair[0]),), (str(tmp_path / pair[1]),))
    assert item.id == item.group == Path(pair[0]).name.split(".")[0]
    assert (found.refusals, found.notes) == ((), ())


def test_each_folder_of_images_has_its_own_labels(tmp_path: Path) -> None:
    found = find_msd(tmp_path, "images_a/1.nii", "labels_b/1.nii", "images_b/2.nii", "labels_a/2.nii")

    assert found.items == ()
    assert len(found.refusals) == 4


def test_hidden_twins_of_macos_are_ignored(tmp_path: Path) -> None:
    found = find_msd(tmp_path, *MSD, "imagesTr/._hip_001.nii.gz", "labelsTr/._hip_001.nii.gz", "imagesTr/.DS_Store")

    assert list(names(found)) == ["hip_001"]
    assert found.refusals == ()


def test_images_for_testing_without_labels_are_left_out_with_a_note(tmp_path: Path) -> None:
    found = find_msd(tmp_path, *MSD, "imagesTs/hip_002.nii.gz", "imagesTs/hip_003.nii.gz")

    assert list(names(found)) == ["hip_001"]
    assert found.refusals == ()
    assert found.notes == ("imagesTs has no labels beside it, its 2 cases are left out",)


def test_what_lacks_its_partner_is_refused(tmp_path: Path) -> None:
    found = find_msd(tmp_path, *MSD, "imagesTr/hip_002.nii.gz", "labelsTr/hip_003.nii.gz")

    assert list(names(found)) == ["hip_001"]
    assert reasons(found) == {
        "hip_002": "has no label of the name hip_002; add it or take the image out of imagesTr",
        "hip_003": "is a label whose image is not in imagesTr; add the image or remove the label",
    }
    assert [refusal.path for refusal in found.refusals] == [
        str(tmp_path / "imagesTr/hip_002.nii.gz"),
        str(tmp_path / "labelsTr/hip_003.nii.gz"),
    ]


def test_an_image_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    found = find_msd(tmp_path, *MSD, "imagesTr/hip_001.nii")

    assert reasons(found) == {"hip_001": "has hip_001.nii and hip_001.nii.gz for one thing; keep one of them"}


def test_the_decathlon_names_classes_by_number(tmp_path: Path) -> None:
    labels = {"0": "background", "10": "Posterior", "2": "Anterior"}

    found = find_msd(tmp_path, *MSD, stated={"modality": {"1": "T1w", "0": "FLAIR"}, "labels": labels})

    assert found.labelling.classes == ("background", "Anterior", "Posterior")
    assert found.labelling.values == ((0, 0), (2, 1), (10, 2))
    assert found.labelling.regions == ()
    assert found.notes == ("channels are FLAIR, T1w",)


def test_channels_of_nnunet_are_files_in_their_order(tmp_path: Path) -> None:
    files = [f"imagesTr/la_003_{number:04d}.nii.gz" for number in (2, 0, 1)]

    found = find_nnunet(tmp_path, *files, "labelsTr/la_003.nii.gz")

    (item,) = found.items
    assert nnunet_reader.recognises(tmp_path)
    assert (item.id, item.group, item.split) == ("la_003", "la_003", "train")
    assert item.image.paths == tuple(str(tmp_path / path) for path in sorted(files))
    assert item.mask.paths == (str(tmp_path / "labelsTr/la_003.nii.gz"),)


def test_nnunet_is_found_in_the_only_folder_of_a_source(tmp_path: Path) -> None:
    lay_out(tmp_path / "Dataset002_Heart", *NNUNET)

    assert nnunet_reader.recognises(tmp_path)
    assert list(names(nnunet_reader.find(tmp_path, SourceConfig()))) == ["la_003"]


def test_a_case_without_a_channel_of_the_description_is_refused(tmp_path: Path) -> None:
    stated = {"channel_names": {"0": "T2", "1": "ADC"}, "labels": {"background": 0, "prostate": 1}}

    found = find_nnunet(tmp_path, *NNUNET, stated=stated)

    assert reasons(found) == {"la_003": "has no channel la_003_0001; add it or remove the case"}


def test_without_description_most_cases_state_the_channels(tmp_path: Path) -> None:
    whole = [f"imagesTr/{name}_{number:04d}.nii.gz" for name in "ab" for number in (0, 1)]

    found = find_nnunet(tmp_path, *whole, "imagesTr/c_0001.nii.gz", *(f"labelsTr/{name}.nii.gz" for name in "abc"))

    assert list(names(found)) == ["a", "b"]
    assert reasons(found) == {"c": "has no channel c_0000; add it or remove the case"}


def test_a_case_of_nnunet_without_label_is_refused(tmp_path: Path) -> None:
    found = find_nnunet(tmp_path, *NNUNET, "imagesTr/la_004_0000.nii.gz")

    assert list(reasons(found)) == ["la_004"]


def test_labelled_images_for_testing_are_the_test_split(tmp_path: Path) -> None:
    found = find_nnunet(tmp_path, *NNUNET, "imagesTs/la_004_0000.nii.gz", "labelsTs/la_004.nii.gz")

    assert {item.id: item.split for item in found.items} == {"la_003": "train", "la_004": "test"}


@pytest.mark.parametrize(("end", "split"), [("Va", "val"), ("_val", "val"), ("Val", "val"), ("_test", "test")])
def test_folders_for_validation_are_that_split(tmp_path: Path, end: str, split: str) -> None:
    """AMOS has imagesTr and imagesVa: validation images were of no split, which stopped the run."""
    found = find_msd(tmp_path, *MSD, f"images{end}/b.nii.gz", f"labels{end}/b.nii.gz")

    assert {item.id: item.split for item in found.items} == {"b": split, "hip_001": "train"}


def test_cases_of_one_name_in_two_folders_are_distinguished(tmp_path: Path) -> None:
    found = find_nnunet(tmp_path, *NNUNET, *(path.replace("Tr/", "Ts/") for path in NNUNET))

    assert sorted(names(found)) == ["imagesTr-la_003", "imagesTs-la_003"]


def test_nnunet_names_numbers_by_class_and_may_ignore_one(tmp_path: Path) -> None:
    labels = {"background": 0, "left": 1, "right": 2, "ignore": 3}

    found = find_nnunet(tmp_path, *NNUNET, stated={"channel_names": {"0": "MRI"}, "labels": labels})

    assert found.labelling.classes == ("background", "left", "right")
    assert found.labelling.values == ((0, 0), (1, 1), (2, 2), (3, 255))


@pytest.mark.parametrize(("ignored", "values"), [({}, ()), ({"ignore": 4}, ((0, 0), (4, 255)))])
def test_lists_of_numbers_are_regions(
    tmp_path: Path, ignored: dict[str, int], values: tuple[tuple[int, int], ...]
) -> None:
    labels = {"background": 0, "whole tumour": [1, 2, 3], "core": [2, 3], "enhancing": 3, **ignored}
    stated = {"channel_names": {"0": "MRI"}, "labels": labels, "regions_class_order": [1, 2, 3]}
    found = find_nnunet(tmp_path, *NNUNET, stated=stated)
    assert found.labelling.regions == (("whole tumour", (1, 2, 3)), ("core", (2, 3)), ("enhancing", (3,)))
    assert (found.labelling.classes, found.labelling.values) == ((), values)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_pictures_of_nnunet_are_one_file_each_whatever_their_colours(tmp_path: Path, ending: str) -> None:
    stated = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "road": 1},
        "file_ending": ending,
    }

    found = find_nnunet(tmp_path, f"imagesTr/a_0000{ending}", f"labelsTr/a{ending}", stated=stated)

    (item,) = found.items
    assert item.image.format == item.mask.format == "picture"
    assert names(found) == {"a": ([f"a_0000{ending}"], f"a{ending}")}
    assert (item.group, item.split) == (None, "train")


def test_pictures_of_one_channel_each_are_refused(tmp_path: Path) -> None:
    found = find_nnunet(tmp_path, "imagesTr/a_0000.png", "imagesTr/a_0001.png", "labelsTr/a.png")

    assert reasons(found) == {
        "a": "has 2 pictures of one channel each; merge them into one picture, or store them as NIfTI"
    }


def test_an_ending_that_nobody_reads_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"dataset\.json has the file_ending \.nrrd, expected one of \.nii\.gz, "):
        find_nnunet(tmp_path, stated={"file_ending": ".nrrd"})


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ("{", "is no valid JSON"),
        ("[" * 100_000, "is no valid JSON"),
        ([1], "holds a list, expected an object"),
        ({"labels": ["a"]}, "has labels ['a'], expected an object"),
        ({"labels": {"a": "b"}}, "has the number 'b', expected a whole number"),
        ({"labels": {"a": 1.5}}, "has the number 1.5, expected a whole number"),
        ({"labels": {"a": -1}}, "has the number -1, expected a whole number"),
        ({"labels": {"a": None, "b": [1]}}, "has the number None, expected a whole number"),
        ({"labels": {"a": 1, "b": 1}}, "gives a name or a number to two labels"),
        ({"labels": {"1": "a", "2": "a"}}, "gives a name or a number to two labels"),
        ({"labels": {"a": 1, "ignore": 1}}, "gives a name or a number to two labels"),
        ({"channel_names": ["MRI"]}, "has channel_names ['MRI'], expected an object"),
        ({"modality": {"first": "MRI"}}, "has the number 'first', expected a whole number"),
    ],
)
def test_a_description_that_is_none_is_reported_in_one_line(tmp_path: Path, stated: Any, reason: str) -> None:
    with pytest.raises(SourceError) as caught:
        find_msd(tmp_path, *MSD, stated=stated)
    assert str(caught.value).startswith(f"{tmp_path / 'dataset.json'} {reason}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stated", [{}, {"labels": {}}, {"name": "Heart", "numTraining": 20}])
def test_a_description_may_leave_out_anything(tmp_path: Path, stated: Any) -> None:
    found = find_msd(tmp_path, *MSD, stated=stated)

    assert list(names(found)) == ["hip_001"]
    assert found.labelling == Labelling()
