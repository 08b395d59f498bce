"""Files of every usual form become faithful arrays; what cannot be read is reported in words, never in a traceback."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from hsmix_gen.pipeline.decoders.codecs.tiff_codec import Header
from hsmix_gen.pipeline.decoders.picture_codec import (
    decode_brightness,
    decode_colours,
    decode_image,
    decode_mask,
    open_picture,
    palette_of,
    read_bytes,
)
from hsmix_gen.schemas.errors import SourceError
from tests.written import tiff

Array = npt.NDArray[Any]

ORIENTATION = 274
GREY = np.array([[0, 50, 100], [150, 200, 255]], np.uint8)
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)
GREY16 = GREY.astype(np.uint16) * 256 + np.arange(3, dtype=np.uint16)
COLOUR16 = np.stack([GREY16, 65535 - GREY16, GREY16 // 2], axis=-1)


def saved(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def png(array: Array, **options: Any) -> bytes:
    return saved(Image.fromarray(array), **options)


def with_thumbnail() -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(GREY, photometric="minisblack")
        file.write(COLOUR[:1, :1], photometric="rgb")
    return buffer.getvalue()


def palette() -> Image.Image:
    """Return a picture of indices 0, 1, 2 whose colours are red, green and blue."""
    picture = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return picture


def noise(channels: int, dtype: str = "uint8") -> Array:
    return np.random.default_rng(0).integers(0, 2**16, (24, 32, channels)).astype(dtype)


def header(data: bytes, *, max_pixels: int = 10**6) -> Header:
    return open_picture(data, max_pixels=max_pixels)[0]


def claimed_png(width: int, height: int) -> bytes:
    """Return a PNG file whose header claims a size and whose data are a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    form = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", form) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png(GREY), GREY[..., None]),
        (png(COLOUR), COLOUR),
        (png(np.dstack([GREY, 255 - GREY])), GREY[..., None]),
        (png(np.dstack([COLOUR, GREY])), COLOUR),
        (png(GREY16), GREY16[..., None]),
        (imagecodecs.png_encode(COLOUR16), COLOUR16),
        (imagecodecs.png_encode(np.dstack([COLOUR16, GREY16])), COLOUR16),
        (imagecodecs.png_encode(np.dstack([GREY16, GREY16])), GREY16[..., None]),
        (saved(palette()), [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]),
        (saved(palette(), transparency=bytes([0, 128, 255])), [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]),
        (saved(palette(), "GIF"), [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]),
        (saved(Image.fromarray(GREY > 100)), np.where(GREY > 100, 255, 0)[..., None]),
        (saved(Image.fromarray(COLOUR), "BMP"), COLOUR),
        (saved(Image.fromarray(COLOUR), "WEBP", lossless=True), COLOUR),
        (tiff(GREY), GREY[..., None]),
        (tiff(GREY16), GREY16[..., None]),
        (tiff(COLOUR, photometric="rgb"), COLOUR),
        (tiff(COLOUR16, photometric="rgb"), COLOUR16),
        (tiff(COLOUR16, photometric="rgb", byteorder=">"), COLOUR16),
        (tiff(COLOUR, photometric="rgb", bigtiff=True), COLOUR),
        (tiff(COLOUR, photometric="rgb", tile=(16, 16)), COLOUR),
        (with_thumbnail(), GREY[..., None]),
        (tiff(COLOUR, photometric="rgb", compression="lzw"), COLOUR),
        (tiff(GREY16, compression="lzw", predictor=True), GREY16[..., None]),
        (tiff(COLOUR, photometric="rgb", compression="zlib"), COLOUR),
        (tiff(COLOUR.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"), COLOUR),
        (tiff(np.dstack([COLOUR, GREY]), photometric="rgb", extrasamples=["unassalpha"]), COLOUR),
        (saved(palette(), "TIFF"), [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]),
        (saved(Image.fromarray(GREY > 100), "TIFF"), np.where(GREY > 100, 255, 0)[..., None]),
        (tiff(255 - GREY, photometric="miniswhite"), GREY[..., None]),
        (saved(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "TIFF"), [[[255, 0, 0]]]),
    ],
    ids=[
        "grey", "RGB", "LA", "RGBA", "16-bit-grey", "16-bit-RGB", "16-bit-RGBA", "16-bit-LA", "palette",
        "palette-transparent", "gif", "1-bit", "bmp", "webp", "tiff-grey", "tiff-16-bit", "tiff-RGB",
        "tiff-16-bit-RGB", "tiff-big-endian", "big-tiff", "tiff-tiles", "tiff-thumbnail", "tiff-lzw",
        "tiff-lzw-16-bit", "tiff-deflate", "tiff-planar", "tiff-RGBA", "tiff-palette", "tiff-1-bit",
        "tiff-min-is-white", "tiff-CMYK",
    ],
)  # fmt: skip
def test_an_image_keeps_its_values_and_its_header_states_its_form(data: bytes, expected: Any) -> None:
    image = decode_image(data)

    np.testing.assert_array_equal(image, expected)
    height, width, channels = np.shape(expected)
    assert header(data) == Header(height, width, channels, 8 * image.dtype.itemsize)


