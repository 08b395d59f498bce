"""Pixel values of mask files as class ids: conventions, recognised from what most masks hold."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.errors import SourceError

MAX_CLASSES = 255
_MAX_GREYS = 8


def understand_values(masks: Sequence[frozenset[int]]) -> dict[int, int]:
    """Return the map from pixel value to class id that explains most masks.

    Two conventions are known: ids 0 to K - 1 as they are, and K greys evenly spread over 0 to 255 (0/255,
    0/128/255, 0/85/170/255 and so on, each grey off by one at most). The one that explains most masks is
    taken, the smallest where several do; a class that no mask holds speaks against a convention.

    Parameters
    ----------
    masks : sequence of frozenset of int
        The values of each mask.

    Raises
    ------
    SourceError
        If less than half of the masks agree on any convention.
    """
    if not masks:
        raise SourceError("no mask could be read, so that classes are unknown; see refused.csv")
    found = sorted(set().union(*masks))
    best, explained = {0: 0}, -1
    for candidate in _candidates(found, masks):
        count = sum(values <= candidate.keys() for values in masks)
        if count > explained:
            best, explained = candidate, count
    if explained * 2 < len(masks):
        raise SourceError(
            f"mask values {_listed(found)} follow no known convention (0/255, 0/128/255, 0..K-1); "
            "map them with --mask-values, for example 0=0,77=1,255=2"
        )
    return best


def unknown_values(values: Iterable[int], mapping: Mapping[int, int]) -> list[int]:
    """Return the values that a map does not know, in rising order."""
    return sorted(set(values) - mapping.keys())


def to_class_ids(mask: arrays.Mask, mapping: Mapping[int, int]) -> arrays.Mask:
    """Return an (H, W) uint8 mask of class ids; every value of `mask` must be a key of `mapping`."""
    table = np.zeros(256, dtype=np.uint8)
    for value, class_id in mapping.items():
        table[value] = class_id
    return table[mask]


def describe(mapping: Mapping[int, int]) -> str:
    """Return a map as it is written on the command line, ``0=0,255=1``."""
    return ",".join(f"{value}={mapping[value]}" for value in sorted(mapping))


def _candidates(found: list[int], masks: Sequence[frozenset[int]]) -> list[dict[int, int]]:
    candidates = []
    for k in range(2, _MAX_GREYS + 1):
        greys = _matching_greys(found, masks, k)
        if greys is not None:
            candidates.append(greys)
    k = 1
    while k - 1 in found and k <= MAX_CLASSES:
        if k >= 2 or len(found) == 1:
            candidates.append({value: value for value in range(k)})
        k += 1
    return sorted(candidates, key=len)


def _matching_greys(found: list[int], masks: Sequence[frozenset[int]], k: int) -> dict[int, int] | None:
    mapping: dict[int, int] = {}
    for class_id in range(k):
        exact = class_id * 255 / (k - 1)
        near = [value for value in found if abs(value - exact) <= 1]
        if not near:
            return None
        mapping.update(dict.fromkeys(near, class_id))
    # Off by one is noise only if some mask shows the value beside another class: a mask of 0 and 1 alone means
    # background and foreground, not two shades of background.
    beside = {value for values in masks if len({mapping.get(value) for value in values}) > 1 for value in values}
    for value in found:
        if value not in beside and value in mapping and abs(value - mapping[value] * 255 / (k - 1)) >= 1:
            del mapping[value]
    return mapping


def _listed(values: list[int]) -> str:
    shown = ", ".join(str(value) for value in values[:12])
    return f"{shown}, … ({len(values)} in all)" if len(values) > 12 else shown
