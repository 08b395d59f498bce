"""What an image, a mask, a label map and a saliency map is: one check for each, at the borders."""

from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.records import IGNORE

Image = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]
"""(H, W, C), channels last; uint8, uint16 or float32."""
Mask = npt.NDArray[np.uint8]
"""(H, W) uint8 class ids; 255 is ignore."""
MultiMask = npt.NDArray[np.uint8]
"""(H, W, K) uint8, multi-label: channel k is 1 where region k is, else 0; 255 in all channels is ignore. No channel is
the background; of nested regions the outer one comes first."""
AnyMask = npt.NDArray[np.uint8]
"""A `Mask` or a `MultiMask`, told apart by the number of axes."""
Labels = npt.NDArray[np.uint16]
"""(H, W) uint16 superpixel labels 0 to R - 1."""
Saliency = npt.NDArray[np.uint8]
"""(H, W) uint8; 0 to 255 stands for 0 to 1."""

IMAGE_DTYPES = (np.uint8, np.uint16, np.float32)


def check_image(image: npt.NDArray[Any]) -> None:
    """Refuse what is not an (H, W, C) uint8, uint16 or finite float32 image with a ``ValueError``."""
    if image.ndim != 3 or 0 in image.shape:
        raise ValueError(f"an image must have shape (H, W, C), got {image.shape}")
    if image.dtype not in IMAGE_DTYPES:
        raise ValueError(f"an image must be uint8, uint16 or float32, got {image.dtype}")
    if image.dtype == np.float32 and not np.isfinite(image).all():
        raise ValueError("an image must be finite, got NaN or infinity")


def check_mask(mask: npt.NDArray[Any], *, n_classes: int) -> None:
    """Refuse what is not an (H, W) uint8 mask of class ids below `n_classes` or 255 with a ``ValueError``."""
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise ValueError(f"a mask must be (H, W) uint8, got {mask.shape} {mask.dtype}")
    values = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    wrong = [int(value) for value in values if value >= n_classes and value != IGNORE]
    if wrong:
        raise ValueError(f"a mask must hold class ids 0 to {n_classes - 1} or 255, got {wrong}")


def check_multi_mask(mask: npt.NDArray[Any], *, n_classes: int) -> None:
    """Refuse what is not an (H, W, K) uint8 mask of 0, 1 or, in all channels, 255 with a ``ValueError``.

    `n_classes` is the number of channels K.
    """
    if mask.ndim != 3 or mask.shape[2] != n_classes or mask.dtype != np.uint8:
        raise ValueError(f"a multi-label mask must be (H, W, {n_classes}) uint8, got {mask.shape} {mask.dtype}")
    if n_classes >= IGNORE:
        raise ValueError(f"a multi-label mask must have 1 to {IGNORE - 1} channels, got {n_classes}")
    values = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    wrong = [int(value) for value in values if value > 1 and value != IGNORE]
    if wrong:
        raise ValueError(f"a multi-label mask must hold 0, 1 or 255, got {wrong}")
    ignored = mask == IGNORE
    partly = int(np.count_nonzero(ignored.any(axis=2) & ~ignored.all(axis=2)))
    if partly:
        raise ValueError(f"a multi-label mask must be 255 in all channels of a pixel or in none, got {partly} in some")


def check_labels(labels: npt.NDArray[Any]) -> None:
    """Refuse what is not an (H, W) uint16 map of labels 0 to R - 1 without gaps with a ``ValueError``."""
    if labels.ndim != 2 or labels.dtype != np.uint16:
        raise ValueError(f"labels must be (H, W) uint16, got {labels.shape} {labels.dtype}")
    missing = np.flatnonzero(np.bincount(labels.ravel()) == 0)
    if len(missing):
        raise ValueError(f"labels must be 0 to R - 1 without gaps, got no pixel of {int(missing[0])}")