@pytest.mark.parametrize(
    ("ink", "colour"), [((0, 0, 0, 0), (255, 255, 255)), ((0, 255, 255, 0), (255, 0, 0)), ((0, 0, 0, 255), (0, 0, 0))]
)
def test_a_cmyk_jpeg_becomes_rgb(ink: tuple[int, ...], colour: tuple[int, ...]) -> None:
    data = saved(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95)

    image = decode_image(data)

    assert (image.shape, image.dtype.name) == ((16, 16, 3), "uint8")
    assert np.abs(image.astype(int) - colour).max() <= 4
    assert header(data).channels == 3


# What is stored so that each orientation of the EXIF standard shows `GREY`.
STORED: dict[int, Callable[[Array], Array]] = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: np.swapaxes(upright, 0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(np.swapaxes(upright, 0, 1), 2),
    8: lambda upright: np.rot90(upright, -1),
}


def oriented(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = number
    return exif


@pytest.mark.parametrize("number", STORED)
def test_images_and_masks_are_turned_upright(number: int) -> None:
    colour, grey = (np.ascontiguousarray(STORED[number](upright)) for upright in (COLOUR, GREY))
    image, mask = (png(stored, exif=oriented(number)) for stored in (colour, grey))
    slide = tiff(grey, extratags=[(ORIENTATION, "H", 1, number, True)])
    np.testing.assert_array_equal(decode_image(image), COLOUR)
    np.testing.assert_array_equal(decode_mask(mask), GREY)
    np.testing.assert_array_equal(decode_image(slide)[..., 0], GREY)
    assert [(header(data).height, header(data).width) for data in (image, slide)] == [(2, 3)] * 2


@pytest.mark.parametrize("number", STORED)
def test_a_jpeg_is_turned_upright(number: int) -> None:
    corner = np.zeros((32, 48), np.uint8)
    corner[:8, :8] = 255

    image = decode_image(
        saved(Image.fromarray(np.ascontiguousarray(STORED[number](corner))), "JPEG", exif=oriented(number))
    )

    assert image.shape == (32, 48, 1)
    assert image[:7, :7].min() > 200
    assert image[9:, 9:].max() < 50


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png(GREY), GREY),
        (saved(palette()), [[0, 1, 2]]),
        (saved(palette(), "GIF"), [[0, 1, 2]]),
        (saved(palette(), "TIFF"), [[0, 1, 2]]),
        (saved(Image.fromarray(GREY > 100)), (GREY > 100).astype(int)),
        (png(np.dstack([GREY, 255 - GREY])), GREY),
        (png(np.dstack([GREY, GREY, GREY])), GREY),
        (png(np.dstack([GREY, GREY, GREY, 255 - GREY])), GREY),
        (png(GREY.astype(np.uint16)), GREY),
        (tiff(GREY), GREY),
        (tiff(GREY.astype(np.uint16)), GREY),
        (tiff(GREY, compression="lzw"), GREY),
        (tiff(np.dstack([GREY, GREY, GREY]), photometric="rgb"), GREY),
        (saved(Image.fromarray(GREY > 100), "TIFF"), (GREY > 100).astype(int)),
        (saved(Image.fromarray(GREY > 100), "TIFF", compression="group4"), (GREY > 100).astype(int)),
    ],
    ids=[
        "grey", "palette", "gif", "tiff-palette", "1-bit", "LA", "RGB", "RGBA", "16-bit", "tiff", "tiff-16-bit",
        "tiff-lzw", "tiff-RGB", "tiff-1-bit", "tiff-fax",
    ],
)  # fmt: skip
def test_a_mask_keeps_the_values_that_are_stored(data: bytes, expected: Any) -> None:
    """Palettes give their indices: the colours are for people."""
    mask = decode_mask(data)

    assert mask.dtype.kind == "u"
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    "data",
    [
        png(GREY16), tiff(GREY16), tiff(GREY16, compression="lzw"), tiff(np.dstack([GREY16] * 3), photometric="rgb"),
        imagecodecs.png_encode(np.dstack([GREY16] * 3)), imagecodecs.png_encode(np.dstack([GREY16, 65535 - GREY16])),
    ],
    ids=["png", "tiff", "tiff-lzw", "tiff-RGB", "png-RGB", "png-LA"],
)  # fmt: skip
def test_a_mask_may_number_its_objects_beyond_255(data: bytes) -> None:
    mask = decode_mask(data)

    assert mask.dtype == np.uint16
    np.testing.assert_array_equal(mask, GREY16)


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64", "uint32", "float32", "float64"])
def test_a_mask_in_a_tiff_may_have_any_type(dtype: str) -> None:
    mask = decode_mask(tiff(GREY.astype(dtype) * 100))

    assert mask.dtype == dtype
    np.testing.assert_array_equal(mask, GREY.astype(dtype) * 100)


