"""Masks drawn for tests of what values mean, as a scan would see them."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hsmix_gen.schemas.records import ScanResult
from hsmix_gen.stages.labels.conventions import MaskValues
from hsmix_gen.stages.labels.mask_areas import mask_form
from hsmix_gen.stages.labels.mask_values import value_counts

Mask = npt.NDArray[Any]


def nested(number: int = 0, values: tuple[int, ...] = (0, 1, 2), size: int = 64) -> Mask:
    """Return a disc around another, at a place of its own; the values are background, outer and inner disc."""
    y, x = np.mgrid[:size, :size]
    apart = (y - 28 - number % 5) ** 2 + (x - 34 + number % 7) ** 2
    mask = np.full((size, size), values[0], np.uint16)
    mask[apart < 300] = values[1]
    mask[apart < 80] = values[-1]
    return mask


def disc(number: int = 0, value: int = 1, size: int = 64) -> Mask:
    """Return a disc of one value on background 0."""
    return nested(number, (0, value, value), size)


def outlined(mask: Mask, value: int = 255, width: int = 1) -> Mask:
    """Return a mask with an outline of a value around its foreground, `width` pixels to either side."""
    inside = mask > 0
    grown, shrunk = (
        change(inside, np.ones((3, 3)), iterations=width)
        for change in (ndimage.binary_dilation, ndimage.binary_erosion)
    )
    return np.where(grown & ~shrunk, value, mask)


def with_pixels(mask: Mask, value: int, count: int = 1) -> Mask:
    """Return a mask in which some pixels of the first row have a value."""
    changed = mask.copy()
    changed[0, 1 : 2 * count : 2] = value
    return changed


def seen(mask: Mask) -> MaskValues:
    """Return what a scan sees of a mask."""
    counts = value_counts(mask)
    form = mask_form(mask, [value for value, _ in counts])
    return MaskValues.of(ScanResult("a", mask_counts=counts, mask_form=form))
