"""The embedded set: drawn pictures that look like skin lesions through a dermatoscope, the same on every machine."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hsmix_gen.pipeline.dataset.array_bytes import encode_png
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.schemas.arrays import Mask

IMAGES = 48
SIDE = 128
DEMO_VALUES: dict[str, Any] = {
    "image.size": (SIDE, SIDE),
    "source.split": "0.75/0.125/0.125",
    "source.classes": ("background", "lesion"),
    "superpixels.regions": (40, 90),
    "mix.copies": 8,
    "mix.select": 0.3,
    "output.formats": ("webdataset", "parquet"),
    "output.shards": 8,
    "output.name": "hsmix-gen demo",
}
_SEED = 2741
_SKINS = np.array([(236, 196, 176), (224, 178, 156), (214, 164, 138), (240, 206, 192), (198, 146, 120)], np.float64)
_PIGMENTS = np.array([(122, 70, 46), (92, 50, 34), (142, 88, 62), (104, 58, 58), (70, 44, 36)], np.float64)
_HAIR = np.array((58, 42, 34), np.float64)

_Plane = npt.NDArray[np.float64]


def write_demo_source(folder: Path) -> None:
    """Write the pictures as images and masks unless they are there."""
    for number in range(IMAGES):
        picture, mask = draw_lesion(number)
        _write_once(folder / "images" / f"lesion_{number:02d}.png", picture)
        _write_once(folder / "masks" / f"lesion_{number:02d}.png", mask * np.uint8(255))


def draw_lesion(number: int) -> tuple[npt.NDArray[np.uint8], Mask]:
    """Return a picture, (128, 128, 3) uint8, and its mask of 0 and 1.

    A blob with a lobed contour and pigment that thickens here and there, on skin with pores, hair and uneven light.
    """
    rng = np.random.default_rng([_SEED, number])
    depth = _depth(rng)
    inside = 1 / (1 + np.exp(-depth / 1.2))
    skin = _SKINS[rng.integers(len(_SKINS))] + rng.normal(0, 5, 3)
    picture = skin + (9 * _noise(rng, 14) + 5 * _noise(rng, 1.6))[..., None]
    pigment = _PIGMENTS[rng.integers(len(_PIGMENTS))] * rng.uniform(0.85, 1.2) + rng.normal(0, 4, 3)
    blotches = 16 * _noise(rng, 7) + 11 * _noise(rng, 2.2)
    # Lighter where the lesion is thin, at its edge.
    rim = np.clip(1 - depth / (0.5 * depth.max()), 0, 1)
    lesion = pigment + blotches[..., None] + 0.45 * rim[..., None] * (skin - pigment)
    picture = picture + inside[..., None] * (lesion - picture)
    hair = _hairs(rng)[..., None]
    picture = picture + hair * (_HAIR - picture)
    picture = picture * _light(rng)[..., None] + rng.normal(0, 2.5, picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), (depth > 0).astype(np.uint8)


def _depth(rng: np.random.Generator) -> _Plane:
    """Return how deep each pixel lies inside of a lobed contour, in pixels; below 0 outside."""
    y, x = np.mgrid[:SIDE, :SIDE]
    top, left = SIDE / 2 + rng.uniform(-16, 16, 2)
    angle, distance = np.arctan2(y - top, x - left), np.hypot(y - top, x - left)
    stretch = 1 + rng.uniform(0, 0.3) * np.cos(2 * (angle - rng.uniform(0, np.pi)))
    lobes = sum(
        rng.uniform(0.3, 1) * 0.16 / waves**0.7 * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
        for waves in (2, 3, 4, 5, 7, 9)
    )
    depth: _Plane = rng.uniform(24, 44) * stretch * (1 + lobes) - distance + 1.5 * _noise(rng, 3)
    return depth


def _hairs(rng: np.random.Generator) -> _Plane:
    """Return how much of each pixel a hair covers, 0 to 1."""
    cover = np.zeros((SIDE, SIDE))
    step = np.linspace(0, 1, 6 * SIDE)[:, None]
    for _ in range(int(rng.integers(0, 7))):
        start, bend, end = rng.uniform(-0.1 * SIDE, 1.1 * SIDE, (3, 2))
        line = np.rint((1 - step) ** 2 * start + 2 * step * (1 - step) * bend + step**2 * end).astype(np.int64)
        hair = np.zeros((SIDE, SIDE))
        rows, columns = line[((line >= 0) & (line < SIDE)).all(axis=1)].T
        hair[rows, columns] = 1
        soft = ndimage.gaussian_filter(hair, rng.uniform(0.4, 0.8))
        cover = np.maximum(cover, rng.uniform(0.5, 0.85) * np.clip(soft / max(soft.max(), 1e-9) * 1.6, 0, 1))
    return cover


def _light(rng: np.random.Generator) -> _Plane:
    """Return the light on each pixel: from one side, and weaker in the corners."""
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) - 0.5
    side = rng.uniform(0, 2 * np.pi)
    light: _Plane = 1 + 0.18 * (x * np.cos(side) + y * np.sin(side)) - rng.uniform(0.15, 0.7) * (x**2 + y**2)
    return light


def _noise(rng: np.random.Generator, width: float) -> _Plane:
    """Return smooth noise of mean 0 and deviation 1 whose spots are some `width` pixels wide."""
    smooth: _Plane = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), width, mode="reflect")
    return (smooth - float(smooth.mean())) / float(smooth.std())


def _write_once(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    if not path.is_file():
        atomic_files.write_whole(path, encode_png(pixels))
