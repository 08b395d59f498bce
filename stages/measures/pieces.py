"""Objects that a mix cuts, and pieces of foreground too small to be one."""

import numpy as np
import numpy.typing as npt
import scipy

from hsmix_gen.schemas.arrays import AnyMask, Mask
from hsmix_gen.schemas.records import Measures
from hsmix_gen.stages.kernels.compiled import has, native
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
_FOUR = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)


def count_pieces(
    mixed: Mask, mask_a: AnyMask, mask_b: AnyMask, weight_b: npt.NDArray[np.uint8], *, n_regions: int | None = None
) -> Measures:
    """Count the pieces of a sample and of its parents; a pixel is that parent's which has the greater weight.

    Large objects are divided by design; those below `SMALL_REGIONS` mean regions are counted apart.

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
    small = SMALL_REGIONS * mixed.size / (n_regions or USUAL_REGIONS)
    fragments, *_ = tally(mixed, None, small)
    of_a = tally(collapse(mask_a), weight_b, small, is_b=False)
    of_b = tally(collapse(mask_b), weight_b, small)
    before, objects, cut, few, few_cut = (sum(both) for both in zip(of_a, of_b, strict=True))
    return Measures(
        fragments=fragments, fragments_before=before, objects=objects, cut=cut, small=few, small_cut=few_cut
    )


def tally(
    ids: npt.NDArray[np.uint8], weight_b: npt.NDArray[np.uint8] | None, small: float, *, is_b: bool = True
) -> tuple[int, int, int, int, int]:
    """Count the pieces of a mask: fragments, objects, those that are cut, small ones, and those that are cut.

    Parameters
    ----------
    ids : (H, W) uint8
    weight_b : (H, W) uint8 or None
        Lambda in 255ths, which says what is held of each piece; None: nothing is.
    small : float
        Pixels below which an object is small.
    is_b : bool
        Whether the mask is that of B, which holds the pixels of greater weight, or that of A.
    """
    if not has("tally_pieces"):
        return tally_by_scipy(ids, weight_b, small, is_b=is_b)
    weights = b"" if weight_b is None else np.ascontiguousarray(weight_b)
    bounds = (LEAST_PIXELS, is_b, 1 - WHOLE_SHARE, WHOLE_SHARE, small)
    return native.tally_pieces(np.ascontiguousarray(ids), weights, (ids.shape[0], ids.shape[1]), *bounds)


def tally_by_scipy(
    ids: npt.NDArray[np.uint8], weight_b: npt.NDArray[np.uint8] | None, small: float, *, is_b: bool = True
) -> tuple[int, int, int, int, int]:
    """Return the same by SciPy, some ten times slower."""
    # One more makes 0 of what is ignored, 255.
    pieces, count = scipy.ndimage.label((ids + np.uint8(1)) > 1, _FOUR)
    area = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    held = area * 0
    if weight_b is not None:
        held = np.bincount(pieces[(weight_b >= _HALF) == is_b], minlength=count + 1)[1:]
    is_object = area >= LEAST_PIXELS
    is_cut = is_object & (held > (1 - WHOLE_SHARE) * area) & (held < WHOLE_SHARE * area)
    is_small = is_object & (area < small)
    counted = (~is_object, is_object, is_cut, is_small, is_small & is_cut)
    fragments, objects, cut, few, few_cut = (int(np.count_nonzero(which)) for which in counted)
    return fragments, objects, cut, few, few_cut