def test_labels_of_floats_are_not_turned_round_where_0_is_white() -> None:
    np.testing.assert_array_equal(decode_mask(tiff(GREY.astype(np.float32), photometric="miniswhite")), GREY)


@pytest.mark.parametrize(
    "data",
    [
        png(COLOUR),
        png(np.dstack([COLOUR, GREY])),
        tiff(COLOUR, photometric="rgb"),
        imagecodecs.png_encode(COLOUR16),
        saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"),
        saved(Image.new("RGB", (32, 32), (255, 0, 0)), "JPEG"),
        saved(Image.new("RGB", (32, 32), (255, 0, 0)), "WEBP"),
    ],
    ids=["png", "png-RGBA", "tiff", "png-16-bit", "cmyk", "jpeg", "webp"],
)
def test_a_coloured_mask_is_refused_with_the_way_out(data: bytes) -> None:
    with pytest.raises(SourceError, match=r"mask is coloured; store class ids .*--colours"):
        decode_mask(data)


def test_colours_of_soft_edges_are_no_classes() -> None:
    """The general example named one class of two, and nothing said that edges would be refused next."""
    mask = np.zeros((40, 60, 3), np.uint8)
    mask[5:30, 5:20], mask[5:30, 30:50] = (255, 0, 0), (0, 255, 0)
    mask[5:30, 20, 0] = np.arange(25) * 8

    with pytest.raises(SourceError, match=r"or export it without soft edges .*'#000000=background,#00FF00=class_1,#FF"):
        decode_mask(png(mask))


def test_a_coloured_jpeg_is_to_be_exported_first() -> None:
    """With --colours it would be refused again."""
    with pytest.raises(SourceError, match=r"or export it as PNG \(colours are blurred in this file\)"):
        decode_mask(saved(Image.new("RGB", (32, 32), (255, 0, 0)), "JPEG"))


def test_a_mask_with_one_pixel_of_colour_is_coloured() -> None:
    mask = np.zeros((40, 60, 3), np.uint8)
    mask[31, 7, 2] = 1

    with pytest.raises(SourceError, match="mask is coloured"):
        decode_mask(png(mask))


def blurred(channels: int, size: tuple[int, int] = (40, 56)) -> tuple[Array, Array]:
    """Return a disc of 0 and 255 as people have it, and where it is."""
    y, x = np.mgrid[: size[0], : size[1]]
    inside = (y - 14) ** 2 + (x - 20) ** 2 < 100
    mask = np.where(inside, 255, 0).astype(np.uint8)
    return (np.dstack([mask] * channels) if channels > 1 else mask), inside


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_lossy_mask_is_put_back_to_two_values(form: str, channels: int) -> None:
    """Kvasir-SEG: compression leaves some twenty values around 0 and 255."""
    stored, inside = blurred(channels)
    data = saved(Image.fromarray(stored), form, quality=85)

    assert len(np.unique(np.asarray(Image.open(io.BytesIO(data))))) > 2
    mask = decode_mask(data)
    np.testing.assert_array_equal(np.unique(mask), [0, 255])
    assert (mask == 255).astype(int).tolist() == inside.astype(int).tolist()


