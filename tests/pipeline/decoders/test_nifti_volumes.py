"""Volumes come out as they lie in the patient, whatever way they were stored; what is wrong is reported in one line."""

import itertools
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.pipeline.decoders import registry
from hsmix_gen.pipeline.decoders.nifti_volumes import open_image, open_mask
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions, Stack
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, SourceItem

nib: Any = nibabel  # its functions bear no types
RAS = np.diag([1.0, 1.0, 1.0, 1.0])
VALUES = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
"""Stored towards right, front and top, so that each voxel is known by its value."""


def save(
    path: Path,
    values: npt.NDArray[Any],
    affine: npt.NDArray[np.float64] = RAS,
    *,
    kind: type[Any] = nibabel.Nifti1Image,
) -> str:
    nib.save(kind(values, affine), path)
    return str(path)


def load(*paths: str, axis: str = "auto", body: str = "", **limits: Any) -> Stack:
    return open_image(Content("nifti", paths, body=body), ReadOptions(axis=axis, **limits))


def load_mask(path: str, image: Stack | None = None, axis: str = "auto") -> Stack:
    image = image or ArrayStack(np.zeros((1, 1, 1, 1)))
    return open_mask(Content("nifti", (path,)), image, ReadOptions(axis=axis))


def stored_as(codes: str, image: Any) -> Any:
    """Return an image with its voxels stored in another order, and the affine that says so."""
    turns = nib.orientations
    return image.as_reoriented(
        turns.ornt_transform(turns.io_orientation(image.affine), turns.axcodes2ornt(tuple(codes)))
    )


def planes(stack: Stack) -> npt.NDArray[Any]:
    return np.stack([stack.plane(index) for index in range(stack.n_planes)])


ORIENTATIONS = [
    "".join(codes) for axes in itertools.permutations(("LR", "PA", "IS")) for codes in itertools.product(*axes)
]


@pytest.mark.parametrize("codes", ORIENTATIONS)
@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_planes_do_not_depend_on_the_stored_orientation(tmp_path: Path, codes: str, axis: str) -> None:
    stored = nib.Nifti1Image(VALUES, np.diag([2.0, 3.0, 5.0, 1.0]))
    nib.save(stored_as(codes, stored), tmp_path / "a.nii")

    image = load(str(tmp_path / "a.nii"), axis=axis)

    mirrored = VALUES[::-1, ::-1]  # columns or planes to the left, rows or planes to the back
    expected, spacing = {
        "axial": (mirrored.transpose(2, 1, 0), (3.0, 2.0, 5.0)),
        "coronal": (mirrored[:, :, ::-1].transpose(1, 2, 0), (5.0, 2.0, 3.0)),
        "sagittal": (mirrored[:, :, ::-1].transpose(0, 2, 1), (5.0, 3.0, 2.0)),
    }[axis]
    np.testing.assert_array_equal(planes(image)[..., 0], expected)
    assert image.size == expected.shape[1:]
    assert image.spacing == spacing


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_the_frame_places_each_voxel_where_the_file_does(tmp_path: Path, axis: str) -> None:
    affine = nib.affines.from_matvec(np.array([[0, 0, 3.0], [-2, 0, 0], [0, 5, 0]]), [7, -11, 13])

    image = load(save(tmp_path / "a.nii", VALUES, affine), axis=axis)

    assert image.frame is not None
    for plane, row, column in np.ndindex(image.n_planes, *image.size):
        voxel = np.argwhere(image.plane(plane)[row, column, 0] == VALUES)[0]
        np.testing.assert_allclose(image.frame @ [column, row, plane, 1], affine @ [*voxel, 1])


@pytest.mark.parametrize(
    ("voxel", "size", "count"),
    [
        ((1, 1, 1), (3, 2), 4),
        ((1, 1, 2), (3, 2), 4),
        ((1, 2, 1), (4, 2), 3),
        ((4, 2, 2), (4, 3), 2),
        ((1.9, 1, 1), (3, 2), 4),
        ((2, 1, 2), (3, 2), 4),
    ],
)
def test_slices_lie_across_the_axis_of_thick_voxels(
    tmp_path: Path, voxel: tuple[float, ...], size: tuple[int, int], count: int
) -> None:
    image = load(save(tmp_path / "a.nii", VALUES, np.diag([*voxel, 1.0])))

    assert (image.size, image.n_planes) == (size, count)


