"""Seeded sources of every layout that is read, with files of the sizes that their users have."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile
from PIL import Image
from pycocotools import mask as runs
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from scipy import ndimage
from synthetic import draw_pair

_Array = npt.NDArray[Any]
_SIDE = 1024
_FILES = 3
_OUTLINES = 400
_CORNERS = 30


class Writer:
    """What the layouts are made of.

    Parameters
    ----------
    shrink : int
        All sides are divided by it (for tests).
    """

    def __init__(self, shrink: int = 1) -> None:
        self.shrink = shrink
        self._drawn = [draw_pair(np.random.default_rng([7, n]), _SIDE // shrink) for n in range(_FILES)]

    def pairs(self, height: int, width: int) -> list[tuple[_Array, _Array]]:
        """Return coloured pictures (H, W, 3) uint8 and masks (H, W) of 0 and 255."""
        window = (slice(height // self.shrink), slice(width // self.shrink))
        return [(picture[window], mask[window]) for picture, mask in self._drawn]

    def volume(self, shape: tuple[int, int, int], seed: int) -> tuple[_Array, _Array]:
        """Return numbers like those of an MRI in (columns, rows, planes), 0 around the body, and labels 0 to 3."""
        shape = (shape[0] // self.shrink, shape[1] // self.shrink, max(4, shape[2] // self.shrink))
        rng = np.random.default_rng([8, seed])
        places = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
        apart: _Array = np.sqrt(sum(place**2 for place in places))
        tissue = ndimage.zoom(rng.uniform(300, 900, (6, 6, 6)), [n / 6 for n in shape], order=1)
        values = np.where(apart < 0.85, tissue + rng.normal(0, 20, shape), 0)
        labels = np.searchsorted([-0.4, -0.25, -0.1], -apart)
        return np.asfortranarray(values.astype(np.int16)), np.asfortranarray(labels.astype(np.uint8))


def write_layouts(folder: Path, names: list[str], *, shrink: int = 1) -> dict[str, Path]:
    """Write the sources of some layouts into a folder and return them by name.

    Parameters
    ----------
    folder : Path
    names : list of str
        Out of `LAYOUTS`.
    shrink : int
        All sides are divided by it.
    """
    writer = Writer(shrink)
    sources = {}
    for name in names:
        sources[name] = folder / name.replace(" ", "-")
        sources[name].mkdir(parents=True)
        LAYOUTS[name](writer, sources[name])
    return sources


def _folder(writer: Writer, source: Path) -> None:
    for number, (picture, mask) in enumerate(writer.pairs(512, 640)):
        _save(picture, source / "images" / f"{number}.png")
        _save(mask, source / "masks" / f"{number}.png")


def _isic(writer: Writer, source: Path) -> None:
    for number, (picture, mask) in enumerate(writer.pairs(768, 1024)):
        _save(picture, source / "ISIC-2017_Training_Data" / f"ISIC_{number:07d}.jpg", quality=90)
        masks = source / "ISIC-2017_Training_Part1_GroundTruth"
        _save(mask, masks / f"ISIC_{number:07d}_segmentation.png")


def _glas(writer: Writer, source: Path) -> None:
    for number, (picture, mask) in enumerate(writer.pairs(522, 775), start=1):
        _save(picture, source / f"train_{number}.bmp")
        glands, _ = ndimage.label(mask)
        _save(glands.astype(np.uint8), source / f"train_{number}_anno.bmp")


def _monuseg(writer: Writer, source: Path) -> None:
    for number, (picture, _) in enumerate(writer.pairs(1000, 1000)):
        for name in ("Tissue Images", "Annotations"):
            (source / name).mkdir(exist_ok=True)
        tifffile.imwrite(source / "Tissue Images" / f"TCGA-{number}.tif", picture, compression="lzw", photometric="rgb")
        text = _outlines(np.random.default_rng([9, number]), picture.shape[0])
        (source / "Annotations" / f"TCGA-{number}.xml").write_text(text)


def _outlines(rng: np.random.Generator, side: int) -> str:
    """Return annotations of ImageScope: nuclei of some 20 pixels with corners at fractions of pixels."""
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    regions = []
    for number in range(_OUTLINES):
        radii = rng.uniform(8, 11, _CORNERS)
        points = rng.uniform(12, side - 12, 2) + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        corners = "".join(f'<Vertex X="{x:.6f}" Y="{y:.6f}" Z="0"/>\n' for x, y in points)
        regions.append(f'<Region Id="{number}" NegativeROA="0"><Vertices>{corners}</Vertices></Region>\n')
    return f'<Annotations><Annotation Id="1"><Regions>{"".join(regions)}</Regions></Annotation></Annotations>'


def _coco(writer: Writer, source: Path) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (picture, mask) in enumerate(writer.pairs(480, 640)):
        _save(picture, source / "images" / f"{number}.jpg", quality=90)
        height, width = mask.shape
        images.append({"id": number, "file_name": f"{number}.jpg", "height": height, "width": width})
        parts, count = ndimage.label(mask)
        for part in range(1, count + 1):
            encoded = runs.encode(np.asfortranarray((parts == part).astype(np.uint8)))
            found = {"size": [height, width], "counts": encoded["counts"].decode()}
            one = {"id": len(annotations), "image_id": number, "category_id": 1, "segmentation": found, "iscrowd": 0}
            annotations.append(one)
    described = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "lesion"}]}
    (source / "annotations.json").write_text(json.dumps(described))


def _parquet(writer: Writer, source: Path) -> None:
    pairs = writer.pairs(768, 1024)
    columns = {
        "image": [{"bytes": _encoded(picture, "JPEG", quality=90), "path": None} for picture, _ in pairs],
        "mask": [{"bytes": _encoded(mask, "PNG"), "path": None} for _, mask in pairs],
    }
    pq.write_table(pa.table(columns), source / "train.parquet")


def _webdataset(writer: Writer, source: Path) -> None:
    with tarfile.open(source / "train-000000.tar", "w") as tar:
        for number, (picture, mask) in enumerate(writer.pairs(768, 1024)):
            members = {"jpg": _encoded(picture, "JPEG", quality=90), "mask.png": _encoded(mask, "PNG")}
            for ending, data in members.items():
                info = tarfile.TarInfo(f"{number:06d}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def _synapse_slices(writer: Writer, source: Path) -> None:
    (source / "train_npz").mkdir()
    for number, (image, label) in enumerate(_slices(writer, 2 * _FILES)):
        np.savez(source / "train_npz" / f"case0001_slice{number:03d}.npz", image=image, label=label)


def _synapse_volume(writer: Writer, source: Path) -> None:
    (source / "test_vol_h5").mkdir()
    images, labels = (np.stack(side) for side in zip(*_slices(writer, 40), strict=True))
    with h5py.File(source / "test_vol_h5" / "case0001.npy.h5", "w") as file:
        file["image"], file["label"] = images, labels


def _npy(writer: Writer, source: Path) -> None:
    for name in ("images", "masks"):
        (source / name).mkdir()
    for number, (image, label) in enumerate(_slices(writer, 2 * _FILES)):
        np.save(source / "images" / f"{number}.npy", image)
        np.save(source / "masks" / f"{number}.npy", label.astype(np.uint8))


def _slices(writer: Writer, count: int) -> list[tuple[_Array, _Array]]:
    """Return slices of 512 x 512 in [0, 1] and labels, float32, as TransUNet keeps both."""
    image, label = writer.volume((512, 512, 8), 0)
    scaled = np.clip(image / np.float32(1000), 0, 1).astype(np.float32)
    # The body ends before the first and last.
    chosen = [1 + number % (image.shape[2] - 2) for number in range(count)]
    return [
        (np.ascontiguousarray(scaled[..., n].T), np.ascontiguousarray(label[..., n].T.astype(np.float32)))
        for n in chosen
    ]


def _brats(writer: Writer, source: Path) -> None:
    case = source / "BraTS2021_00000"
    affine = np.array([[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])
    for seed, name in enumerate(("flair", "t1", "t1ce", "t2")):
        values, labels = writer.volume((240, 240, 155), seed)
        _save_nifti(values, affine, case / f"{case.name}_{name}.nii.gz")
    _save_nifti(labels, affine, case / f"{case.name}_seg.nii.gz")


def _msd(writer: Writer, source: Path) -> None:
    values, labels = writer.volume((320, 320, 110), 0)
    affine = np.diag([1.25, 1.25, 1.37, 1])
    _save_nifti(values.astype(np.float32), affine, source / "imagesTr" / "la_001.nii.gz")
    _save_nifti(labels, affine, source / "labelsTr" / "la_001.nii.gz")
    described = {"modality": {"0": "MRI"}, "labels": {str(n): f"part {n}" for n in range(4)}, "numTraining": 1}
    (source / "dataset.json").write_text(json.dumps(described))


def _dicom(writer: Writer, source: Path) -> None:
    values, labels = writer.volume((512, 512, 40), 0)
    series = "2.25.1"
    (source / "case1").mkdir()
    for plane in range(values.shape[2]):
        dataset = _ct_slice(np.ascontiguousarray(values[..., plane].T), plane, series)
        dataset.save_as(source / "case1" / f"{plane:03d}.dcm", enforce_file_format=True)
    _save_nifti(labels, np.diag([-0.7, -0.7, 3, 1]), source / "case1" / "mask.nii.gz")


def _ct_slice(stored: _Array, plane: int, series: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"{series}.{plane}"
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = series, series, series
    dataset.PatientID, dataset.Modality, dataset.InstanceNumber = "1", "CT", plane + 1
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.PixelSpacing, dataset.SliceThickness = [0.7, 0.7], 3
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [0, 0, 3 * plane]
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.PixelData = stored.tobytes()
    return dataset


def _save(values: _Array, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)


def _encoded(values: _Array, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, form, **options)
    return file.getvalue()


def _save_nifti(values: _Array, affine: _Array, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)  # type: ignore[no-untyped-call]


LAYOUTS: dict[str, Callable[[Writer, Path], None]] = {
    "folder": _folder,
    "isic": _isic,
    "glas": _glas,
    "monuseg": _monuseg,
    "coco": _coco,
    "parquet": _parquet,
    "webdataset": _webdataset,
    "synapse slices": _synapse_slices,
    "synapse volume": _synapse_volume,
    "arrays": _npy,
    "brats": _brats,
    "msd": _msd,
    "dicom": _dicom,
}
"""What writes a source of each layout."""
