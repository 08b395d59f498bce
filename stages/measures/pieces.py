"""Objects that a mix cuts, and pieces of foreground too small to be one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from hsmix_gen.schemas.arrays import AnyMask, Mask
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
    a, b = areas(collapse(mask_a), ~is_b), areas(collapse(mask_b), is_b)
    area, held = np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]])
    is_object = area >= LEAST_PIXELS
    is_cut = (held > (1 - WHOLE_SHARE) * area) & (held < WHOLE_SHARE * area)
    is_small = is_object & (area < SMALL_REGIONS * mixed.size / (n_regions or USUAL_REGIONS))
    return Pieces(
        fragments=int((areas(mixed, None)[0] < LEAST_PIXELS).sum()),
        fragments_before=int((~is_object).sum()),
        objects=int(is_object.sum()),
        cut=int((is_object & is_cut).sum()),
        small=int(is_small.sum()),
        small_cut=int((is_small & is_cut).sum()),
    )


def areas(
    ids: npt.NDArray[np.uint8], held: npt.NDArray[np.bool_] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the area of each connected piece of foreground, and how much of it is `held`, (P,) int64 each."""
    if not has("pieces"):
        return by_scipy(ids, held)
    height, width = ids.shape
    whole, kept = np.empty((2, height * ((width + 1) // 2)), np.int64)
    given = b"" if held is None else np.ascontiguousarray(held)
    count = native.pieces(np.ascontiguousarray(ids), given, whole, kept, (height, width))
    return whole[:count], kept[:count]


def by_scipy(
    ids: npt.NDArray[np.uint8], held: npt.NDArray[np.bool_] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the same by SciPy, some ten times slower."""
    # One more makes 0 of what is ignored, 255.
    pieces, count = scipy.ndimage.label((ids + np.uint8(1)) > 1, _FOUR)
    whole = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    return whole, whole * 0 if held is None else np.bincount(pieces[held], minlength=count + 1)[1:]