@pytest.mark.parametrize(
    ("values", "size", "count", "spacing"),
    [(VALUES[:1], (4, 3), 1, (1, 1)), (VALUES[..., 0], (3, 2), 1, (1, 1))],
    ids=["one-column", "no-third-axis"],
)
def test_a_single_slice_is_cut_across_its_only_axis_and_is_no_volume(
    tmp_path: Path, values: npt.NDArray[Any], size: tuple[int, int], count: int, spacing: tuple[int, int]
) -> None:
    image = load(save(tmp_path / "a.nii", values))

    assert (image.size, image.n_planes, image.is_volume) == (size, count, False)
    assert image.spacing == spacing


def test_an_oblique_volume_is_read_along_its_own_axes(tmp_path: Path) -> None:
    turn = np.radians(20)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]

    image = load(save(tmp_path / "a.nii", VALUES, affine))

    np.testing.assert_array_equal(planes(image)[..., 0], VALUES[::-1, ::-1].transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("files", "channels"),
    [
        ([VALUES + 100, VALUES, VALUES + 50], [100, 0, 50]),
        ([np.stack([VALUES, VALUES + 100], axis=-1)], [0, 100]),
        ([np.stack([VALUES, VALUES + 100], axis=-1)[:, :, :, None]], [0, 100]),
    ],
    ids=["files-in-their-order", "fourth-axis", "fifth-axis-of-a-vector"],
)
def test_files_and_further_axes_are_channels(
    tmp_path: Path, files: list[npt.NDArray[Any]], channels: list[int]
) -> None:
    image = load(*(save(tmp_path / f"{9 - k}.nii.gz", values) for k, values in enumerate(files)))

    assert image.channels == len(channels)
    assert image.plane(0)[2, 1].tolist() == channels


@pytest.mark.parametrize(
    ("stored", "kind", "dtype"),
    [
        *(((name,), nibabel.Nifti1Image, name) for name in ("u1", "i1", "i2", "u2", "i4")),
        (("i2",), nibabel.Nifti2Image, "i2"),
        (("f4",), nibabel.Nifti1Image, "f4"),
        (("f8",), nibabel.Nifti1Image, "f4"),
        (("i4", "f4"), nibabel.Nifti1Image, "f4"),  # one that holds all channels
    ],
)
def test_integers_stay_as_they_are_stored_and_floats_become_float32(
    tmp_path: Path, stored: tuple[str, ...], kind: type[Any], dtype: str
) -> None:
    paths = [save(tmp_path / f"{k}.nii.gz", VALUES.astype(name), kind=kind) for k, name in enumerate(stored)]

    image = load(*paths)

    assert image.dtype == image.plane(1).dtype == np.dtype(dtype)
    assert image.plane(1)[2, 1, 0] == 1


def test_a_modality_stored_another_way_is_turned_onto_the_first(tmp_path: Path) -> None:
    first = save(tmp_path / "a.nii", VALUES)
    nib.save(stored_as("PSL", nib.load(first)), tmp_path / "b.nii")

    image = load(first, str(tmp_path / "b.nii"))

    np.testing.assert_array_equal(planes(image)[..., 0], planes(image)[..., 1])


