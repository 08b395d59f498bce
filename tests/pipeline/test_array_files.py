"""Arrays in npy, npz and HDF5 files are read as they are meant, within bounds, and never unpickled."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.pipeline.array_containers import list_arrays
from hsmix_gen.pipeline.array_files import array_key, open_image, open_mask, pair_axes
from hsmix_gen.pipeline.stacks import ReadOptions, Stack
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content

HOW = ReadOptions()
# 2 rows, 3 columns; 2 slices of it; all values differ, so that every wrong turn shows.
PICTURE = np.arange(6, dtype=np.uint8).reshape(2, 3)
VOLUME = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def npy(folder: Path, values: npt.NDArray[Any], **options: Any) -> Path:
    np.save(folder / "a.npy", values, **options)
    return folder / "a.npy"


def npz(folder: Path, **arrays: Any) -> Path:
    np.savez_compressed(folder / "a.npz", **arrays)
    return folder / "a.npz"


def h5(folder: Path, **arrays: Any) -> Path:
    with h5py.File(folder / "a.npy.h5", "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name.replace("__", "/"), data=values)
    return folder / "a.npy.h5"


def image(path: Path, key: str = "", how: ReadOptions = HOW) -> Stack:
    return open_image(Content("array", (str(path),), key), how)


def mask(path: Path, key: str = "", beside: npt.NDArray[Any] | None = None, how: ReadOptions = HOW) -> Stack:
    beside = PICTURE if beside is None else beside
    other = path.parent / "beside.npy"
    np.save(other, beside)
    return open_mask(Content("array", (str(path),), key), image(other, "" if beside.ndim == 2 else ";axes=zyx"), how)


def refusal(call: Callable[[], object], path: Path) -> str:
    """Return what is told of a file, without its path, which comes first; it is one line."""
    with pytest.raises(SourceError) as refused:
        call()
    text = str(refused.value)
    assert text.startswith(f"{path} ")
    assert "\n" not in text
    return text.removeprefix(f"{path} ")


# -- shapes


@pytest.mark.parametrize(
    "write",
    [npy, lambda f, v: npz(f, image=v), lambda f, v: h5(f, image=v)],
    ids=["npy", "npz", "h5"],
)
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
def test_axes_that_nobody_tells_follow_from_the_shape(
    tmp_path: Path, shape: tuple[int, ...], size: tuple[int, int], n_planes: int, channels: int, is_volume: bool
) -> None:
    opened = image(npy(tmp_path, np.zeros(shape, np.uint8)))

    assert (opened.size, opened.n_planes, opened.channels, opened.is_volume) == (size, n_planes, channels, is_volume)


@pytest.mark.parametrize("axes", ["zyxc", "czyx", "zcyx", "yxzc", "cxyz"])
def test_told_axes_are_brought_into_one_order(tmp_path: Path, axes: str) -> None:
    """Two slices, three rows, four columns, five channels; each value tells where it belongs."""
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
def test_a_mask_without_told_axes_follows_its_volume(tmp_path: Path, shape: tuple[int, ...]) -> None:
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


@pytest.mark.parametrize(
    ("value", "reason"),
    [(0.5, "has the label 0.5"), (-1.0, "has the label -1"), (np.nan, "has NaN or infinite labels")],
)
def test_labels_that_are_no_whole_numbers_are_refused_by_name(tmp_path: Path, value: float, reason: str) -> None:
    path = npz(tmp_path, label=np.full((2, 3), value, np.float32))

    assert refusal(lambda: mask(path, "label"), path).startswith(reason)


# -- names


@pytest.mark.parametrize("write", [npz, h5], ids=["npz", "h5"])
def test_a_missing_array_is_told_with_those_that_are_there(tmp_path: Path, write: Callable[..., Path]) -> None:
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


def test_headers_tell_names_shapes_and_types(tmp_path: Path) -> None:
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


# -- damage


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty (0 bytes); copy it again"),
        (b"<html>no data</html>", "is no npy, npz or HDF5 file; copy it again or check its ending"),
        (b"PK\x03\x04 and no more", "is damaged: File is not a zip file; copy it again"),
        (b"PK\x05\x06" + bytes(18), "holds no arrays; save it again"),
        (b"\x93NUMPY\x01\x00", "is damaged: "),
        (b"\x93NUMPY\x03\x00\x00\x00", "has an npy header of version 3.0, expected 1.0 or 2.0; save it again"),
        (b"\x93NUMPY\x01\x00" + struct.pack("<H", 8) + b"{'a': 1}", "is damaged: "),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "is damaged: "),
    ],
)
def test_a_file_that_is_no_array_is_refused_in_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)

    assert refusal(lambda: image(path), path).startswith(reason)


@pytest.mark.parametrize(
    "write",
    [npy, lambda f, v: npz(f, image=v), lambda f, v: h5(f, image=v)],
    ids=["npy", "npz", "h5"],
)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, write: Callable[..., Path], share: float) -> None:
    path = write(tmp_path, np.random.default_rng(5).integers(0, 255, (90, 70), np.uint8))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    assert refusal(lambda: image(path), path).startswith("is damaged: ")


def test_a_flipped_byte_in_a_member_is_refused(tmp_path: Path) -> None:
    """The zip's checksum covers the values."""
    np.savez(tmp_path / "a.npz", image=np.full((30, 40), 7, np.uint8))
    path = tmp_path / "a.npz"
    path.write_bytes(path.read_bytes().replace(b"\x07\x07\x07\x07\x07", b"\x07\x07\x09\x07\x07", 1))

    assert refusal(lambda: image(path), path).startswith("is damaged: Bad CRC-32")


