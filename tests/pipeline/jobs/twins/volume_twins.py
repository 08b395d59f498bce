"""Twins of every layout of volumes and arrays: their files, and what a run on them has to give."""

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import highdicom
import nibabel
import numpy as np
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.pixels.utils import set_pixel_data
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tests.pipeline.jobs.twins.twin import HALF, Numbers, Twin

Planes = dict[str, Numbers]
SHAPE = (6, 20, 28)
SIZE = SHAPE[1:]
SPACING = (0.5, 0.75, 3.0)
"""Millimetres between rows, columns and planes."""


@dataclass(frozen=True)
class VolumeTwin(Twin):
    """Slices of patients, of which partners are of another one; it may give millimetres."""

    spacing: bool = True


# Volumes as they are shown, (plane, row, column) with columns to the left, rows to the back and planes to the head.


def draw_voxels(number: int, low: int = 1, high: int = 2000) -> Numbers:
    """Return int16 voxels with a lean along each axis and noise, and a border of zeros around each plane."""
    rng = np.random.default_rng([57, number])
    lean = np.linspace(0, 1, SHAPE[1])[:, None] + np.linspace(0, 2, SHAPE[2]) + np.linspace(0, 1, 6)[:, None, None]
    share = (lean / 4 + rng.uniform(0, 1, SHAPE)) / 2
    voxels = np.clip(np.rint(low + share * (high - low)), low, high).astype(np.int16)
    voxels[:, [0, -1]] = voxels[:, :, [0, -1]] = 0
    return voxels


def draw_labels(number: int, *values: int) -> Numbers:
    """Return boxes of the given values, each below and wider than the last, on every plane; the last on 2 alone."""
    labels = np.zeros(SHAPE, np.int16)
    for place, value in enumerate(values):
        planes = slice(2, 3) if place == len(values) - 1 else slice(None)
        labels[planes, 2 + 5 * place : 6 + 5 * place, 3 : 10 + number + 2 * place] = value
    return labels


def write_nifti(path: Path, shown: Numbers, axes: str = "LPS") -> None:
    """Write a volume with its axes stored in another order or direction."""
    row, column, plane = SPACING
    data = {
        "LPS": shown.transpose(2, 1, 0),
        "RAS": shown.transpose(2, 1, 0)[::-1, ::-1],
        "SPR": shown[:, :, ::-1],
    }[axes]
    affine = {
        "LPS": np.diag([-column, -row, plane, 1.0]),
        "RAS": np.diag([column, row, plane, 1.0]),
        "SPR": np.array([[0, 0, column, 0], [0, -row, 0, 0], [plane, 0, 0, 0], [0, 0, 0, 1]], float),
    }[axes]
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(data, affine), path)  # type: ignore[no-untyped-call]


def kept_planes(name: str, stored: Numbers, labels: Numbers) -> tuple[Planes, Planes]:
    """Return the planes of a volume that hold a label, and the labels, by id."""
    stored = stored[..., None] if stored.ndim == 3 else stored
    planes = [z for z in range(len(labels)) if labels[z].any()]
    return {f"{name}-z{z:03d}": stored[z] for z in planes}, {f"{name}-z{z:03d}": labels[z] for z in planes}


# The arithmetic of intensities, written out once more: background is where all channels are 0.


def scaled(volume: Numbers, kind: str, bounds: tuple[float, float] = (0.5, 99.5)) -> tuple[Numbers, Numbers]:
    """Return (Z, H, W, C) values in float64, and where there is no background."""
    volume = (volume[..., None] if volume.ndim == 3 else volume).astype(float)
    body = (volume != 0).any(axis=-1)
    result = np.empty(volume.shape)
    for channel in range(volume.shape[-1]):
        values = volume[..., channel]
        if kind == "zscore":
            result[..., channel] = (values - values[body].mean()) / values[body].std()
        else:
            low, high = bounds if kind == "window" else np.percentile(values[body], bounds)
            result[..., channel] = np.clip((values - low) / (high - low), 0, 1)
    return result, body[..., None]


