"""Hard and soft mixing of two standardised parents; no chance in here, no loop over regions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas import arrays
from hsmix_gen.stages.kernels.compiled import has, native
from hsmix_gen.stages.labels.labels import SoftLabel, mixed_labels
from hsmix_gen.stages.mixing.geometry import laid_out


@dataclass(frozen=True)
class Mixed:
    """A finished picture with its labels."""

    image: arrays.Image
    """(H, W, C), dtype of the parents."""
    mask: arrays.Mask
    """(H, W) uint8; class ids, argmax of `soft`; 255 = ignore. In multi-label 1 + the last channel of `soft` that
    reaches one half, 0 if none does."""
    soft: SoftLabel
    """(C, H, W) float16; soft label."""


def blend(image_a: arrays.Image, image_b: arrays.Image, weight_b: npt.NDArray[np.uint8]) -> arrays.Image:
    """Return ``round((1 - lambda) A + lambda B)`` with lambda = `weight_b` / 255.

    Parameters
    ----------
    image_a, image_b : (H, W, C) uint8, uint16 or float32
        Images of one shape and dtype.
    weight_b : (H, W) uint8
        Weight of B in 255ths; 0 gives A, 255 gives B.

    Returns
    -------
    (H, W, C), dtype of the images
        Integers are rounded to nearest. There are no ties: 255 is odd, so no sum of 255ths ends in one half.
    """
    if image_a.shape != image_b.shape or image_a.dtype != image_b.dtype:
        raise ValueError(
            f"images must have one shape and dtype, got {image_a.shape} {image_a.dtype} "
            f"and {image_b.shape} {image_b.dtype}; standardise them before mixing"
        )
    if weight_b.shape != image_a.shape[:2]:
        raise ValueError(f"weights must be {image_a.shape[:2]} as the images, got {weight_b.shape}")
    # Plane by plane: an inner loop over three channels is slow. Pixels of a plane lie side by side in the result.
    a, b = (laid_out(image.transpose(2, 0, 1)) for image in (image_a, image_b))
    weight_b, result = np.ascontiguousarray(weight_b), np.empty_like(a)
    if a.dtype == np.uint8 and has("blend_planes"):
        native.blend_planes(a, b, weight_b, result)
    else:
        is_hard = not ((weight_b + np.uint8(1)) >> np.uint8(1)).any()
        for plane_a, plane_b, plane in zip(a, b, result, strict=True):
            plane[...] = _blended(plane_a, plane_b, weight_b, is_hard=is_hard)
    return result.transpose(1, 2, 0)


def _blended(
    a: npt.NDArray[Any], b: npt.NDArray[Any], weight_b: npt.NDArray[np.uint8], *, is_hard: bool
) -> npt.NDArray[Any]:
    """Return a plane of the mix, as the compiled loop gives it for bytes; of hard mixing all weights are 0 or 255."""
    if is_hard:
        return np.where(weight_b, b, a)
    blended: npt.NDArray[Any]
    if a.dtype == np.float32:
        share = weight_b.astype(np.float64) / 255
        blended = (1 - share) * a + share * b
    else:
        part = weight_b.astype(np.uint32)
        blended = (a * (255 - part) + b * part + np.uint32(127)) // np.uint32(255)
    return blended


def mix(
    image_a: arrays.Image,
    mask_a: arrays.AnyMask,
    image_b: arrays.Image,
    mask_b: arrays.AnyMask,
    weight_b: npt.NDArray[np.uint8],
    *,
    n_classes: int,
) -> Mixed:
    """Mix two parents with the weight of B at each pixel; hard mixing is the case of weights 0 and 255.

    Parameters
    ----------
    image_a, image_b : (H, W, C)
        Images of one shape and dtype.
    mask_a, mask_b : (H, W) or (H, W, K) uint8
        Class ids, or channels of 0 and 1; 255 = ignore.
    weight_b : (H, W) uint8
        Lambda in 255ths.
    n_classes : int
        Number of channels of the soft label: classes, background included, or K.
    """
    return Mixed(blend(image_a, image_b, weight_b), *mixed_labels(mask_a, mask_b, weight_b, n_classes=n_classes))


def paste_weights(from_b: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Return the weights of hard mixing, 255 where B is taken and 0 elsewhere, (H, W) uint8."""
    return np.negative(from_b.view(np.uint8), order="C")  # 1 becomes 255


def byte_sum(plane: npt.NDArray[np.uint8]) -> int:
    """Return the sum of an (H, W) plane; numpy goes line by line, twice as fast as all at once in 64 bits."""
    if has("byte_sum"):
        return native.byte_sum(np.ascontiguousarray(plane))
    return int(plane.sum(axis=1, dtype=np.uint32).sum(dtype=np.int64))


def unmixed(image: arrays.Image, mask: arrays.AnyMask, *, n_classes: int) -> Mixed:
    """Return a picture that has one parent only; see `mix` for the arguments."""
    return Mixed(image, *mixed_labels(mask, mask, np.zeros(mask.shape[:2], dtype=np.uint8), n_classes=n_classes))
