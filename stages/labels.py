"""Masks as soft labels and back: classes are mixed as one-hot vectors, never as ids."""

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.records import IGNORE

SoftLabel = npt.NDArray[np.float16]
"""(C, H, W) float16; channel 0 is background, channels sum to 1; all 0 where a pixel is ignored."""


def soft_label(
    mask_a: arrays.Mask, mask_b: arrays.Mask, weight_b: npt.NDArray[np.uint8], *, n_classes: int
) -> SoftLabel:
    """Return ``(1 - w) onehot(A) + w onehot(B)`` with w = `weight_b` / 255.

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
    (C, H, W) float16
        Rounded to float16 once, from exact 255ths. A pixel to which an ignored parent contributes is all 0.
    """
    share = np.zeros((n_classes, *mask_a.shape), dtype=np.int16)
    for class_id in range(n_classes):
        plane = share[class_id]
        np.copyto(plane, 255 - weight_b.astype(np.int16), where=mask_a == class_id)
        np.add(plane, weight_b, out=plane, where=mask_b == class_id)
    share[:, ignored(mask_a, mask_b, weight_b)] = 0
    return _AS_FLOAT16[share]


def ignored(mask_a: arrays.Mask, mask_b: arrays.Mask, weight_b: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return where a mixed pixel is ignored: an ignored parent has a weight there, (H, W) bool."""
    of_a: npt.NDArray[np.bool_] = (mask_a == IGNORE) & (weight_b < 255)
    of_b: npt.NDArray[np.bool_] = (mask_b == IGNORE) & (weight_b > 0)
    return of_a | of_b


def hard_mask(soft: SoftLabel) -> arrays.Mask:
    """Return the (H, W) uint8 class ids of a soft label: its argmax, the lower id in a tie, 255 = ignore."""
    mask: arrays.Mask = soft.argmax(axis=0).astype(np.uint8)
    mask[~soft.any(axis=0)] = IGNORE
    return mask


# 256 exact quotients, so that float16 rounding happens once and everywhere alike.
_AS_FLOAT16: npt.NDArray[np.float16] = (np.arange(256, dtype=np.float64) / 255).astype(np.float16)