def test_an_absent_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "none.npz"

    assert refusal(lambda: image(path), path).startswith("cannot be read (No such file or directory)")


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0,), ()])
def test_arrays_without_two_full_sides_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = npy(tmp_path, np.zeros(shape, np.uint8))

    assert refusal(lambda: image(path), path).startswith(f"has the shape {shape}, ")


def test_told_axes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = npy(tmp_path, PICTURE)

    assert refusal(lambda: image(path, ";axes=zyx"), path) == (
        "has the shape (2, 3), expected 3 axes (slices, rows, columns); save it so"
    )


def test_more_channels_than_sixteen_are_refused(tmp_path: Path) -> None:
    path = npy(tmp_path, np.zeros((2, 3, 17), np.uint8))

    assert refusal(lambda: image(path, ";axes=yxc"), path) == "has 17 channels, at most 16 are read; leave some out"


# -- security


class Bomb:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("was unpickled",))


def objects() -> npt.NDArray[Any]:
    values = np.empty((2, 2), object)
    values[0, 0] = Bomb()
    return values


@pytest.mark.parametrize(
    "write", [lambda f: npy(f, objects(), allow_pickle=True), lambda f: npz(f, image=objects())], ids=["npy", "npz"]
)
def test_objects_are_never_unpickled(tmp_path: Path, write: Callable[..., Path]) -> None:
    path = write(tmp_path)

    assert refusal(lambda: image(path), path) == "holds Python objects, which are never unpickled; save it as numbers"
    assert list_arrays(path)[0].dtype == object


@pytest.mark.parametrize("values", [np.array([["a"]]), np.array([[1j]]), np.zeros((1, 1), [("a", "u1")])])
def test_arrays_that_are_no_numbers_are_refused(tmp_path: Path, values: npt.NDArray[Any]) -> None:
    path = npy(tmp_path, values)

    assert refusal(lambda: image(path), path).startswith("holds type ")


@pytest.mark.parametrize(
    "write",
    [npy, lambda f, v: npz(f, image=v), lambda f, v: h5(f, image=v)],
    ids=["npy", "npz", "h5"],
)
def test_bounds_hold_for_each_kind_of_file(tmp_path: Path, write: Callable[..., Path]) -> None:
    path = write(tmp_path, np.zeros((5, 30, 40), np.uint8))

    assert refusal(lambda: image(path, how=ReadOptions(max_pixels=1199)), path) == (
        "has 40 x 30 pixels, more than source.max_pixels = 1199; raise it if the file is genuine"
    )
    assert refusal(lambda: image(path, how=ReadOptions(max_voxels=5999)), path) == (
        "has 6000 voxels, more than source.max_voxels = 5999; raise it if the file is genuine"
    )
    assert image(path, how=ReadOptions(max_pixels=1200, max_voxels=6000)).n_planes == 5


def header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(1_000_000, 1_000_000), (2, 4)])
def test_a_header_that_announces_more_than_there_is_reads_nothing(tmp_path: Path, shape: tuple[int, int]) -> None:
    plain, packed = tmp_path / "a.npy", tmp_path / "a.npz"
    plain.write_bytes(header(shape) + bytes(7))
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("image.npy", header(shape) + bytes(7))

    expected = f"is damaged: 7 bytes where its header announces {shape[0] * shape[1]}; copy it again"
    assert refusal(lambda: image(plain), plain) == expected
    assert refusal(lambda: image(packed), packed) == expected


