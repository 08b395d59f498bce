"""Form of the areas of each mask value: how thick they are, whether they are outlines or specks, how many there are."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy

from hsmix_gen.schemas.records import IGNORE, MaskForm

# Numbers of objects have at least so many values; fewer are never counted, which costs time.
_FEWEST_NUMBERED = 4
_MOST_NUMBERED = 4096
# Of ids at least one is so low in each mask; greys are above, and their white needs no second look.
_LOW_IDS = 32
_SPECK_SHARE = 1e-4
_SPECK_PIXELS = 4
# Mean width over the root of the area: a disc has 0.44, a square 0.5, a ring of 8 around 20 pixels 0.18.
_SLENDER = 0.25
_NEARLY_ALL = 0.95


def mask_form(mask: npt.NDArray[np.integer], values: Sequence[int]) -> MaskForm:
    """Return the form of the areas of a mask.

    Parameters
    ----------
    mask : (H, W) of any integer type
    values : sequence of int
        All values that it holds, in rising order.
    """
    return MaskForm(
        sides=boundary_sides(mask, np.array(values, mask.dtype)),
        outline=_outline_pixels(mask == IGNORE) if _holds_ids_and_ignore(values) else 0,
        areas=_count_areas(mask, values),
        around=_value_around(mask),
    )


def speck_pixels(pixels: int) -> int:
    """Return the greatest area of a speck in a mask of so many pixels."""
    return max(_SPECK_PIXELS, int(pixels * _SPECK_SHARE))


def boundary_sides(mask: npt.NDArray[np.integer], values: npt.NDArray[np.integer]) -> tuple[int, ...]:
    """Return for each of the values, all of a mask in rising order, how many sides of its pixels touch another or end.

    Twice the area over these sides is the mean width of an area.
    """
    flat, width = np.ascontiguousarray(mask).ravel(), mask.shape[1]
    down = np.flatnonzero(flat[width:] != flat[:-width])
    right = np.flatnonzero(flat[1:] != flat[:-1])
    right = right[right % width != width - 1]  # the end of a row and the begin of the next do not touch
    touching = np.concatenate([flat[down], flat[down + width], flat[right], flat[right + 1], _ends(mask)])
    counts = np.bincount(np.searchsorted(values, touching), minlength=len(values))
    return tuple(counts.tolist())


def _ends(mask: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Return the pixels at the end of a mask, those in corners twice."""
    return np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])


def _value_around(mask: npt.NDArray[np.integer]) -> int:
    ends = _ends(mask)
    # What nearly all have is in the middle.
    value = np.partition(ends, len(ends) // 2)[len(ends) // 2]
    return int(value) if (ends == value).mean() >= _NEARLY_ALL else 0


def _holds_ids_and_ignore(values: Sequence[int]) -> bool:
    ids = [value for value in values if 0 < value < IGNORE]
    return IGNORE in values and bool(ids) and ids[0] <= _LOW_IDS


def _outline_pixels(area: npt.NDArray[np.bool_]) -> int:
    """Return the pixels of an area that lie in specks and in slender parts, such as drawn around objects."""
    parts, count = scipy.ndimage.label(area, np.ones((3, 3)))
    pixels = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    sides = np.array(boundary_sides(parts, np.arange(count + 1)))[1:]
    slender = 2 * pixels / sides < _SLENDER * np.sqrt(pixels)
    return int(pixels[slender | (pixels <= speck_pixels(area.size))].sum())


def _count_areas(mask: npt.NDArray[np.integer], values: Sequence[int]) -> int:
    """Return the number of connected areas of all values above 0, or 0 where there are few values or too many."""
    numbered = [value for value in values if value > 0]
    if not _FEWEST_NUMBERED <= len(numbered) <= _MOST_NUMBERED:
        return 0
    ranks = np.searchsorted(np.array([0, *numbered], mask.dtype), mask).astype(np.int32)
    places = scipy.ndimage.find_objects(ranks)
    return sum(
        int(scipy.ndimage.label(ranks[place] == rank, np.ones((3, 3)))[1])
        for rank, place in enumerate(places, start=1)
        if place is not None
    )
