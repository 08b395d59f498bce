"""DICOM segmentations laid onto images: by place in space, whatever the order, orientation and extent of frames."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import set_pixel_data
from pydicom.uid import RLELossless

from hsmix_gen.pipeline.decoders.dicom_images import open_image
from hsmix_gen.pipeline.decoders.dicom_segmentations import open_mask, segment_labels
from hsmix_gen.pipeline.decoders.registry import open_pair
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, SourceItem
from tests.pipeline.jobs.twins.volume_twins import write_segmentation, write_series

HOW = ReadOptions()
SHAPE = (5, 10, 14)


def write_image(folder: Path, *, step: float = 5.0) -> Content:
    """An axial series whose planes rise by `step` mm; each voxel has a value of its own."""
    volume = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    return Content("dicom", tuple(map(str, write_series(folder, volume, "P7", step=step))))


def write_mask(
    path: Path,
    image: Content,
    masks: npt.NDArray[Any],
    kind: str = "BINARY",
    *,
    labels: tuple[str, ...] = ("liver", "tumour"),
    **options: Any,
) -> Content:
    """Write masks, (Z, H, W) or (Z, H, W, segments), of planes in the order of the image's files."""
    write_segmentation(path, [Path(name) for name in image.paths], masks, labels, kind, **options)
    return Content("dicomseg", (str(path),))


def two_segments() -> npt.NDArray[np.uint8]:
    """Segment 1 on planes 1 and 2, segment 2 on plane 3; planes 0 and 4 have no frame."""
    masks = np.zeros((*SHAPE, 2), np.uint8)
    masks[1, 2:5, 3:9, 0] = 1
    masks[2, 1:9, 0:4, 0] = 1
    masks[3, 9, 13, 1] = 1
    return masks


def values_of(image: Content, mask: Content, how: ReadOptions = HOW) -> npt.NDArray[Any]:
    _, opened = open_pair(SourceItem("a", image, mask), how)
    return np.stack([opened.plane(index) for index in range(opened.n_planes)])


EXPECTED = two_segments()[..., 0] + 2 * two_segments()[..., 1]


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_segments_become_their_numbers_on_the_planes_where_they_lie(tmp_path: Path, kind: str) -> None:
    """140 pixels a plane are no whole number of bytes: frames of bits begin within a byte."""
    image = write_image(tmp_path / "image")
    values = values_of(image, write_mask(tmp_path / "seg.dcm", image, two_segments(), kind))
    assert values.dtype == np.uint8
    assert np.array_equal(values, EXPECTED)


def test_label_maps_may_be_compressed(tmp_path: Path) -> None:
    image = write_image(tmp_path / "image")
    mask = write_mask(tmp_path / "seg.dcm", image, two_segments(), "LABELMAP", transfer_syntax_uid=RLELossless)
    assert np.array_equal(values_of(image, mask), EXPECTED)


def test_planes_are_matched_by_place_not_by_order(tmp_path: Path) -> None:
    """The image is acquired from the head down, so the stack is turned and the frames are not."""
    image = write_image(tmp_path / "image", step=-5.0)
    values = values_of(image, write_mask(tmp_path / "seg.dcm", image, two_segments()))
    assert np.array_equal(values, EXPECTED[::-1])


@pytest.mark.parametrize(
    ("axis", "turned"),
    [("coronal", EXPECTED[::-1].transpose(1, 0, 2)), ("sagittal", EXPECTED[::-1].transpose(2, 0, 1))],
)
def test_masks_are_cut_as_their_image(tmp_path: Path, axis: str, turned: npt.NDArray[Any]) -> None:
    image = write_image(tmp_path / "image")
    mask = write_mask(tmp_path / "seg.dcm", image, two_segments())
    assert np.array_equal(values_of(image, mask, ReadOptions(axis=axis)), turned)


