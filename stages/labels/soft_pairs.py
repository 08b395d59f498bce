"""Soft labels of exclusive classes as two classes and a weight: mixing two parents leaves no third class at a pixel."""

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.labels.labels import SoftLabel, hard_mask

_Plane = npt.NDArray[np.uint8]


def shares_of(soft: SoftLabel) -> npt.NDArray[np.uint8]:
    """Return a soft label in whole 255ths, exactly: float16 keeps them apart. The inverse of `labels.soft_label`."""
    return _SHARE_OF_BITS[soft.view(np.uint16)]


def label_pair(share: npt.NDArray[np.uint8]) -> tuple[_Plane, _Plane, _Plane]:
    """Return the two classes of each pixel and the weight of the second one.

    Parameters
    ----------
    share : (C, H, W) uint8
        In 255ths, of classes that exclude each other; all 0 where a pixel is ignored.

    Returns
    -------
    class_a : (H, W) uint8
        The class with the larger share, which is that of the hard mask; 255 = ignore.
    class_b : (H, W) uint8
        The other class; `class_a` again where there is none.
    weight_b : (H, W) uint8
        Share of `class_b` in 255ths, below one half; 0 where there is none.

    Raises
    ------
    ValueError
        If two classes do not make up a whole pixel.
    """
    class_a = hard_mask(share)
    class_b, weight_b = class_a.copy(), np.zeros_like(class_a)
    for class_id in range(len(share)):
        second = (share[class_id] > 0) & (class_a != class_id)
        np.copyto(class_b, np.uint8(class_id), where=second)
        np.copyto(weight_b, share[class_id], where=second)
    if ((255 - weight_b != share.max(axis=0)) & (class_a != IGNORE)).any():
        raise ValueError("a pair holds two classes a pixel, whose shares sum to 1; the soft label has others")
    return class_a, class_b, weight_b


def pair_shares(class_a: _Plane, class_b: _Plane, weight_b: _Plane, *, n_classes: int) -> npt.NDArray[np.uint8]:
    """Return the (C, H, W) uint8 shares in 255ths of pairs as `label_pair` gives them; ignored pixels have none."""
    share = np.zeros((n_classes, *class_a.shape), dtype=np.uint8)
    for class_id in range(n_classes):
        np.copyto(share[class_id], 255 - weight_b, where=class_a == class_id)
        np.copyto(share[class_id], weight_b, where=(class_b == class_id) & (class_a != class_id))
    return share


def _share_of_bits() -> npt.NDArray[np.uint8]:
    shares = np.zeros(2**16, dtype=np.uint8)
    unit = np.arange(int(np.float16(1).view(np.uint16)) + 1, dtype=np.uint16)
    shares[unit] = np.rint(unit.view(np.float16).astype(np.float32) * 255)
    return shares


_SHARE_OF_BITS = _share_of_bits()
"""Of the bits of each float16 in [0, 1] the nearest 255th: eight times as fast as computing it."""
