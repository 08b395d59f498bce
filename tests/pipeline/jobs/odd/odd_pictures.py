"""A pair of pictures of which a case spoils one side, and what has to be seen of it."""

import io
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

Array = npt.NDArray[Any]
ODD_SIZE = (10, 14)
FOREGROUND = 18
"""Pixels of class 1 in the mask of each pair, good or odd, unless the case tells another number."""


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
