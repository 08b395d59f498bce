"""Masks brought onto their images where a user allows it: turned as the image was, or resized by a pixel or two."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.decoders.codecs.tiff_codec import SWAPPED, upright
from hsmix_gen.pipeline.decoders.stack import ReadOptions, Stack
from hsmix_gen.schemas.digests import sha256_of

Plane = npt.NDArray[Any]

# Masks of other tools are off by rounding: by so many pixels, or by such a share of the aspect.
_CLOSE_PIXELS = 2
_CLOSE_ASPECT = 0.02


class FittedMask(Stack):
    """A mask whose planes were changed; it lies nowhere in space.

    Parameters
    ----------
    mask : Stack
        As it is stored.
    size : (int, int)
        Height and width after the change.
    change : callable
        From a stored plane to the plane that is given.
    what : str
        Names the change, so that the content has another digest.
    """

    def __init__(self, mask: Stack, size: tuple[int, int], change: Callable[[Plane], Plane], what: str) -> None:
        self._mask, self._change, self._what = mask, change, what
        self.size, self.n_planes, self.dtype = size, mask.n_planes, mask.dtype
        self.palette = mask.palette

    def plane(self, index: int) -> Plane:
        """Return one plane, (H, W) whole numbers."""
        return self._change(self._mask.plane(index))

    def digest(self, index: int) -> str:
        """Return the digest of the stored mask and of what was done to it."""
        return sha256_of(f"{self._mask.digest(index)} {self._what}".encode())


def fitted(mask: Stack, image: Stack, how: ReadOptions) -> Stack:
    """Return a mask as `how` allows it to be brought onto its image; as it is where nothing has to be done."""
    if how.turn_masks and is_unturned(mask, image):
        size = mask.size[::-1] if image.orientation in SWAPPED else mask.size
        number = image.orientation
        mask = FittedMask(mask, size, lambda plane: np.ascontiguousarray(upright(plane, number)), f"turned {number}")
    if how.resize_masks and mask.size != image.size and is_close(mask, image):
        # The stored pixel nearest to the middle of each wanted one.
        sides = zip(mask.size, image.size, strict=True)
        rows, columns = (((np.arange(wanted) + 0.5) * stored / wanted).astype(np.intp) for stored, wanted in sides)
        mask = FittedMask(mask, image.size, lambda plane: plane[np.ix_(rows, columns)], f"resized {image.size}")
    return mask


def is_unturned(mask: Stack, image: Stack) -> bool:
    """Return whether an image was turned upright by its own word, and its mask was not."""
    return image.orientation != 1 and mask.orientation == 1


def is_close(mask: Stack, image: Stack) -> bool:
    """Return whether sizes differ by rounding alone, and nothing of the mask lies elsewhere."""
    if mask.n_planes != image.n_planes or mask.frame is not None or image.frame is not None:
        return False
    apart = [abs(n - m) for n, m in zip(mask.size, image.size, strict=True)]
    aspect = (mask.size[0] * image.size[1]) / (mask.size[1] * image.size[0])
    return max(apart) <= _CLOSE_PIXELS or abs(aspect - 1) <= _CLOSE_ASPECT
