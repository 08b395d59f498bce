"""Files of arrays that are damaged, boundless or lead elsewhere are refused in one line, and never unpickled."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.pipeline.decoders.array_containers import list_arrays
from hsmix_gen.pipeline.decoders.stack import ReadOptions, whole_numbers
from hsmix_gen.schemas.errors import SourceError
from tests.pipeline.decoders.written_arrays import PICTURE, every_kind, h5, image, npy, npz, refusal

# -- damage


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty (0 bytes); copy it again"),
        (b"<html>no data</html>", "is no npy, npz or HDF5 file; copy it again or check its ending"),
        (b"PK\x03\x04 and no more", "is damaged: File is not a zip file; copy it again"),
        (b"PK\x05\x06" + bytes(18), "holds no arrays; save it again"),
        (b"\x93NUMPY\x01\x00", "is damaged: "),
        (b"\x93NUMPY\x02\x00\x00\x00\x00\x80{}", "has an npy header of 2147483648 bytes, expected at most 65536"),
        (b"\x93NUMPY\x03\x00\x00\x00", "has an npy header of version 3.0, expected 1.0 or 2.0; save it again"),
        (b"\x93NUMPY\x01\x00" + struct.pack("<H", 8) + b"{'a': 1}", "is damaged: "),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "is damaged: "),
    ],
)
def test_a_file_that_is_no_array_is_refused_in_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)

    assert refusal(lambda: image(path), path).startswith(reason)


@every_kind
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, write: Callable[..., Path], share: float) -> None:
    path = write(tmp_path, np.random.default_rng(5).integers(0, 255, (90, 70), np.uint8))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    assert refusal(lambda: image(path), path).startswith("is damaged: ")


@pytest.mark.parametrize("place", [300, 100_000])
def test_a_flipped_byte_in_a_member_is_refused(tmp_path: Path, place: int) -> None:
    """The zip's checksum is compared also for members without compression, which are not read through zipfile."""
    path = tmp_path / "a.npz"
    np.savez(path, image=np.full((300, 400), 7, np.uint8))
    data = bytearray(path.read_bytes())
    data[place] = 9
    path.write_bytes(data)

    assert refusal(lambda: image(path), path) == "is damaged: Bad CRC-32 for file 'image.npy'; copy it again"


@pytest.mark.parametrize(
    ("values", "key", "reason"),
    [
        *((np.zeros(shape, np.uint8), "", f"has the shape {shape}, ") for shape in ((0, 3), (2, 0), (0,), ())),
        (PICTURE, ";axes=zyx", "has the shape (2, 3), expected 3 axes (slices, rows, columns); save it so"),
        (np.zeros((2, 3, 17), np.uint8), ";axes=yxc", "has 17 channels, at most 16 are read; leave some out"),
        (np.array([["a"]]), "", "holds type "),
        (np.array([[1j]]), "", "holds type "),
        (np.zeros((1, 1), [("a", "u1")]), "", "holds type "),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(
    tmp_path: Path, values: npt.NDArray[Any], key: str, reason: str
) -> None:
    path = npy(tmp_path, values)

    assert refusal(lambda: image(path, key), path).startswith(reason)


def test_an_empty_dataset_is_refused(tmp_path: Path) -> None:
    path = h5(tmp_path, image=h5py.Empty("f4"))

    assert refusal(lambda: image(path, "image"), path).startswith("has the shape ()")


def test_an_absent_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "none.npz"

    assert refusal(lambda: image(path), path).startswith("cannot be read (No such file or directory)")


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


@every_kind
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


def test_a_filter_that_is_not_installed_is_reported(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("values", "stated"),
    [
        (np.array([0.0, 0.4, 1.0]), "has the label 0.4, expected whole numbers; .*, or cut it with --threshold 0.5$"),
        (np.array([0.0, 1.4, 2.0]), "has the label 1.4, expected whole numbers; save it without interpolation$"),
        (np.array([0.0, np.nan]), "has NaN or infinite labels"),
        (np.array([0, -1, 1]), "has the label -1, .* give pixels of no class the value 255$"),
        (np.array([0.0, 1e12]), "expected at most .*; number the classes from 0$"),
    ],
)
def test_labels_that_are_none_are_refused_with_the_way_out(values: Any, stated: str) -> None:
    with pytest.raises(SourceError, match=stated):
        whole_numbers(values, "a.npz")
