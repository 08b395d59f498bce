"""Near duplicates: images of different patients that look alike, found by their perceptual hashes."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

MAX_DISTANCE = 4
"""Differing bits of perceptual hashes (pHash) up to which images look alike.

Measured on 120 photographs of lesions and 299 of blood cells: of all 51691 pairs three lie within 4, and they show
the same cell; at 6 the first two pairs of different cells appear. A JPEG copy of quality 70 and one of 80 % of the
size are always found, a copy brightened by 10 % in 100 % (lesions) and 86 % (cells).
"""

NEIGHBOURS = 64

_BITS = 64
_POPULATION = np.array([value.bit_count() for value in range(256)], np.uint8)

_Ints = npt.NDArray[np.int64]


def near_duplicates(looks: Sequence[int | None], groups: Sequence[str]) -> list[tuple[int, int, int]]:
    """Return pairs of images of different groups whose hashes differ in at most `MAX_DISTANCE` bits.

    The bits are cut into ``MAX_DISTANCE + 1`` bands: hashes that differ in no more bits agree in one band at least,
    and only those are compared. Where many images share a band, each is compared with the 64 that follow in the
    order of hashes, so that time and result grow with the number of images, not with its square; then pairs may
    be left out, but hardly an image that has equals.

    Parameters
    ----------
    looks : sequence of int or None
        Hash of 64 bits of each image; None is like nothing.
    groups : sequence of str
        Group (patient) of each image.

    Returns
    -------
    list of (int, int, int)
        Positions i < j and the number of differing bits, in rising order.
    """
    seen = np.array([i for i, look in enumerate(looks) if look is not None], np.int64)
    if len(seen) == 0:
        return []
    hashes = np.array([look % 2**_BITS for look in looks if look is not None], np.uint64)
    group_of = np.unique(np.asarray(groups, dtype=str)[seen], return_inverse=True)[1]
    codes = [np.empty(0, np.int64)]
    for first, second in _candidates(hashes):
        alike = (group_of[first] != group_of[second]) & (_distance(hashes[first], hashes[second]) <= MAX_DISTANCE)
        low, high = np.minimum(first[alike], second[alike]), np.maximum(first[alike], second[alike])
        codes.append(low * len(seen) + high)
    first, second = np.divmod(np.unique(np.concatenate(codes)), len(seen))
    distances = _distance(hashes[first], hashes[second])
    return list(zip(seen[first].tolist(), seen[second].tolist(), distances.tolist(), strict=True))


def _candidates(hashes: npt.NDArray[np.uint64]) -> Iterator[tuple[_Ints, _Ints]]:
    """Yield positions of hashes that agree in a band, (M,) int64 each."""
    n_bands = MAX_DISTANCE + 1
    edges = np.arange(n_bands + 1) * _BITS // n_bands
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        band = (hashes >> np.uint64(start)) & np.uint64(2 ** (end - start) - 1)
        order = np.lexsort((hashes, band))
        place = np.arange(len(hashes))
        for step in range(1, NEIGHBOURS + 1):
            place = place[place + step < len(hashes)]
            # Bands are sorted: who differs from a neighbour differs from all that follow.
            place = place[band[order[place]] == band[order[place + step]]]
            if len(place) == 0:
                break
            yield order[place], order[place + step]


def _distance(first: npt.NDArray[np.uint64], second: npt.NDArray[np.uint64]) -> _Ints:
    """Return the number of differing bits of each pair."""
    octets = (first ^ second).view(np.uint8).reshape(len(first), 8)
    bits: _Ints = _POPULATION[octets].sum(axis=1, dtype=np.int64)
    return bits
