"""Pictures in tar members and Parquet rows are decoded where they lie; nothing is unpacked, unpickled or believed."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hsmix_gen.pipeline.decoders import packed_members
from hsmix_gen.pipeline.decoders.packed_members import open_image, open_mask, read_tar_index
from hsmix_gen.pipeline.decoders.stack import ReadOptions, Stack
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content
from tests.written import npy, png, tar

HOW = ReadOptions()
IMAGE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
MASK = np.array([[0, 1, 2], [2, 0, 7]], np.uint8)


def table(path: Path, columns: Mapping[str, Any], *, rows_a_group: int = 2) -> Path:
    pq.write_table(pa.table(dict(columns)), path, row_group_size=rows_a_group)
    return path


def image_in(path: Path, key: str, how: ReadOptions = HOW) -> Stack:
    return open_image(Content("member", (str(path),), key), how)


def mask_in(path: Path, key: str, how: ReadOptions = HOW) -> Stack:
    content = Content("member", (str(path),), key)
    return open_mask(content, open_image(content, how), how)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("name", ["a.image.png", "deep/" * 40 + "ä.image.png"])
def test_a_member_of_a_tar_file_is_decoded(tmp_path: Path, name: str, form: int) -> None:
    path = tar(tmp_path / "s.tar", {"x.txt": b"before", name: png(IMAGE), "z": b"after"}, form=form)

    stack = image_in(path, name)

    assert (stack.size, stack.n_planes, stack.channels, stack.is_picture) == ((4, 6), 1, 3, True)
    assert stack.dtype == np.uint8
    assert np.array_equal(stack.plane(0), IMAGE)


def test_a_mask_in_a_tar_file_keeps_its_values(tmp_path: Path) -> None:
    path = tar(tmp_path / "s.tar", {"a.mask.png": png(MASK)})

    assert mask_in(path, "a.mask.png").plane(0).tolist() == MASK.tolist()


@pytest.mark.parametrize("column", ["struct", "binary", "large_binary"])
def test_a_cell_of_a_parquet_file_is_decoded_whatever_its_row_group(tmp_path: Path, column: str) -> None:
    data = [png(IMAGE + i) for i in range(5)]
    if column == "struct":
        values = pa.array([{"bytes": one, "path": f"{i}.png"} for i, one in enumerate(data)])
    else:
        values = pa.array(data, getattr(pa, column)())
    path = table(tmp_path / "t.parquet", {"n": range(5), "im;age": values})

    assert [int(image_in(path, f"{row};im;age").plane(0)[0, 0, 0]) for row in (4, 0, 2, 3, 1)] == [4, 0, 2, 3, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, ">i2", np.float16])
@pytest.mark.parametrize("fortran", [True, False])
def test_an_npy_image_keeps_its_numbers(tmp_path: Path, dtype: Any, fortran: bool) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    path = tar(tmp_path / "s.tar", {"a.npy": npy(np.asfortranarray(values) if fortran else values)})

    stack = image_in(path, "a.npy")

    assert (stack.size, stack.channels) == ((2, 3), 4)
    assert stack.dtype.isnative
    assert stack.plane(0).tolist() == values.tolist()
    assert stack.is_picture == (np.dtype(dtype).kind == "u")


def test_an_npy_image_without_channels_has_one(tmp_path: Path) -> None:
    stack = image_in(tar(tmp_path / "s.tar", {"a.npy": npy(MASK)}), "a.npy")

    assert stack.plane(0).tolist() == MASK[..., None].tolist()


@pytest.mark.parametrize("values", [MASK, MASK.astype(np.float32), MASK[..., None].astype(np.int64)])
def test_an_npy_mask_holds_whole_numbers(tmp_path: Path, values: npt.NDArray[Any]) -> None:
    stack = mask_in(tar(tmp_path / "s.tar", {"a.npy": npy(values)}), "a.npy")

    assert stack.dtype.kind in "iu"
    assert stack.plane(0).tolist() == MASK.tolist()


def test_equal_members_have_equal_digests(tmp_path: Path) -> None:
    path = tar(tmp_path / "s.tar", {"a.npy": npy(MASK), "b.npy": npy(MASK), "c.npy": npy(MASK + 1)})
    other = table(tmp_path / "t.parquet", {"m": [npy(MASK)]})

    a, b, c = (mask_in(path, f"{name}.npy").digest(0) for name in "abc")

    assert a == b == mask_in(other, "0;m").digest(0) != c


def header(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": kind, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty (0 bytes)"),
        (b"text", "is no image that can be read"),
        (png(IMAGE)[:48], "is damaged"),
        (npy(IMAGE)[:-1], "is damaged: 71 bytes of numbers, not 72"),
        (npy(IMAGE)[:9], "is damaged"),
        (header((10**6, 10**6, 3)), "more than source.max_pixels"),
        (header((4, 6, 10**12)), "is damaged: 0 bytes of numbers"),
        (header((-4, -6)), "is damaged"),
        (npy(np.array([[{}]], dtype=object), allow_pickle=True), "are never unpickled"),
        (npy(np.array([["a"]])), "expected numbers"),
        (npy(np.zeros((2, 2, 2, 2))), "has the shape (2, 2, 2, 2)"),
        (npy(np.zeros((0, 2))), "has the shape (0, 2)"),
        (b"\x93NUMPY\x03\x00" + npy(MASK)[8:], "is an npy file of version 3.0"),
    ],
)
def test_a_member_that_cannot_be_decoded_is_refused_by_its_name(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tar(tmp_path / "s.tar", {"a.npy": data})

    with pytest.raises(SourceError) as refused:
        image_in(path, "a.npy").plane(0)

    assert str(refused.value).startswith(f"{path}#a.npy ")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (MASK + 0.5, "expected whole numbers"),
        (np.full((2, 3), np.nan), "NaN"),
        (np.zeros((2, 3, 2)), "one number a pixel"),
        (-MASK.astype(int), "expected 0 or more"),
    ],
)
def test_an_npy_mask_of_other_numbers_is_refused(tmp_path: Path, values: npt.NDArray[Any], reason: str) -> None:
    path = tar(tmp_path / "s.tar", {"a.npy": npy(values)})

    with pytest.raises(SourceError, match=reason) as refused:
        mask_in(path, "a.npy")

    assert str(refused.value).startswith(f"{path}#a.npy ")


def test_pictures_of_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = tar(tmp_path / "s.tar", {"a.png": png(IMAGE)})

    with pytest.raises(SourceError, match=r"has 6 x 4 pixels, more than source\.max_pixels = 20"):
        image_in(path, "a.png", ReadOptions(max_pixels=20))


def test_a_member_of_absurd_size_is_not_read(tmp_path: Path) -> None:
    path = tar(tmp_path / "s.tar", {"a.png": bytes(1000)})

    with pytest.raises(SourceError, match=r"has 1000 bytes, more than source\.max_pixels = 20 pixels can take"):
        image_in(path, "a.png", ReadOptions(max_pixels=20))


@pytest.mark.parametrize("key", ["9;m", "-1;m", "0;other"])
def test_a_cell_that_is_not_there_is_refused(tmp_path: Path, key: str) -> None:
    path = table(tmp_path / "t.parquet", {"m": [npy(MASK)]})

    with pytest.raises(SourceError, match=r"t\.parquet"):
        mask_in(path, key)


def test_a_member_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"s\.tar#b\.png is not in the file"):
        image_in(tar(tmp_path / "s.tar", {"a.png": png(IMAGE)}), "b.png")


def test_a_cell_whose_picture_lies_in_a_file_is_refused(tmp_path: Path) -> None:
    path = table(
        tmp_path / "t.parquet", {"m": pa.array([{"bytes": None, "path": "a.png"}, {"bytes": b"x", "path": ""}])}
    )

    with pytest.raises(SourceError, match="put them into the table"):
        image_in(path, "0;m")


@pytest.mark.parametrize("name", ["s.tar", "t.parquet"])
@pytest.mark.parametrize("data", [b"", b"PAR1 no", bytes(range(256)) * 40, None])
def test_a_damaged_file_is_refused_by_its_name(tmp_path: Path, name: str, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)

    with pytest.raises(SourceError) as refused:
        image_in(tmp_path / name, "0;m")

    assert str(refused.value).startswith(str(tmp_path / name))
    assert "\n" not in str(refused.value)


def test_members_are_found_by_an_index_that_is_made_once(tmp_path: Path) -> None:
    path = str(tar(tmp_path / "s.tar", {"a": b"12", "b": b"345"}, form=tarfile.USTAR_FORMAT))

    index = read_tar_index(path)

    assert index.members == {"a": (512, 2), "b": (1536, 3)}
    assert (index.twice, index.strange, index.problem) == (frozenset(), (), "")
    assert read_tar_index(path) is index


def test_a_row_group_is_read_once_for_its_rows(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet", {"i": [png(IMAGE)] * 4, "m": [npy(MASK)] * 4}, rows_a_group=2)
    packed_members._column.cache_clear()

    for row in range(4):
        image_in(path, f"{row};i")
        image_in(path, f"{row};m")

    assert packed_members._column.cache_info().misses == 4


def test_a_name_that_occurs_twice_is_reported(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("a"))

    assert read_tar_index(str(tmp_path / "s.tar")).twice == {"a"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_reported_and_no_members(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        info = tarfile.TarInfo("a.png")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)

    index = read_tar_index(str(tmp_path / "s.tar"))

    assert (index.members, index.strange) == ({}, ("a.png",))


@pytest.mark.parametrize("end", [600, 1100, 1536, 2048, 2300])
def test_a_file_that_is_cut_short_keeps_the_members_before_the_cut(tmp_path: Path, end: int) -> None:
    path = tar(tmp_path / "s.tar", {"a": bytes(600), "b": bytes(600), "c": b""}, form=tarfile.USTAR_FORMAT)
    path.write_bytes(path.read_bytes()[:end])

    index = read_tar_index(str(path))

    assert list(index.members) == (["a"] if end >= 1536 else [])
    assert "ends early" in index.problem


def test_a_header_that_is_damaged_ends_the_file_and_is_reported(tmp_path: Path) -> None:
    """tarfile takes a damaged header after the first for the end, in silence."""
    path = tar(tmp_path / "s.tar", {"a": b"1", "b": b"2"}, form=tarfile.USTAR_FORMAT)
    data = bytearray(path.read_bytes())
    data[1024:1030] = b"broken"
    path.write_bytes(data)

    index = read_tar_index(str(path))

    assert list(index.members) == ["a"]
    assert index.problem == "is damaged or ends early at byte 1024; copy it again"


@pytest.mark.parametrize("size", [-1024, 2**62])
def test_a_member_of_impossible_size_ends_the_file(tmp_path: Path, size: int) -> None:
    """A negative size would let tarfile go round for ever."""
    with tarfile.open(tmp_path / "s.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        zeros = tarfile.TarInfo("a")
        zeros.size = 1024
        archive.addfile(zeros, io.BytesIO(bytes(1024)))
        info = tarfile.TarInfo("b")
        info.size = size
        archive.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))
        archive.offset += 512

    index = read_tar_index(str(tmp_path / "s.tar"))

    assert list(index.members) == ["a"]
    assert index.problem


@pytest.mark.parametrize(("mode", "command"), [("w:gz", "gunzip"), ("w:xz", "unxz"), ("w:bz2", "bunzip2")])
def test_a_compressed_tar_file_is_refused_with_the_way_out(tmp_path: Path, mode: Any, command: str) -> None:
    path = tmp_path / "s.tar"
    with tarfile.open(path, mode) as archive:
        archive.addfile(tarfile.TarInfo("a"))

    with pytest.raises(SourceError, match=f"is compressed.*{command}"):
        read_tar_index(str(path))
