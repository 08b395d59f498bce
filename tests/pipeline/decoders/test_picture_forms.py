"""Pictures that are more than they seem: channels without colour, CIELAB, JPEG 2000, formats of few users."""

import io
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image, ImageCms

from hsmix_gen.pipeline.decoders.picture_codec import (
    IMAGE_ENDINGS,
    UNREAD_ENDINGS,
    decode_image,
    decode_mask,
    open_picture,
)
from hsmix_gen.pipeline.decoders.pictures import PictureStack
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.schemas.errors import SourceError
from tests.written import tiff

Array = npt.NDArray[Any]

RNG = np.random.default_rng(0)
COLOUR = np.kron(RNG.integers(0, 256, (3, 4, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
GREY = COLOUR[..., 0]
WIDE = COLOUR.astype(np.uint16) * 257 - 3
MUTED = 80 + COLOUR // 3
BINARY = np.where(GREY > 127, 255, 0).astype(np.uint8)


def saved(array: Array, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form, **options)
    return buffer.getvalue()


def channels(count: int) -> Array:
    return RNG.integers(0, 256, (6, 8, count), np.uint8)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_all_grey_channels_of_a_tiff_are_kept(count: int, planar: str, dtype: str) -> None:
    """One of two, and three of four, were taken for the picture in silence."""
    values = channels(count).astype(dtype)
    stored = np.moveaxis(values, -1, 0) if planar == "separate" else values

    stack = PictureStack(tiff(stored, photometric="minisblack", planarconfig=planar), "a.tif", ReadOptions())

    np.testing.assert_array_equal(stack.plane(0), values)
    assert (stack.channels, stack.dtype, stack.is_picture) == (count, np.dtype(dtype), count == 3)


@pytest.mark.parametrize(("form", "axes"), [("imagej", "CYX"), ("ome", "CYX")])
def test_channels_in_pages_of_their_own_are_kept(form: str, axes: str) -> None:
    values = channels(2)

    data = tiff(np.moveaxis(values, -1, 0), **{form: True}, photometric="minisblack", metadata={"axes": axes})

    np.testing.assert_array_equal(decode_image(data), values)
    assert open_picture(data, max_pixels=100)[0].channels == 2


@pytest.mark.parametrize(
    ("extra", "kept"), [(["unassalpha"], 3), (["assocalpha"], 3), (["unspecified"], 4)]
)  # fmt: skip
def test_of_a_fourth_sample_only_alpha_is_dropped(extra: list[str], kept: int) -> None:
    """A near-infrared channel beside RGB is none."""
    values = channels(4)

    image = decode_image(tiff(values, photometric="rgb", extrasamples=extra))

    np.testing.assert_array_equal(image, values[..., :kept])


def test_alpha_beside_grey_is_dropped() -> None:
    values = channels(2)

    np.testing.assert_array_equal(
        decode_image(tiff(values, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"])),
        values[..., :1],
    )


def lab_tiff() -> bytes:
    rgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    transform = ImageCms.buildTransformFromOpenProfiles(rgb, lab, "RGB", "LAB")
    converted = ImageCms.applyTransform(Image.fromarray(MUTED), transform)
    assert converted is not None
    buffer = io.BytesIO()
    converted.save(buffer, "TIFF")
    return buffer.getvalue()


def test_cielab_becomes_rgb() -> None:
    """L, a and b were taken for red, green and blue."""
    image = decode_image(lab_tiff())

    # 8 bits of L, a and b leave a few steps.
    assert np.abs(image.astype(int) - MUTED).max() <= 6
    assert open_picture(lab_tiff(), max_pixels=10**6)[0].channels == 3


def test_cielab_with_an_offset_becomes_the_same_rgb() -> None:
    with tifffile.TiffFile(io.BytesIO(lab_tiff())) as file:
        stored = file.asarray()

    image = decode_image(tiff(stored ^ np.array([0, 128, 128], np.uint8), photometric="icclab"))

    np.testing.assert_array_equal(image, decode_image(lab_tiff()))


@pytest.mark.parametrize("kind", ["cielab", "icclab"])
def test_cielab_of_16_bits_is_refused(kind: str) -> None:
    with pytest.raises(SourceError, match=f"of 3 uint16 samples as {kind.upper()}; export it as 8-bit RGB"):
        decode_image(tiff(WIDE, photometric=kind))


@pytest.mark.parametrize("kind", ["itulab", "cfa", "logluv", "linear_raw"])
def test_colours_that_are_not_read_are_refused_by_name(kind: str) -> None:
    with pytest.raises(SourceError, match=f"colours are {kind.upper()}, which is not read; export it as RGB"):
        decode_image(tiff(channels(3) if kind != "cfa" else GREY, photometric=kind))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (saved(COLOUR, "PPM"), COLOUR),
        (saved(GREY, "PPM"), GREY[..., None]),
        (saved(BINARY > 0, "PPM"), BINARY[..., None]),
        (saved(COLOUR, "TGA"), COLOUR),
        (saved(COLOUR, "PCX"), COLOUR),
        (saved(COLOUR, "SGI"), COLOUR),
        (saved(COLOUR, "JPEG2000", irreversible=False), COLOUR),
        (saved(GREY, "JPEG2000", irreversible=False), GREY[..., None]),
        (imagecodecs.jpeg2k_encode(WIDE, reversible=True), WIDE),
        (imagecodecs.jpeg2k_encode(WIDE[..., 0], reversible=True), WIDE[..., :1]),
        (imagecodecs.jpeg2k_encode(WIDE, reversible=True, codecformat="j2k"), WIDE),
        (imagecodecs.qoi_encode(COLOUR), COLOUR),
    ],
    ids=["ppm", "pgm", "pbm", "tga", "pcx", "sgi", "jp2", "jp2-grey", "jp2-16", "jp2-grey-16", "j2k-16", "qoi"],
)
def test_formats_of_few_users_keep_their_values(data: bytes, expected: Array) -> None:
    image = decode_image(data)

    np.testing.assert_array_equal(image, expected)
    assert image.dtype == expected.dtype
    header, _ = open_picture(data, max_pixels=10**6)
    assert (header.height, header.width, header.channels) == expected.shape
    assert header.bits == 8 * expected.itemsize


@pytest.mark.parametrize("data", [saved(GREY, "PPM"), saved(GREY, "JPEG2000", irreversible=False), saved(GREY, "TGA")])
def test_masks_may_have_these_formats(data: bytes) -> None:
    np.testing.assert_array_equal(decode_mask(data), GREY)


@pytest.mark.parametrize(
    "data",
    [
        saved(BINARY, "JPEG2000", irreversible=True),
        saved(BINARY, "AVIF", quality=60),
    ],
    ids=["jp2", "avif"],
)
def test_lossy_masks_of_these_formats_are_put_back_to_two_values(data: bytes) -> None:
    mask = decode_mask(data)

    assert set(np.unique(mask)) == {0, 255}
    assert (mask == BINARY).mean() > 0.98


def test_a_ppm_of_16_bits_is_refused() -> None:
    """Pillow would cut it to 8."""
    data = b"P6\n# a comment\n2 1\n65535\n" + bytes(12)

    with pytest.raises(SourceError, match="is a PPM of 16 bits a channel, which is not read; convert it to PNG"):
        open_picture(data, max_pixels=100)


def test_components_that_are_no_colours_are_refused() -> None:
    data = bytes(imagecodecs.jpeg2k_encode(RNG.integers(0, 2**16, (16, 16, 2), np.uint16), reversible=True))

    with pytest.raises(SourceError, match="JPEG 2000 file of 2 components, expected grey or RGB"):
        decode_image(data)


def test_a_jpeg_2000_cut_anywhere_raises_nothing_but_a_refusal() -> None:
    data = bytes(imagecodecs.jpeg2k_encode(WIDE, reversible=True))

    for end in range(0, len(data) // 2, 7):
        with pytest.raises(SourceError):
            decode_image(data[:end])


def test_no_ending_is_both_read_and_not_read() -> None:
    assert IMAGE_ENDINGS.isdisjoint(UNREAD_ENDINGS)
    assert {".ppm", ".pgm", ".jp2", ".jfif", ".webp", ".tga", ".png"} <= IMAGE_ENDINGS
