"""Masks as soft labels and back: classes are mixed as one-hot vectors, never as ids."""

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.records import IGNORE

SoftLabel = npt.NDArray[np.float16]
"""(C, H, W) float16; channel 0 is background, channels sum to 1; all 0 where a pixel is ignored."""


def class_shares(
    mask_a: arrays.Mask, mask_b: arrays.Mask, weight_b: npt.NDArray[np.uint8], *, n_classes: int
) -> npt.NDArray[np.uint8]:
    """Return ``(1 - w) onehot(A) + w onehot(B)`` with w = `weight_b` / 255, in whole 255ths.

    Parameters
    ----------
    mask_a, mask_b : (H, W) uint8
        Class ids, 255 = ignore.
    weight_b : (H, W) uint8
        Weight of B in 255ths.
    n_classes : int
        Number of classes C, background included.

    Returns
    -------
    (C, H, W) uint8
        Sums to 255 over the classes, but to 0 where an ignored parent contributes.
    """
    weight_a = 255 - weight_b
    share = np.empty((n_classes, *mask_a.shape), dtype=np.uint8)
    for class_id in range(n_classes):
        np.add((mask_a == class_id) * weight_a, (mask_b == class_id) * weight_b, out=share[class_id])
    share[:, ignored(mask_a, mask_b, weight_b)] = 0
    return share


def soft_label(share: npt.NDArray[np.uint8]) -> SoftLabel:
    """Return shares in 255ths as a soft label, rounded to float16 once."""
    return _AS_FLOAT16[share]


def hard_mask(share: npt.NDArray[np.uint8]) -> arrays.Mask:
    """Return the (H, W) uint8 class ids of (C, H, W) shares: the argmax, the lower id in a tie, 255 = ignore."""
    mask = np.zeros(share.shape[1:], dtype=np.uint8)
    best = share[0].copy()
    for class_id in range(1, len(share)):
        wins = share[class_id] > best
        mask[wins] = class_id
        np.maximum(best, share[class_id], out=best)
    mask[best == 0] = IGNORE
    return mask


def ignored(mask_a: arrays.Mask, mask_b: arrays.Mask, weight_b: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return where a mixed pixel is ignored: an ignored parent has a weight there, (H, W) bool."""
    of_a: npt.NDArray[np.bool_] = (mask_a == IGNORE) & (weight_b < 255)
    of_b: npt.NDArray[np.bool_] = (mask_b == IGNORE) & (weight_b > 0)
    return of_a | of_b


# 256 exact quotients, so that float16 rounding happens once and everywhere alike.
_AS_FLOAT16: npt.NDArray[np.float16] = (np.arange(256, dtype=np.float64) / 255).astype(np.float16)
