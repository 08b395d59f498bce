"""Regions of a mixed image and their lambda: sections 1.5 and 1.6 of the method, without a loop over regions."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.stages.kernels.compiled import has, native
from hsmix_gen.stages.superpixels.label_maps import looked_up

EPS_RATIO = 1e-4
EPS_RANGE = 1e-5
FLAT_SPREAD = 0.02
"""Below this share of their mean, differences between regions are noise and are not stretched to [0, 1]."""


@dataclass(frozen=True)
class RegionWeights:
    """Lambda of each region in 255ths, (R,) uint8, with the flags of special cases."""

    weight: npt.NDArray[np.uint8]
    flags: tuple[str, ...] = ()


def mixed_regions(
    labels_a: arrays.Labels, labels_b: arrays.Labels, from_b: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], int]:
    """Return the superpixels of the mixed image: those of B where B was taken, those of A elsewhere.

    Parameters
    ----------
    labels_a, labels_b : (H, W) uint16
    from_b : (H, W) bool

    Returns
    -------
    regions : (H, W) int64
        0 to R - 1, regions of B first. A region of A that was cut keeps one number for all of its pieces.
    n_regions : int
        R.
    """
    raw = _numbered(labels_a, labels_b, from_b)
    present = np.bincount(raw.ravel()) > 0
    number = np.cumsum(present) - 1
    return number.take(raw, mode="clip"), int(number[-1]) + 1


def count_mixed_regions(labels_a: arrays.Labels, labels_b: arrays.Labels, from_b: npt.NDArray[np.bool_]) -> int:
    """Return how many superpixels the mixed image of `mixed_regions` has."""
    if not has("regions_seen"):
        return int(np.count_nonzero(np.bincount(_numbered(labels_a, labels_b, from_b).ravel())))
    offset = int(labels_b.max()) + 1
    seen, flat = np.zeros(offset + int(labels_a.max()) + 1, dtype=bool), np.ascontiguousarray
    native.regions_seen(flat(labels_a), flat(labels_b), flat(from_b), offset, seen)
    return int(np.count_nonzero(seen))


def _numbered(
    labels_a: arrays.Labels, labels_b: arrays.Labels, from_b: npt.NDArray[np.bool_]
) -> npt.NDArray[np.integer]:
    """Return the region of each pixel, those of A above those of B; some numbers may have none."""
    offset = int(labels_b.max()) + 1
    # Half of the memory is moved where numbers fit.
    is_small = offset + int(labels_a.max()) <= np.iinfo(np.uint16).max
    shifted = labels_a + np.uint16(offset) if is_small else labels_a.astype(np.int64) + offset
    return np.where(from_b, labels_b, shifted)


def relative_saliency(
    saliency_a: arrays.Saliency, saliency_b: arrays.Saliency, *, zero_ratio: str
) -> npt.NDArray[np.float64]:
    """Return ``S_B / (S_A + S_B + 1e-4)``, (H, W) float64 in [0, 1); see `MixConfig.zero_ratio` for pixels of zeros."""
    pairs = saliency_a.astype(np.uint16) * np.uint16(256) + saliency_b
    return _ratios(zero_ratio).take(pairs, mode="clip")  # all are in bounds: clipping only spares the look


@cache
def _ratios(zero_ratio: str) -> npt.NDArray[np.float64]:
    """Return the relative saliency of all pairs of bytes, (65536,): there are fewer than an image has pixels."""
    first, second = np.divmod(np.arange(256 * 256), 256)
    a, b = first / 255, second / 255
    ratio: npt.NDArray[np.float64] = b / (a + b + EPS_RATIO)
    ratio[0] = 0.5 if zero_ratio == "half" else 0.0
    return ratio


def weigh_regions(
    labels: tuple[arrays.Labels, arrays.Labels],
    from_b: npt.NDArray[np.bool_],
    saliency: tuple[arrays.Saliency, arrays.Saliency],
    mix: MixConfig,
) -> tuple[npt.NDArray[np.uint8], RegionWeights]:
    """Return lambda of each pixel and of each region of a mix: `region_weights` of its regions by relative saliency.

    Parameters
    ----------
    labels, saliency : pairs of (H, W) uint16 and of (H, W) uint8
        Of A and of B.
    from_b : (H, W) bool
    mix : MixConfig
    """
    ratio = partial(relative_saliency, *saliency, zero_ratio=mix.zero_ratio)
    offset = int(labels[1].max()) + 1
    most = offset + int(labels[0].max()) + 1
    if has("sum_regions"):
        numbers, totals, sizes = np.empty(from_b.shape, np.int32), np.zeros(most), np.zeros(most, np.int64)
        flat = np.ascontiguousarray
        native.sum_regions(
            flat(labels[0]), flat(labels[1]), flat(from_b), flat(saliency[0]), flat(saliency[1]),
            (EPS_RATIO, float(_ratios(mix.zero_ratio)[0])), offset, numbers, totals, sizes,
        )  # fmt: skip
    else:
        numbers = _numbered(*labels, from_b).astype(np.int32)
        totals = np.bincount(numbers.ravel(), ratio().ravel(), most).astype(np.float64, copy=False)
        sizes = np.bincount(numbers.ravel(), minlength=most)
    present = sizes > 0
    found = region_weights(
        totals[present], sizes[present], ratio, aggregate=mix.aggregate, lambda_range=mix.lambda_range
    )
    by_number = np.zeros(most, np.uint8)
    by_number[present] = found.weight
    return looked_up(by_number, numbers), found


def region_weights(
    totals: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.int64],
    ratio: Callable[[], npt.NDArray[np.float64]],
    *,
    aggregate: str,
    lambda_range: tuple[float, float] = (0.0, 1.0),
) -> RegionWeights:
    """Return lambda, the weight of B, of every region [1]_.

    Region values are the sum of the relative saliency over the region divided by H W (``sum``, as published: it
    grows with the area) or its mean (``mean``); they are stretched to [0, 1] over the regions of this image,
    kept inside `lambda_range` and rounded to 255ths, so that the stored lambda is the one that was used.

    Parameters
    ----------
    totals : (R,) float64
        Sum of the relative saliency of B over each region.
    sizes : (R,) int64
        Pixels of each region.
    ratio : callable
        Returns the relative saliency, (H, W) float64; it is asked where no region stands out.
    aggregate : {"sum", "mean"}
    lambda_range : tuple of float
        Least and greatest lambda, in [0, 1].

    References
    ----------
    .. [1] Sun, Dornaika, Barrena, "HSMix", arXiv 2511.17614, doi:10.1016/j.inffus.2024.102741: soft mixing.
    """
    if len(totals) == 1:
        return RegionWeights(quantise(np.array([0.5]), lambda_range), ("single_region",))
    value = totals / (sizes if aggregate == "mean" else sizes.sum())
    low = value.min()
    spread = float(value.max() - low)
    if spread < FLAT_SPREAD * float(value.mean()):
        even = np.full(len(totals), float(ratio().mean()))
        return RegionWeights(quantise(even, lambda_range), ("even_saliency",))
    return RegionWeights(quantise((value - low) / (spread + EPS_RANGE), lambda_range))


def quantise(weight: npt.NDArray[np.float64], lambda_range: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Return weights in [0, 1] as whole 255ths inside `lambda_range`, uint8."""
    return limited(np.rint(weight * 255), lambda_range)


