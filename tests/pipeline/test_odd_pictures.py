"""Odd and damaged pictures among good ones: each is read rightly or refused in one line, and no good one is lost."""

import csv
import io
import json
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image as Pillow

from hsmix_gen.pipeline.opening import open_pair
from hsmix_gen.pipeline.reading import discover
from hsmix_gen.pipeline.stacks import ReadOptions
from hsmix_gen.schemas.config import RunConfig

Array = npt.NDArray[Any]

GOOD = 4
GOOD_SIZE = (12, 18)
ODD_SIZE = (10, 14)
FOREGROUND = 18
"""Pixels of class 1 in the mask of each pair, good or odd, unless the case tells another number."""
VALUES = ("--mask-values", "0=0,1=1,255=1,70000=1")
EXIF_ORIENTATION = 274


@dataclass
class Pair:
    """Where the files of one case go; both sides are good until the case spoils one of them."""

    source: Path
    stem: str
    size: tuple[int, int] = ODD_SIZE
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(zlib.crc32(self.stem.encode()))
        self.grey = self.rng.integers(0, 256, self.size, dtype=np.uint8)
        self.colour = self.rng.integers(0, 256, (*self.size, 3), dtype=np.uint8)
        self.labels = np.zeros(self.size, np.uint8)
        self.labels[2:5, 3:9] = 255
        Pillow.fromarray(self.grey).save(self.path("images"))
        Pillow.fromarray(self.labels).save(self.path("masks"))

    def path(self, kind: str, ending: str = ".png") -> Path:
        """Return where a side goes; under another ending, the good file is taken away."""
        folder = self.source / kind
        folder.mkdir(parents=True, exist_ok=True)
        if ending != ".png":
            (folder / f"{self.stem}.png").unlink(missing_ok=True)
        return folder / f"{self.stem}{ending}"

    def image(self, ending: str = ".png") -> Path:
        """Return where the image goes."""
        return self.path("images", ending)

    def mask(self, ending: str = ".png") -> Path:
        """Return where the mask goes."""
        return self.path("masks", ending)


@dataclass(frozen=True)
class Seen:
    """What has to be seen of a pair that is used: its pixels, the values of its mask, pixels of class 1."""

    pixels: Array
    labels: Array
    tolerance: int = 0
    foreground: int = FOREGROUND


@dataclass(frozen=True)
class Case:
    """An odd pair; `told` is what its refusal says, nothing where it is used."""

    make: Callable[[Pair], Seen | None]
    told: tuple[str, ...] = ()
    stage: str = "scan"

    @property
    def name(self) -> str:
        """Stem of its files."""
        return self.make.__name__


CASES: list[Case] = []


def used(make: Callable[[Pair], Seen]) -> Callable[[Pair], Seen]:
    """Add a case that is used."""
    CASES.append(Case(make))
    return make


def refused(*told: str, stage: str = "scan") -> Callable[[Callable[[Pair], None]], Callable[[Pair], None]]:
    """Add a case that is refused."""

    def add(make: Callable[[Pair], None]) -> Callable[[Pair], None]:
        CASES.append(Case(make, told, stage))
        return make

    return add


