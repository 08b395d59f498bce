"""Pictures of other forms than PNG of 8 bits."""

from typing import Any

import numpy as np
import tifffile
from PIL import Image as Pillow

from tests.pipeline.jobs.odd.odd_cases import Cases
from tests.pipeline.jobs.odd.odd_pictures import ODD_SIZE, Array, Pair, Seen, encoded, wide_png

CASES: Cases[Pair, Seen] = Cases()
refused, used = CASES.refused, CASES.used
EXIF_ORIENTATION = 274


@used
def jpeg_named_png(pair: Pair) -> Seen:
    smooth = np.add.outer(np.arange(10) * 9, np.arange(14) * 7).astype(np.uint8)
    pair.image().write_bytes(encoded(np.stack([smooth, 200 - smooth, smooth], -1), "JPEG", quality=100, subsampling=0))
    return Seen(np.stack([smooth, 200 - smooth, smooth], -1), pair.labels, tolerance=4)


@used
def png_named_jpeg(pair: Pair) -> Seen:
    pair.image(".jpeg").write_bytes(encoded(pair.colour, "PNG"))
    return Seen(pair.colour, pair.labels)


@used
def upper_case_ending(pair: Pair) -> Seen:
    pair.image(".BMP").write_bytes(encoded(pair.colour, "BMP"))
    return Seen(pair.colour, pair.labels)


@used
def webp_without_loss(pair: Pair) -> Seen:
    pair.image(".webp").write_bytes(encoded(pair.colour, "WEBP", lossless=True))
    return Seen(pair.colour, pair.labels)


@used
def grey_16_bit(pair: Pair) -> Seen:
    wide = pair.grey.astype(np.uint16) * 257 - pair.labels
    Pillow.fromarray(wide).save(pair.image())
    return Seen(wide[..., None], pair.labels)


@used
def colour_16_bit(pair: Pair) -> Seen:
    wide = pair.colour.astype(np.uint16) * 251 + 3
    pair.image().write_bytes(wide_png(wide, 2))
    return Seen(wide, pair.labels)


@used
def grey_alpha_16_bit(pair: Pair) -> Seen:
    wide = np.stack([pair.grey * np.uint16(200) + 7, pair.labels.astype(np.uint16)], -1)
    pair.image().write_bytes(wide_png(wide, 4))
    return Seen(wide[..., :1], pair.labels)


@used
def alpha(pair: Pair) -> Seen:
    Pillow.fromarray(np.dstack([pair.colour, pair.grey])).save(pair.image())
    return Seen(pair.colour, pair.labels)


@used
def grey_alpha(pair: Pair) -> Seen:
    Pillow.fromarray(np.dstack([pair.grey, pair.labels])).save(pair.image())
    return Seen(pair.grey[..., None], pair.labels)


@used
def palette_with_transparency(pair: Pair) -> Seen:
    picture = Pillow.fromarray(pair.grey % 4).convert("P")
    picture.putpalette([10, 20, 30, 200, 0, 0, 0, 220, 0, 1, 2, 240])
    picture.save(pair.image(), transparency=bytes([0, 128, 255, 7]))
    colours = np.array([[10, 20, 30], [200, 0, 0], [0, 220, 0], [1, 2, 240]], np.uint8)
    return Seen(colours[pair.grey % 4], pair.labels)


@used
def one_bit(pair: Pair) -> Seen:
    black = pair.grey > 100
    Pillow.fromarray(black).save(pair.image())
    return Seen((black * np.uint8(255))[..., None], pair.labels)


@used
def cmyk_jpeg(pair: Pair) -> Seen:
    inks = np.zeros((*ODD_SIZE, 4), np.uint8)
    inks[:, :7] = (0, 200, 40, 10)
    Pillow.fromarray(inks, "CMYK").save(pair.image(".jpg"), quality=100, subsampling=0)
    pixels = np.full((*ODD_SIZE, 3), 255, np.uint8)
    # 255 * (1 - ink) * (1 - black)
    pixels[:, :7] = (245, 53, 207)
    return Seen(pixels, pair.labels, tolerance=5)


