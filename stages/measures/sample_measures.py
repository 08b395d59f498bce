"""All measures of one sample, taken while its parents are at hand."""

import math

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.arrays import AnyMask, Saliency
from hsmix_gen.schemas.records import IGNORE, Measures
from hsmix_gen.stages.kernels.compiled import has, native
from hsmix_gen.stages.labels.labels import collapse, is_class
from hsmix_gen.stages.measures.contours import seam_agreement
from hsmix_gen.stages.measures.looks import look_distance
from hsmix_gen.stages.measures.pieces import count_pieces
from hsmix_gen.stages.mixing.method import Parent
from hsmix_gen.stages.mixing.mixing import byte_sum
from hsmix_gen.stages.mixing.sample import Sample

_STEP = 2
"""Rows and columns from one pixel to the next where a part of them gives the same number."""
_DIGITS = 4
"""More is noise, and sums that depend on the processor would change the bytes of a manifest."""


def measure_sample(sample: Sample, a: Parent, b: Parent | None, *, n_classes: int, has_maps: bool) -> Measures:
    """Measure a sample against its parents.

    Parameters
    ----------
    sample : Sample
    a, b : Parent
        As they were mixed; `b` is None for an unmixed sample, of which classes alone are counted.
    n_classes : int
        Number of channels of the soft label.
    has_maps : bool
        Whether the parents have saliency maps.
    """
    before_a = class_pixels(a.mask, n_classes)
    if b is None:
        return Measures(pixels_a=before_a, pixels=tuple(map(float, before_a)))
    weight = sample.weight_b
    pieces = count_pieces(sample.mixed.mask, a.mask, b.mask, weight, n_regions=sample.n_regions)
    agreement, chance = seam_agreement(b.image, b.mask, weight)
    return Measures(
        pixels_a=before_a,
        pixels_b=class_pixels(b.mask, n_classes),
        pixels=_mixed_pixels(sample, a.mask, b.mask, n_classes),
        **vars(pieces),
        appearance=_rounded(look_distance(a.image, b.image)),
        contour=_rounded(agreement),
        contour_chance=_rounded(chance),
        auc_a=_rounded(map_auc(a.saliency, a.mask)) if has_maps else None,
        auc_b=_rounded(map_auc(b.saliency, b.mask)) if has_maps else None,
        lambda_std=_rounded(_spread(weight[::_STEP, ::_STEP]) / 255),
    )


def class_pixels(mask: AnyMask, n_classes: int) -> tuple[int, ...]:
    """Return the pixels of each class, or of each channel of a multi-label mask."""
    return tuple(int(np.count_nonzero(is_class(mask, number))) for number in range(n_classes))


def map_auc(saliency: Saliency, mask: AnyMask) -> float:
    """Return what `stages.saliency.quality.saliency_auc` does, over every second row and column of a map in 255ths."""
    saliency, ids = saliency[::_STEP, ::_STEP], collapse(mask[::_STEP, ::_STEP])
    background, foreground, _ = counts_by_kind(saliency, ids, compiled=has("histograms"))
    pairs = int(foreground.sum()) * int(background.sum())
    if not pairs:
        return math.nan
    below = np.cumsum(background) - background
    return int((foreground * (2 * below + background)).sum()) / (2 * pairs)


def counts_by_kind(saliency: Saliency, ids: npt.NDArray[np.uint8], *, compiled: bool) -> npt.NDArray[np.int64]:
    """Return how often each value of a map stands over background, over classes and over what is ignored, (3, 256)."""
    if not compiled:
        kind = (ids != 0).astype(np.uint16) + (ids == IGNORE)
        return np.bincount((saliency + (kind << 8)).ravel(), minlength=768).reshape(3, 256)
    counts = np.zeros((3, 256), np.int64)
    native.histograms(np.ascontiguousarray(saliency), np.ascontiguousarray(ids), counts)
    return counts


def _mixed_pixels(sample: Sample, mask_a: AnyMask, mask_b: AnyMask, n_classes: int) -> tuple[float, ...]:
    """Return the sum of the soft label of each class: exact, as shares are whole 255ths."""
    if mask_a.ndim == 2 and _is_paste(sample.weight_b):
        return tuple(map(float, class_pixels(sample.mixed.mask, n_classes)))
    valid = sample.mixed.mask != IGNORE
    of_b = sample.weight_b * valid
    of_a = (255 - sample.weight_b) * valid
    first = 1 if mask_a.ndim == 2 else 0
    shares = (is_class(mask_a, k) * of_a + is_class(mask_b, k) * of_b for k in range(first, n_classes))
    sums = [byte_sum(share) for share in shares]
    # Classes share every valid pixel, so that background is what the others leave.
    rest = [255 * int(np.count_nonzero(valid)) - sum(sums)] * first
    return tuple(round(total / 255, 1) for total in (*rest, *sums))


def _is_paste(weight_b: npt.NDArray[np.uint8]) -> bool:
    """Return whether each pixel is one parent's, so that the mask holds all of the label."""
    return not np.count_nonzero((weight_b + np.uint8(1)) > 1)


def _spread(values: npt.NDArray[np.uint8]) -> float:
    wide = values.astype(np.float64).ravel()  # sums of whole numbers are exact, and quicker than those of integers
    mean = float(wide.sum()) / wide.size
    return math.sqrt(max(0.0, float(wide @ wide) / wide.size - mean * mean))


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, _DIGITS)