def limited(
    levels: npt.NDArray[np.floating] | npt.NDArray[np.uint8], lambda_range: tuple[float, float]
) -> npt.NDArray[np.uint8]:
    """Return whole numbers 0 to 255 inside `lambda_range`, in 255ths, uint8."""
    low, high = int(np.ceil(lambda_range[0] * 255 - 1e-9)), int(np.floor(lambda_range[1] * 255 + 1e-9))
    whole: npt.NDArray[np.uint8] = levels.astype(np.uint8)
    return whole if (low, high) == (0, 255) else whole.clip(low, max(low, high))


def with_mean(
    weight: npt.NDArray[np.float64], areas: npt.NDArray[np.integer], wanted: float
) -> npt.NDArray[np.float64]:
    """Return weights in [0, 1], in the same order of size, whose mean over the pixels is `wanted`.

    What is too much on the whole is scaled down towards 0, what is too little up towards 1.

    Parameters
    ----------
    weight : (R,) float64
    areas : (R,) int
        Pixels of each region.
    wanted : float
        In [0, 1].
    """
    # Sums in one order, so that no library may choose another.
    mean = math.fsum((weight * areas).tolist()) / math.fsum(areas.tolist())
    if mean > wanted:
        return weight * (wanted / mean)
    return 1 - (1 - weight) * ((1 - wanted) / (1 - mean)) if mean < 1 else weight
