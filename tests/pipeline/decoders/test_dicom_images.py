"""DICOM series decoded: order, units, orientation, colours and compressed syntaxes; damage is reported in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import set_pixel_data
from pydicom.uid import (
    MPEG4HP41,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from hsmix_gen.pipeline.decoders.dicom_images import open_image, open_mask
from hsmix_gen.pipeline.decoders.registry import open_pair
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions, Stack
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, SourceItem

HOW = ReadOptions()
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
SERIES = generate_uid(entropy_srcs=["series"])


def stored_volume(planes: int = 5, height: int = 10, width: int = 14) -> npt.NDArray[np.uint16]:
    """Every voxel has a value of its own, so that each flip and mix-up shows."""
    return np.arange(planes * height * width, dtype=np.uint16).reshape(planes, height, width)


def make_file(pixels: npt.NDArray[Any], *, photometric: str = "MONOCHROME2", **elements: Any) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
    dataset.SeriesInstanceUID = SERIES
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    set_pixel_data(dataset, pixels, photometric, 8 * pixels.dtype.itemsize)
    for name, value in elements.items():
        put(dataset, name, value)
    return dataset


def put(dataset: Dataset, name: str, value: Any) -> None:
    """Set an element; pydicom takes several values as a list only."""
    setattr(dataset, name, list(value) if isinstance(value, tuple) else value)


def leave(number: int, dataset: Dataset) -> None:
    """Change nothing."""


def write_series(
    folder: Path,
    pixels: npt.NDArray[Any],
    *,
    first: tuple[float, float, float] = (-50.0, -40.0, 30.0),
    step: tuple[float, float, float] = (0.0, 0.0, 5.0),
    change: Callable[[int, Dataset], object] = leave,
    **elements: Any,
) -> Content:
    """Write a series whose file names run against its positions."""
    folder.mkdir(exist_ok=True)
    paths = []
    for number, plane in enumerate(pixels):
        position = [float(start + number * move) for start, move in zip(first, step, strict=True)]
        standard: dict[str, Any] = {
            "ImageOrientationPatient": AXIAL,
            "PixelSpacing": (0.5, 0.75),
            "InstanceNumber": number + 1,
        }
        dataset = make_file(plane, **{"ImagePositionPatient": position} | standard | elements)
        change(number, dataset)
        paths.append(folder / f"{len(pixels) - number:03d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return Content("dicom", tuple(str(path) for path in sorted(paths)))


def planes_of(stack: Stack) -> npt.NDArray[Any]:
    return np.stack([stack.plane(index) for index in range(stack.n_planes)])


def opened(folder: Path, dataset: Dataset) -> Stack:
    """Write a file of its own and open it."""
    path = folder / "a.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return open_image(Content("dicom", (str(path),)), HOW)


def test_planes_are_ordered_from_feet_to_head_whatever_the_files_are_called(tmp_path: Path) -> None:
    stack = open_image(write_series(tmp_path, stored_volume()), HOW)
    assert stack.is_volume
    assert not stack.is_picture
    assert (stack.size, stack.n_planes, stack.channels) == ((10, 14), 5, 1)
    assert stack.dtype == np.int16
    assert np.array_equal(planes_of(stack)[..., 0], stored_volume())


@pytest.mark.parametrize(
    ("orientation", "step", "is_turned"),
    [
        (AXIAL, (0.0, 0.0, -5.0), True),  # acquired from the head down
        (SAGITTAL, (-5.0, 0.0, 0.0), True),  # from left to right, as DICOM's x runs to the left
        (CORONAL, (0.0, 5.0, 0.0), False),
    ],
    ids=["axial", "sagittal", "coronal"],
)
def test_planes_run_from_feet_to_head_from_right_to_left_and_from_front_to_back(
    tmp_path: Path, orientation: tuple[float, ...], step: tuple[float, float, float], is_turned: bool
) -> None:
    content = write_series(tmp_path, stored_volume(), step=step, ImageOrientationPatient=orientation)
    stack = open_image(content, HOW)
    assert np.array_equal(planes_of(stack)[..., 0], stored_volume()[:: -1 if is_turned else 1])
    assert stack.spacing == (0.5, 0.75, 5.0)


def test_frame_and_spacing_are_those_of_nifti(tmp_path: Path) -> None:
    """x to the right and y to the front are negative in DICOM: (-50, -40, 30) is (50, 40, 30) in RAS."""
    stack = open_image(write_series(tmp_path, stored_volume()), HOW)
    expected = np.array([[-0.75, 0, 0, 50], [0, -0.5, 0, 40], [0, 0, 5, 30], [0, 0, 0, 1]])
    assert stack.spacing == (0.5, 0.75, 5.0)
    assert stack.frame is not None
    assert np.allclose(stack.frame, expected)


def test_rows_that_run_to_the_front_and_columns_that_run_to_the_right_are_turned(tmp_path: Path) -> None:
    content = write_series(tmp_path, stored_volume(), ImageOrientationPatient=(-1.0, 0, 0, 0, -1.0, 0))
    stack = open_image(content, HOW)
    assert np.array_equal(planes_of(stack)[..., 0], stored_volume()[:, ::-1, ::-1])
    assert stack.frame is not None
    # The first voxel is now what was the last row and column: 13 columns of 0.75 mm and 9 rows of 0.5 mm away.
    assert np.allclose(stack.frame[:3, 3], [50 + 13 * 0.75, 40 + 9 * 0.5, 30])


@pytest.mark.parametrize(
    ("tags", "slope", "intercept"),
    [
        ({"RescaleSlope": None, "RescaleIntercept": None}, 1, 0),
        ({"RescaleSlope": "", "RescaleIntercept": -1024}, 1, -1024),
        ({"RescaleSlope": 2, "RescaleIntercept": None}, 2, 0),
        ({"RescaleSlope": 2}, 2, 0),
        ({"RescaleSlope": 2, "RescaleIntercept": -1024}, 2, -1024),
        ({"RescaleIntercept": -1024}, 1, -1024),
        ({"RescaleSlope": 0.0001220703125, "RescaleIntercept": 0}, 0.0001220703125, 0),
    ],
)
def test_slope_and_intercept_give_units_and_are_1_and_0_where_they_are_empty_or_absent(
    tmp_path: Path, tags: dict[str, Any], slope: float, intercept: float
) -> None:
    """Programs that take names out of files empty these too."""
    content = write_series(tmp_path, stored_volume(), **tags)

    expected = stored_volume()[..., None].astype(float) * slope + intercept
    np.testing.assert_allclose(planes_of(open_image(content, HOW)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "stored", "words"),
    [
        ("RescaleSlope", b"1,5 ", "has the RescaleSlope 1,5, expected 1 number(s); correct it"),
        ("RescaleIntercept", b"none", "has the RescaleIntercept none, expected 1 number(s); correct it"),
        ("PixelSpacing", b"a\\b ", "has the PixelSpacing a\\b, expected 2 number(s); correct it"),
        ("RescaleSlope", b"1\\1 ", "has the RescaleSlope [1.0, 1.0], expected 1 finite numbers"),
    ],
)
def test_a_number_that_is_none_is_refused_by_its_tag(tmp_path: Path, name: str, stored: bytes, words: str) -> None:
    tags: dict[str, Any] = {name: ("12", "4") if name == "PixelSpacing" else "1234"}
    content = write_series(tmp_path, stored_volume(1), **tags)
    path = Path(content.paths[0])
    written = b"12\\4" if name == "PixelSpacing" else b"1234"
    data = path.read_bytes()
    assert data.count(written) == 1
    path.write_bytes(data.replace(written, stored))

    with pytest.raises(SourceError) as caught:
        open_image(content, HOW)

    assert str(caught.value).startswith(f"{path} {words}")


def test_slope_and_intercept_may_differ_between_files_and_be_fractions(tmp_path: Path) -> None:
    """PET has a slope a plane."""

    def change(number: int, dataset: Dataset) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = (1, 0.5, 0.25, 2, 4)[number], 0

    stack = open_image(write_series(tmp_path, stored_volume(), change=change), HOW)
    assert stack.dtype == np.float32
    assert [float(stack.plane(k)[0, 1, 0]) for k in range(5)] == [1.0, 70.5, 70.25, 842.0, 2244.0]


def test_whole_values_beyond_sixteen_bits_are_kept(tmp_path: Path) -> None:
    """The fourth plane is the first whose values no longer fit; those before it must not change."""
    volume = stored_volume()
    volume[3, 0, 0] = 65535
    stack = open_image(write_series(tmp_path, volume), HOW)
    assert stack.dtype == np.int32
    assert np.array_equal(planes_of(stack)[..., 0], volume)


def test_a_modality_table_is_looked_up(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [4, 0, 16], "HU"
    table.add_new("LUTData", "US", [7, 5, 3, 9])
    pixels = np.array([[[0, 1, 2], [3, 2, 1]]], np.uint16)
    stack = open_image(write_series(tmp_path, pixels, ModalityLUTSequence=[table]), HOW)
    assert stack.plane(0)[..., 0].tolist() == [[7, 5, 3], [9, 3, 5]]


def test_monochrome1_is_turned_over_in_its_stored_range(tmp_path: Path) -> None:
    content = write_series(
        tmp_path, stored_volume(), PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11
    )
    assert open_image(content, HOW).plane(0)[0, :3, 0].tolist() == [4095, 4094, 4093]


def test_signed_monochrome1_is_turned_over_about_minus_a_half(tmp_path: Path) -> None:
    pixels = stored_volume().astype(np.int16) - 2
    content = write_series(tmp_path, pixels, PhotometricInterpretation="MONOCHROME1")
    assert open_image(content, HOW).plane(0)[0, :4, 0].tolist() == [1, 0, -1, -2]


def test_eight_bits_stay_bytes(tmp_path: Path) -> None:
    stack = open_image(write_series(tmp_path, stored_volume(1).astype(np.uint8)), HOW)
    assert stack.dtype == np.uint8
    assert stack.is_picture
    assert not stack.is_volume
    assert stack.spacing == (0.5, 0.75)


def test_colours_give_three_channels(tmp_path: Path) -> None:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    stack = opened(tmp_path, make_file(pixels, photometric="RGB"))
    assert (stack.channels, stack.frame, stack.is_volume) == (3, None, False)
    assert np.array_equal(stack.plane(0), pixels)


def test_ybr_becomes_rgb(tmp_path: Path) -> None:
    """Y 76, Cb 85, Cr 255 is pure red."""
    pixels = np.tile(np.array([76, 85, 255], np.uint8), (4, 6, 1))
    red, green, blue = opened(tmp_path, make_file(pixels, photometric="YBR_FULL")).plane(0)[0, 0].tolist()
    assert red >= 253
    assert max(green, blue) <= 2


def test_palettes_become_rgb(tmp_path: Path) -> None:
    pixels = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    dataset = make_file(pixels, photometric="PALETTE COLOR")
    tables = {"Red": [255, 0, 10, 0], "Green": [0, 255, 20, 0], "Blue": [0, 0, 30, 0]}
    for name, table in tables.items():
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 8])
        setattr(dataset, f"{name}PaletteColorLookupTableData", bytes(table))
    assert opened(tmp_path, dataset).plane(0).tolist() == [
        [[255, 0, 0], [0, 255, 0], [10, 20, 30]],
        [[10, 20, 30], [0, 255, 0], [255, 0, 0]],
    ]


Coded = bytes | bytearray


def store_coded(dataset: Dataset, syntax: Any, coded: Coded, photometric: str = "MONOCHROME2") -> None:
    """Put a coded frame in the place of the pixels."""
    dataset.PixelData = encapsulate([bytes(coded)])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PhotometricInterpretation = photometric


def lossless_jpeg(pixels: npt.NDArray[Any], predictor: int) -> Coded:
    stored = pixels.view(np.uint16)  # JPEG knows no signs
    return imagecodecs.jpeg8_encode(stored, lossless=True, predictor=predictor, bitspersample=16)


CODERS: dict[str, tuple[Any, Callable[[npt.NDArray[Any]], Coded]]] = {
    "jpeg-ls": (JPEGLSLossless, lambda pixels: imagecodecs.jpegls_encode(pixels.view(np.uint16))),
    "jpeg-2000": (JPEG2000Lossless, lambda pixels: imagecodecs.jpeg2k_encode(pixels, codecformat="j2k")),
    "htj2k": (HTJ2KLossless, lambda pixels: imagecodecs.htj2k_encode(pixels, reversible=True)),
    "jpeg-first-order": (JPEGLosslessSV1, lambda pixels: lossless_jpeg(pixels, 1)),
    **{
        f"jpeg-predictor-{number}": (JPEGLossless, lambda pixels, number=number: lossless_jpeg(pixels, number))  # type: ignore[misc]
        for number in range(1, 8)
    },
}


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
@pytest.mark.parametrize("coder", [*CODERS, "rle"])
def test_lossless_syntaxes_are_decoded_exactly(tmp_path: Path, coder: str, dtype: Any) -> None:
    def change(number: int, dataset: Dataset) -> None:
        if coder == "rle":
            dataset.compress(RLELossless, generate_instance_uid=False)
        else:
            syntax, code = CODERS[coder]
            store_coded(dataset, syntax, code(pixels[number]))

    # Longer than what is read along with headers, so that pixels are fetched later.
    pixels = (stored_volume(3, 90, 70) % 4096).astype(dtype)
    pixels -= 2000 if dtype == np.int16 else 0
    content = write_series(tmp_path, pixels, change=change, RescaleSlope=1, RescaleIntercept=-10)
    assert np.array_equal(planes_of(open_image(content, HOW))[..., 0], pixels.astype(np.int16) - 10)


def test_jpeg_of_eight_bits_stays_bytes(tmp_path: Path) -> None:
    pixels = np.tile(np.linspace(0, 250, 16).astype(np.uint8), (1, 8, 1))

    def change(number: int, dataset: Dataset) -> None:
        store_coded(dataset, JPEGBaseline8Bit, imagecodecs.jpeg8_encode(pixels[0], level=100))

    stack = open_image(write_series(tmp_path, pixels, change=change), HOW)
    assert stack.dtype == np.uint8
    assert np.abs(stack.plane(0)[..., 0].astype(int) - pixels[0]).max() <= 2


def test_jpeg_of_twelve_bits_is_decoded(tmp_path: Path) -> None:
    pixels = np.tile(np.linspace(0, 4000, 64).astype(np.uint16), (1, 16, 1))

    def change(number: int, dataset: Dataset) -> None:
        coded = imagecodecs.jpeg8_encode(pixels[0], level=100, bitspersample=12)
        store_coded(dataset, JPEGExtended12Bit, coded)

    content = write_series(tmp_path, pixels, change=change, BitsStored=12, HighBit=11)
    assert np.abs(open_image(content, HOW).plane(0)[..., 0].astype(int) - pixels[0]).max() <= 2


@pytest.mark.parametrize(("photometric", "colours"), [("YBR_FULL_422", "YCBCR"), ("RGB", "RGB")])
def test_jpeg_in_colours_has_those_of_its_header(tmp_path: Path, photometric: str, colours: str) -> None:
    """Components are stored as they are; the header says whether they are red, green and blue."""
    red_above_blue = np.zeros((16, 16, 3), np.uint8)
    red_above_blue[:8, :, 0] = red_above_blue[8:, :, 2] = 250
    dataset = make_file(red_above_blue, photometric="RGB")
    coded = imagecodecs.jpeg8_encode(
        red_above_blue, level=100, colorspace="RGB", outcolorspace=colours, subsampling="444"
    )
    store_coded(dataset, JPEGBaseline8Bit, coded, photometric)
    decoded = opened(tmp_path, dataset).plane(0)
    assert np.abs(decoded.astype(int) - red_above_blue).max() <= 3


def multiframe(pixels: npt.NDArray[Any], heights: list[float]) -> Dataset:
    """An enhanced MR: all planes in one file, places and slopes in functional groups."""
    dataset = make_file(pixels, SOPClassUID=EnhancedMRImageStorage)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = list(AXIAL)
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.75], 5
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for number, height in enumerate(heights):
        frame, position, scale = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [-50, -40, height]
        scale.RescaleSlope, scale.RescaleIntercept, scale.RescaleType = number + 1, 0, "US"
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [position], [scale]
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    return dataset


def test_frames_of_one_file_are_ordered_by_their_positions(tmp_path: Path) -> None:
    stack = opened(tmp_path, multiframe(stored_volume(3), [40, 30, 35]))
    expected = [2 * stored_volume(3)[1], 3 * stored_volume(3)[2], stored_volume(3)[0]]
    assert np.array_equal(planes_of(stack)[..., 0], expected)
    assert stack.spacing == (0.5, 0.75, 5.0)


def test_frames_without_positions_stay_in_their_order(tmp_path: Path) -> None:
    """A film of ultrasound."""
    stack = opened(tmp_path, make_file(stored_volume(3).astype(np.uint8)))
    assert np.array_equal(planes_of(stack)[..., 0], stored_volume(3).astype(np.uint8))
    assert (stack.frame, stack.spacing) == (None, None)


def test_planes_without_positions_are_ordered_by_their_numbers(tmp_path: Path) -> None:
    content = write_series(tmp_path, stored_volume(), ImagePositionPatient=None)
    stack = open_image(content, HOW)
    assert np.array_equal(planes_of(stack)[..., 0], stored_volume())
    assert stack.frame is None


def test_planes_without_positions_are_not_cut_along_another_axis(tmp_path: Path) -> None:
    content = write_series(tmp_path, stored_volume(), ImagePositionPatient=None)
    with pytest.raises(SourceError, match="have no positions, so no sagittal planes; use --axis auto"):
        open_image(content, ReadOptions(axis="sagittal"))


def test_a_tilted_gantry_keeps_its_planes(tmp_path: Path) -> None:
    """Planes are shifted by the same step each, so the affine is a shear; pixels are untouched."""
    stack = open_image(write_series(tmp_path, stored_volume(), step=(0.0, 1.0, 5.0)), HOW)
    assert stack.frame is not None
    assert np.allclose(stack.frame[:3, 2], [0, -1, 5])
    assert np.array_equal(planes_of(stack)[..., 0], stored_volume())


def drop_position(number: int, dataset: Dataset) -> None:
    if number >= 3:
        dataset.ImagePositionPatient[2] += 5


def claim_much(number: int, dataset: Dataset) -> None:
    """Let the header promise pixels that are missing: only the header can have been asked."""
    dataset.Rows = dataset.Columns = 60000


def store_film(number: int, dataset: Dataset) -> None:
    dataset.file_meta.TransferSyntaxUID = MPEG4HP41
    dataset.PixelData = encapsulate([b"film"])
    dataset["PixelData"].is_undefined_length = True


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop_position, "has 10 mm between planes 3 and 4, elsewhere 5 mm; add the missing files"),
        (
            lambda number, dataset: put(dataset, "ImagePositionPatient", [0, 0, number // 2]),
            "3 or more planes at one position: time points, echoes or copies",
        ),
        (
            lambda number, dataset: put(dataset, "ImageOrientationPatient", (AXIAL, CORONAL)[number == 1]),
            "planes of several orientations",
        ),
        (
            lambda _, dataset: put(dataset, "ImageOrientationPatient", (1, 0, 0, 1, 0, 0)),
            "expected perpendicular unit vectors",
        ),
        (
            lambda number, dataset: put(dataset, "ImagePositionPatient", [3 * (number == 2), 0, number * 5]),
            "planes shifted sideways by 3 mm",
        ),
        (
            lambda number, dataset: put(dataset, "PixelSpacing", (0.5, 0.75 + number)),
            "other files of its series",
        ),
        (lambda _, dataset: put(dataset, "RescaleSlope", 0), "RescaleSlope 0"),
        (lambda _, dataset: put(dataset, "ImagePositionPatient", [0, 0]), "expected 3 finite numbers"),
        (lambda _, dataset: put(dataset, "ImageType", ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), "dcm2niix"),
        (store_film, "MPEG-4 AVC/H.264 High Profile / Level 4.1, which cannot be decoded"),
        (lambda _, dataset: dataset.__delitem__("PixelData"), "holds no pixels"),
        (
            lambda _, dataset: put(dataset.file_meta, "TransferSyntaxUID", DeflatedExplicitVRLittleEndian),
            "is deflated, which is not read; store it uncompressed",
        ),
        (claim_much, "60000 x 60000 pixels, more than source.max_pixels = 200000000"),
    ],
)
def test_series_that_are_no_volume_are_refused_in_one_line(
    tmp_path: Path, change: Callable[[int, Dataset], object], words: str
) -> None:
    content = write_series(tmp_path, stored_volume(), change=change)
    with pytest.raises(SourceError) as caught:
        open_image(content, HOW)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_planes_of_several_sizes_are_refused(tmp_path: Path) -> None:
    small = write_series(tmp_path / "a", stored_volume(1))
    large = write_series(tmp_path / "b", stored_volume(1, 12, 14))
    with pytest.raises(SourceError, match="is 14 x 12 x 1, other files of its series 14 x 10 x 1"):
        open_image(Content("dicom", small.paths + large.paths), HOW)


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize(
    ("name", "value", "is_refused"),
    [("RescaleIntercept", -1024, True), ("RescaleSlope", 2, True), ("RescaleIntercept", 0, False)],
)
def test_a_plane_that_lost_its_scale_is_refused(
    tmp_path: Path, number: int, name: str, value: int, is_refused: bool
) -> None:
    """Read with 0 it would be 1024 HU beside the others of its volume."""

    def change(plane: int, dataset: Dataset) -> None:
        setattr(dataset, name, None if plane == number else value)

    content = write_series(tmp_path, stored_volume(), change=change)

    if not is_refused:
        assert open_image(content, HOW).n_planes
        return
    either = f"({value}|none)"
    with pytest.raises(SourceError, match=rf"has the {name} {either}, other files of its series {either}; complete"):
        open_image(content, HOW)


def test_large_volumes_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    content = write_series(tmp_path, stored_volume())
    with pytest.raises(
        SourceError, match=r"005.dcm and the files before it have 700 voxels, more than source.max_voxels = 699"
    ):
        open_image(content, ReadOptions(max_voxels=699))


def test_more_frames_than_bytes_are_refused(tmp_path: Path) -> None:
    content = write_series(tmp_path, stored_volume(1, 1, 1), NumberOfFrames=900_000_000)
    with pytest.raises(SourceError, match="has 900000000 frames in"):
        open_image(content, HOW)


@pytest.mark.parametrize("coder", CODERS)
def test_compressed_pixels_that_claim_another_size_are_refused(tmp_path: Path, coder: str) -> None:
    """A small header before a codestream of any size would let the decoder fill the memory."""
    pixels = stored_volume(1, 40, 50)

    def change(number: int, dataset: Dataset) -> None:
        syntax, code = CODERS[coder]
        store_coded(dataset, syntax, code(pixels[0]))
        dataset.Rows = 39

    content = write_series(tmp_path, pixels, change=change)
    with pytest.raises(SourceError, match="is coded as 50 x 40 pixels, its header says 50 x 39"):
        open_image(content, HOW)


@pytest.mark.parametrize("length", [0, 3, 140, 400, 600])
def test_files_that_were_cut_off_are_refused(tmp_path: Path, length: int) -> None:
    content = write_series(tmp_path, stored_volume(1))
    path = Path(content.paths[0])
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(SourceError) as caught:
        open_image(content, HOW)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_absent_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone.dcm cannot be read \(No such file or directory\)"):
        open_image(Content("dicom", (str(tmp_path / "gone.dcm"),)), HOW)


def test_label_maps_stored_as_series_are_cut_as_their_image(tmp_path: Path) -> None:
    labels = (stored_volume() % 7).astype(np.uint8)
    image = write_series(tmp_path / "image", stored_volume())
    mask = write_series(tmp_path / "mask", labels[::-1], first=(-50.0, -40.0, 50.0), step=(0.0, 0.0, -5.0))
    opened, labelled = open_pair(SourceItem("a", image, mask), ReadOptions(axis="coronal"))
    assert np.array_equal(planes_of(labelled), labels[::-1].transpose(1, 0, 2))
    assert opened.plane(0).shape == (*labelled.plane(0).shape, 1)


def test_label_maps_stored_in_coronal_planes_are_turned_onto_an_axial_image(tmp_path: Path) -> None:
    labels = (stored_volume() % 7).astype(np.uint8)
    image = write_series(tmp_path / "image", stored_volume())
    mask = write_series(
        tmp_path / "mask",
        labels[::-1].transpose(1, 0, 2),
        first=(-50.0, -40.0, 50.0),
        step=(0.0, 0.5, 0.0),
        ImageOrientationPatient=CORONAL,
        PixelSpacing=(5.0, 0.75),
    )
    _, labelled = open_pair(SourceItem("a", image, mask), HOW)
    assert np.array_equal(planes_of(labelled), labels)


def test_fractions_in_label_maps_are_refused(tmp_path: Path) -> None:
    mask = write_series(tmp_path, stored_volume(), RescaleSlope=0.5, RescaleIntercept=0)
    with pytest.raises(SourceError, match="has the label"):
        open_mask(mask, ArrayStack(stored_volume()), HOW)


@pytest.mark.parametrize("axis", ["auto", "axial", "coronal", "sagittal"])
def test_masks_in_nifti_fit_voxel_by_voxel(tmp_path: Path, axis: str) -> None:
    """The mask is stored as NIfTI writers do: x to the right, y to the front, (x, y, z)."""
    import nibabel

    volume = stored_volume().astype(np.int16)
    image = write_series(tmp_path, volume)
    # DICOM's first column is the rightmost voxel of the patient at x = 50 mm and the first row lies at y = 40 mm.
    affine = np.diag([0.75, 0.5, 5.0, 1.0])
    affine[:3, 3] = 50 - 13 * 0.75, 40 - 9 * 0.5, 30
    path = tmp_path / "mask.nii.gz"
    voxels: Any = nibabel.Nifti1Image
    nibabel.save(voxels(volume.transpose(2, 1, 0)[::-1, ::-1], affine), path)
    opened, mask = open_pair(SourceItem("a", image, Content("nifti", (str(path),))), ReadOptions(axis=axis))
    assert np.array_equal(planes_of(opened)[..., 0], planes_of(mask))
    assert opened.spacing == mask.spacing
