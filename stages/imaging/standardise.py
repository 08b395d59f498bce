"""One size and form for every image and mask: antialiased images, area-majority masks."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy
from PIL import Image as Pillow

from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.records import IGNORE

Fit = Literal["stretch", "pad", "crop"]

# Rec. 601 luma, the weights of Pillow's own conversion to grey.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float64)


def set_channels(image: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    """Return an (H, W, `channels`) image.

    One that has as many is returned as it is, whatever they mean. Grey, grey + alpha, RGB and RGBA pictures become
    grey or RGB; alpha is dropped.

    Raises
    ------
    ValueError
        If neither holds.
    """
    if image.shape[-1] == channels:
        return image
    if channels not in (1, 3) or image.shape[-1] > 4:
        raise ValueError(f"an image of {image.shape[-1]} channels cannot get {channels}")
    colour = image[..., :1] if image.shape[-1] in (1, 2) else image[..., :3]
    if colour.shape[-1] == channels:
        return colour
    if channels == 3:
        return np.repeat(colour, 3, axis=-1)
    grey = colour @ _LUMA
    return (grey if image.dtype.kind == "f" else np.rint(grey)).astype(image.dtype)[..., None]


def set_dtype(image: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Return a uint8 or uint16 image in another depth; 255, 65535 and the float 1 are the same white.

    Floats have units of their own, which `stages.imaging.intensity` knows: a float32 image is returned as it is.

    Raises
    ------
    ValueError
        If the image is of another type: int16 and so on have no white.
    """
    if image.dtype not in arrays.IMAGE_DTYPES:
        raise ValueError(f"an image must be uint8, uint16 or float32 to change its depth, got {image.dtype}")
    if image.dtype == dtype or image.dtype.kind == "f":
        return image
    if dtype == "float32":
        return image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    if dtype == "uint16":
        return image.astype(np.uint16) * np.uint16(257)
    return ((image.astype(np.uint32) * 2 + 257) // 514).astype(np.uint8)


def fit_image(image: arrays.Image, size: tuple[int, int], fit: Fit) -> arrays.Image:
    """Bring an (H, W, C) image to `size` = (height, width).

    ``stretch`` changes the aspect where it has to; ``pad`` scales so that the image just fits inside; ``crop``
    takes the middle without scaling. The image stands in the middle (an odd rest goes to the bottom and the
    right), what it does not cover is 0.
    """
    if fit == "crop":
        return _placed(_middle(image, size), size)
    return _placed(resize_image(image, _scaled_size(image.shape[:2], size, fit)), size)


def fit_mask(mask: arrays.Mask, size: tuple[int, int], fit: Fit) -> arrays.Mask:
    """Bring an (H, W) or multi-label (H, W, K) uint8 mask to `size`, like `fit_image` its image; the rest is 0."""
    if fit == "crop":
        return _placed(_middle(mask, size), size)
    resize = resize_mask if mask.ndim == 2 else resize_channels
    return _placed(resize(mask, _scaled_size(mask.shape[:2], size, fit)), size)


def fit_labels(labels: npt.NDArray[Any], size: tuple[int, int], fit: Fit) -> npt.NDArray[Any]:
    """Bring an (H, W) map of numbered regions to `size`, like `fit_image` its image; the rest is 0.

    Each pixel takes the number under its centre: numbers mean nothing by themselves, and there are many of them.
    """
    if fit == "crop":
        return _placed(_middle(labels, size), size)
    scaled = _scaled_size(labels.shape, size, fit)
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(scaled, labels.shape, strict=True))
    return _placed(labels[rows[:, None], columns], size)


def stored_spacing(
    spacing: tuple[float, ...], original_size: tuple[int, int], size: tuple[int, int], fit: Fit
) -> tuple[float, float]:
    """Return millimetres between rows and columns of what `fit_image` stores.

    Parameters
    ----------
    spacing : tuple of float
        Between rows, columns and whatever follows, before.
    original_size, size : (int, int)
        Height and width in pixels, before and after.
    fit : str
    """
    if fit == "crop":
        return spacing[0], spacing[1]
    scaled = _scaled_size(original_size, size, fit)
    return spacing[0] * original_size[0] / scaled[0], spacing[1] * original_size[1] / scaled[1]