def test_a_member_with_more_than_its_header_announces_is_refused(tmp_path: Path) -> None:
    """A member of gigabytes of zeros behind a small header takes kilobytes in the zip."""
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("image.npy", header((2, 3)) + bytes(1000))

    assert refusal(lambda: image(path), path) == ("is damaged: 1000 bytes where its header announces 6; copy it again")


def test_a_chunk_that_is_larger_than_its_array_is_bounded_too(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("image", (20, 30), "u1", chunks=(1000, 1000), maxshape=(None, None), compression="gzip")

    assert refusal(lambda: image(path, how=ReadOptions(max_voxels=999_999)), path).startswith("has 1000000 voxels")


def outside(folder: Path, how: str) -> Path:
    """Write an HDF5 file whose array ``image`` lies elsewhere, at a place that exists."""
    folder.joinpath("values.bin").write_bytes(bytes(range(6)))
    with h5py.File(folder / "other.h5", "w") as file:
        file["image"] = PICTURE
    with h5py.File(folder / "a.h5", "w") as file:
        file["label"] = PICTURE
        if how == "external link":
            file["image"] = h5py.ExternalLink("other.h5", "image")
        elif how == "soft link":
            file["image"] = h5py.SoftLink("/label")
        elif how == "external storage":
            file.create_dataset("image", (2, 3), "u1", external=[(str(folder / "values.bin"), 0, 6)])
        else:
            layout = h5py.VirtualLayout((2, 3), "u1")
            layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "image", (2, 3))
            file.create_virtual_dataset("image", layout)
    return folder / "a.h5"


@pytest.mark.parametrize("how", ["external link", "soft link", "external storage", "virtual dataset"])
def test_no_array_is_followed_out_of_its_file(tmp_path: Path, how: str) -> None:
    path = outside(tmp_path, how)

    assert refusal(lambda: image(path, "image"), path) == (
        "has image as a link or in another file, which is not followed; copy the values into this file"
    )
    if how != "soft link":
        assert refusal(lambda: list_arrays(path), path).startswith("has image as a link or in another file")


def test_a_group_that_is_an_external_link_is_not_entered(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["image"] = PICTURE
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["scan"] = h5py.ExternalLink("other.h5", "/")

    assert refusal(lambda: image(path, "scan/image"), path).startswith("has scan/image as a link")


def test_groups_in_a_loop_are_listed_once(tmp_path: Path) -> None:
    path = h5(tmp_path, g__image=PICTURE)
    with h5py.File(path, "a") as file:
        file["g/again"] = file["g"]

    assert [form.name for form in list_arrays(path)] == ["g/image"]


def test_a_filter_that_is_not_installed_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((2, 3))
        settings.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((2, 3))
        h5py.h5d.create(file.id, b"image", h5py.h5t.NATIVE_UINT8, space, settings)

    assert refusal(lambda: image(path, "image"), path) == (
        "is compressed by filter 32015 (unnamed), which is not installed; repack it with gzip"
    )


def test_an_empty_dataset_is_refused(tmp_path: Path) -> None:
    path = h5(tmp_path, image=h5py.Empty("f4"))

    assert refusal(lambda: image(path, "image"), path).startswith("has the shape ()")


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_member_without_compression_is_read_in_either_order_of_axes(tmp_path: Path, order: Literal["C", "F"]) -> None:
    values = np.asarray(np.arange(30 * 50, dtype=np.int16).reshape(30, 50), order=order)
    np.savez(tmp_path / "a.npz", before=np.zeros(3), image=values)

    assert np.array_equal(image(tmp_path / "a.npz", "image").plane(0)[..., 0], values)


def test_a_flipped_byte_far_into_a_member_without_compression_is_refused(tmp_path: Path) -> None:
    """Such members are not read through zipfile, which would compare the checksum."""
    path = tmp_path / "a.npz"
    np.savez(path, image=np.full((300, 400), 7, np.uint8))
    data = bytearray(path.read_bytes())
    data[100_000] = 9
    path.write_bytes(data)

    assert refusal(lambda: image(path), path) == "is damaged: Bad CRC-32 for file 'image.npy'; copy it again"


def test_a_header_of_npy_that_claims_to_be_endless_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x02\x00" + (1 << 31).to_bytes(4, "little") + b"{}")

    assert refusal(lambda: image(path), path).startswith(
        "has an npy header of 2147483648 bytes, expected at most 65536"
    )


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
