"""Encoded samples hold exactly what was mixed, and equal samples are equal bytes."""

import io
import json
import zipfile
import zlib
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hsmix_gen.pipeline.dataset.array_bytes import encode_npy, encode_npz, encode_photograph, encode_png
from hsmix_gen.pipeline.dataset.sample_members import encode_image, encode_members, image_member, member_names
from hsmix_gen.schemas.config import OutputConfig, SoftEncoding
from hsmix_gen.stages.labels.labels import soft_label
from hsmix_gen.stages.mixing.mixing import Mixed
from tests.pipeline.dataset.deflate_matches import matches


def random(shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    return np.random.default_rng(0).integers(0, 2**16, shape).astype(dtype)


def mixed(channels: int = 3, dtype: str = "uint8") -> Mixed:
    soft = np.linspace(0, 1, 40).reshape(2, 4, 5).astype(np.float16)
    return Mixed(random((4, 5, channels), dtype), random((4, 5), "uint8"), soft)


@pytest.mark.parametrize(
    ("channels", "dtype", "member"),
    [
        (1, "uint8", "image.png"), (3, "uint8", "image.png"), (4, "uint8", "image.png"), (2, "uint8", "image.npy"),
        (1, "uint16", "image.png"), (3, "uint16", "image.npy"), (1, "float32", "image.npy"), (5, "uint8", "image.npy"),
    ],
)  # fmt: skip
def test_an_image_is_png_where_png_can_hold_it(channels: int, dtype: str, member: str) -> None:
    """The member holds every value, and a view is encoded as what it shows."""
    image = random((4, 5, channels), dtype)
    data = io.BytesIO(encode_image(image))
    decoded = np.asarray(Image.open(data)) if member == "image.png" else np.load(data, allow_pickle=False)
    assert image_member(channels, dtype) == member
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded.reshape(image.shape), image)
    assert encode_image(image[:, ::-1]) == encode_image(image[:, ::-1].copy())


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 7, 1), (9, 1, 4), (64, 48, 3)])
def test_png_holds_pictures_of_any_size(shape: tuple[int, ...]) -> None:
    """Pillow compares the checksums of all chunks, imagecodecs reads it for our own loaders."""
    image = random(shape, "uint8")
    data = encode_image(image)

    Image.open(io.BytesIO(data)).verify()
    np.testing.assert_array_equal(imagecodecs.png_decode(data).reshape(shape), image)


