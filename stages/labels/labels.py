"""Masks as soft labels and back: classes are mixed as one-hot vectors, never as ids.

A mask has one of two forms, distinguished by its number of axes: (H, W) class ids, which exclude each other, or
multi-label (H, W, K) channels of 0 and 1, which may overlap and have no channel of the background. Channels are
in the order of nested regions, the outer one first, so that the last channel of a pixel says the most.
"""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.kernels.compiled import has, native

SoftLabel = npt.NDArray[np.float16]
"""(C, H, W) float16; all 0 where a pixel is ignored. Of class ids: channel 0 is background, channels sum to 1. Of
a multi-label mask: its channels, each on its own."""

_HALF = 128
"""Least share, in 255ths, that is at least one half: 255 is odd, so there is no tie."""

_Integer = TypeVar("_Integer", bound=np.integer[Any])


def class_shares(
    mask_a: arrays.AnyMask, mask_b: arrays.AnyMask, weight_b: npt.NDArray[np.uint8], *, n_classes: int
) -> npt.NDArray[np.uint8]:
    """Return ``(1 - w) onehot(A) + w onehot(B)`` with w = `weight_b` / 255, in whole 255ths.

    Parameters
    ----------
    mask_a, mask_b : (H, W) or (H, W, K) uint8
        Class ids, or channels of 0 and 1; 255 = ignore, in all channels.
    weight_b : (H, W) uint8
        Weight of B in 255ths.
    n_classes : int
        Number C of channels of the label: the classes, background included, or K.

    Returns
    -------
    (C, H, W) uint8
        Of class ids it sums to 255 over the classes. 0 where an ignored parent contributes.

    Raises
    ------
    ValueError
        If the masks have two forms, another number of channels than `n_classes`, or another size than the weights.
    """
    _check_shapes(mask_a, mask_b, weight_b, n_classes)
    weight_a = 255 - weight_b
    share = np.empty((n_classes, *weight_b.shape), dtype=np.uint8)
    for number in range(n_classes):
        np.add(is_class(mask_a, number) * weight_a, is_class(mask_b, number) * weight_b, out=share[number])
    out_of_use = ignored(mask_a, mask_b, weight_b)
    if out_of_use.any():
        share[:, out_of_use] = 0
    return share


def mixed_labels(
    mask_a: arrays.AnyMask, mask_b: arrays.AnyMask, weight_b: npt.NDArray[np.uint8], *, n_classes: int
) -> tuple[arrays.Mask, SoftLabel]:
    """Return the mask and the soft label of a mix; see `class_shares` for the arguments.

    The compiled loop, for class ids alone, gives the same.
    """
    if mask_a.ndim == 2 and has("mix_labels"):
        _check_shapes(mask_a, mask_b, weight_b, n_classes)
        mask, soft = np.empty(weight_b.shape, np.uint8), np.zeros((n_classes, *weight_b.shape), np.float16)
        a, b, weight = (np.ascontiguousarray(plane) for plane in (mask_a, mask_b, weight_b))
        native.mix_labels(a, b, weight, n_classes, _AS_FLOAT16, soft, mask)
        return mask, soft
    share = class_shares(mask_a, mask_b, weight_b, n_classes=n_classes)
    if mask_a.ndim == 3:
        return innermost(share, ignored(mask_a, mask_b, weight_b)), soft_label(share)
    return hard_mask(share), soft_label(share)


def _check_shapes(
    mask_a: arrays.AnyMask, mask_b: arrays.AnyMask, weight_b: npt.NDArray[np.uint8], n_classes: int
) -> None:
    if mask_a.shape != mask_b.shape or mask_a.shape[2:] not in ((), (n_classes,)):
        raise ValueError(
            f"masks must both be (H, W) or both (H, W, {n_classes}), got {mask_a.shape} and {mask_b.shape}"
        )
    if weight_b.shape != mask_a.shape[:2]:
        raise ValueError(f"weights must be {mask_a.shape[:2]} as the masks, got {weight_b.shape}")


