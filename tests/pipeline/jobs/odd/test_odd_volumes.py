"""Odd and damaged volumes among good ones: each is read rightly or refused in one line, and no good one is lost."""

import csv
import gzip
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click.testing
import nibabel
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from hsmix_gen.pipeline.decoders.registry import open_pair
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.pipeline.sources.discovery import discover
from hsmix_gen.schemas.config import RunConfig
from tests.pipeline.jobs.odd.odd_cases import Case, Cases

nib: Any = nibabel  # its functions bear no types
Array = npt.NDArray[Any]

GOOD = 3
SHAPE = (9, 7, 5)
"""Columns, rows and planes: with `FRAME`, stored axes are those of the display."""
FRAME = np.diag([-1.0, -1.0, 3.0, 1.0])
FOREGROUND = 12
"""Voxels of class 1 in each mask, six in each of planes 1 and 2."""
DIM = 40
"""Place of the dimensions in the header of NIfTI-1."""


@dataclass
class Pair:
    """Where the files of one case go; both sides are good until the case spoils one of them."""

    source: Path
    stem: str

    def __post_init__(self) -> None:
        rng = np.random.default_rng(zlib.crc32(self.stem.encode()))
        self.voxels = rng.integers(-1000, 1000, SHAPE).astype(np.int16)
        self.labels = np.zeros(SHAPE, np.uint8)
        self.labels[2:5, 1:3, 1:3] = 1
        self.save_image(self.voxels)
        self.save_mask(self.labels)

    @property
    def image(self) -> Path:
        """Where the image goes."""
        return self.source / "imagesTr" / f"{self.stem}.nii.gz"

    @property
    def mask(self) -> Path:
        """Where the mask goes."""
        return self.source / "labelsTr" / f"{self.stem}.nii.gz"

    def save_image(self, values: Array, affine: Array = FRAME) -> None:
        """Write the image."""
        _save(self.image, values, affine)

    def save_mask(self, values: Array, affine: Array = FRAME) -> None:
        """Write the mask."""
        _save(self.mask, values, affine)


def _save(path: Path, values: Array, affine: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)


@dataclass(frozen=True)
class Seen:
    """Voxels as (plane, row, column, channel) and labels as (plane, row, column) of a pair that is used."""

    voxels: Array
    labels: Array


CASES: Cases[Pair, Seen] = Cases()
refused, used = CASES.refused, CASES.used


def _as_shown(volume: Array) -> Array:
    return volume.transpose(2, 1, 0)


def _seen(pair: Pair) -> Seen:
    return Seen(_as_shown(pair.voxels)[..., None], _as_shown(pair.labels))


def _patched(path: Path, place: int, form: str, *values: float) -> None:
    data = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into(f"<{form}", data, place, *values)
    path.write_bytes(gzip.compress(bytes(data)))


# -- damaged


@refused("0 bytes", "copy it again")
def empty_image(pair: Pair) -> None:
    pair.image.write_bytes(b"")


@refused("0 bytes", "copy it again")
def empty_mask_file(pair: Pair) -> None:
    pair.mask.write_bytes(b"")


@refused("is damaged", "copy it again")
def cut_image(pair: Pair) -> None:
    pair.image.write_bytes(pair.image.read_bytes()[:-60])


@refused("is damaged", "copy it again")
def cut_mask(pair: Pair) -> None:
    pair.mask.write_bytes(pair.mask.read_bytes()[:-9])


@refused("truncated", "copy it again")
def header_that_claims_a_gigabyte(pair: Pair) -> None:
    _patched(pair.image, DIM, "4h", 3, 900, 1000, 1000)


@refused("is no NIfTI file", "convert it")
def png_as_nifti(pair: Pair) -> None:
    Pillow.fromarray(pair.labels[0]).save(pair.image, "PNG")


@refused("is no NIfTI file", "convert it")
def text_in_gzip(pair: Pair) -> None:
    pair.image.write_bytes(gzip.compress(b"a note and no volume\n" * 40))


@refused("30000 x 30000 x 30000 voxels", "source.max_voxels = 1000000000", "raise it if the file is genuine")
def gzip_bomb(pair: Pair) -> None:
    _patched(pair.image, DIM, "4h", 3, 30000, 30000, 30000)


@refused("30000 x 30000 x 30000 voxels", "source.max_voxels = 1000000000", "raise it if the file is genuine")
def mask_bomb(pair: Pair) -> None:
    _patched(pair.mask, DIM, "4h", 3, 30000, 30000, 30000)