@pytest.mark.parametrize("shape", [(2, 3, 4, 1), (2, 3, 4, 1, 1)])
def test_axes_of_length_one_are_dropped(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = save(tmp_path / "a.nii", VALUES.reshape(shape))

    assert load(path).channels == 1
    assert load_mask(path).n_planes == 4


def test_numbers_of_another_byte_order_are_brought_to_ours(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    nib.save(nib.Nifti1Image(VALUES, RAS, header), tmp_path / "a.nii")

    image = load(str(tmp_path / "a.nii"))

    assert image.dtype == image.plane(1).dtype == np.dtype("=i2")
    assert image.plane(1)[2, 1, 0] == 1


def test_a_scale_makes_float32_of_the_values_it_means(tmp_path: Path) -> None:
    path = str(tmp_path / "a.nii")
    image = nib.Nifti1Image(VALUES, RAS)
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, path)
    with Path(path).open("r+b") as file:  # nibabel scales on writing as well, so the numbers are put in by hand
        file.seek(352)
        file.write(VALUES.tobytes(order="F"))

    stack = load(path)

    assert stack.dtype == np.float32
    np.testing.assert_array_equal(planes(stack)[..., 0], VALUES[::-1, ::-1].transpose(2, 1, 0) * 0.5 - 3)


@pytest.mark.parametrize("ending", [".hdr", ".img"])
def test_a_pair_of_header_and_image_is_read_by_either_name(tmp_path: Path, ending: str) -> None:
    save(tmp_path / "a.img", VALUES, kind=nibabel.Nifti1Pair)

    assert load(str(tmp_path / f"a{ending}")).plane(1)[2, 1, 0] == 1


def test_a_packed_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    packed = Path(save(tmp_path / "a.nii.gz", VALUES)).rename(tmp_path / "a.nii")

    assert load(str(packed)).plane(1)[2, 1, 0] == 1


def test_a_file_without_sform_and_qform_is_taken_as_nibabel_takes_it(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VALUES, None)
    image.header.set_sform(None, 0)
    image.header.set_qform(None, 0)
    nib.save(image, tmp_path / "a.nii")

    stack = load(str(tmp_path / "a.nii"))

    # Without a word on orientation, columns are stored from right to left and rows from back to front.
    np.testing.assert_array_equal(planes(stack)[..., 0], VALUES[:, ::-1].transpose(2, 1, 0))


def test_no_voxel_is_read_before_the_first_plane(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 999, (20, 30, 40), np.int16))
    Path(path).write_bytes(Path(path).read_bytes()[:9000])

    image = load(path)

    assert (image.size, image.n_planes, image.channels, image.dtype.name) == ((30, 20), 40, 1, "int16")
    with pytest.raises(SourceError, match=r"a\.nii\.gz is damaged"):
        image.plane(0)


def test_planes_of_equal_content_have_equal_digests(tmp_path: Path) -> None:
    one = load(save(tmp_path / "a.nii", VALUES))
    other = load(save(tmp_path / "b.nii.gz", VALUES[::-1].astype(">i2"), np.diag([-1.0, 1, 1, 1])))

    assert [one.digest(k) for k in range(4)] == [other.digest(k) for k in range(4)]
    assert len({one.digest(k) for k in range(4)}) == 4


def test_the_mask_of_the_body_is_turned_like_the_image(tmp_path: Path) -> None:
    image = save(tmp_path / "a.nii", VALUES)
    # As a mask of 0 and 1 that was stored with a scale reads.
    body = save(tmp_path / "b.nii", np.where(VALUES == 1, 0.99999997, 0.2).astype(np.float32))

    stack = load(image, body=body)

    assert [None if body is None else body.tolist() for body in map(stack.body, range(2))] == [
        [[False, False], [False, False], [False, False]],
        [[False, False], [False, False], [False, True]],
    ]
    assert load(image).body(0) is None


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f4", "f8"])
def test_labels_are_whole_numbers_of_the_smallest_type(tmp_path: Path, dtype: str) -> None:
    """Those next to whole numbers are rounded."""
    values = VALUES.astype(dtype) - (1e-7 if dtype == "f8" else 0)
    mask = load_mask(save(tmp_path / "a.nii.gz", values) if dtype != "i8" else _wide(tmp_path))

    assert mask.plane(1).dtype == mask.dtype == np.uint8
    assert mask.plane(1).tolist() == [[21, 9], [17, 5], [13, 1]]


def _wide(folder: Path) -> str:
    nib.save(nib.Nifti1Image(VALUES.astype("i8"), RAS, dtype="i8"), folder / "a.nii")
    return str(folder / "a.nii")


