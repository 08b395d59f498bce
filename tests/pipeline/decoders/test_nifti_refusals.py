"""Files that are no volumes, damaged, too large or without a frame are refused in one line, before they are read."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.pipeline.decoders.nifti_volumes import open_image
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content

nib: Any = nibabel  # its functions bear no types
VALUES = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
DIM, DATATYPE, PIXDIM, OFFSET, QFORM, SFORM, SROW = 40, 70, 76, 108, 252, 254, 280
"""Places in the header of NIfTI-1."""


def whole() -> bytes:
    data: bytes = nib.Nifti1Image(VALUES, np.eye(4)).to_bytes()
    return data


def patched(at: int, form: str, *values: Any) -> bytes:
    data = bytearray(whole())
    struct.pack_into(f"<{form}", data, at, *values)
    return bytes(data)


def without_frame(*pixdim: float) -> bytes:
    data = bytearray(patched(SFORM, "h", 0))
    struct.pack_into("<h", data, QFORM, 0)
    struct.pack_into("<8f", data, PIXDIM, 1, *pixdim, 0, 0, 0, 0)
    return bytes(data)


def refusal(path: Path, data: bytes, **limits: Any) -> str:
    """Return why a file is refused, whether at once or with its first plane."""
    path.write_bytes(data)
    with pytest.raises(SourceError) as caught:
        open_image(Content("nifti", (str(path),)), ReadOptions(**limits)).plane(0)
    reason = str(caught.value)
    assert reason.startswith(f"{path} ")
    assert "\n" not in reason
    return reason


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("a.nii", lambda: b"", "is empty (0 bytes)"),
        ("a.nii.gz", lambda: b"", "is empty (0 bytes)"),
        ("a.nii.gz", lambda: b"a note, no volume\n" * 40, "is no NIfTI file"),
        ("a.nii.gz", lambda: gzip.compress(b"a note, no volume\n" * 40), "is no NIfTI file"),
        ("a.nii", lambda: patched(344, "4s", b"abcd"), "is no NIfTI file"),
        ("a.nii", lambda: patched(344, "4s", b"\0\0\0\0"), "is no NIfTI file"),
        ("a.nii", lambda: whole()[:300], "is no NIfTI file"),
        ("a.nii", lambda: whole()[:-1], "is truncated: 399 bytes cannot hold its 48 bytes of voxels"),
        ("a.nii.gz", lambda: gzip.compress(whole())[:30], "is "),
        ("a.nii.gz", lambda: gzip.compress(whole()[:-1]), "is damaged: Expected 48 bytes, got 47 bytes"),
        ("a.nii.gz", lambda: gzip.compress(whole())[:-4], "is damaged: Compressed file ended before"),
        (
            "a.nii.gz",
            lambda: gzip.compress(whole())[:-8] + bytes(8),
            "is damaged: Error -3 while decompressing data: incorrect data check",
        ),
        ("a.nii.gz", lambda: b"\x1f\x8b" + bytes(200), "is damaged: "),
        ("a.nii", lambda: patched(DIM, "h", 0), "has 0 dimensions"),
        ("a.nii", lambda: patched(DIM, "h", 1), "has 1 dimensions"),
        ("a.nii", lambda: patched(DIM + 4, "h", 0), "has the size 2 x 0 x 4, expected 1 or more"),
        ("a.nii", lambda: patched(DIM + 4, "h", -3), "has the size 2 x -3 x 4, expected 1 or more"),
        ("a.nii", lambda: patched(DATATYPE, "h", 9999), "is damaged: data code 9999 not recognized"),
        ("a.nii", lambda: patched(OFFSET, "f", 100), "is damaged: vox offset 100 too low"),
        ("a.nii", lambda: patched(OFFSET, "f", 1e9), "has its voxels at byte 1000000000"),
        ("a.nii", lambda: patched(OFFSET, "f", float("inf")), "is damaged: "),
        ("a.nii", lambda: patched(SROW, "f", float("nan")), "has NaN or infinite numbers in its affine"),
        ("a.nii", lambda: patched(SROW, "f", 0), "has voxels of 0 x 1 x 1 mm, expected more than 0"),
        ("a.nii", lambda: patched(SROW + 4, "f", 0.5), "has a sheared affine (axes at 63.4 degrees, expected 90)"),
        ("a.nii", lambda: patched(SROW, "12f", *([1.0] * 12)), "has a sheared affine (axes at 0.0 degrees"),
        (
            "a.nii",
            lambda: without_frame(1, 0, 1),
            "has a voxel spacing of 0 mm (pixdim [1.0, 0.0, 1.0])",
        ),
        (
            "a.nii",
            lambda: without_frame(1, float("nan"), 1),
            "has NaN or infinite numbers in its affine",
        ),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, make: Callable[[], bytes], reason: str) -> None:
    assert reason in refusal(tmp_path / name, make())


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (VALUES.astype(np.complex64), "holds complex numbers, expected one number a voxel"),
        (np.zeros((2, 3, 4), [(c, "u1") for c in "RGB"]), "holds colours, expected one number a voxel"),
        (np.zeros((2, 3, 4, 2, 2), np.int16), "has the size 2 x 3 x 4 x 2 x 2, expected three axes, or a fourth"),
    ],
)
def test_numbers_that_are_no_intensities_are_refused(tmp_path: Path, values: npt.NDArray[Any], reason: str) -> None:
    assert reason in refusal(tmp_path / "a.nii", nib.Nifti1Image(values, np.eye(4)).to_bytes())


@pytest.mark.parametrize("packed", [False, True])
def test_more_voxels_than_allowed_are_refused_by_the_header_alone(tmp_path: Path, *, packed: bool) -> None:
    data = patched(DIM, "8h", 3, 30000, 30000, 30000, 1, 1, 1, 1)

    reason = refusal(tmp_path / "a.nii.gz", gzip.compress(data) if packed else data)

    assert "has 30000 x 30000 x 30000 voxels, more than source.max_voxels = 1000000000; raise it" in reason


def test_channels_of_several_files_count_together(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{name}.nii") for name in "ab"]
    for path in paths:
        Path(path).write_bytes(whole())

    open_image(Content("nifti", tuple(paths)), ReadOptions(max_voxels=48))
    with pytest.raises(SourceError, match=r"has 2 x 3 x 4 voxels in 2 channels, more than source\.max_voxels = 47"):
        open_image(Content("nifti", tuple(paths)), ReadOptions(max_voxels=47))


def test_a_plane_larger_than_allowed_is_refused(tmp_path: Path) -> None:
    assert "has planes of 2 x 3 pixels, more than source.max_pixels = 5" in refusal(
        tmp_path / "a.nii", whole(), max_pixels=5
    )


def test_a_header_that_promises_more_than_the_file_can_hold_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    data = gzip.compress(patched(DIM, "8h", 3, 900, 900, 900, 1, 1, 1, 1))

    assert "bytes cannot hold its 1458000000 bytes of voxels" in refusal(tmp_path / "a.nii.gz", data)


def test_the_length_of_an_extension_does_not_matter(tmp_path: Path) -> None:
    """nibabel reads what an extension claims to be long, gigabytes of a small packed file."""
    data = bytearray(whole())
    data[348:352] = b"\1\0\0\0"
    data[352:352] = struct.pack("<ii", 0x7FFFFFF0, 6) + bytes(8)
    struct.pack_into("<f", data, OFFSET, 368)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(data)))

    image = open_image(Content("nifti", (str(tmp_path / "a.nii.gz"),)), ReadOptions())

    assert image.plane(1)[2, 1, 0] == 1


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.nii cannot be read \(No such file or directory\)"):
        open_image(Content("nifti", (str(tmp_path / "a.nii"),)), ReadOptions())


def test_small_flaws_are_mended_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = bytearray(patched(SFORM, "h", 0))
    struct.pack_into("<h", data, QFORM, 1)
    struct.pack_into("<2f", data, PIXDIM, 0, -1)  # the first is to be 1 or -1, sizes are to be positive
    (tmp_path / "a.nii").write_bytes(data)

    image = open_image(Content("nifti", (str(tmp_path / "a.nii"),)), ReadOptions())

    assert image.plane(1)[2, 1, 0] == 1
    assert caplog.records == []


@pytest.mark.parametrize(
    ("values", "shift", "reason"),
    [
        (VALUES[:, :2], 0.0, "is 2 x 2 x 4, a.nii of the same case 2 x 3 x 4"),
        (VALUES, 3.0, "lies 3 mm beside a.nii of the same case"),
        (np.stack([VALUES, VALUES], axis=-1), 0.0, "is 2 x 3 x 4 x 2, the file of one channel has three axes"),
    ],
)
@pytest.mark.parametrize("role", ["modality", "body"])
def test_files_of_a_case_must_agree(
    tmp_path: Path, values: npt.NDArray[Any], shift: float, reason: str, role: str
) -> None:
    first, other = str(tmp_path / "a.nii"), str(tmp_path / "b.nii")
    affine = np.eye(4)
    affine[0, 3] = shift
    Path(first).write_bytes(whole())
    Path(other).write_bytes(nib.Nifti1Image(values, affine).to_bytes())
    content = Content("nifti", (first, other)) if role == "modality" else Content("nifti", (first,), body=other)

    with pytest.raises(SourceError) as caught:
        open_image(content, ReadOptions())
    expected = reason.replace("the file of one channel", "a mask of the body") if role == "body" else reason
    assert str(caught.value).startswith(f"{other} {expected}")