def soft_label(share: npt.NDArray[np.uint8]) -> SoftLabel:
    """Return shares in 255ths as a soft label, rounded to float16 once."""
    # Looked up as whole numbers, which is quicker; uint8 is in bounds: clipping only spares the look.
    return _AS_FLOAT16.view(np.uint16).take(share, mode="clip").view(np.float16)


def hard_mask(share: npt.NDArray[np.uint8]) -> arrays.Mask:
    """Return the (H, W) uint8 class ids of (C, H, W) shares: the argmax, the lower id in a tie, 255 = ignore.

    For classes that exclude each other; see `innermost` for multi-label.
    """
    mask = np.zeros(share.shape[1:], dtype=np.uint8)
    best = share[0].copy()
    for class_id in range(1, len(share)):
        # 255 where a class wins: whole bytes are chosen ten times as fast as pixels are picked.
        wins = np.negative((share[class_id] > best).view(np.uint8))
        mask = (mask & ~wins) | (wins & np.uint8(class_id))
        np.maximum(best, share[class_id], out=best)
    mask |= np.negative((best == 0).view(np.uint8))
    return mask


def innermost(share: npt.NDArray[np.uint8], out_of_use: npt.NDArray[np.bool_]) -> arrays.Mask:
    """Return multi-label shares as (H, W) uint8 ids by the rule of `collapse`; a channel of one half is present.

    Parameters
    ----------
    share : (K, H, W) uint8
        In 255ths.
    out_of_use : (H, W) bool
        Ignored pixels, which the shares alone do not distinguish from background.
    """
    mask = np.zeros(share.shape[1:], dtype=np.uint8)
    for channel in range(len(share)):
        np.maximum(mask, (share[channel] >= _HALF) * np.uint8(channel + 1), out=mask)
    mask[out_of_use] = IGNORE
    return mask


def collapse(mask: npt.NDArray[_Integer]) -> npt.NDArray[_Integer]:
    """Return (H, W) ids of a mask of either form: 0 without a channel, else 1 + the last channel, 255 = ignore.

    Nothing is lost of nested regions with the outer one first; of others the last one hides those below it. Class
    ids are returned as they are, not copied.
    """
    return mask if mask.ndim == 2 else _last_channel(mask)


def collapse_batch(masks: npt.NDArray[_Integer]) -> npt.NDArray[_Integer]:
    """Return (N, H, W) ids of (N, H, W) or (N, H, W, K) masks, each as `collapse` gives it."""
    return masks if masks.ndim == 3 else _last_channel(masks)


def ignored(mask_a: arrays.AnyMask, mask_b: arrays.AnyMask, weight_b: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return where a mixed pixel is ignored: an ignored parent has a weight there, (H, W) bool."""
    if mask_a.ndim == 3:  # ignore is in all channels, so one suffices
        mask_a, mask_b = mask_a[..., 0], mask_b[..., 0]
    of_a: npt.NDArray[np.bool_] = (mask_a == IGNORE) & (weight_b < 255)
    of_b: npt.NDArray[np.bool_] = (mask_b == IGNORE) & (weight_b > 0)
    return of_a | of_b


def is_class(mask: arrays.AnyMask, number: int) -> npt.NDArray[np.bool_]:
    """Return the (H, W) pixels that a mask gives to a class, or to a channel."""
    found: npt.NDArray[np.bool_] = mask == number if mask.ndim == 2 else mask[..., number] == 1
    return found


def _last_channel(mask: npt.NDArray[_Integer]) -> npt.NDArray[_Integer]:
    """Return ids, of any leading axes, from the channels on the last axis."""
    ids = np.zeros(mask.shape[:-1], dtype=mask.dtype)
    for channel in range(mask.shape[-1]):
        np.maximum(ids, (mask[..., channel] == 1) * mask.dtype.type(channel + 1), out=ids)
    ids[mask[..., 0] == IGNORE] = IGNORE
    return ids


# 256 exact quotients, so that float16 rounding happens once and everywhere alike.
_AS_FLOAT16: npt.NDArray[np.float16] = (np.arange(256, dtype=np.float64) / 255).astype(np.float16)