@pytest.mark.parametrize("number", STORED)
def test_a_lossy_mask_is_turned_upright(number: int) -> None:
    stored, inside = blurred(3)
    data = saved(Image.fromarray(np.ascontiguousarray(STORED[number](stored))), "JPEG", exif=oriented(number))

    np.testing.assert_array_equal(decode_mask(data) == 255, inside)


@pytest.mark.parametrize("value", [0, 255])
def test_a_lossy_mask_may_be_of_one_value(value: int) -> None:
    mask = decode_mask(saved(Image.new("L", (24, 16), value), "JPEG"))

    assert (mask.shape, np.unique(mask).tolist()) == ((16, 24), [value])


def test_a_photograph_is_no_lossy_mask() -> None:
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (32, 1))

    with pytest.raises(
        SourceError, match=r"is a lossy mask with values 0 to 25\d, 48% of its pixels between 64 and 192"
    ):
        decode_mask(saved(Image.fromarray(ramp), "JPEG"))


def test_class_ids_in_a_lossy_file_are_refused() -> None:
    """All of them are below 128 and would silently be background."""
    ids = np.zeros((32, 48), np.uint8)
    ids[:16, :8] = 4
    ids[16:, 40:] = 8

    with pytest.raises(SourceError, match=r"is a lossy mask with values 0 to \d, 0% of its pixels .*--threshold 4$"):
        decode_mask(saved(Image.fromarray(ids), "JPEG", quality=95))


CUT = np.array([[0, 0, 255], [0, 255, 255]], np.uint8)


@pytest.mark.parametrize(
    "data",
    [
        png(np.dstack([CUT * 0] * 3 + [CUT])),
        png(np.dstack([CUT * 0 + 255] * 3 + [CUT])),
        png(np.dstack([CUT * 0, CUT])),
        png(np.dstack([255 - CUT] * 3 + [CUT])),
        imagecodecs.png_encode(np.dstack([CUT.astype(np.uint16) * 0, CUT])),
        tiff(np.dstack([CUT * 0] * 3 + [CUT]), photometric="rgb", extrasamples=["unassalpha"]),
        tiff(np.dstack([CUT * 0, CUT]), photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig"),
    ],
    ids=["black", "white", "LA", "hidden-white", "16-bit", "tiff", "tiff-LA"],
)
def test_a_mask_whose_label_is_its_alpha_is_refused(data: bytes) -> None:
    """Its grey says background everywhere, or the opposite of what is seen."""
    with pytest.raises(SourceError, match=r"mask has an alpha channel of values 0 to 255.*save the alpha channel as a"):
        decode_mask(data)


def test_an_alpha_that_repeats_the_grey_is_dropped() -> None:
    np.testing.assert_array_equal(decode_mask(png(np.dstack([CUT] * 3 + [CUT]))), CUT)


def test_a_coloured_mask_is_refused_with_its_own_colours() -> None:
    """Black is the background, then comes what covers most."""
    mask = np.zeros((4, 6, 3), np.uint8)
    mask[1:], mask[0, 0] = (9, 8, 7), (255, 0, 0)

    with pytest.raises(SourceError, match=r"'#000000=background,#090807=class_1,#FF0000=class_2'$"):
        decode_mask(png(mask))


@pytest.mark.parametrize("form", ["PNG", "GIF", "TIFF", "BMP"])
def test_the_colours_of_a_palette_stand_beside_its_indices(form: str) -> None:
    assert palette_of(saved(palette(), form))[:3] == (0xFF0000, 0x00FF00, 0x0000FF)


@pytest.mark.parametrize("data", [png(GREY), tiff(GREY), saved(Image.fromarray(GREY), "JPEG")])
def test_a_file_without_palette_has_no_colours(data: bytes) -> None:
    assert palette_of(data) == ()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png(GREY), GREY),
        (tiff(GREY.astype(np.float32) / 255), GREY.astype(np.float32) / 255),
        (png(GREY > 100), np.where(GREY > 100, 255, 0)),
        (saved(Image.fromarray(GREY).quantize(6)), GREY),
    ],
    ids=["grey", "float", "1-bit", "grey-palette"],
)
def test_the_brightness_of_a_mask_is_what_is_seen(data: bytes, expected: Any) -> None:
    np.testing.assert_array_equal(decode_brightness(data), expected)


