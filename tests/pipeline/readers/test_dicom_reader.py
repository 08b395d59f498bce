"""Folders of DICOM found: series, their masks, ids without persons, classes from segments, and what is left out."""

from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, SegmentationStorage, generate_uid

from hsmix_gen.pipeline.readers import dicom_reader
from hsmix_gen.pipeline.readers.dicom_reader import number_classes
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Labelling


def write(path: Path, kind: str, series: str, **elements: Any) -> Path:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, generate_uid()
    dataset.SeriesInstanceUID, dataset.PatientID, dataset.PatientName = series, "77", "Doe^Jane"
    for name, value in elements.items():
        setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, uid: str, *, files: int = 3, ending: str = ".dcm", **elements: Any) -> list[str]:
    """Headers without pixels: a reader never needs them."""
    elements = {"Rows": 10, "Columns": 14, "FrameOfReferenceUID": f"{uid}.1"} | elements
    names = [f"{uid}.{number}{ending}" for number in range(files)]
    return [str(write(folder / name, CTImageStorage, uid, **elements)) for name in names]


def write_segmentation(path: Path, *, of: str, labels: dict[int, str] | None = None, **elements: Any) -> Path:
    reference = Dataset()
    reference.SeriesInstanceUID = of
    segments = []
    for number, label in (labels or {1: "liver"}).items():
        segment = Dataset()
        segment.SegmentNumber, segment.SegmentLabel = number, label
        segments.append(segment)
    described = {"Rows": 10, "Columns": 14, "ReferencedSeriesSequence": [reference], "SegmentSequence": segments}
    return write(path, SegmentationStorage, f"{of}.9", **(described | elements))


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"mask")
    return path


def find(source: Path, **options: Any) -> Found:
    return dicom_reader.find(source, SourceConfig(**options))


def pairs(found: Found) -> dict[str, tuple[int, str]]:
    """Number of image files and name of the mask by id."""
    return {item.id: (len(item.image.paths), Path(item.mask.paths[0]).name) for item in found.items}


def test_files_with_the_mark_are_recognised_whatever_they_are_called(tmp_path: Path) -> None:
    write_series(tmp_path / "a", "1.2.3", ending="")
    assert dicom_reader.recognises(tmp_path)


def test_files_of_one_folder_are_grouped_by_series(tmp_path: Path) -> None:
    first = write_series(tmp_path, "1.2.1", SeriesNumber=1)
    second = write_series(tmp_path, "1.2.2", files=2, SeriesNumber=2)
    seg_1 = write_segmentation(tmp_path / "s1.dcm", of="1.2.1")
    seg_2 = write_segmentation(tmp_path / "s2.dcm", of="1.2.2")
    found = find(tmp_path)
    assert [(item.image.format, item.image.paths, item.mask.format, item.mask.paths) for item in found.items] == [
        ("dicom", tuple(first), "dicomseg", (str(seg_1),)),
        ("dicom", tuple(second), "dicomseg", (str(seg_2),)),
    ]
    assert not found.refusals


def test_series_without_folders_are_called_by_patient_and_number(tmp_path: Path) -> None:
    for number in (1, 2):
        write_series(tmp_path, f"1.2.{number}", SeriesNumber=number)
        write_segmentation(tmp_path / f"s{number}.dcm", of=f"1.2.{number}")
    group = find(tmp_path).items[0].group
    assert [item.id for item in find(tmp_path).items] == [f"{group}-s1", f"{group}-s2"]


def test_trees_of_patients_give_short_ids(tmp_path: Path) -> None:
    for patient in ("P1", "P2"):
        uid = f"1.2.840.113.1.{patient[1]}"
        write_series(tmp_path / patient / "1.2.840.9.8.7" / "CT", uid)
        write_segmentation(tmp_path / patient / "1.2.840.9.8.7" / "SEG" / "1.dcm", of=uid)
    assert sorted(pairs(find(tmp_path))) == ["P1-CT", "P2-CT"]


def test_ids_and_groups_name_no_person(tmp_path: Path) -> None:
    """The folder bears the name, the group would bear the number of the patient."""
    write_series(tmp_path / "DOE_JANE" / "CT", "1.2.3")
    write_segmentation(tmp_path / "DOE_JANE" / "seg.dcm", of="1.2.3")
    (item,) = find(tmp_path).items
    assert item.id == "CT"
    assert item.group is not None
    assert item.group.startswith("patient-")
    assert "77" not in item.group.removeprefix("patient-") or len(item.group) == len("patient-") + 8


def test_pseudonyms_stay_in_ids(tmp_path: Path) -> None:
    write_series(tmp_path / "LIDC-0001", "1.2.3", PatientID="LIDC-0001", PatientName="LIDC-0001")
    write_segmentation(tmp_path / "seg.dcm", of="1.2.3")
    assert [item.id for item in find(tmp_path).items] == ["LIDC-0001"]