def _oriented(orientation: int, stored: Array) -> Array:
    """Return a picture upright, as the table of EXIF 2.32 has it."""
    return {
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.swapaxes(0, 1),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(stored, 1),
    }[orientation]


def _add_orientation(orientation: int, form: str, ending: str, tolerance: int) -> None:
    def make(pair: Pair) -> Seen:
        stored = pair.colour
        if form == "JPEG":
            stored = np.add.outer(np.arange(10) * 9, np.arange(14) * 7).astype(np.uint8)[..., None].repeat(3, -1)
        exif = Pillow.Exif()
        exif[EXIF_ORIENTATION] = orientation
        Pillow.fromarray(stored).save(pair.image(ending), form, exif=exif, **({"quality": 100} if tolerance else {}))
        upright = _oriented(orientation, stored)
        labels = np.zeros(upright.shape[:2], np.uint8)
        labels[2:5, 3:9] = 255
        Pillow.fromarray(labels).save(pair.mask())
        return Seen(upright, labels, tolerance)

    make.__name__ = f"exif_{orientation}_{form.lower()}"
    used(make)


for _orientation in range(2, 9):
    _add_orientation(_orientation, "PNG", ".png", 0)
for _orientation in (3, 6):
    _add_orientation(_orientation, "JPEG", ".jpg", 4)


def _add_tiff(name: str, **options: Any) -> None:
    def make(pair: Pair) -> Seen:
        array = pair.colour
        if options.get("planarconfig") == "separate":
            tifffile.imwrite(pair.image(".tif"), np.moveaxis(array, -1, 0), photometric="rgb", **options)
        else:
            tifffile.imwrite(pair.image(".tif"), array, photometric="rgb", **options)
        return Seen(array, pair.labels)

    make.__name__ = name
    used(make)


_add_tiff("tiff_big_endian", byteorder=">")
_add_tiff("tiff_tiles", tile=(16, 16))
_add_tiff("tiff_lzw", compression="lzw", predictor=True)
_add_tiff("tiff_planes", planarconfig="separate")
_add_tiff("tiff_bigtiff", bigtiff=True)


@used
def tiff_white_is_zero(pair: Pair) -> Seen:
    tifffile.imwrite(pair.image(".tif"), pair.grey, photometric="miniswhite")
    return Seen(255 - pair.grey[..., None], pair.labels)


@refused("axes QYX", "expected one picture", "export one page")
def tiff_of_pages(pair: Pair) -> None:
    tifffile.imwrite(pair.image(".tif"), np.stack([pair.grey] * 3), photometric="minisblack")


@used
def tiff_with_thumbnail(pair: Pair) -> Seen:
    with tifffile.TiffWriter(pair.image(".tif")) as tiff:
        tiff.write(pair.grey, photometric="minisblack")
        tiff.write(pair.colour[::2, ::2], photometric="rgb")
    return Seen(pair.grey[..., None], pair.labels)


@refused("3 frames", "expected one picture", "export the one")
def gif_that_moves(pair: Pair) -> None:
    frames = [Pillow.fromarray(np.roll(pair.grey, turn)) for turn in range(3)]
    frames[0].save(pair.image(".gif"), save_all=True, append_images=frames[1:])


@refused("float32", "export")
def tiff_of_floats(pair: Pair) -> None:
    tifffile.imwrite(pair.image(".tif"), pair.grey.astype(np.float32), photometric="minisblack")


@refused("5 channels", "export these channels")
def tiff_of_five_channels(pair: Pair) -> None:
    five = np.dstack([pair.colour, pair.grey, pair.grey])
    tifffile.imwrite(pair.image(".tif"), five, photometric="rgb", extrasamples=[0, 0])