def windowed(volume: Numbers, low: float, high: float, top: int = 65535) -> Numbers:
    """Return a window without any background, as whole numbers."""
    values, _ = scaled(volume, "window", (low, high))
    return np.asarray(np.rint(values * top), np.uint16 if top > 255 else np.uint8)


def by_percentiles(volume: Numbers) -> Numbers:
    """Return a volume in uint8 between its percentiles, channel by channel; background is 0."""
    values, body = scaled(volume, "percentile")
    return np.where(body, np.rint(1 + values * 254), 0).astype(np.uint8)


def by_zscore(volume: Numbers) -> Numbers:
    """Return a volume in float32 in deviations from its mean, channel by channel; background is 0."""
    values, body = scaled(volume, "zscore")
    return np.where(body, values, 0).astype(np.float32)


# Layouts

ORGANS = (
    "background", "aorta", "gallbladder", "left kidney", "right kidney", "liver", "pancreas", "spleen", "stomach",
)  # fmt: skip


def write_synapse(root: Path) -> VolumeTwin:
    """Values are fractions of 65535, which the window 0 to 1 in uint16 keeps."""
    images, masks = {}, {}
    for folder in ("train_npz", "test_vol_h5", "lists/lists_Synapse"):
        (root / folder).mkdir(parents=True)
    listed = []
    for number, case in enumerate(("case0005", "case0031")):
        values, labels = draw_voxels(number, 0, 65535 // 2).astype(np.uint16), draw_labels(number, 1, 8)
        for z in range(1, 4):
            name = f"{case}_slice{z:03d}"
            np.savez(
                root / "train_npz" / f"{name}.npz",
                image=(values[z] / 65535).astype(np.float32),
                label=labels[z].astype(np.float32),
            )
            images[name], masks[name] = values[z][..., None], labels[z]
            listed.append(name)
    values, labels = draw_voxels(7, 0, 65535 // 2).astype(np.uint16), draw_labels(7, 5, 6, 7)
    with h5py.File(root / "test_vol_h5" / "case0008.npy.h5", "w") as file:
        file["image"], file["label"] = (values / 65535).astype(np.float32), labels.astype(np.float32)
    for kept, planes in zip((images, masks), kept_planes("case0008", values, labels), strict=True):
        kept.update(planes)
    (root / "lists/lists_Synapse/train.txt").write_text("\n".join(listed))
    (root / "lists/lists_Synapse/test_vol.txt").write_text("case0008")
    stated = {"pairs": 7, "groups": 3, "splits": {"train": 6, "val": 0, "test": 6}, "dtype": "uint16", "channels": 1}
    return VolumeTwin("synapse", images, masks, ORGANS, stated, (), spacing=False)


def write_npz(root: Path) -> VolumeTwin:
    """RGB frames of four cases, under names of arrays that are given."""
    images, masks = {}, {}
    rng = np.random.default_rng(5)
    for number in range(8):
        name = f"case{number // 2}_slice{number}"
        images[name] = rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        masks[name] = draw_labels(number, 1, 2)[2]
        np.savez(root / f"{name}.npz", photo=images[name], organs=masks[name], other=np.ones(3))
    options = (*HALF, "--image-key", "photo", "--mask-key", "organs")
    stated = {"groups": 4, "dtype": "uint8", "channels": 3, "splits": {"train": 4, "val": 2, "test": 2}}
    return VolumeTwin("arrays", images, masks, ("background", "class_1", "class_2"), stated, options, spacing=False)


def write_npy(root: Path) -> VolumeTwin:
    """Two channels before the rows, in files beside those of the masks; each image has percentiles of its own."""
    images, masks = {}, {}
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for number in range(8):
        name = f"slide{number}"
        values = np.stack([draw_voxels(number)[3], draw_voxels(number + 50)[4] * 3]).astype(np.float32)
        masks[name] = draw_labels(number, 1, 0)[2]
        np.save(root / "images" / f"{name}.npy", values)
        np.save(root / "masks" / f"{name}.npy", masks[name].astype(bool))
        images[name] = by_percentiles(values.transpose(1, 2, 0)[None])[0]
    stated = {"groups": 8, "dtype": "uint8", "channels": 2, "volumes": False}
    return VolumeTwin("arrays", images, masks, ("background", "foreground"), stated, spacing=False)


KINDS = ("flair", "t1", "t1ce", "t2")


def write_brats_cases(root: Path) -> dict[str, tuple[Numbers, Numbers]]:
    """Write the tree of 2018; return modalities, (Z, H, W, 4), and labels of each case."""
    cases = {}
    for number, folder in enumerate(("HGG", "HGG", "LGG", "LGG")):
        name = f"Brats18_TCIA0{number}_{number}_1"
        volume = np.stack([draw_voxels(10 * number + k, 1, 500 * (k + 1)) for k in range(4)], axis=-1)
        labels = draw_labels(number, 2, 1, 4)
        for k, kind in enumerate(KINDS):
            write_nifti(root / folder / name / f"{name}_{kind}.nii.gz", volume[..., k])
        write_nifti(root / folder / name / f"{name}_seg.nii.gz", labels)
        cases[name] = (volume, labels)
    return cases


def gathered(cases: Mapping[str, tuple[Numbers, Numbers]], store: Callable[[Numbers], Numbers]) -> list[Planes]:
    """Return images and mask values of all planes of all cases that hold a label."""
    images: Planes = {}
    values: Planes = {}
    for name, (volume, labels) in cases.items():
        for kept, planes in zip((images, values), kept_planes(name, store(volume), labels), strict=True):
            kept.update(planes)
    return [images, values]


VOLUMES: dict[str, Any] = {
    "pairs": 4,
    "images": 24,
    "volumes": True,
    "groups": 4,
    "splits": {"train": 12, "val": 6, "test": 6},
}


def write_brats(root: Path) -> VolumeTwin:
    """Labels 0, 1, 2 and 4 are classes 0 to 3; four modalities of 8 bit are one PNG."""
    images, values = gathered(write_brats_cases(root), by_percentiles)
    masks = {name: np.where(mask == 4, 3, mask) for name, mask in values.items()}
    names = ("background", "necrotic core", "oedema", "enhancing tumour")
    stated = {**VOLUMES, "channels": 4, "dtype": "uint8", "label_mode": "exclusive"}
    return VolumeTwin("brats", images, masks, names, stated)


def write_brats_regions(root: Path) -> VolumeTwin:
    """The preset: regions inside each other, z-scores of the brain."""
    images, values = gathered(write_brats_cases(root), by_zscore)
    members = ((1, 2, 4), (1, 4), (4,))
    masks = {name: np.stack([np.isin(v, m) for m in members], axis=-1).astype(np.uint8) for name, v in values.items()}
    stated = {**VOLUMES, "channels": 4, "dtype": "float32", "label_mode": "multilabel"}
    return VolumeTwin("brats", images, masks, ("WT", "TC", "ET"), stated, (*HALF, "--preset", "brats2018"))


def write_cases(
    root: Path, image: str, label: str, draw: Callable[[int], Numbers], values: tuple[int, ...], axes: str
) -> dict[str, tuple[Numbers, Numbers]]:
    """Write volumes, (Z, H, W) or with channels in files of their own, and labels under patterns of paths."""
    cases = {}
    for number in range(4):
        name = f"organ_{number:03d}"
        volume, labels = draw(number), draw_labels(number, *values)
        for k in range(volume.shape[3] if volume.ndim == 4 else 1):
            channel = volume[..., k] if volume.ndim == 4 else volume
            write_nifti(root / image.format(name, k), channel, axes)
        write_nifti(root / label.format(name), labels.astype(np.uint8), axes)
        cases[name] = (volume, labels)
    return cases


def draw_ct(number: int) -> Numbers:
    """Return Hounsfield units from air to bone; the border is of 0 HU and no background."""
    return draw_voxels(number, -1000, 1000)


def write_msd(root: Path) -> VolumeTwin:
    """CT by its air: the window of soft tissue in 16 bit; volumes lie the other way round in their files."""
    cases = write_cases(root, "imagesTr/{}.nii.gz", "labelsTr/{}.nii.gz", draw_ct, (1, 2), "RAS")
    write_nifti(root / "imagesTs" / "organ_009.nii.gz", draw_ct(9))
    description = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "spleen", "2": "tumour"}}
    (root / "dataset.json").write_text(json.dumps(description))
    images, masks = gathered(cases, lambda volume: windowed(volume, -160, 240))
    stated = {**VOLUMES, "channels": 1, "dtype": "uint16"}
    return VolumeTwin("msd", images, masks, ("background", "spleen", "tumour"), stated)