def _scaled_size(original: tuple[int, ...], size: tuple[int, int], fit: Fit) -> tuple[int, int]:
    """Return the size to which an image of `original` size is scaled; with ``pad`` one side is that of `size`."""
    if fit == "stretch":
        return size
    (height, width), (tall, wide) = original, size
    if tall * width <= wide * height:
        return tall, max(1, (2 * width * tall + height) // (2 * height))
    return max(1, (2 * height * wide + width) // (2 * width)), wide


def _middle(array: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    top, left = (max(0, have - want) // 2 for have, want in zip(array.shape, size, strict=False))
    return array[top : top + size[0], left : left + size[1]]


def _placed(array: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Return an array of at most `size` in the middle of zeros."""
    if array.shape[:2] == size:
        return np.ascontiguousarray(array)
    top, left = ((want - have) // 2 for have, want in zip(array.shape, size, strict=False))
    result = np.zeros((*size, *array.shape[2:]), array.dtype)
    result[top : top + array.shape[0], left : left + array.shape[1]] = array
    return result


def resize_image(image: npt.NDArray[Any], size: tuple[int, int]) -> arrays.Image:
    """Stretch an (H, W, C) uint8, uint16 or float32 image to `size` = (height, width), bilinear and antialiased."""
    if image.shape[:2] == size:
        return np.ascontiguousarray(image)
    if image.dtype == np.uint8 and image.shape[-1] in (1, 3):
        pillow = Pillow.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        resized = np.asarray(pillow.resize(size[::-1], Pillow.Resampling.BILINEAR))
        return resized.reshape(*size, image.shape[-1]).copy()
    planes = [resize_plane(image[..., c].astype(np.float32), size) for c in range(image.shape[-1])]
    if image.dtype == np.float32:
        return np.stack(planes, axis=-1)
    return np.rint(np.stack(planes, axis=-1)).clip(0, np.iinfo(image.dtype).max).astype(image.dtype)


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


def resize_channels(mask: arrays.Mask, size: tuple[int, int]) -> arrays.Mask:
    """Stretch an (H, W, K) uint8 multi-label mask of 0, 1 and ignore (255) to `size`.

    A pixel is ignored, in all channels, if half of its area or more is ignored in any; else a channel holds it if
    it covers at least half of the area that is left. So regions inside each other stay inside each other.
    """
    if mask.shape[:2] == size:
        return np.ascontiguousarray(mask)
    rows, columns = _overlaps(mask.shape[0], size[0]), _overlaps(mask.shape[1], size[1])

    def areas(where: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        found: npt.NDArray[np.float64] = (columns @ (rows @ where.astype(np.float64)).T).T
        return found

    ignored = (mask == IGNORE).any(axis=-1)
    whole = float(mask.shape[0] * mask.shape[1])
    left = whole - (areas(ignored) if ignored.any() else 0.0)
    held = [2 * areas((mask[..., k] == 1) & ~ignored) >= left for k in range(mask.shape[-1])]
    result = np.stack(held, axis=-1).astype(np.uint8)
    result[np.broadcast_to(2 * left <= whole, size)] = IGNORE
    return result


def _overlaps(length: int, target: int) -> "scipy.sparse.csr_array":
    """Return how much of each of `length` pixels lies in each of `target` pixels on one line, (target, length).

    The line is `length` * `target` units long, so that all overlaps, and all areas below 2**53, are whole numbers:
    an even split is one. (Pillow's box filter counts pixels whose centres lie inside, whole or not at all.)
    """
    ends, target_ends = np.arange(1, length + 1) * target, np.arange(1, target + 1) * length
    first = np.maximum(ends - target, (target_ends - length)[:, None])
    last = np.minimum(ends, target_ends[:, None])
    return scipy.sparse.csr_array(np.maximum(last - first, 0).astype(np.float64))


def resize_plane(plane: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Stretch an (H, W) float32 plane to `size`, bilinear and antialiased."""
    return np.asarray(Pillow.fromarray(plane).resize(size[::-1], Pillow.Resampling.BILINEAR), dtype=np.float32)