def test_the_brightness_of_a_lossy_mask_is_not_cut() -> None:
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (32, 1))

    assert len(np.unique(decode_brightness(saved(Image.fromarray(ramp), "JPEG")))) > 50


def test_colours_have_no_brightness() -> None:
    with pytest.raises(SourceError, match="mask is coloured"):
        decode_brightness(saved(palette()))


COLOURS = np.array([[[0, 0, 0], [255, 0, 0], [0, 128, 1]], [[1, 2, 3], [255, 255, 255], [0, 0, 255]]], np.uint8)
PACKED = [[0, 0xFF0000, 0x008001], [0x010203, 0xFFFFFF, 0x0000FF]]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png(COLOURS), PACKED),
        (png(np.dstack([COLOURS, GREY])), PACKED),
        (saved(Image.fromarray(COLOURS), "BMP"), PACKED),
        (tiff(COLOURS, photometric="rgb"), PACKED),
        (saved(palette()), [[0xFF0000, 0x00FF00, 0x0000FF]]),
        (saved(palette(), "TIFF"), [[0xFF0000, 0x00FF00, 0x0000FF]]),
        (png(np.array([[0, 7]], np.uint8)), [[0, 0x070707]]),
    ],
    ids=["png", "RGBA", "bmp", "tiff", "palette", "tiff-palette", "grey"],
)
def test_colours_become_numbers(data: bytes, expected: Any) -> None:
    packed = decode_colours(data)

    assert packed.dtype == np.int32
    np.testing.assert_array_equal(packed, expected)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (saved(Image.fromarray(noise(3)), "JPEG"), "is a lossy file, in which colours are blurred"),
        (imagecodecs.png_encode(COLOUR16), "has 16 bits a channel, expected colours of 8 bits"),
        (b"hello", "is no image that can be read"),
    ],
    ids=["jpeg", "16-bit", "text"],
)
def test_colours_that_cannot_be_known_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        decode_colours(data)


@pytest.mark.parametrize("dtype", ["float32", "int16", "int32"])
def test_a_tiff_of_floats_or_signed_numbers_is_no_picture(dtype: str) -> None:
    with pytest.raises(SourceError, match=f"is a TIFF of {dtype}, expected 8 or 16 bit without sign"):
        decode_image(tiff(GREY.astype(dtype)))


@pytest.mark.parametrize(
    ("decode", "reason"),
    [(decode_image, "is a TIFF of 5 channels"), (decode_mask, "mask has 5 channels, expected one")],
)
def test_a_tiff_of_more_channels_than_colours_and_alpha_is_refused(
    decode: Callable[[bytes], Array], reason: str
) -> None:
    """Taking the first three would lose the rest in silence."""
    with pytest.raises(SourceError, match=reason):
        decode(tiff(np.zeros((16, 24, 5), np.uint8), photometric="minisblack", planarconfig="contig"))


@pytest.mark.parametrize("decode", [decode_image, decode_mask])
def test_a_tiff_of_several_pictures_is_refused(decode: Callable[[bytes], Array]) -> None:
    with pytest.raises(SourceError, match="expected one picture"):
        decode(tiff(np.zeros((5, 16, 16), np.uint8), photometric="minisblack"))


def claimed_tiff(**sizes: int) -> bytes:
    """Return a TIFF of a few strips that claims other sizes; ``ImageWidth`` is tag 256."""
    data = tiff(np.zeros((120, 14), np.uint8), photometric="minisblack", rowsperstrip=1, metadata=None)
    for name, size in sizes.items():
        place = data.index(struct.pack("<H", {"width": 256, "height": 257}[name]), 8)
        data = data[: place + 2] + struct.pack("<HII", 4, 1, size) + data[place + 12 :]
    return data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"II*\0\x08\0\0\0\0\0\x08\0\0\0", "copy it again"),
        (b"II*\0\x08\0\0\0\x05\0", "copy it again"),
        (claimed_tiff(width=60_000), r"more than source\.max_pixels"),
        (claimed_tiff(height=1200), "has 120 of 1200 parts of its pixels; copy it again"),
        (saved(Image.fromarray(GREY), "GIF", save_all=True, append_images=[Image.fromarray(GREY.T)]), "holds 2 frames"),
    ],
    ids=["directory-loop", "cut-directory", "bomb", "missing-strips", "moving-gif"],
)
def test_a_file_that_is_not_what_it_claims_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        use(data)