def draw_two(number: int) -> Numbers:
    """Return voxels of two channels of other ranges, (Z, H, W, 2)."""
    return np.stack([draw_voxels(number), draw_voxels(number + 40, 1, 90)], axis=-1)


def write_nnunet_cases(root: Path) -> dict[str, tuple[Numbers, Numbers]]:
    """Two channels, three labels of which one is ignored, and regions; planes are the first axis of the files."""
    cases = write_cases(root, "imagesTr/{}_{:04d}.nii.gz", "labelsTr/{}.nii.gz", draw_two, (1, 2, 3), "SPR")
    description = {
        "channel_names": {"0": "T2", "1": "ADC"},
        "labels": {"background": 0, "prostate": [1, 2], "lesion": [2], "ignore": 3},
        "regions_class_order": [1, 2],
        "numTraining": 4,
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(description))
    return cases


def regions_of(values: Planes) -> Planes:
    """Return channels prostate and lesion; 255 in both where a pixel is ignored."""
    masks = {name: np.stack([np.isin(v, (1, 2)), v == 2], axis=-1).astype(np.uint8) for name, v in values.items()}
    for name, mask in masks.items():
        mask[values[name] == 3] = 255
    return masks


def write_nnunet(root: Path) -> VolumeTwin:
    """Regions with ignored pixels, two modalities."""
    images, values = gathered(write_nnunet_cases(root), by_percentiles)
    stated = {**VOLUMES, "channels": 2, "dtype": "uint8", "label_mode": "multilabel"}
    return VolumeTwin("nnunet", images, regions_of(values), ("prostate", "lesion"), stated)


