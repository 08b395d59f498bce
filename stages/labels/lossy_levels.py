"""Grey levels of masks that a lossy format has blurred: found where pixels are flat, and put back everywhere."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy

from hsmix_gen.schemas.errors import SourceError

_Grey = npt.NDArray[np.uint8]

# Below and above, flat pixels are the ringing of black and white.
_DARK, _LIGHT = 32, 223
# Greatest difference inside 3 x 3 pixels that are flat. Of 65 536 pixels of sharp black-and-white blobs at most 3 are
# flat in between, for qualities from 10 to 95; of a disc of radius 8 in a third grey at least 23 of 193 are.
_FLAT = 24
_WINDOW = 12
_APART = 20
_MOST_LEVELS = 4
_FEWEST_FLAT = 5
_FLAT_SHARE = 5e-5
# Soft edges have flat pixels of every grey.
_ABOUT_LEVELS = 0.8
# Pixels from the flat ones of a level up to which blurred pixels may belong to it: two blocks of JPEG.
_REACH = 16
_EXPLAINED = 16
_BETWEEN = 0.05
# A line of a third grey has no flat pixel: the greys between black and white are then about one grey.
_LINE_SHARE = 0.6
_LINE_WIDTH = 16
_LINE_PER_SIDE = 0.5
# Greys of three to six classes; a quantised level lies some steps beside.
_COMMON = np.array([0, 51, 64, 85, 102, 128, 153, 170, 191, 204, 255])
_SNAP = 8


def restore_levels(grey: _Grey) -> _Grey:
    """Return the mask of a few grey levels that a lossy format has blurred.

    Levels between black and white are those that flat pixels show. Without any the mask is cut at 128. Blurred pixels
    belong to the level that is nearest in value, one between black and white only within 16 pixels of its flat ones.

    Parameters
    ----------
    grey : (H, W) uint8

    Returns
    -------
    (H, W) uint8
        0 and 255, or the levels, those of the usual greys exact (128 for 126).

    Raises
    ------
    SourceError
        If the values are not about a few levels, or a level may be there as lines, which blur hides.
    """
    between = np.flatnonzero(((grey >= _DARK) & (grey <= _LIGHT)).ravel())
    counts = np.bincount(grey.ravel()[between], minlength=256)
    flat = between[_are_flat(grey, between)]
    middle = _middle_levels(np.bincount(grey.ravel()[flat], minlength=256), grey.size)
    ends = int(grey.min()), int(grey.max())
    for level in middle:
        counts[max(0, level - _EXPLAINED) : level + _EXPLAINED + 1] = 0
    _check(counts, grey.size, ends, may_be_ids=not len(middle))
    if not (middle >= 192).any():
        _check_lines(grey, counts)
    if not (middle < 192).any():
        return np.where(grey < 128, np.uint8(0), np.uint8(255))
    levels = [*([0] if ends[0] < _DARK else []), *middle.tolist(), *([255] if ends[1] > _LIGHT else [])]
    return _nearest(grey, flat, levels)


def _are_flat(grey: _Grey, pixels: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Return of some pixels, numbered row by row, whether the 3 x 3 around them are nearly equal."""
    height, width = grey.shape
    rows, columns = np.divmod(pixels, width)
    low = high = grey[rows, columns]
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            beside = grey[np.clip(rows + down, 0, height - 1), np.clip(columns + right, 0, width - 1)]
            low, high = np.minimum(low, beside), np.maximum(high, beside)
    return np.asarray(high - low <= _FLAT)


def _middle_levels(flat_counts: npt.NDArray[np.int64], pixels: int) -> npt.NDArray[np.int64]:
    """Return the levels about which flat pixels between black and white lie, in rising order."""
    left = flat_counts.copy()
    left[:_DARK] = left[_LIGHT + 1 :] = 0
    total = left.sum()
    levels: list[int] = []
    about = 0
    while len(levels) < _MOST_LEVELS:
        near = np.convolve(left, np.ones(2 * _WINDOW + 1, np.int64), "same")
        peak = int(near.argmax())
        if near[peak] < max(_FEWEST_FLAT, pixels * _FLAT_SHARE):
            break
        window = slice(max(0, peak - _WINDOW), peak + _WINDOW + 1)
        half = np.searchsorted(left[window].cumsum(), near[peak] / 2)
        levels.append(window.start + int(half))
        about += near[peak]
        left[max(0, peak - _APART) : peak + _APART + 1] = 0
    return np.array(sorted(levels) if about >= _ABOUT_LEVELS * total else [], np.int64)


def _check(counts: npt.NDArray[np.int64], pixels: int, ends: tuple[int, int], *, may_be_ids: bool) -> None:
    """Refuse what is not about a few levels, by the counts of values about none of them."""
    between = counts[65:192].sum() / pixels
    # Class ids 0, 1, 2 would all turn into background.
    faint = may_be_ids and ends[0] < ends[1] < 128
    if between > _BETWEEN or faint:
        half = (ends[1] + 1) // 2 if faint else 128
        raise SourceError(
            f"is a lossy mask with values {ends[0]} to {ends[1]}, {between:.0%} of its pixels between 64 and "
            f"192, expected black and white or a few greys; export it as PNG, or cut it with --threshold {half}"
        )


def _check_lines(grey: _Grey, counts: npt.NDArray[np.int64]) -> None:
    """Refuse more greys about one level than edges have: a class of lines or specks, which cutting would remove."""
    between = counts[65:192]
    about = np.convolve(between, np.ones(2 * _LINE_WIDTH + 1, np.int64), "same")
    if about.max() <= _LINE_SHARE * between.sum():
        return
    white = grey >= 128
    sides = np.count_nonzero(white[1:] != white[:-1]) + np.count_nonzero(white[:, 1:] != white[:, :-1])
    if between.sum() > _LINE_PER_SIDE * sides:
        level = 65 + int(about.argmax())
        raise SourceError(
            f"is a lossy mask with thin areas of about {level} between others, which may be a class of their "
            "own; export it as PNG, or cut it with --threshold 128"
        )


def _nearest(grey: _Grey, flat: npt.NDArray[np.intp], levels: Sequence[int]) -> _Grey:
    """Return for each pixel the nearest level; one between black and white only where its flat pixels are not far."""
    places = np.array(levels, np.int16)
    cuts = (places[1:] + places[:-1]) // 2 + 1
    ranks = np.digitize(grey, cuts).astype(np.uint8)
    found = np.array([_snapped(level) for level in levels], np.uint8)[ranks]
    lost = np.zeros(grey.shape, np.bool_)
    for rank, level in enumerate(levels):
        if 0 < level < 255:
            own = ranks == rank
            seeds = np.zeros(grey.size, np.bool_)
            seeds[flat] = own.ravel()[flat]
            # The edge between black and white has this grey as well.
            lost |= own & ~scipy.ndimage.binary_dilation(seeds.reshape(grey.shape), np.ones((3, 3)), _REACH, own)
    ends = np.array([level for level in (0, 255) if level in levels] or levels[:1], np.int16)
    nearest = np.abs(grey[lost].astype(np.int16)[:, None] - ends).argmin(axis=1)
    found[lost] = ends[nearest].astype(np.uint8)
    return found


def _snapped(level: int) -> int:
    nearest = int(_COMMON[np.abs(_COMMON - level).argmin()])
    return nearest if abs(nearest - level) <= _SNAP else level
