"""All measures of one sample, taken while its parents are at hand."""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.arrays import AnyMask, Saliency
from hsmix_gen.schemas.records import IGNORE, Measures
from hsmix_gen.stages.kernels.compiled import has, native
from hsmix_gen.stages.labels.labels import collapse, is_class
from hsmix_gen.stages.measures.contours import seam_agreement
from hsmix_gen.stages.measures.looks import look_distance, moments
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
    return replace(
        pieces,
        pixels_a=before_a,
        pixels_b=class_pixels(b.mask, n_classes),
        pixels=mixed_pixels(sample, a.mask, b.mask, n_classes),
        appearance=rounded(look_distance(a.image, b.image)),
        contour=rounded(agreement),
        contour_chance=rounded(chance),
        auc_a=rounded(map_auc(a.saliency, a.mask)) if has_maps else None,
        auc_b=rounded(map_auc(b.saliency, b.mask)) if has_maps else None,
        lambda_std=rounded(_spread(weight, _STEP) / 255),
    )


def class_pixels(mask: AnyMask, n_classes: int) -> tuple[int, ...]:
    """Return the pixels of each class, or of each channel of a multi-label mask."""
    if mask.ndim == 2 and has("label_sums"):
        return tuple(total // 255 for total in label_sums(mask, mask, mask, n_classes))
    return tuple(int(np.count_nonzero(is_class(mask, number))) for number in range(n_classes))


def map_auc(saliency: Saliency, mask: AnyMask) -> float:
    """Return what `stages.saliency.quality.saliency_auc` does, over every second row and column of a map in 255ths."""
    ids = collapse(mask)
    above, pairs = native.rank_sums(saliency, ids, _STEP) if has("rank_sums") else rank_sums(saliency, ids, _STEP)
    return above / (2 * pairs) if pairs else math.nan


def rank_sums(saliency: Saliency, ids: npt.NDArray[np.uint8], step: int) -> tuple[int, int]:
    """Count the pairs of a pixel of a class and one of the background, seen every `step` rows and columns.

    Those of which the first is more salient count twice, those of equal saliency once; then all pairs.
    """
    saliency, ids = saliency[::step, ::step], ids[::step, ::step]
    background, foreground = (
        np.bincount(saliency[which], minlength=256) for which in (ids == 0, (ids > 0) & (ids != IGNORE))
    )
    below = np.cumsum(background) - background
    return int((foreground * (2 * below + background)).sum()), int(foreground.sum()) * int(background.sum())


def label_sums(mask_a: AnyMask, mask_b: AnyMask, weight_b: npt.NDArray[np.uint8], n_classes: int) -> list[int]:
    """Return the sum of the soft label of a mix of class ids in 255ths, by class, by the compiled loop."""
    sums = np.zeros(IGNORE + 1, np.int64)
    flat = np.ascontiguousarray
    native.label_sums(flat(mask_a), flat(mask_b), flat(weight_b), sums)
    of_classes: list[int] = sums[:n_classes].tolist()
    return of_classes


def mixed_pixels(sample: Sample, mask_a: AnyMask, mask_b: AnyMask, n_classes: int) -> tuple[float, ...]:
    """Return the sum of the soft label of each class: exact, as shares are whole 255ths."""
    if mask_a.ndim == 2 and has("label_sums"):
        sums = label_sums(mask_a, mask_b, sample.weight_b, n_classes)
    else:
        valid = sample.mixed.mask != IGNORE
        of_b = sample.weight_b * valid
        of_a = (255 - sample.weight_b) * valid
        shares = (is_class(mask_a, k) * of_a + is_class(mask_b, k) * of_b for k in range(n_classes))
        sums = [byte_sum(share) for share in shares]
    return tuple(round(total / 255, 1) for total in sums)


def _spread(values: npt.NDArray[np.uint8], step: int) -> float:
    """Return the standard deviation of every `step`-th row and column."""
    n = values[::step, ::step].size
    total, squares = moments(values, step)
    mean = total / n
    return math.sqrt(max(0.0, squares / n - mean * mean))


def rounded(value: float) -> float | None:
    """Return a measure as it is stored, None where it is not defined."""
    return None if math.isnan(value) else round(value, _DIGITS)