@refused("-7", "expected 1 or more")
def size_below_zero(pair: Pair) -> None:
    _patched(pair.image, DIM + 4, "h", -7)


# -- other types and forms


@used
def gzip_without_its_packing(pair: Pair) -> Seen:
    pair.image.write_bytes(gzip.decompress(pair.image.read_bytes()))
    return _seen(pair)


@used
def big_endian(pair: Pair) -> Seen:
    image = nib.Nifti1Image(pair.voxels, FRAME)
    header = image.header.as_byteswapped(">")
    nib.save(nib.Nifti1Image(pair.voxels, FRAME, header), pair.image)
    assert gzip.decompress(pair.image.read_bytes())[:4] == struct.pack(">i", 348)
    return _seen(pair)


@used
def scaled(pair: Pair) -> Seen:
    _patched(pair.image, 112, "2f", 0.5, -3.0)  # slope and intercept
    return Seen((_as_shown(pair.voxels)[..., None] * 0.5 - 3).astype(np.float32), _as_shown(pair.labels))


@refused("1 NaN or infinite voxels", "replace them")
def image_with_nan(pair: Pair) -> None:
    values = pair.voxels.astype(np.float32)
    values[3, 2, 1] = np.nan
    pair.save_image(values)


@refused("2 NaN or infinite voxels", "replace them")
def image_with_infinity(pair: Pair) -> None:
    values = pair.voxels.astype(np.float64)
    values[3, 2, 1], values[3, 2, 2] = np.inf, -np.inf
    pair.save_image(values)


@refused("complex numbers", "export magnitudes")
def image_of_complex_numbers(pair: Pair) -> None:
    pair.save_image(pair.voxels.astype(np.complex64))


@refused("2 channel(s)", "most images have 1", "take it out")
def image_of_two_channels(pair: Pair) -> None:
    pair.save_image(np.stack([pair.voxels, pair.voxels + 1], -1))


@used
def image_of_a_lone_fourth_axis(pair: Pair) -> Seen:
    pair.save_image(pair.voxels[..., None])
    return _seen(pair)


@refused("9 x 7 x 5 x 2", "a mask has three axes", "keep one volume")
def mask_of_four_axes(pair: Pair) -> None:
    pair.save_mask(np.stack([pair.labels, pair.labels], -1))


# -- frames


