"""Objects of a mask: connected pieces of its foreground, whatever their classes."""

import numpy as np
import numpy.typing as npt
import scipy

from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.kernels.compiled import has, native
from hsmix_gen.stages.labels.labels import collapse
from hsmix_gen.stages.randomness import integer
from hsmix_gen.stages.superpixels.label_maps import looked_up

Bools = npt.NDArray[np.bool_]


def foreground(mask: arrays.AnyMask) -> Bools:
    """Return where a mask of either form has a class, (H, W) bool; ignored pixels have none."""
    ids = collapse(mask)
    inside: Bools = (ids > 0) & (ids != IGNORE)
    return inside


def labelled_objects(inside: Bools) -> tuple[npt.NDArray[np.int32], int]:
    """Return the number of each pixel's object, 0 for none, (H, W) int32, and how many objects there are.

    Pixels that share a side are of one object; objects are numbered in the order of their first pixel.
    """
    if not has("number_pieces"):
        numbers, count = scipy.ndimage.label(inside)
        return numbers, int(count)
    numbers = np.zeros(inside.shape, dtype=np.int32)
    return numbers, native.number_pieces(np.ascontiguousarray(inside), (inside.shape[0], inside.shape[1]), numbers)


def draw_objects(rng: np.random.Generator, mask: arrays.AnyMask) -> Bools:
    """Draw a subset of the objects of a mask, each with chance one half and at least one, (H, W) bool."""
    numbers, count = labelled_objects(foreground(mask))
    if not count:
        return np.zeros(numbers.shape, dtype=bool)
    is_drawn = np.concatenate([[False], rng.random(count) < 0.5])
    if not is_drawn.any():
        is_drawn[integer(rng, 1, count)] = True
    return looked_up(is_drawn, numbers)