def test_the_lines_of_a_png_are_differences_to_the_line_above() -> None:
    """Written out: what is compressed is the filter's number 2 and the differences, modulo 256, of each line."""
    data = encode_photograph(np.array([[1, 2], [0, 250]], np.uint8))

    at = data.index(b"IDAT")
    length = int.from_bytes(data[at - 4 : at], "big")
    assert zlib.decompress(data[at + 4 : at + 4 + length]) == bytes([2, 1, 2, 2, 255, 248])


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 4, 5)])
@pytest.mark.parametrize("dtype", ["float16", "uint8", "uint16", "float32"])
def test_npy_and_npz_are_written_as_numpy_and_zipfile_do(shape: tuple[int, ...], dtype: str) -> None:
    """They are written by hand because that is faster, not because they differ; zlib-ng alone packs otherwise."""
    named = {"soft": random(shape, dtype), "b": random((3, 3), "uint8")}
    by_numpy, by_zipfile, ours = io.BytesIO(), io.BytesIO(), io.BytesIO(encode_npz(named))
    np.save(by_numpy, named["soft"])
    with zipfile.ZipFile(by_zipfile, "w") as archive:
        for name, array in named.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, encode_npy(array))

    assert encode_npy(named["soft"]) == by_numpy.getvalue()
    with zipfile.ZipFile(ours) as found, zipfile.ZipFile(by_zipfile) as expected:
        assert found.testzip() is None
        assert [headers(entry) for entry in found.infolist()] == [headers(entry) for entry in expected.infolist()]
    np.testing.assert_array_equal(np.load(io.BytesIO(encode_npz(named)))["soft"], named["soft"])


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("n_classes", [2, 9])
def test_soft_labels_are_fast_to_inflate_by_zlib(n_classes: int, kind: str) -> None:
    """zlib copies a match from one or two bytes back byte by byte: up to ten times as long for all that is even.

    Level 1 of zlib-ng takes matches from some hundred bytes back, libdeflate and higher levels of zlib the nearest.
    """
    rows, columns = np.mgrid[:96, :96]
    inside = [(rows - 40) ** 2 + (columns - 50) ** 2 < 900, (rows - 60) ** 2 + (columns - 20) ** 2 < 1200]
    weight = np.random.default_rng(0).integers(0, 256, 64)[rows // 12 * 8 + columns // 12] if kind == "soft" else 0
    shares = np.zeros((n_classes, 96, 96), np.uint8)
    shares[0] = 255 - shares[1:].sum(axis=0)
    for mask, share in zip(inside, (255 - weight, weight), strict=True):
        shares[1] += (mask * share).astype(np.uint8)
        shares[0] -= (mask * share).astype(np.uint8)
    soft = soft_label(shares)
    data = encode_npz({"soft": soft})
    begin = zipfile.ZipFile(io.BytesIO(data)).infolist()[0]
    packed = data[30 + len(begin.filename) :][: begin.compress_size]

    assert zlib.decompress(packed, -15) == encode_npy(soft)
    assert near_share(packed, soft.nbytes) < 0.1
    # The measure sees what version 3 of the encoding did.
    assert near_share(bytes(imagecodecs.deflate_encode(encode_npy(soft), level=1, raw=True)), soft.nbytes) > 0.5


def near_share(deflated: bytes, size: int) -> float:
    """Return the share of bytes that are copied from less than eight bytes back."""
    return sum(length for length, distance in matches(deflated) if distance < 8) / size


def headers(entry: zipfile.ZipInfo) -> dict[str, object]:
    """Return what an archive states of an entry, but for its place and its packed size."""
    return {
        name: getattr(entry, name)
        for name in entry.__slots__
        if name not in ("header_offset", "compress_size", "_end_offset")
    }


def test_a_mask_holds_its_class_ids_and_nothing_else() -> None:
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = Image.open(io.BytesIO(encode_png(mask)))
    assert (picture.mode, picture.info) == ("L", {})
    np.testing.assert_array_equal(np.asarray(picture), mask)


@pytest.mark.parametrize(
    ("encoding", "member"), [("npz", "soft.npz"), ("npy", "soft.npy"), ("pair", "pair.npz"), ("png", "soft.png")]
)
def test_the_member_of_a_soft_label_states_its_form(encoding: SoftEncoding, member: str) -> None:
    sample = mixed()
    halves = np.full((2, 4, 5), soft_label(np.array([100, 155], dtype=np.uint8))[:, None, None])
    members = encode_members(Mixed(sample.image, sample.mask, halves), {}, OutputConfig(soft_encoding=encoding))

    assert sorted(members) == sorted(["image.png", "json", "mask.png", member])
    assert sorted(members) == member_names(3, "uint8", encoding)


def test_provenance_is_json_with_sorted_keys() -> None:
    members = encode_members(mixed(), {"b": 1, "a": [None, "ä"]})

    assert members["json"] == b'{"a":[null,"\\u00e4"],"b":1}'
    assert json.loads(members["json"]) == {"a": [None, "ä"], "b": 1}


def test_equal_samples_are_equal_bytes_however_their_arrays_lie_in_memory() -> None:
    sample = mixed()
    in_columns: Any = np.asfortranarray
    turned = Mixed(in_columns(sample.image), in_columns(sample.mask), in_columns(sample.soft))

    assert encode_members(turned, {"a": 1}) == encode_members(sample, {"a": 1})


def test_repetitions_are_compressed() -> None:
    flat = np.zeros((64, 64), np.uint8)

    assert len(encode_png(flat)) < flat.size // 10
