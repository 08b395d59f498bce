"""Pictures that are damaged, cut, or larger than they say."""

import struct

import tifffile

from tests.pipeline.jobs.odd.odd_cases import Cases
from tests.pipeline.jobs.odd.odd_pictures import Pair, Seen, encoded, png

CASES: Cases[Pair, Seen] = Cases()
refused, used = CASES.refused, CASES.used


@refused("0 bytes", "copy it again")
def empty_image(pair: Pair) -> None:
    pair.image().write_bytes(b"")


@refused("0 bytes", "copy it again")
def empty_mask(pair: Pair) -> None:
    pair.mask().write_bytes(b"")


@refused("no image that can be read")
def text_as_png(pair: Pair) -> None:
    pair.image().write_text("this is no picture\n")


@refused("no image that can be read")
def nifti_as_png(pair: Pair) -> None:
    pair.image().write_bytes(b"\x1f\x8b\x08" + bytes(400))


@refused("is damaged", "copy it again")
def cut_png(pair: Pair) -> None:
    whole = encoded(pair.colour, "PNG")
    pair.image().write_bytes(whole[: len(whole) * 2 // 3])


@refused("copy it again")
def cut_png_header(pair: Pair) -> None:
    pair.image().write_bytes(encoded(pair.colour, "PNG")[:20])


@refused("truncated", "copy it again", stage="images")
def cut_jpeg(pair: Pair) -> None:
    whole = encoded(pair.colour, "JPEG", quality=95)
    pair.image(".jpg").write_bytes(whole[: len(whole) * 4 // 5])


@refused("is damaged", "copy it again")
def cut_tiff(pair: Pair) -> None:
    tifffile.imwrite(pair.image(".tif"), pair.colour, photometric="rgb")
    data = pair.image(".tif").read_bytes()
    pair.image(".tif").write_bytes(data[:-200])


@refused("copy it again")
def cut_tiff_header(pair: Pair) -> None:
    pair.image(".tif").write_bytes(b"II*\x00\x08\x00\x00\x00\x05\x00")


@refused("copy it again")
def tiff_directory_loop(pair: Pair) -> None:
    # A directory without entries whose next directory is itself.
    pair.image(".tif").write_bytes(b"II*\x00\x08\x00\x00\x00" + b"\x00\x00" + b"\x08\x00\x00\x00")


@refused("is damaged", "copy it again")
def cut_mask(pair: Pair) -> None:
    whole = encoded(pair.grey, "PNG")
    pair.mask().write_bytes(whole[: len(whole) // 2])


@refused("is damaged", "copy it again")
def flipped_bytes_in_png(pair: Pair) -> None:
    data = bytearray(encoded(pair.colour, "PNG"))
    data[80:120] = bytes(40)
    pair.image().write_bytes(data)


@refused("60000 x 60000", "source.max_pixels = 200000000", "raise it if the file is genuine")
def png_bomb(pair: Pair) -> None:
    pair.image().write_bytes(png(60000, 60000, 8, 2, bytes(1000)))


@refused("60000 x 60000", "source.max_pixels = 200000000", "raise it if the file is genuine")
def mask_bomb(pair: Pair) -> None:
    pair.mask().write_bytes(png(60000, 60000, 1, 0, bytes(1000)))


@refused("more than source.max_pixels = 200000000")
def tiff_bomb(pair: Pair) -> None:
    tifffile.imwrite(pair.image(".tif"), pair.grey, photometric="minisblack", metadata=None)
    data = pair.image(".tif").read_bytes()
    for tag in (256, 257, 278):  # width, height and rows of a strip, shorts or longs of one number
        place = data.index(struct.pack("<H", tag), 8)
        data = data[: place + 2] + struct.pack("<HII", 4, 1, 60000) + data[place + 12 :]
    pair.image(".tif").write_bytes(data)


@refused("has 1 of 120 parts of its pixels", "copy it again")
def tiff_without_most_strips(pair: Pair) -> None:
    tifffile.imwrite(pair.image(".tif"), pair.grey, photometric="minisblack", metadata=None)
    data = pair.image(".tif").read_bytes()
    place = data.index(struct.pack("<H", 257), 8)  # height
    data = data[: place + 2] + struct.pack("<HII", 4, 1, 1200) + data[place + 12 :]
    pair.image(".tif").write_bytes(data)