@pytest.mark.parametrize(("label", "dtype"), [(255, np.uint8), (256, np.uint16), (70000, np.uint32)])
@pytest.mark.parametrize("stored", [np.int32, np.float32])
def test_large_labels_get_room(tmp_path: Path, label: int, dtype: type[Any], stored: type[Any]) -> None:
    mask = load_mask(save(tmp_path / "a.nii", np.where(VALUES == 1, label, 0).astype(stored)))

    assert mask.dtype == dtype
    assert mask.plane(1)[2, 1] == label


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_a_mask_stored_another_way_is_turned_onto_its_image(tmp_path: Path, axis: str) -> None:
    save(tmp_path / "a.nii", VALUES, np.diag([1.0, 1, 2, 1]))
    nib.save(stored_as("ILA", nib.load(tmp_path / "a.nii")), tmp_path / "b.nii.gz")
    one, other = (Content("nifti", (str(tmp_path / name),)) for name in ("a.nii", "b.nii.gz"))

    image, mask = registry.open_pair(SourceItem("a", one, other), ReadOptions(axis=axis))

    np.testing.assert_array_equal(planes(image)[..., 0], planes(mask))


def test_labels_that_nibabel_stored_with_a_scale_are_whole(tmp_path: Path) -> None:
    """Floats saved as uint8 read as 0, 0.996 and 2."""
    values = np.zeros((4, 5, 3))
    values[1], values[2] = 1, 2
    volume: Any = nibabel.Nifti1Image(values, np.eye(4))  # type: ignore[no-untyped-call]
    volume.set_data_dtype(np.uint8)
    nibabel.save(volume, tmp_path / "m.nii.gz")

    assert 1.0 not in volume.__class__.from_filename(tmp_path / "m.nii.gz").get_fdata()
    mask = load_mask(str(tmp_path / "m.nii.gz"))
    assert mask.dtype == np.uint8
    assert np.unique(planes(mask)).tolist() == [0, 1, 2]


def test_probabilities_may_be_cut(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5)
    path = tmp_path / "m.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)  # type: ignore[no-untyped-call]

    with pytest.raises(SourceError, match="whole numbers"):
        load_mask(str(path))
    mask = open_mask(Content("nifti", (str(path),)), ArrayStack(np.zeros((1, 1, 1))), ReadOptions(threshold=0.5))
    assert planes(mask).sum() == 30