@pytest.mark.parametrize(
    ("fractions", "options"), [((0.49, 0.51, 1.0), {}), ((0.4, 0.6, 1.0), {"max_fractional_value": 10})]
)
def test_fractions_count_from_one_half_of_the_greatest_that_the_header_states(
    tmp_path: Path, fractions: tuple[float, ...], options: dict[str, int]
) -> None:
    image = write_image(tmp_path / "image")
    stored = np.zeros(SHAPE, np.float32)
    stored[2, 4, 5:8] = fractions
    mask = write_mask(tmp_path / "seg.dcm", image, stored, "FRACTIONAL", labels=("liver",), **options)

    assert values_of(image, mask)[2, 4, 4:9].tolist() == [0, 0, 1, 1, 0]


def overlapping() -> npt.NDArray[np.uint8]:
    masks = two_segments()
    masks[1, 3, 3:5, 1] = 1
    return masks


def test_segments_that_overlap_are_refused_where_classes_exclude_each_other(tmp_path: Path) -> None:
    image = write_image(tmp_path / "image")
    mask = write_mask(tmp_path / "seg.dcm", image, overlapping())
    with pytest.raises(SourceError, match=r"seg.dcm has segments that overlap \(segment 2\); use --labels multilabel"):
        values_of(image, mask)


def test_segments_that_overlap_are_sums_of_bits(tmp_path: Path) -> None:
    image = write_image(tmp_path / "image")
    mask = write_mask(tmp_path / "seg.dcm", image, overlapping())
    values = values_of(image, Content("dicomseg", mask.paths, "bits"))
    assert np.array_equal(values, overlapping()[..., 0] + 2 * overlapping()[..., 1])
    assert values[1, 3, 2:6].tolist() == [0, 3, 3, 1]


@pytest.mark.parametrize(
    ("key", "expected"), [("1=2 2=1", [2, 1]), ("1=300 2=1", [300, 1]), ("bits 1=9 2=1", [256, 1])]
)
def test_segments_may_be_renumbered(tmp_path: Path, key: str, expected: list[int]) -> None:
    image = write_image(tmp_path / "image")
    mask = write_mask(tmp_path / "seg.dcm", image, two_segments())
    values = values_of(image, Content("dicomseg", mask.paths, key))
    assert [int(values[1, 2, 3]), int(values[3, 9, 13])] == expected


def test_segments_that_were_not_numbered_are_refused(tmp_path: Path) -> None:
    """A file that was changed since has classes that nobody knows; under its own number one would be another class."""
    image = write_image(tmp_path / "image")
    mask = write_mask(tmp_path / "seg.dcm", image, two_segments())

    with pytest.raises(SourceError, match="has segment 2, which was not there when its segments were numbered"):
        values_of(image, Content("dicomseg", mask.paths, "1=2"))


def test_frames_that_cover_a_part_of_the_plane_are_laid_there(tmp_path: Path) -> None:
    """Rows 2 to 5 and columns 3 to 8 only, walked from the other end in both directions."""
    image = write_image(tmp_path / "image")
    part = two_segments()[:, 2:6, 3:9][:, ::-1, ::-1]

    def change(dataset: Dataset) -> None:
        shared = dataset.SharedFunctionalGroupsSequence[0]
        shared.PlaneOrientationSequence[0].ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            position = frame.PlanePositionSequence[0].ImagePositionPatient
            position[0], position[1] = -50 + 8 * 0.75, -40 + 5 * 0.5

    sources = write_image(tmp_path / "other")
    cropped = write_cropped(sources)
    mask = write_mask(tmp_path / "seg.dcm", cropped, part, change=change)
    expected = np.zeros(SHAPE)
    expected[:, 2:6, 3:9] = EXPECTED[:, 2:6, 3:9]
    assert np.array_equal(values_of(image, mask), expected)


def write_cropped(content: Content) -> Content:
    """Make the files of a series 4 rows of 6 columns, so that masks of this size may be written for them."""
    for path in content.paths:
        dataset = dcmread(path)
        set_pixel_data(dataset, np.zeros((4, 6), np.int16), "MONOCHROME2", 16, generate_instance_uid=False)
        dataset.save_as(path)
    return content


