"""A seeded set of images with masks, so that the benchmarks run anywhere: textured ellipses on textured ground."""

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

_Plane = npt.NDArray[np.float64]
_GRAIN = (1.5, 6.0, 24.0)
"""Widths in pixels of the noise that makes a texture."""


def write_source(folder: Path, n_images: int, *, side: int = 224, seed: int = 0) -> Path:
    """Write ``images/*.png`` and ``masks/*.png`` (0 and 255) into a folder and return it.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    n_images : int
        Number of pairs.
    side : int
        Height and width in pixels.
    seed : int
        Image i depends on (seed, i, side) alone.
    """
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(n_images):
        picture, mask = draw_pair(np.random.default_rng([seed, number]), side)
        Image.fromarray(picture).save(folder / "images" / f"case_{number:05d}.png", compress_level=1)
        Image.fromarray(mask).save(folder / "masks" / f"case_{number:05d}.png", compress_level=1)
    return folder


def draw_pair(rng: np.random.Generator, side: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Draw one or two ellipses of another colour and grain than the ground, and one shadow, under uneven light.

    Returns
    -------
    picture : (H, W, 3) uint8
    mask : (H, W) uint8
        255 inside the ellipses, 0 outside, also in the shadow, which is darker ground.
    """
    inside = np.zeros((side, side), dtype=bool)
    for _ in range(rng.integers(1, 3)):
        inside |= _ellipse(rng, side, (0.3, 0.7), (0.1, 0.26))
    shadow = _soft(_ellipse(rng, side, (0.0, 1.0), (0.1, 0.3)), side / 40)
    colour = rng.uniform(120, 200, 3)
    ground = (1 - 0.35 * shadow) * (colour + 14 * _texture(rng, side, (0.3, 1, 1)))
    thing = colour + rng.uniform((-60, -30, -15), (-10, 10, 30)) + 14 * _texture(rng, side, (1, 1, 0.3))
    light = 1 + 0.1 * _texture(rng, side, (0, 0, 1))
    share = _soft(inside, side / 150)
    picture = light * ((1 - share) * ground + share * thing) + rng.normal(0, 6, (side, side, 3))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), np.where(inside, 255, 0).astype(np.uint8)


def _ellipse(
    rng: np.random.Generator, side: int, centres: tuple[float, float], radii: tuple[float, float]
) -> npt.NDArray[np.bool_]:
    """Return where an ellipse lies, (side, side) bool; centres and radii are shares of the side."""
    centre = rng.uniform(*centres, 2) * side
    radius = rng.uniform(*radii, 2) * side
    angle = rng.uniform(0, np.pi)
    down, right = np.mgrid[:side, :side]
    along = (down - centre[0]) * np.cos(angle) + (right - centre[1]) * np.sin(angle)
    across = (right - centre[1]) * np.cos(angle) - (down - centre[0]) * np.sin(angle)
    inside: npt.NDArray[np.bool_] = (along / radius[0]) ** 2 + (across / radius[1]) ** 2 < 1
    return inside


def _soft(inside: npt.NDArray[np.bool_], width: float) -> _Plane:
    """Return a region with a soft border, (side, side, 1) in [0, 1]."""
    soft: _Plane = ndimage.gaussian_filter(inside.astype(np.float64), width)[..., None]
    return soft


def _texture(rng: np.random.Generator, side: int, strengths: tuple[float, float, float]) -> _Plane:
    """Return (side, side, 1) noise of mean 0 and deviation 1, a mixture of fine, middle and coarse grain."""
    spectrum = np.fft.rfft2(rng.standard_normal((side, side))) * _gain(side, strengths)
    texture = np.fft.irfft2(spectrum, s=(side, side))
    result: _Plane = ((texture - texture.mean()) / texture.std())[..., None]
    return result


@cache
def _gain(side: int, strengths: tuple[float, float, float]) -> _Plane:
    """Return the gains of Gaussian filters of all widths together; each alone would leave unit deviation."""
    down, right = np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij")
    total = np.zeros(down.shape)
    for strength, width in zip(strengths, _GRAIN, strict=True):
        gain = np.exp(-2 * (np.pi * width) ** 2 * (down**2 + right**2))
        total += strength * gain / np.sqrt((gain**2).mean())
    return total
