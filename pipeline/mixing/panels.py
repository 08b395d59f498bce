"""Arrays as pictures for people: images with a contrast that shows them, contours, maps and masks in colours."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.dataset.class_colours import CLASS_COLOURS
from hsmix_gen.schemas.arrays import Image, Labels, Mask
from hsmix_gen.stages.labels.labels import SoftLabel

_Value = TypeVar("_Value", bound=np.generic)

Picture = npt.NDArray[np.uint8]
"""(H, W, 3) uint8."""
Contrast = tuple[float, float]
"""The pixel values that are shown black and white."""

CONTOUR, SEAM = (0, 255, 128), (255, 255, 0)
# Points of the scale from A to B, evenly spaced: dark blue over grey to yellow, distinct for colour-blind readers too.
_SCALE = np.array([(0, 34, 78), (66, 78, 108), (124, 123, 120), (186, 174, 108), (254, 232, 56)], dtype=np.float64)
_VEIL = 0.45
"""How much colours of classes cover an image that they are laid over."""
_DARK = 0.6
"""An image whose brightest pixels stay below this share of white is stretched."""
_OUTSIDE = (0.5, 99.5)
"""Percentiles that are shown black and white where images are stretched."""


def contrast_of(images: Sequence[Image]) -> Contrast | None:
    """Return the contrast that images which stand side by side are shown with, None where they are bright as they are.

    What is no uint8, and what is dark, is stretched, all alike so that they can be compared.
    """
    values = np.concatenate([image[::2, ::2].ravel() for image in images])
    low, high = (float(value) for value in np.percentile(values, _OUTSIDE))
    if values.dtype == np.uint8 and high >= _DARK * 255:
        return None
    return (0.0 if values.dtype == np.uint8 else low), max(high, low + 1e-9)


def as_rgb(image: Image, contrast: Contrast | None = None) -> Picture:
    """Return an image as (H, W, 3) uint8: the first channel unless it is RGB, in the contrast of `contrast_of`.

    Parameters
    ----------
    image : (H, W, C)
    contrast : (float, float) or None
        What is shown black and white; None leaves uint8 as it is.
    """
    if image.shape[-1] != 3:
        image = image[..., :1]
    if contrast is not None:
        low, high = contrast
        share = (image.astype(np.float64) - low) / max(high - low, 1e-9)
        image = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else np.ascontiguousarray(image)


def enlarged(array: npt.NDArray[_Value], side: int) -> npt.NDArray[_Value]:
    """Return an array with each pixel repeated as often as fits into `side`, so that lines drawn on it are thin."""
    times = max(1, round(side / max(array.shape[:2])))
    return array if times == 1 else np.repeat(np.repeat(array, times, axis=0), times, axis=1)


def with_boundaries(
    picture: Picture, regions: Labels | npt.NDArray[np.uint8], *, chosen: npt.NDArray[np.uint8] | None = None
) -> Picture:
    """Draw the borders of superpixels, or where lambda changes; where `chosen` is 0 the picture is dimmed."""
    result = picture.copy()
    if chosen is not None:
        result[chosen == 0] = (result[chosen == 0] * 0.45).astype(np.uint8)
    result[_edges(regions)] = SEAM
    return result


def with_share(picture: Picture, weight: npt.NDArray[np.uint8]) -> Picture:
    """Dim a picture where it enters less, to a quarter where it does not enter at all."""
    return (picture * (0.25 + 0.75 * weight[..., None] / 255)).astype(np.uint8)


def with_contour(picture: Picture, mask: Mask) -> Picture:
    """Draw the borders of the classes."""
    result = picture.copy()
    result[_edges(mask)] = CONTOUR
    return result


def heat_map(picture: Picture, saliency: npt.NDArray[np.uint8]) -> Picture:
    """Lay a map over a picture in red where it is high and blue where it is low."""
    share = saliency[..., None].astype(np.float64) / 255
    colour = share * np.array((255, 40, 0)) + (1 - share) * np.array((0, 40, 160))
    mixed: Picture = np.rint(0.4 * picture.mean(axis=-1, keepdims=True) + 0.6 * colour).astype(np.uint8)
    return mixed


def lambda_colours(weight_b: npt.NDArray[np.uint8]) -> Picture:
    """Return lambda in 255ths in the colours of the scale, from all A to all B."""
    place = np.linspace(0, 255, len(_SCALE))
    planes = [np.interp(np.arange(256), place, _SCALE[:, k]) for k in range(3)]
    table = np.rint(np.stack(planes, axis=-1)).astype(np.uint8)
    return table[weight_b]


def soft_colours(soft: npt.NDArray[np.floating], *, first: int) -> Picture:
    """Return a soft label as the mixture of the colours of its channels from `first` on.

    Channels that overlap (multi-label) are laid over each other, so that the last one shows.
    """
    result = np.zeros((*soft.shape[1:], 3), dtype=np.float64)
    for number, channel in enumerate(soft[first:], 1):
        share = channel[..., None].astype(np.float64)
        shown = share * CLASS_COLOURS[number]
        result = result + shown if first else result * (1 - share) + shown
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


def overlay(image: Image, soft: SoftLabel, *, first: int, side: int) -> Picture:
    """Return a small picture of an image under the colours of its classes, by their shares.

    Parameters
    ----------
    image : (H, W, C)
    soft : (K, H, W) float16
    first : int
        The first channel that is no background.
    side : int
        The longer side in pixels, at most.
    """
    planes = image if image.shape[-1] == 3 else image[..., :1]
    small: Any = _shrunk(planes, side)
    if image.dtype != np.float32:
        small = np.rint(small).astype(image.dtype)
    shares = np.moveaxis(_shrunk(np.moveaxis(soft, 0, -1), side), -1, 0)
    veil = _VEIL * np.clip(shares[first:].sum(axis=0), 0, 1)[..., None]
    shown = (1 - veil) * as_rgb(small, contrast_of([small])) + _VEIL * soft_colours(shares, first=first)
    whole: Picture = np.rint(shown).astype(np.uint8)
    return whole


def _shrunk(planes: npt.NDArray[np.generic], side: int) -> npt.NDArray[np.float32]:
    """Return (H, W, C) means of squares of pixels, so many that what is left fits into `side`."""
    step = -(-max(planes.shape[:2]) // side)
    height, width = (max(1, length // step) for length in planes.shape[:2])
    rows, columns = (min(step, length) for length in planes.shape[:2])
    total = np.zeros((height, width, planes.shape[2]), np.float32)
    for row in range(rows):
        for column in range(columns):
            total += planes[row : height * rows : rows, column : width * columns : columns]
    total /= rows * columns
    return total


def _edges(labels: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    edges = np.zeros(labels.shape, dtype=bool)
    edges[:-1] |= labels[:-1] != labels[1:]
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return edges