@used
def stored_the_other_way_round(pair: Pair) -> Seen:
    turned = FRAME @ np.array([[-1, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    pair.save_image(pair.voxels[::-1], turned)
    return _seen(pair)


@used
def mask_of_other_axes(pair: Pair) -> Seen:
    pair.save_mask(pair.labels.swapaxes(0, 2), FRAME[:, [2, 1, 0, 3]])
    return _seen(pair)


@refused("sheared affine", "expected 90", "resample it")
def sheared_frame(pair: Pair) -> None:
    sheared = FRAME.copy()
    sheared[0, 2] = 1.5
    for save, values in ((pair.save_image, pair.voxels), (pair.save_mask, pair.labels)):
        save(values, sheared)


@refused("voxels of 1 x 1 x 0 mm", "expected more than 0", "set a valid sform")
def singular_frame(pair: Pair) -> None:
    _patched(pair.image, 280, "12f", -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0, 0)


@refused("NaN or infinite numbers in its affine", "set a valid sform")
def frame_with_nan(pair: Pair) -> None:
    _patched(pair.image, 280, "f", float("nan"))


@refused("lies 2.5 mm beside its image", "resample the mask onto the image")
def mask_beside_its_image(pair: Pair) -> None:
    shifted = FRAME.copy()
    shifted[0, 3] = 2.5
    pair.save_mask(pair.labels, shifted)


@refused("9 x 7 x 4", "9 x 7 x 5", "export the mask at the size of the image")
def mask_without_last_plane(pair: Pair) -> None:
    pair.save_mask(pair.labels[..., :4])


# -- labels


@used
def labels_as_whole_floats(pair: Pair) -> Seen:
    pair.save_mask(pair.labels.astype(np.float64))
    return _seen(pair)


@refused("label 0.5", "whole numbers", "without interpolation")
def labels_of_halves(pair: Pair) -> None:
    pair.save_mask(pair.labels.astype(np.float32) / 2)


@refused("NaN or infinite labels", "whole numbers from 0", "replace them")
def labels_with_nan(pair: Pair) -> None:
    pair.save_mask(np.where(pair.labels > 0, np.nan, 0).astype(np.float32))


@refused("label -1", "expected 0 or more", "number the classes from 0")
def labels_below_zero(pair: Pair) -> None:
    pair.save_mask(-pair.labels.astype(np.int16))


@refused("no slice with 1 foreground pixels", "lower --min-foreground")
def mask_without_objects(pair: Pair) -> None:
    pair.save_mask(pair.labels * np.uint8(0))


@refused("has values 77", "expected 0, 1", "--mask-values")
def mask_of_unknown_value(pair: Pair) -> None:
    pair.labels[0, 0, 1:3] = 77
    pair.save_mask(pair.labels)


@refused("has no label", "add it or take the image out", stage="discover")
def image_alone(pair: Pair) -> None:
    pair.mask.unlink()


@refused("image is not in imagesTr", "add the image or remove the label", stage="discover")
def mask_alone(pair: Pair) -> None:
    pair.image.unlink()


@refused("image_of_two_endings.nii and image_of_two_endings.nii.gz", "keep one", stage="discover")
def image_of_two_endings(pair: Pair) -> None:
    nib.save(nib.Nifti1Image(pair.voxels, FRAME), pair.image.with_suffix(""))


NAMES = [case.name for case in CASES]


@dataclass(frozen=True)
class Shown:
    """A case among good pairs, and what ``inspect --json`` told."""

    case: Case[Pair, Seen]
    source: Path
    seen: Seen | None
    told: dict[str, Any]


@pytest.fixture(params=CASES, ids=NAMES)
def shown(request: pytest.FixtureRequest, tmp_path: Path, run_cli: Callable[..., click.testing.Result]) -> Shown:
    """One case after the other."""
    case: Case[Pair, Seen] = request.param
    for number in range(GOOD):
        Pair(tmp_path, f"good_{number}")
    seen = case.make(Pair(tmp_path, case.name))
    result = run_cli("inspect", tmp_path, "--json", "--progress", "none")
    assert result.exit_code == 0, result.output
    return Shown(case, tmp_path, seen, json.loads(result.stdout))


def test_odd_volume_is_used_or_refused_in_one_line(shown: Shown) -> None:
    """Two planes of each good volume hold an object and stay, whatever lies beside it."""
    case, told = shown.case, shown.told

    assert told["layout"] == "msd"
    assert told["usable"] == 2 * (GOOD + (shown.seen is not None))
    assert bool(told["problems"]) == (shown.seen is None)
    assert told["classes"][1]["pixels"] == FOREGROUND * (GOOD + (shown.seen is not None))
    for problem in told["problems"]:
        check_refusal(case, problem)


def test_odd_volume_that_is_used_is_seen_rightly(shown: Shown) -> None:
    """Voxels and labels lie where they were written, whatever the order in which they are stored."""
    if shown.seen is None:
        return
    items = {item.id: item for item in discover(shown.source, RunConfig()).items}
    image, mask = open_pair(items[shown.case.name], ReadOptions())
    planes = np.stack([image.plane(index) for index in range(image.n_planes)])

    assert planes.dtype == image.dtype == shown.seen.voxels.dtype
    assert np.array_equal(planes, shown.seen.voxels)
    assert np.array_equal(np.stack([mask.plane(index) for index in range(mask.n_planes)]), shown.seen.labels)
    assert image.spacing == (1, 1, 3)


def check_refusal(case: Case[Pair, Seen], problem: dict[str, str]) -> None:
    """Check that a refusal is one line that names file, rule, value and way out."""
    reason = problem["reason"]
    assert problem["id"].removeprefix(case.name) in {"", *(f"-z{plane:03d}" for plane in range(SHAPE[2]))}
    assert problem["stage"] == case.stage
    assert case.name in problem["path"]
    case.check_reason(reason)
    assert ";" in reason, f"no way out: {reason}"


def test_there_are_as_many_odd_volumes_as_promised() -> None:
    """Each case is one of its own."""
    assert len(set(NAMES)) == len(NAMES) >= 30


def test_run_over_all_odd_volumes_refuses_exactly_the_bad_ones(
    run_cli: Callable[..., click.testing.Result], tiny: tuple[str, ...], tmp_path: Path
) -> None:
    """What is left is a dataset that passes every check."""
    source, output = tmp_path / "source", tmp_path / "output"
    for number in range(GOOD):
        Pair(source, f"good_{number}")
    for case in CASES:
        case.make(Pair(source, case.name))

    result = run_cli("run", source, output, *tiny, "--copies", 1)

    assert result.exit_code == 0, result.stderr
    with (output / "refused.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = {case.name: case for case in CASES if case.told}
    assert {row["id"].partition("-z")[0] for row in rows} == set(expected)
    for row in rows:
        check_refusal(expected[row["id"].partition("-z")[0]], row)
    checked = run_cli("verify", output, "--replay", 3)
    assert checked.exit_code == 0, checked.output
    assert "Traceback" not in result.output + checked.output


def test_empty_mask_is_used_where_empty_slices_are_wanted(
    run_cli: Callable[..., click.testing.Result], tmp_path: Path
) -> None:
    """A healthy patient is a case like any other."""
    for number in range(GOOD):
        Pair(tmp_path, f"good_{number}")
    mask_without_objects(Pair(tmp_path, "odd"))

    told = json.loads(run_cli("inspect", tmp_path, "--min-foreground", 0, "--json", "--progress", "none").stdout)

    assert told["usable"] == (GOOD + 1) * SHAPE[2]
    assert told["problems"] == []


# -- DICOM


def save_series(source: Path, name: str, spoil: Callable[[int, Path, Dataset], None] | None = None) -> None:
    """Write a series in a folder and its NIfTI mask, which is named by it."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for number in range(SHAPE[2]):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, f"1.2.{zlib.crc32(name.encode())}.{number + 1}"
        data.SeriesInstanceUID, data.FrameOfReferenceUID = f"1.2.{zlib.crc32(name.encode())}", "1.9"
        data.PatientID, data.Modality, data.InstanceNumber = name, "CT", number + 1
        data.Rows, data.Columns, data.PixelSpacing = SHAPE[1], SHAPE[0], [1, 1]
        data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 3 * number]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        data.PixelData = rng.integers(0, 2000, (SHAPE[1], SHAPE[0])).astype(np.int16).tobytes()
        path = source / name / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        if spoil is not None:
            spoil(number, path, data)
        data.save_as(path, enforce_file_format=True)
        if spoil is cut_slice and number == 2:
            path.write_bytes(path.read_bytes()[:-40])
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:5, 1:3, 1:3] = 1
    _save(source / "masks" / f"{name}.nii.gz", labels, FRAME)


def without_pixels(number: int, path: Path, data: Dataset) -> None:
    if number == 2:
        del data.PixelData


def cut_slice(number: int, path: Path, data: Dataset) -> None:
    """Cut after it is written."""


def of_huge_size(number: int, path: Path, data: Dataset) -> None:
    data.Rows = data.Columns = 65535


def of_short_pixels(number: int, path: Path, data: Dataset) -> None:
    data.PixelData = data.PixelData[:20]


def without_a_slice(number: int, path: Path, data: Dataset) -> None:
    if number >= 2:
        data.ImagePositionPatient = [0, 0, 3 * (number + 1)]


DICOM: dict[Callable[[int, Path, Dataset], None], tuple[str, ...]] = {
    without_pixels: ("holds no pixels", "give the files of an image series"),
    cut_slice: ("is damaged", "copy it again"),
    of_huge_size: ("65535", "raise it if the file is genuine"),
    of_short_pixels: ("is damaged", "copy it again"),
    without_a_slice: ("6 mm between planes 2 and 3", "add the missing files"),
}


@pytest.mark.parametrize("spoil", DICOM, ids=[spoil.__name__ for spoil in DICOM])
def test_odd_series_is_refused_in_one_line(
    run_cli: Callable[..., click.testing.Result], tmp_path: Path, spoil: Callable[[int, Path, Dataset], None]
) -> None:
    """A series with one bad slice is no volume; the others stay."""
    for number in range(GOOD):
        save_series(tmp_path, f"good_{number}")
    save_series(tmp_path, "odd", spoil)

    result = run_cli("inspect", tmp_path, "--json", "--progress", "none")

    told = json.loads(result.stdout)
    assert told["layout"] == "dicom"
    assert told["usable"] == 2 * GOOD
    assert told["classes"][1]["pixels"] == FOREGROUND * GOOD
    (problem,) = told["problems"]
    assert len(problem["reason"].splitlines()) == 1
    assert [text for text in (*DICOM[spoil], ";") if text not in problem["reason"]] == [], problem["reason"]