def test_frames_in_sagittal_planes_are_laid_onto_an_axial_image(tmp_path: Path) -> None:
    """The mask of one sagittal plane: rows run to the feet, columns to the back."""
    image = write_image(tmp_path / "image")

    def change(dataset: Dataset) -> None:
        shared = dataset.SharedFunctionalGroupsSequence[0]
        shared.PlaneOrientationSequence[0].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        shared.PixelMeasuresSequence[0].PixelSpacing = [5, 0.5]
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            frame.PlanePositionSequence[0].ImagePositionPatient = [-50 + 6 * 0.75, -40 + 2 * 0.5, 30 + 4 * 5]

    plane = np.zeros((5, 4, 6, 1), np.uint8)
    plane[0, 0:3, 4] = 1
    mask = write_mask(
        tmp_path / "seg.dcm", write_cropped(write_image(tmp_path / "b")), plane, labels=("a",), change=change
    )
    values = values_of(image, mask)
    expected = np.zeros(SHAPE)
    expected[2:5, 6, 6] = 1
    assert np.array_equal(values, expected)


@pytest.mark.parametrize(
    ("move", "words"),
    [
        ((0.0, 0.0, 2.5), "lies 0.5 voxels beside the grid of its image in frame 1; resample"),
        ((0.3, 0.0, 0.0), "lies 0.4 voxels beside the grid"),
        ((0.0, 0.0, 20.0), "reaches beyond its image"),
        ((0.0, 0.5, 0.0), "reaches beyond its image"),
    ],
)
def test_masks_that_lie_beside_their_image_are_refused(
    tmp_path: Path, move: tuple[float, float, float], words: str
) -> None:
    def change(dataset: Dataset) -> None:
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            position = frame.PlanePositionSequence[0].ImagePositionPatient
            for axis in range(3):
                position[axis] += move[axis]

    image = write_image(tmp_path / "image")
    mask = write_mask(tmp_path / "seg.dcm", image, two_segments(), change=change)
    with pytest.raises(SourceError) as caught:
        values_of(image, mask)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "seg.dcm"))


def double_the_pixels(dataset: Dataset) -> None:
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [1, 1.5]


def drop_a_segment(dataset: Dataset) -> None:
    del dataset.SegmentSequence[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (double_the_pixels, "has pixels of another size or direction than its image"),
        (drop_a_segment, "has segment 2, which its header does not describe"),
    ],
)
def test_masks_that_do_not_fit_or_are_not_described_are_refused(
    tmp_path: Path, change: Callable[[Dataset], None], words: str
) -> None:
    image = write_image(tmp_path / "image")
    mask = write_mask(tmp_path / "seg.dcm", image, two_segments(), change=change)

    with pytest.raises(SourceError, match=words):
        values_of(image, mask)


def test_images_are_no_segmentations(tmp_path: Path) -> None:
    image = write_image(tmp_path / "image")
    with pytest.raises(SourceError, match="describes no segments"):
        values_of(image, Content("dicomseg", image.paths[:1]))


def test_images_without_a_place_take_no_volume_of_masks(tmp_path: Path) -> None:
    image = write_image(tmp_path / "image")
    mask = write_mask(tmp_path / "seg.dcm", image, two_segments())
    with pytest.raises(SourceError, match="cannot be laid onto its image, which has no positions in space"):
        open_mask(mask, ArrayStack(np.zeros((*SHAPE, 1)), is_volume=True), HOW)


@pytest.mark.parametrize("length", [0, 100, 1000, -3000, -40])
def test_files_that_were_cut_off_are_refused(tmp_path: Path, length: int) -> None:
    image = write_image(tmp_path / "image")
    mask = write_mask(tmp_path / "seg.dcm", image, two_segments())
    path = Path(mask.paths[0])
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(SourceError) as caught:
        open_mask(mask, open_image(image, HOW), HOW)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_labels_are_read_from_the_header(tmp_path: Path) -> None:
    image = write_image(tmp_path / "image")
    mask = write_mask(tmp_path / "seg.dcm", image, two_segments(), labels=("liver", "liver  tumour "))
    assert segment_labels(dcmread(mask.paths[0])) == {1: "liver", 2: "liver tumour"}
