"""The small-object guard: a hard mix takes small objects whole or leaves them alone (our addition)."""

import numpy as np
import numpy.typing as npt
import scipy

from hsmix_gen.schemas import arrays
from hsmix_gen.stages.mixing.objects import foreground, labelled_objects

_Bools = npt.NDArray[np.bool_]
_Ints = npt.NDArray[np.int64]


def guard_selection(
    selected: _Bools, labels_b: arrays.Labels, mask_a: arrays.AnyMask, mask_b: arrays.AnyMask, *, ratio: float
) -> _Bools:
    """Return a selection of superpixels of B that cuts no small object.

    A small object of B that a selected superpixel touches is taken whole (all superpixels over it are selected).
    A small object of A that is hit is spared if less than half of it is covered and no small object of B is
    given up for it, else it is covered whole. Objects are connected parts of the foreground.

    Parameters
    ----------
    selected : (R,) bool
        The drawn selection; it is not changed.
    labels_b : (H, W) uint16
        Superpixels of B.
    mask_a, mask_b : (H, W) or (H, W, K) uint8
        Class ids, 0 is background; or the channels of a multi-label mask; 255 is ignored.
    ratio : float
        An object is small below `ratio` mean superpixel areas.

    Returns
    -------
    (R,) bool
        All False (nothing taken) if nothing can be taken without a cut.
    """
    limit = ratio * labels_b.size / len(selected)
    over_a = _cells_of_objects(mask_a, labels_b, limit)
    over_b = _cells_of_objects(mask_b, labels_b, limit)
    result = _spare(selected, over_a, over_b)
    return _take_whole(result, [*over_a, *over_b])


def _cells_of_objects(mask: arrays.AnyMask, labels: arrays.Labels, limit: float) -> list[_Ints]:
    """Return the superpixels over each small object, with repetition (one entry a pixel)."""
    objects, count = labelled_objects(foreground(mask))
    area = np.bincount(objects.ravel(), minlength=count + 1)
    small = [number for number in range(1, count + 1) if area[number] < limit]
    boxes = scipy.ndimage.find_objects(objects)
    return [labels[boxes[n - 1]][objects[boxes[n - 1]] == n].astype(np.int64) for n in small]


def _spare(selected: _Bools, over_a: list[_Ints], over_b: list[_Ints]) -> _Bools:
    result = selected.copy()
    needed = np.zeros(len(selected), dtype=bool)
    for cells in over_b:
        if selected[cells].any():
            needed[cells] = True
    for cells in over_a:
        if 0 < selected[cells].mean() < 0.5 and not needed[cells].any():
            result[cells] = False
    return result


def _take_whole(selected: _Bools, objects: list[_Ints]) -> _Bools:
    result = selected.copy()
    grown = True
    while grown:  # ends: superpixels are only added
        grown = False
        for cells in objects:
            hit = result[cells]
            if hit.any() and not hit.all():
                result[cells] = True
                grown = True
    return result
