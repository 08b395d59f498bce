"""One size and form for every image and mask: antialiased images, area-majority masks."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from scipy import sparse

from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.records import IGNORE

# Rec. 601 luma, the weights of Pillow's own conversion to grey.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float64)


def set_channels(image: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    """Return an (H, W, 1 or 3) image from a grey, grey + alpha, RGB or RGBA one; alpha is dropped."""
    colour = image[..., :1] if image.shape[-1] in (1, 2) else image[..., :3]
    if colour.shape[-1] == channels:
        return colour
    if channels == 3:
        return np.repeat(colour, 3, axis=-1)
    return np.rint(colour @ _LUMA).astype(image.dtype)[..., None]


def set_dtype(image: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Return a uint8 or uint16 image in the other depth; 255 and 65535 are the same white."""
    if image.dtype == dtype:
        return image
    if dtype == "uint16":
        return image.astype(np.uint16) * np.uint16(257)
    return ((image.astype(np.uint32) * 2 + 257) // 514).astype(np.uint8)


def resize_image(image: npt.NDArray[Any], size: tuple[int, int]) -> arrays.Image:
    """Stretch an (H, W, C) uint8 or uint16 image to `size` = (height, width), bilinear and antialiased."""
    if image.shape[:2] == size:
        return np.ascontiguousarray(image)
    if image.dtype == np.uint8 and image.shape[-1] in (1, 3):
        pillow = Pillow.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        resized = np.asarray(pillow.resize(size[::-1], Pillow.Resampling.BILINEAR))
        return resized.reshape(*size, image.shape[-1]).copy()
    planes = [
        resize_plane(image[..., c].astype(np.float32), size, Pillow.Resampling.BILINEAR) for c in range(image.shape[-1])
    ]
    limit = np.iinfo(image.dtype).max
    rounded = np.clip(np.rint(np.stack(planes, axis=-1)), 0, limit)
    return rounded.astype(np.uint16) if image.dtype == np.uint16 else rounded.astype(np.uint8)


def resize_mask(mask: arrays.Mask, size: tuple[int, int]) -> arrays.Mask:
    """Stretch an (H, W) uint8 mask to `size`: each pixel takes the class that covers most of its area.

    Where two classes cover the same area the higher id wins, so that an object of exactly half a pixel stays;
    ignore (255) competes like a class. For two classes this is "foreground if it covers at least one half".
    """
    if mask.shape == size:
        return np.ascontiguousarray(mask)
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).astype(np.uint8)
    if len(present) == 1:
        return np.full(size, present[0], dtype=np.uint8)
    rows, columns = _overlaps(mask.shape[0], size[0]), _overlaps(mask.shape[1], size[1])
    best = np.full(size, -1.0)
    result = np.zeros(size, dtype=np.uint8)
    for value in present:
        area = (columns @ (rows @ (mask == value).astype(np.float64)).T).T
        wins = area >= best
        result[wins] = value
        best = np.maximum(area, best)
    return result


def _overlaps(length: int, target: int) -> sparse.csr_array:
    """Return how much of each of `length` pixels lies in each of `target` pixels on one line, (target, length).

    The line is `length` * `target` units long, so that all overlaps, and all areas below 2**53, are whole numbers:
    an even split is one. (Pillow's box filter counts pixels whose centres lie inside, whole or not at all.)
    """
    ends, target_ends = np.arange(1, length + 1) * target, np.arange(1, target + 1) * length
    first = np.maximum(ends - target, (target_ends - length)[:, None])
    last = np.minimum(ends, target_ends[:, None])
    return sparse.csr_array(np.maximum(last - first, 0).astype(np.float64))


def resize_plane(
    plane: npt.NDArray[np.float32],
    size: tuple[int, int],
    how: Pillow.Resampling = Pillow.Resampling.BILINEAR,
) -> npt.NDArray[np.float32]:
    """Stretch an (H, W) float32 plane to `size`, antialiased."""
    return np.asarray(Pillow.fromarray(plane).resize(size[::-1], how), dtype=np.float32)


def class_counts(mask: arrays.Mask, n_classes: int) -> npt.NDArray[np.int64]:
    """Return the pixels of each class, an (n_classes,) int64 array; ignored pixels are not counted."""
    counts = np.bincount(mask.ravel(), minlength=IGNORE + 1)
    return counts[:n_classes].astype(np.int64)