def test_a_mask_beside_its_image_is_refused(tmp_path: Path) -> None:
    image = load(save(tmp_path / "a.nii", VALUES))
    beside = save(tmp_path / "b.nii", VALUES, np.array([[1.0, 0, 0, 9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))

    with pytest.raises(SourceError, match="lies 9 mm beside its image"):
        registry.open_mask(Content("nifti", (beside,)), image, ReadOptions())


IDENTITY = np.eye(4)
PLACED = np.array([[-1.0, 0, 0, 20], [0, -1, 0, 22], [0, 0, 3, -10], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("affine", "reason"),
    [
        (IDENTITY, "mm beside its image in space, as its affine is the identity, which places nothing, yet both have"),
        (PLACED + np.outer([0.3, 0.2, 0, 0], [0, 0, 0, 1]), "lies 0.361 mm beside its image in space, as its affine"),
    ],
    ids=["identity", "third of a millimetre"],
)
def test_labels_on_the_voxels_of_their_image_are_trusted_if_asked_for(
    tmp_path: Path, affine: npt.NDArray[np.float64], reason: str
) -> None:
    """Labels that went through numpy have lost their place; resampled onto the image they would be empty."""
    image = load(save(tmp_path / "a.nii", VALUES, PLACED))
    content = Content("nifti", (save(tmp_path / "m.nii", VALUES, affine),))

    with pytest.raises(SourceError, match=f"{reason}.*take them as they are with --trust-voxels"):
        registry.open_mask(content, image, ReadOptions())
    mask = registry.open_mask(content, image, ReadOptions(trust_voxels=True))

    np.testing.assert_array_equal(planes(mask), planes(image)[..., 0])


def test_an_identity_across_the_axes_of_the_image_is_refused_as_that(tmp_path: Path) -> None:
    sagittal = PLACED[:, [1, 2, 0, 3]]
    image = load(save(tmp_path / "a.nii", VALUES, sagittal))
    content = Content("nifti", (save(tmp_path / "m.nii", VALUES, IDENTITY),))

    with pytest.raises(SourceError, match="lies across its image in space, as its affine is the identity"):
        registry.open_mask(content, image, ReadOptions())
    mask = registry.open_mask(content, image, ReadOptions(trust_voxels=True))

    np.testing.assert_array_equal(planes(mask), planes(image)[..., 0])


def test_channels_and_bodies_are_trusted_alike(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{name}.nii", VALUES, affine) for name, affine in (("a", PLACED), ("b", IDENTITY))]
    content = Content("nifti", tuple(paths), body=paths[1])

    with pytest.raises(SourceError, match="of the same case"):
        open_image(content, ReadOptions())
    image = open_image(content, ReadOptions(trust_voxels=True))

    np.testing.assert_array_equal(planes(image)[..., 0], planes(image)[..., 1])


def test_labels_of_other_voxels_cannot_be_trusted(tmp_path: Path) -> None:
    image = load(save(tmp_path / "a.nii", VALUES, PLACED))
    content = Content("nifti", (save(tmp_path / "m.nii", VALUES[:-1], PLACED),))

    with pytest.raises(SourceError, match="export the mask at the size of the image"):
        registry.open_mask(content, image, ReadOptions(trust_voxels=True))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.where(VALUES == 7, 1.5, 0).astype(np.float32), "has the label 1.5, expected whole numbers"),
        (np.where(VALUES == 7, np.nan, 0).astype(np.float32), "has NaN or infinite labels"),
        (np.where(VALUES == 7, -1, 0).astype(np.int16), "has the label -1, expected 0 or more"),
        (np.where(VALUES == 7, -1, 0).astype(np.float32), "has the label -1, expected 0 or more"),
        (np.stack([VALUES, VALUES], axis=-1), "is 2 x 3 x 4 x 2, a mask has three axes"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path: Path, values: npt.NDArray[Any], reason: str) -> None:
    path = save(tmp_path / "a.nii", values)

    with pytest.raises(SourceError, match=reason) as caught:
        load_mask(path)
    assert str(caught.value).startswith(path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("bad", "count"), [([np.nan], 1), ([np.inf, -np.inf], 2), ([1e300], 1)])
def test_voxels_that_are_no_numbers_are_refused(tmp_path: Path, bad: list[float], count: int, *, packed: bool) -> None:
    values = VALUES.astype(np.float64)
    values[0, 0, : len(bad)] = bad
    path = save(tmp_path / ("a.nii.gz" if packed else "a.nii"), values)

    with pytest.raises(SourceError, match=f"has {count} NaN or infinite voxels; ") as caught:
        load(path).plane(3)
    assert str(caught.value).startswith(path)


def test_the_real_case_of_2015_is_read_with_its_brain(shared_data: Path) -> None:
    case = shared_data / "layouts" / "brats2015_deepmedic" / "train" / "brats_2013_pat0006_1"
    paths = tuple(str(case / f"{name}_subtrMeanDivStd.nii.gz") for name in ("Flair", "T1c"))

    image = open_image(Content("nifti", paths, body=str(case / "brainmask.nii.gz")), ReadOptions())
    mask = registry.open_mask(Content("nifti", (str(case / "OTMultiClass.nii.gz"),)), image, ReadOptions())

    assert (image.size, image.n_planes, image.channels, image.dtype.name) == ((240, 240), 155, 2, "float32")
    assert np.unique(planes(mask)).tolist() == [0, 1, 2, 3, 4]
    flair = np.asarray(nib.load(paths[0]).dataobj)  # stored to the left, the back and the top already
    np.testing.assert_array_equal(image.plane(70)[..., 0], flair[:, :, 70].T)
    brain = np.asarray(nib.load(case / "brainmask.nii.gz").dataobj)[:, :, 70].T > 0.5
    np.testing.assert_array_equal(image.body(70), brain)
    assert 0.1 < brain.mean() < 0.5