def encoded(array: Array, form: str, **options: Any) -> bytes:
    """Return an array as a file of Pillow's."""
    stream = io.BytesIO()
    Pillow.fromarray(array).save(stream, form, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """Return a PNG of packed rows, each with its filter byte."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def wide_png(array: Array, colour: int) -> bytes:
    """Return a PNG of 16 bits, which Pillow writes in grey only."""
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in array)
    return png(array.shape[1], array.shape[0], 16, colour, rows)


# -- damaged


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


# -- other pictures than 8-bit PNG


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


# -- masks


@refused("has values 77", "expected 0, 1, 255", "--mask-values")
def mask_of_unknown_value(pair: Pair) -> None:
    pair.labels[0, :3] = 77
    Pillow.fromarray(pair.labels).save(pair.mask())


@used
def mask_without_objects(pair: Pair) -> Seen:
    Pillow.fromarray(pair.labels * np.uint8(0)).save(pair.mask())
    return Seen(pair.grey[..., None], pair.labels * 0, foreground=0)


@used
def mask_of_equal_channels(pair: Pair) -> Seen:
    Pillow.fromarray(np.dstack([pair.labels] * 3)).save(pair.mask())
    return Seen(pair.grey[..., None], pair.labels)


@used
def mask_with_alpha(pair: Pair) -> Seen:
    Pillow.fromarray(np.dstack([pair.labels] * 3 + [pair.grey])).save(pair.mask())
    return Seen(pair.grey[..., None], pair.labels)


@refused("mask is coloured", "--colours")
def mask_of_colours(pair: Pair) -> None:
    Pillow.fromarray(np.dstack([pair.labels, pair.labels // 2, pair.labels])).save(pair.mask())


@used
def mask_of_one_bit(pair: Pair) -> Seen:
    Pillow.fromarray(pair.labels > 0).save(pair.mask())
    return Seen(pair.grey[..., None], (pair.labels > 0).astype(np.uint8))


@used
def mask_as_palette(pair: Pair) -> Seen:
    picture = Pillow.fromarray((pair.labels > 0).astype(np.uint8)).convert("P")
    picture.putpalette([0, 0, 0, 128, 0, 64])
    picture.save(pair.mask())
    return Seen(pair.grey[..., None], (pair.labels > 0).astype(np.uint8))


@used
def mask_as_jpeg(pair: Pair) -> Seen:
    labels = np.zeros(ODD_SIZE, np.uint8)
    labels[:, 8:] = 255
    Pillow.fromarray(labels).save(pair.mask(".jpg"), quality=95)
    return Seen(pair.grey[..., None], labels, foreground=60)


@refused("lossy mask", "export it as PNG")
def mask_as_jpeg_of_ids(pair: Pair) -> None:
    Pillow.fromarray((pair.labels > 0).astype(np.uint8) * np.uint8(3)).save(pair.mask(".jpg"), quality=100)


@used
def mask_of_int32(pair: Pair) -> Seen:
    wide = np.where(pair.labels > 0, 70000, 0).astype(np.int32)
    tifffile.imwrite(pair.mask(".tif"), wide)
    return Seen(pair.grey[..., None], wide)


@used
def mask_of_whole_floats(pair: Pair) -> Seen:
    tifffile.imwrite(pair.mask(".tif"), (pair.labels > 0).astype(np.float32))
    return Seen(pair.grey[..., None], (pair.labels > 0).astype(np.int32))


@refused("label 0.5", "whole numbers", "without interpolation")
def mask_of_halves(pair: Pair) -> None:
    tifffile.imwrite(pair.mask(".tif"), (pair.labels > 0) * np.float32(0.5))


@refused("NaN", "whole numbers", "replace them")
def mask_of_nan(pair: Pair) -> None:
    tifffile.imwrite(pair.mask(".tif"), np.where(pair.labels > 0, np.nan, 0).astype(np.float32))


@refused("label -1", "expected 0 or more", "number the classes from 0")
def mask_below_zero(pair: Pair) -> None:
    tifffile.imwrite(pair.mask(".tif"), -(pair.labels > 0).astype(np.int16))


@refused("14 x 9", "14 x 10", "export the mask at the size of the image")
def mask_of_other_size(pair: Pair) -> None:
    Pillow.fromarray(pair.labels[:9]).save(pair.mask())


@refused("10 x 14", "14 x 10", "export the mask at the size of the image")
def mask_lying_down(pair: Pair) -> None:
    Pillow.fromarray(np.ascontiguousarray(pair.labels.T)).save(pair.mask())


@refused("no mask", "add one", stage="discover")
def image_alone(pair: Pair) -> None:
    pair.mask().unlink()


@refused("no image", "add it or remove the mask", stage="discover")
def mask_alone(pair: Pair) -> None:
    pair.image().unlink()


@refused("several images have one stem", "image_of_two_endings.jpg", "rename or remove", stage="discover")
def image_of_two_endings(pair: Pair) -> None:
    (pair.source / "images" / f"{pair.stem}.jpg").write_bytes(encoded(pair.colour, "JPEG"))


@used
def one_pixel(pair: Pair) -> Seen:
    Pillow.fromarray(pair.grey[:1, :1]).save(pair.image())
    Pillow.fromarray(pair.labels[2:3, 3:4]).save(pair.mask())
    return Seen(pair.grey[:1, :1, None], pair.labels[2:3, 3:4], foreground=1)


NAMES = [case.name for case in CASES]


@dataclass(frozen=True)
class Shown:
    """A case among good pairs, and what ``inspect --json`` told."""

    case: Case
    source: Path
    seen: Seen | None
    result: click.testing.Result
    told: dict[str, Any]


def add_good(source: Path) -> None:
    """Write the good pairs."""
    for number in range(GOOD):
        Pair(source, f"good_{number}", GOOD_SIZE)


@pytest.fixture(params=CASES, ids=NAMES)
def shown(
    request: pytest.FixtureRequest, tmp_path: Path, run_cli: Callable[..., click.testing.Result]
) -> Iterator[Shown]:
    """One case after the other."""
    case: Case = request.param
    add_good(tmp_path)
    seen = case.make(Pair(tmp_path, case.name))
    # Pillow warns of whatever it finds in damaged files; a user sees it once, a program as little as possible.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = run_cli("inspect", tmp_path, *VALUES, "--json", "--progress", "none")
    assert result.exit_code == 0, result.output
    yield Shown(case, tmp_path, seen, result, json.loads(result.stdout))


def test_odd_picture_is_used_or_refused_in_one_line(shown: Shown) -> None:
    """Nothing is used that is told as a problem, nothing is lost without being told, and good pairs stay."""
    case, told = shown.case, shown.told
    problems = {problem["id"]: problem for problem in told["problems"]}
    late = case.stage == "images" and not problems

    assert set(problems) == (set() if shown.seen is not None or late else {case.name})
    assert told["usable"] == GOOD + (shown.seen is not None or late)
    assert len(told["problems"]) == len(problems)
    for problem in problems.values():
        assert problem["stage"] in {case.stage, "scan" if case.stage == "images" else case.stage}
        check_reason(case, problem["path"], problem["reason"])


def test_odd_picture_that_is_used_is_seen_rightly(shown: Shown) -> None:
    """Size, channels, pixels and the class of every pixel are those that were written."""
    if shown.seen is None:
        return
    told, seen = shown.told, shown.seen
    height, width, channels = seen.pixels.shape
    items = {item.id: item for item in discover(shown.source, RunConfig()).items}
    image, mask = open_pair(items[shown.case.name], ReadOptions())
    pixels = image.plane(0)

    assert [height, width, 1] in told["sizes"]["most_common"]
    assert told["channels"] == channels
    assert pixels.dtype == image.dtype == seen.pixels.dtype
    assert pixels.shape == seen.pixels.shape
    assert np.abs(pixels.astype(int) - seen.pixels).max() <= seen.tolerance
    assert np.array_equal(mask.plane(0), seen.labels)
    assert told["classes"][1]["pixels"] == GOOD * FOREGROUND + seen.foreground


def check_reason(case: Case, path: str, reason: str) -> None:
    """Check that a reason is one line that names file, rule, value and way out."""
    assert Path(path).stem == case.name
    assert len(reason.splitlines()) == 1
    assert [text for text in case.told if text not in reason] == [], reason
    assert case.stage == "discover" or f"{case.name}." in reason
    assert ";" in reason or case.stage == "images", f"no way out: {reason}"


def test_there_are_as_many_odd_pictures_as_promised() -> None:
    """Each case is one of its own."""
    assert len(set(NAMES)) == len(NAMES) >= 60


@dataclass(frozen=True)
class WholeRun:
    """A run over all cases at once."""

    source: Path
    output: Path
    result: click.testing.Result


@pytest.fixture(scope="module")
def whole(
    run_cli: Callable[..., click.testing.Result], tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> WholeRun:
    """A complete run over all cases at once."""
    folder = tmp_path_factory.mktemp("odd_pictures")
    source, output = folder / "source", folder / "output"
    add_good(source)
    for case in CASES:
        case.make(Pair(source, case.name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = run_cli("run", source, output, *tiny, *VALUES, "--copies", 1)
    return WholeRun(source, output, result)


def test_run_over_all_odd_pictures_refuses_exactly_the_bad_ones(whole: WholeRun) -> None:
    """A job over thousands of files meets all of them in one night."""
    assert whole.result.exit_code == 0, whole.result.stderr
    assert "Traceback" not in whole.result.output
    with (whole.output / "refused.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    expected = {case.name: case for case in CASES if case.told}
    assert set(rows) == set(expected)
    for name, case in expected.items():
        assert rows[name]["stage"] in {case.stage, "scan" if case.stage == "images" else case.stage}
        check_reason(case, rows[name]["path"], rows[name]["reason"])


def test_dataset_of_odd_pictures_is_sound(whole: WholeRun, run_cli: Callable[..., click.testing.Result]) -> None:
    """What was used can be made again, also from the oddest files."""
    result = run_cli("verify", whole.output, "--replay", 3)

    assert result.exit_code == 0, result.output
    assert "Traceback" not in result.output