FILES: dict[str, bytes] = {
    "png": png(noise(3)),
    "png-grey": png(noise(1)[..., 0]),
    "png-16-bit-grey": png(noise(1, "uint16")[..., 0]),
    "png-16-bit": bytes(imagecodecs.png_encode(noise(3, "uint16"))),
    "jpeg": saved(Image.fromarray(noise(3)), "JPEG"),
    "bmp": saved(Image.fromarray(noise(3)), "BMP"),
    "gif": saved(Image.fromarray(noise(1)[..., 0]), "GIF"),
    "webp": saved(Image.fromarray(noise(3)), "WEBP"),
    "tiff": tiff(noise(3), photometric="rgb"),
    "tiff-lzw": tiff(noise(3), photometric="rgb", compression="lzw"),
    "tiff-deflate": tiff(noise(1, "uint16")[..., 0], compression="zlib"),
}


def use(data: bytes) -> Array:
    header(data)
    return decode_image(data)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_refused_or_whole(name: str) -> None:
    """Nothing but a refusal may come out, and no picture with a part made up."""
    data = FILES[name]
    whole = use(data)

    for length in {*range(1, 60), *range(60, len(data), 97), len(data) - 1}:
        for read in (header, decode_image, decode_mask):
            try:
                found = read(data[:length])
            except SourceError as error:
                assert str(error)
            else:
                if read is decode_image:
                    np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_flipped_bytes_raises_nothing_but_a_refusal(name: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        data = bytearray(FILES[name])
        data[rng.integers(0, min(len(data), 400))] ^= int(rng.integers(1, 256))
        try:
            header(bytes(data))
            decode_image(bytes(data))
            decode_mask(bytes(data))
        except SourceError as error:
            assert str(error)


@pytest.mark.parametrize("read", [header, decode_image, decode_mask])
@pytest.mark.parametrize("data", [b"hello", b"\0" * 100, b"%PDF-1.4 no image"])
def test_what_is_no_image_is_refused(read: Callable[[bytes], Any], data: bytes) -> None:
    with pytest.raises(SourceError, match="is no image that can be read"):
        read(data)


def test_the_ending_of_a_file_does_not_matter(tmp_path: Path) -> None:
    """Cameras and people name JPEG files .png."""
    (tmp_path / "a.png").write_bytes(saved(Image.fromarray(COLOUR), "BMP"))

    np.testing.assert_array_equal(decode_image(read_bytes(tmp_path / "a.png")), COLOUR)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A pipe is not waited for."""
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    for name, reason in {
        "empty.png": r"file is empty \(0 bytes\)",
        "pipe.png": r"cannot be read \(it is no file\)",
        "none.png": "cannot be read",
        ".": "cannot be read",
    }.items():
        with pytest.raises(SourceError, match=f"^{reason}"):
            read_bytes(tmp_path / name)


@pytest.mark.parametrize("name", FILES)
def test_more_pixels_than_allowed_are_refused(name: str) -> None:
    with pytest.raises(SourceError, match=r"has 32 x 24 pixels, more than source\.max_pixels = 767; raise it"):
        header(FILES[name], max_pixels=767)


def test_as_many_pixels_as_allowed_are_read() -> None:
    assert header(FILES["png"], max_pixels=768).width == 32


@pytest.mark.parametrize(
    ("width", "height", "most"),
    [
        *((side, side, 20_000_000) for side in (5_000, 15_000, 60_000)),
        # Pillow has a limit of its own at 179 million; a user who raises ours could not know.
        (20_000, 10_001, 200_000_000),
    ],
)
def test_a_bomb_is_refused_by_its_claim_without_being_decoded(width: int, height: int, most: int) -> None:
    """25 MB to 3.6 GB would be decoded; the content of the file is not touched."""
    with pytest.raises(SourceError, match=f"has {width} x {height} pixels, more than source.max_pixels = {most}"):
        header(claimed_png(width, height), max_pixels=most)