def write_list(root: Path) -> VolumeTwin:
    """Two files of NIfTI are the channels of an image; groups and splits are those of the list."""
    cases = write_cases(root, "scans/{}_{}.nii.gz", "drawn/{}.nii.gz", draw_two, (1, 2), "LPS")
    with (root / "pairs.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "mask", "id", "group", "split"])
        for name, split in zip(cases, ("train", "train", "val", "test"), strict=True):
            scans = f"scans/{name}_0.nii.gz; scans/{name}_1.nii.gz"
            table.writerow([scans, f"drawn/{name}.nii.gz", name, f"patient of {name}", split])
    images, masks = gathered(cases, by_percentiles)
    stated = {**VOLUMES, "channels": 2, "dtype": "uint8"}
    return VolumeTwin("list", images, masks, ("background", "class_1", "class_2"), stated, ())


def write_series(folder: Path, stored: Numbers, patient: str, *, step: float = SPACING[2]) -> list[Path]:
    """Write a CT series, HU = 2 x stored - 1024, whose planes rise by `step` mm; names of files give no order."""
    folder.mkdir(parents=True)
    row, column, _ = SPACING
    study, series, frame = (generate_uid() for _ in range(3))
    paths = []
    for number, pixels in enumerate(stored):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
        # Name and number are one, as of pseudonyms, which stay in ids.
        dataset.PatientID, dataset.PatientName = patient, f"{patient}^"
        dataset.PatientBirthDate, dataset.PatientSex = "", "O"
        dataset.StudyDate = dataset.StudyTime = dataset.AccessionNumber = dataset.StudyID = ""
        dataset.ReferringPhysicianName, dataset.Modality = "", "CT"
        dataset.SeriesNumber, dataset.InstanceNumber = 1, number + 1
        dataset.ImagePositionPatient = [-50.0, -40.0, 30.0 + step * number]
        dataset.ImageOrientationPatient, dataset.PixelSpacing = [1, 0, 0, 0, 1, 0], [row, column]
        dataset.SliceThickness, dataset.RescaleSlope, dataset.RescaleIntercept = abs(step), 2, -1024
        set_pixel_data(dataset, pixels, "MONOCHROME2", 16)
        paths.append(folder / f"{(7 * number) % 11}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def write_segmentation(
    path: Path,
    series: list[Path],
    masks: Numbers,
    names: tuple[str, ...],
    kind: str = "BINARY",
    change: Callable[[Dataset], object] = lambda _dataset: None,
    **options: Any,
) -> None:
    """Write a DICOM-SEG of masks, (Z, H, W) or (Z, H, W, segments), with a segment for each name."""
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=codes.SCT.Liver,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name in enumerate(names, start=1)
    ]
    segmentation = highdicom.seg.Segmentation(
        source_images=[dcmread(name) for name in series],
        pixel_array=masks,
        segmentation_type=kind,
        segment_descriptions=segments,
        series_instance_uid=generate_uid(),
        series_number=9,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="1",
        **options,
    )
    change(segmentation)
    segmentation.save_as(path)


