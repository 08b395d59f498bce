"""Objects that a mix cuts, and pieces of foreground too small to be one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hsmix_gen.schemas.arrays import AnyMask, Mask
from hsmix_gen.stages.labels.labels import collapse

LEAST_PIXELS = 10
"""A connected piece of foreground below this is a fragment, not an object."""
WHOLE_SHARE = 0.9
"""An object of which this share or more is kept, or as much is left out, counts as whole."""
SMALL_REGIONS = 4
"""Mean regions of the mix below which an object is small."""
USUAL_REGIONS = 100
"""What stands for the regions of a method that has none."""
_HALF = 128
_FOUR = ndimage.generate_binary_structure(2, 1)


@dataclass(frozen=True)
class Pieces:
    """Connected pieces of foreground in the parents of a sample and in the sample."""

    fragments: int
    fragments_before: int
    """Pieces below `LEAST_PIXELS` in the sample, and in both parents together."""
    objects: int
    """Larger pieces in both parents."""
    cut: int
    """Those of which the sample holds a part: more than a tenth, less than nine tenths."""
    small: int = 0
    small_cut: int = 0
    """Objects below `SMALL_REGIONS` mean regions, and those of them that are cut: large ones are divided by design."""


def count_pieces(
    mixed: Mask, mask_a: AnyMask, mask_b: AnyMask, weight_b: npt.NDArray[np.uint8], *, n_regions: int | None = None
) -> Pieces:
    """Count the pieces of a sample and of its parents; a pixel is that parent's which has the greater weight.

    Parameters
    ----------
    mixed : (H, W) uint8
        Mask of the sample.
    mask_a, mask_b : (H, W) or (H, W, K) uint8
        Masks of the parents, turned as in the sample.
    weight_b : (H, W) uint8
        Lambda in 255ths.
    n_regions : int or None
        Regions of the mix, of methods that have them.
    """
    is_b = weight_b >= _HALF
    a, b = _areas(collapse(mask_a), ~is_b), _areas(collapse(mask_b), is_b)
    area, held = np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]])
    is_object = area >= LEAST_PIXELS
    is_cut = (held > (1 - WHOLE_SHARE) * area) & (held < WHOLE_SHARE * area)
    is_small = is_object & (area < SMALL_REGIONS * mixed.size / (n_regions or USUAL_REGIONS))
    return Pieces(
        fragments=int((_areas(mixed, None)[0] < LEAST_PIXELS).sum()),
        fragments_before=int((~is_object).sum()),
        objects=int(is_object.sum()),
        cut=int((is_object & is_cut).sum()),
        small=int(is_small.sum()),
        small_cut=int((is_small & is_cut).sum()),
    )


def _areas(
    ids: npt.NDArray[np.uint8], held: npt.NDArray[np.bool_] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the area of each connected piece of foreground, and how much of it is `held`, (P,) int64 each."""
    rows, columns = np.flatnonzero(ids.max(axis=1)), np.flatnonzero(ids.max(axis=0))
    if len(rows) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    # One more makes 0 of what is ignored, 255.
    pieces, count = ndimage.label((ids[box] + np.uint8(1)) > 1, _FOUR)
    if held is None:
        return np.bincount(pieces.ravel(), minlength=count + 1)[1:], np.empty(0, np.int64)
    # One pass counts both: pieces that are held have odd numbers.
    pieces *= 2
    pieces += held[box]
    both = np.bincount(pieces.ravel(), minlength=2 * count + 2).reshape(-1, 2)
    return both.sum(axis=1)[1:], both[1:, 1]