def test_series_of_one_patient_share_a_group(tmp_path: Path) -> None:
    for uid, patient in (("1.2.1", "a"), ("1.2.2", "a"), ("1.2.3", "b")):
        write_series(tmp_path / uid[-1], uid, PatientID=patient)
        write_segmentation(tmp_path / f"{uid}.dcm", of=uid)
    groups = [item.group for item in sorted(find(tmp_path).items, key=lambda item: item.id)]
    assert groups[0] == groups[1] != groups[2]


def test_copies_of_a_file_count_once(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", "1.2.3", files=2, SOPInstanceUID="1.2.3.4")
    write_segmentation(tmp_path / "seg.dcm", of="1.2.3")
    assert pairs(find(tmp_path)) == {"ct": (1, "seg.dcm")}


def test_folders_of_a_split_state_it(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_series(tmp_path / split / "a", f"1.2.{len(split)}")
        write_segmentation(tmp_path / split / "seg.dcm", of=f"1.2.{len(split)}")
    assert {item.id: item.split for item in find(tmp_path).items} == {"train-a": "train", "test-a": "test"}


def test_segmentations_without_references_belong_to_the_series_in_their_space(tmp_path: Path) -> None:
    write_series(tmp_path / "a", "1.2.1")
    write_series(tmp_path / "b", "1.2.2")
    write_segmentation(tmp_path / "s.dcm", of="9.9", FrameOfReferenceUID="1.2.2.1")
    assert pairs(find(tmp_path)) == {"b": (3, "s.dcm")}


def test_segmentations_of_absent_series_are_refused(tmp_path: Path) -> None:
    write_segmentation(tmp_path / "s.dcm", of="9.9")
    (refusal,) = find(tmp_path).refusals
    assert refusal.path == str(tmp_path / "s.dcm")
    assert refusal.reason.startswith("references no series of this source")


def test_series_without_a_mask_are_refused_with_the_way_out(tmp_path: Path) -> None:
    write_series(tmp_path / "a", "1.2.1")
    (refusal,) = find(tmp_path).refusals
    assert (refusal.id, refusal.stage) == ("a", "discover")
    assert refusal.reason.startswith("series of 3 files has no mask; add a DICOM-SEG that references it, or a NIfTI")


def test_series_with_several_masks_are_refused_by_their_names(tmp_path: Path) -> None:
    write_series(tmp_path / "a", "1.2.1")
    write_segmentation(tmp_path / "s1.dcm", of="1.2.1")
    write_segmentation(tmp_path / "s2.dcm", of="1.2.1")
    (refusal,) = find(tmp_path).refusals
    assert refusal.reason == "series has 2 masks: s1.dcm, s2.dcm; keep one, or merge them into one label map"


def test_localizers_contours_and_reports_are_named_in_notes(tmp_path: Path) -> None:
    write_series(tmp_path / "a", "1.2.1")
    write_series(tmp_path / "scout", "1.2.2", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_segmentation(tmp_path / "s.dcm", of="1.2.1")
    write(tmp_path / "contours.dcm", RTStructureSetStorage, "1.2.7")
    write(tmp_path / "report.dcm", "1.2.840.10008.5.1.4.1.1.88.11", "1.2.8")
    write(tmp_path / "dose.dcm", "1.2.840.10008.5.1.4.1.1.481.2", "1.2.9", Rows=4)
    found = find(tmp_path)
    assert pairs(found) == {"a": (3, "s.dcm")}
    assert not found.refusals
    assert found.notes == (
        "1 RTSTRUCT files (contours) are not read; convert them to DICOM-SEG or NIfTI masks",
        "1 localizer series without masks were left out",
        "2 DICOM files that hold no images (reports, doses, plans and so on) were left out",
    )


def test_damaged_files_are_refused_and_the_rest_is_found(tmp_path: Path) -> None:
    files = write_series(tmp_path / "a", "1.2.1")
    write_segmentation(tmp_path / "s.dcm", of="1.2.1")
    (tmp_path / "cut.dcm").write_bytes(Path(files[0]).read_bytes()[:200])
    touch(tmp_path / "text.dcm")
    found = find(tmp_path)
    assert pairs(found) == {"a": (3, "s.dcm")}
    assert sorted((refusal.id, refusal.reason.split(";")[0][:21]) for refusal in found.refusals) == [
        ("cut", found.refusals[0].reason.split(";")[0][:21]),
        ("text", "is no DICOM file (no "),
    ]


@pytest.mark.parametrize(
    ("series", "masks", "expected", "refused"),
    [
        pytest.param(
            ["P1", "P2"], ["P1/roi1.nii.gz", "P2/roi2.nii.gz"], {"P1": (3, "roi1.nii.gz"), "P2": (3, "roi2.nii.gz")},
            "", id="beside the only series of a folder",
        ),
        pytest.param(
            ["P1/CT", "P2/CT"], ["P1/segmentations/liver1.nii.gz", "P2/segmentations/liver2.nii.gz"],
            {"P1-CT": (3, "liver1.nii.gz"), "P2-CT": (3, "liver2.nii.gz")}, "", id="in the folder of the patient",
        ),
        pytest.param(
            ["images/case_1", "images/case_2"], ["masks/case_1_seg.nii.gz", "masks/PATIENT-1.nii"],
            {"case_1": (3, "case_1_seg.nii.gz"), "case_2": (3, "PATIENT-1.nii")}, "", id="named by folder or patient",
        ),
        # The images of case_2 are missing: its mask must not be given to case_1.
        pytest.param(
            ["images/case_1"], ["masks/case_1.nii.gz", "masks/case_2.nii.gz"], {"case_1": (3, "case_1.nii.gz")},
            "belongs to no series; name it like the folder of its series, or remove it", id="of no series",
        ),
        pytest.param(
            ["P1/arterial", "P1/venous"], ["P1/mask.nii.gz"], {},
            "may belong to 2 series; name it like the folder of its series", id="of two series",
        ),
    ],
)  # fmt: skip
def test_a_nifti_mask_belongs_to_the_series_of_its_place_or_name(
    tmp_path: Path, series: list[str], masks: list[str], expected: dict[str, tuple[int, str]], refused: str
) -> None:
    for number, folder in enumerate(series):
        write_series(tmp_path / folder, f"1.2.{number}", PatientID=f"PATIENT-{number}")
    for mask in masks:
        touch(tmp_path / mask)

    found = find(tmp_path)

    assert pairs(found) == expected
    assert {item.mask.format for item in found.items} <= {"nifti"}
    reasons = [refusal.reason for refusal in found.refusals if refusal.path.endswith((".nii", ".nii.gz"))]
    assert [reason.startswith(refused) for reason in reasons] == [True] * bool(refused)


@pytest.mark.parametrize(
    ("labels", "bits", "keys", "labelling"),
    [
        pytest.param(
            [{1: "nodule", 2: "nodule", 5: "vessel"}], False, [""],
            Labelling(("background", "nodule", "vessel"), ((0, 0), (1, 1), (2, 1), (5, 2))), id="one label, one class",
        ),
        # Else a liver of one file would be learned as the spleen of the next.
        pytest.param(
            [{1: "spleen", 2: "liver"}, {1: "liver"}], False, ["1=2 2=1", "1=1"],
            Labelling(("background", "liver", "spleen"), ((0, 0), (1, 1), (2, 2))), id="renumbered by label",
        ),
        pytest.param(
            [{3: "liver", 7: "tumour"}, {7: "tumour"}], True, ["bits 3=1 7=2", "bits 7=2"],
            Labelling(("background", "liver", "tumour"), bits=True), id="bits from the first class",
        ),
    ],
)  # fmt: skip
def test_numbers_of_segments_become_classes_by_their_labels(
    labels: list[dict[int, str]], bits: bool, keys: list[str], labelling: Labelling
) -> None:
    assert number_classes(labels, bits=bits) == (keys, labelling)


def test_segments_name_the_classes(tmp_path: Path) -> None:
    for number, labels in enumerate(({1: "liver", 2: "tumour"}, {1: "liver"}), 1):
        write_series(tmp_path / f"{number}", f"1.2.{number}")
        write_segmentation(tmp_path / f"s{number}.dcm", of=f"1.2.{number}", labels=labels)
    found = find(tmp_path)
    assert found.labelling == Labelling(("background", "liver", "tumour"), ((0, 0), (1, 1), (2, 2)))
    assert {item.mask.key for item in found.items} == {""}


@pytest.mark.parametrize(
    ("overlap", "labels", "key"),
    [
        ("YES", "auto", "bits 1=1"),
        ("NO", "auto", ""),
        ("NO", "multilabel", "bits 1=1"),
        ("YES", "exclusive", ""),
    ],
)
def test_overlaps_and_the_option_decide_whether_classes_exclude_each_other(
    tmp_path: Path, overlap: str, labels: str, key: str
) -> None:
    write_series(tmp_path / "a", "1.2.1")
    write_segmentation(tmp_path / "s.dcm", of="1.2.1", SegmentsOverlap=overlap)
    assert [item.mask.key for item in find(tmp_path, labels=labels).items] == [key]


def test_values_that_the_user_states_are_the_numbers_of_the_files(tmp_path: Path) -> None:
    write_series(tmp_path / "a", "1.2.1")
    write_segmentation(tmp_path / "s.dcm", of="1.2.1", labels={4: "liver"})
    found = find(tmp_path, mask_values={0: 0, 4: 1})
    assert found.labelling == Labelling()
    assert [item.mask.key for item in found.items] == [""]
