"""What an image looks like, in 64 bits: a perceptual hash that survives re-encoding, resizing and brightness."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy
from PIL import Image as Pillow

from hsmix_gen.pipeline.decoders.stack import Stack
from hsmix_gen.schemas.records import Part

_FLAT = 2.0
_SIDE, _WAVES = 32, 8


def cut(plane: npt.NDArray[Any], part: Part) -> npt.NDArray[Any]:
    """Return the tile of a plane that a part names, or all of it."""
    if part.tile is None:
        return plane
    top, left, height, width = part.tile
    return plane[top : top + height, left : left + width]


def look_of(image: Stack, part: Part) -> int | None:
    """Return the perceptual hash of a part of an image, or None where it is too flat to look like anything."""
    grey = _grey(image, part)
    if np.asarray(grey).std() < _FLAT:
        return None
    return hash_of(grey)


def hash_of(grey: Pillow.Image) -> int:
    """Return the hash [1]_ of a grey picture: which of its longest 8 x 8 waves are stronger than their median.

    References
    ----------
    .. [1] Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010 (pHash).
    """
    shrunk = np.asarray(grey.resize((_SIDE, _SIDE), Pillow.Resampling.LANCZOS), np.float64)
    waves = scipy.fft.dctn(shrunk)[:_WAVES, :_WAVES]
    return int.from_bytes(np.packbits(waves > np.median(waves)).tobytes(), "big")


def _grey(image: Stack, part: Part) -> Pillow.Image:
    plane = cut(image.plane(part.plane), part)
    if image.is_picture and plane.dtype == np.uint8:
        return Pillow.fromarray(plane[..., 0] if plane.shape[-1] == 1 else plane).convert("L")
    mean = plane.astype(np.float32).mean(axis=-1)
    low, high = float(mean.min()), float(mean.max())
    return Pillow.fromarray(np.rint((mean - low) * (255 / max(high - low, 1e-9))).astype(np.uint8))
