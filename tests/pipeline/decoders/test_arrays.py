"""Arrays in npy, npz and HDF5 files are read as they are meant: shapes, values and names."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import pytest

from hsmix_gen.pipeline.decoders.array_containers import list_arrays
from hsmix_gen.pipeline.decoders.arrays import array_key, open_mask, pair_axes
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content
from tests.pipeline.decoders.written_arrays import PICTURE, VOLUME, every_kind, h5, image, mask, npy, npz, refusal

# -- shapes


@every_kind
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_picture_comes_out_of_every_kind_of_file(tmp_path: Path, write: Callable[..., Path], order: str) -> None:
    opened = image(write(tmp_path, np.array(PICTURE, order=order)), "")  # type: ignore[call-overload]

    assert (opened.size, opened.n_planes, opened.channels, opened.is_volume) == ((2, 3), 1, 1, False)
    assert opened.spacing is None
    assert opened.plane(0).tolist() == [[[0], [1], [2]], [[3], [4], [5]]]


@pytest.mark.parametrize(
    ("shape", "size", "n_planes", "channels", "is_volume"),
    [
        ((8, 9), (8, 9), 1, 1, False),
        ((8, 9, 4), (8, 9), 1, 4, False),
        ((20, 21, 16), (20, 21), 1, 16, False),
        ((4, 8, 9), (8, 9), 1, 4, False),
        ((5, 8, 9), (8, 9), 5, 1, True),
        ((20, 21, 17), (21, 17), 20, 1, True),
        ((20, 20, 17), (20, 20), 17, 1, True),
    ],
)
def test_axes_that_nobody_states_follow_from_the_shape(
    tmp_path: Path, shape: tuple[int, ...], size: tuple[int, int], n_planes: int, channels: int, is_volume: bool
) -> None:
    opened = image(npy(tmp_path, np.zeros(shape, np.uint8)))

    assert (opened.size, opened.n_planes, opened.channels, opened.is_volume) == (size, n_planes, channels, is_volume)


@pytest.mark.parametrize("axes", ["zyxc", "czyx", "zcyx", "yxzc", "cxyz"])
def test_stated_axes_are_brought_into_one_order(tmp_path: Path, axes: str) -> None:
    """Two slices, three rows, four columns, five channels; each value says where it belongs."""
    expected = np.arange(120, dtype=np.uint8).reshape(2, 3, 4, 5)
    stored = expected.transpose(["zyxc".index(axis) for axis in axes])

    opened = image(npy(tmp_path, stored), array_key("", axes))

    assert (opened.n_planes, opened.size, opened.channels, opened.is_volume) == (2, (3, 4), 5, True)
    assert np.array_equal(opened.plane(1), expected[1])


def test_a_volume_of_masks_has_its_slices_first(tmp_path: Path) -> None:
    opened = mask(h5(tmp_path, label=VOLUME), "label;axes=zyx", VOLUME)

    assert (opened.n_planes, opened.size, opened.is_volume) == (2, (2, 3), True)
    assert opened.plane(1).tolist() == [[6, 7, 8], [9, 10, 11]]


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3), (2, 3, 1)])
def test_a_lone_channel_of_a_mask_is_dropped(tmp_path: Path, shape: tuple[int, ...]) -> None:
    opened = mask(npy(tmp_path, PICTURE.reshape(shape)))

    assert (opened.n_planes, opened.is_volume) == (1, False)
    assert opened.plane(0).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("shape", [(12, 10, 10), (10, 10, 12)])
def test_a_mask_without_stated_axes_follows_its_volume(tmp_path: Path, shape: tuple[int, ...]) -> None:
    opened = mask(npy(tmp_path, np.zeros(shape, np.uint8)), "", np.zeros((12, 10, 10), np.uint8))

    assert (opened.n_planes, opened.size) == (12, (10, 10))


@pytest.mark.parametrize(
    ("image_shape", "mask_shape", "expected"),
    [
        ((5, 6), (5, 6), ("yx", "yx")),
        ((5, 6, 3), (5, 6), ("yxc", "yx")),
        ((4, 5, 6), (5, 6), ("cyx", "yx")),
        ((5, 6, 3), (5, 6, 1), ("yxc", "yxc")),
        ((1, 5, 6), (1, 5, 6), ("cyx", "cyx")),
        ((3, 5, 6), (3, 5, 6), ("zyx", "zyx")),
        ((20, 5, 6), (20, 5, 6), ("zyx", "zyx")),
        ((20, 20, 18), (20, 20, 18), ("yxz", "yxz")),
        ((20, 5, 6, 4), (20, 5, 6), ("zyxc", "zyx")),
        ((4, 20, 5, 6), (20, 5, 6), ("czyx", "zyx")),
        ((20, 4, 5, 6), (20, 5, 6), ("zcyx", "zyx")),
        ((4, 20, 5, 6), (1, 20, 5, 6), ("czyx", "czyx")),
        ((1, 5, 6, 3), (1, 5, 6), ("zyxc", "zyx")),
    ],
)
def test_the_mask_decides_what_the_axes_mean(
    image_shape: tuple[int, ...], mask_shape: tuple[int, ...], expected: tuple[str, str]
) -> None:
    assert pair_axes(image_shape, mask_shape) == expected


@pytest.mark.parametrize(
    ("image_shape", "mask_shape"), [((25, 26, 4), (25, 26, 3)), ((25, 26), (3, 25, 26)), ((25, 26, 3), (25, 26, 3))]
)
def test_one_channel_per_class_is_refused_with_the_way_out(
    image_shape: tuple[int, ...], mask_shape: tuple[int, ...]
) -> None:
    with pytest.raises(SourceError, match=r"one channel per class; save class numbers instead, as numpy\.argmax"):
        pair_axes(image_shape, mask_shape)


@pytest.mark.parametrize(
    ("image_shape", "mask_shape"), [((5, 6), (6, 5)), ((5, 6, 17), (5, 6)), ((4, 9), ()), ((7, 5, 6), (8, 5, 6))]
)
def test_shapes_that_do_not_belong_together_are_refused(
    image_shape: tuple[int, ...], mask_shape: tuple[int, ...]
) -> None:
    with pytest.raises(SourceError, match=r"image has the shape .* export the mask at the size of the image"):
        pair_axes(image_shape, mask_shape)


def test_a_mask_of_several_channels_is_refused_by_name(tmp_path: Path) -> None:
    path = npy(tmp_path, np.zeros((2, 3, 2), np.uint8))

    assert "one channel per class" in refusal(lambda: mask(path, ";axes=yxc"), path)
    assert "one channel per class" in refusal(lambda: mask(path), path)


# -- values


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int16", "int32", "float32", ">u2", ">f4", ">i4"])
def test_types_of_pixels_stay_in_the_order_of_this_machine(tmp_path: Path, dtype: str) -> None:
    opened = image(npy(tmp_path, np.array([[0, 1], [1, 0]], dtype)))

    assert opened.dtype == np.dtype(dtype).newbyteorder("=")
    assert opened.dtype.isnative
    assert opened.plane(0)[..., 0].tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floats_become_float32(tmp_path: Path, dtype: str) -> None:
    opened = image(h5(tmp_path, image=np.array([[0.5, -2]], dtype)), "image")

    assert opened.dtype == np.float32
    assert opened.plane(0)[..., 0].tolist() == [[0.5, -2]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_pixels_that_are_not_finite_are_counted_and_refused(tmp_path: Path, value: float) -> None:
    path = npy(tmp_path, np.array([[value, 0.0], [0.0, value]]))

    assert refusal(lambda: image(path), path) == "has 2 NaN or infinite pixels (as float32); replace them"


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64", ">f4"])
def test_labels_are_whole_numbers_whatever_their_type(tmp_path: Path, dtype: str) -> None:
    opened = mask(npy(tmp_path, np.array([[0, 1, 1], [1, 0, 0]], dtype)))

    assert opened.dtype == np.uint8
    assert opened.plane(0).tolist() == [[0, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("greatest", "dtype"), [(255, np.uint8), (256, np.uint16), (65535, np.uint16), (65536, np.uint32)]
)
@pytest.mark.parametrize("stored", [np.int64, np.float64])
def test_labels_get_the_smallest_type_that_holds_them(tmp_path: Path, greatest: int, dtype: type, stored: type) -> None:
    opened = mask(npy(tmp_path, np.array([[0, 1, greatest], [2, 0, 0]], stored)))

    assert opened.dtype == dtype
    assert opened.plane(0).tolist() == [[0, 1, greatest], [2, 0, 0]]


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_member_without_compression_is_read_in_either_order_of_axes(tmp_path: Path, order: Literal["C", "F"]) -> None:
    values = np.asarray(np.arange(30 * 50, dtype=np.int16).reshape(30, 50), order=order)
    np.savez(tmp_path / "a.npz", before=np.zeros(3), image=values)

    assert np.array_equal(image(tmp_path / "a.npz", "image").plane(0)[..., 0], values)


@pytest.mark.parametrize("chunks", [None, (3, 512, 256)])
@pytest.mark.parametrize(("last", "dtype"), [(7, np.uint8), (300, np.uint16)])
def test_float_labels_of_a_long_volume_are_read_whole(
    tmp_path: Path, chunks: tuple[int, ...] | None, last: int, dtype: type
) -> None:
    """They are converted in pieces of several slices; what needs more than 8 bits may stand in the last."""
    labels = np.arange(11, dtype=np.float32)[:, None, None] % 5 * np.ones((1, 512, 512), np.float32)
    labels[10, 511, 3] = last
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("label", data=labels, chunks=chunks)

    found = mask(tmp_path / "a.h5", "label;axes=zyx", np.zeros((11, 512, 512), np.uint8))

    assert found.dtype == dtype
    assert np.array_equal([found.plane(index) for index in range(11)], labels)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_pixel_among_enormous_ones_is_found(tmp_path: Path, bad: float) -> None:
    """Squares of enormous pixels are infinite, which proves nothing."""
    values = np.full((20, 30), 1e30, np.float32)
    assert image(npy(tmp_path, values)).plane(0).max() == np.float32(1e30)

    values[4, 5] = bad

    path = npy(tmp_path, values)
    assert refusal(lambda: image(path), path).startswith("has 1 NaN or infinite pixels")


# -- names


@pytest.mark.parametrize("write", [npz, h5], ids=["npz", "h5"])
def test_a_missing_array_is_reported_with_those_that_are_there(tmp_path: Path, write: Callable[..., Path]) -> None:
    path = write(tmp_path, img=PICTURE, seg=PICTURE)

    assert refusal(lambda: image(path, "image"), path) == (
        "has no array image, got img, seg; name the right one with --image-key"
    )
    assert refusal(lambda: mask(path, "label"), path) == (
        "has no array label, got img, seg; name the right one with --mask-key"
    )
    assert refusal(lambda: image(path), path) == ("has several arrays: img, seg; name the right one with --image-key")


@pytest.mark.parametrize("key", ["scan/raw", "/scan/raw", "scan/raw;axes=yx"])
def test_a_dataset_is_found_by_its_path(tmp_path: Path, key: str) -> None:
    assert image(h5(tmp_path, scan__raw=PICTURE, scan__seg=PICTURE + 1), key).plane(0)[1, 2].tolist() == [5]


@pytest.mark.parametrize("name", ["scan", "scan/raw/deeper", "scan/none"])
def test_a_group_or_what_is_below_a_dataset_is_no_array(tmp_path: Path, name: str) -> None:
    path = h5(tmp_path, scan__raw=PICTURE)

    assert refusal(lambda: image(path, name), path).startswith(f"has no array {name}, got scan/raw; ")


def test_headers_state_names_shapes_and_types(tmp_path: Path) -> None:
    listed = {
        path.name: [(form.name, form.shape, form.dtype.str) for form in list_arrays(path)]
        for path in (
            npy(tmp_path, VOLUME),
            npz(tmp_path, label=PICTURE, image=VOLUME.astype(">f4")),
            h5(tmp_path, g__label=PICTURE, g__image=VOLUME),
        )
    }

    assert listed == {
        "a.npy": [("", (2, 2, 3), "|u1")],
        "a.npz": [("image", (2, 2, 3), ">f4"), ("label", (2, 3), "|u1")],
        "a.npy.h5": [("g/image", (2, 2, 3), "|u1"), ("g/label", (2, 3), "|u1")],
    }


def test_the_content_decides_what_a_file_is_not_its_ending(tmp_path: Path) -> None:
    path = npz(tmp_path, image=PICTURE).rename(tmp_path / "a.h5")

    assert image(path, "image").size == (2, 3)


def test_probabilities_may_be_cut(tmp_path: Path) -> None:
    path = npz(tmp_path, label=np.array([[0.1, 0.5, 0.9]], np.float32))
    picture = ArrayStack(np.zeros((1, 1, 3, 1)))

    cut = open_mask(Content("array", (str(path),), "label"), picture, ReadOptions(threshold=0.5))

    assert cut.plane(0).tolist() == [[0, 1, 1]]


def test_labels_that_are_no_numbers_are_not_cut(tmp_path: Path) -> None:
    path = npz(tmp_path, label=np.array([[0.1, np.nan]], np.float32))

    with pytest.raises(SourceError, match=r"a\.npz has NaN labels, expected numbers to cut at 0\.5"):
        open_mask(
            Content("array", (str(path),), "label"), ArrayStack(np.zeros((1, 1, 2, 1))), ReadOptions(threshold=0.5)
        )