def write_dicom_cases(root: Path, write_mask: Callable[[str, list[Path], Numbers], None]) -> list[Planes]:
    """Write four patients; return images of the window of soft tissue and mask values."""
    cases = {}
    for number in range(4):
        name = f"P{number}"
        stored, labels = draw_voxels(number, 1, 1000), draw_labels(number, 1, 2)
        write_mask(name, write_series(root / name / "CT", stored, name), labels)
        cases[f"{name}-CT"] = (stored.astype(int) * 2 - 1024, labels)
    return gathered(cases, lambda volume: windowed(volume, -160, 240))


def write_nifti_mask(path: Path, labels: Numbers) -> None:
    """Write a mask of NIfTI in the frame of a series of `write_series`."""
    row, column, plane = SPACING
    affine = np.diag([-column, -row, plane, 1.0])
    affine[:3, 3] = 50, 40, 30
    nibabel.save(nibabel.Nifti1Image(labels.transpose(2, 1, 0), affine), path)  # type: ignore[no-untyped-call]


def write_dicom_nifti(root: Path) -> VolumeTwin:
    """Series of CT whose masks are files of NIfTI."""
    images, masks = write_dicom_cases(
        root, lambda name, _series, labels: write_nifti_mask(root / name / "mask.nii.gz", labels)
    )
    stated = {**VOLUMES, "channels": 1, "dtype": "uint16"}
    return VolumeTwin("dicom", images, masks, ("background", "class_1", "class_2"), stated)


def write_dicom_segments(root: Path) -> VolumeTwin:
    """Classes have the names of the segments."""

    def write_mask(name: str, series: list[Path], labels: Numbers) -> None:
        masks = np.stack([labels == number for number in (1, 2)], axis=-1).astype(np.uint8)
        write_segmentation(root / name / "seg.dcm", series, masks, ("liver", "cyst"))

    images, masks = write_dicom_cases(root, write_mask)
    stated = {**VOLUMES, "channels": 1, "dtype": "uint16"}
    return VolumeTwin("dicom", images, masks, ("background", "liver", "cyst"), stated)


WRITERS: dict[str, Callable[[Path], VolumeTwin]] = {
    "synapse": write_synapse,
    "arrays-npz": write_npz,
    "arrays-npy": write_npy,
    "brats": write_brats,
    "brats-preset": write_brats_regions,
    "msd": write_msd,
    "nnunet": write_nnunet,
    "list-nifti": write_list,
    "dicom-nifti": write_dicom_nifti,
    "dicom-seg": write_dicom_segments,
}
