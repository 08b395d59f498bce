"""HSMix: superpixels of B stand in A (hard), or regions of both are blended by their saliency (soft)."""

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import Mode
from hsmix_gen.stages.mixing import guard, regions
from hsmix_gen.stages.mixing.draws import draw_selection, draw_weights
from hsmix_gen.stages.mixing.method import Method, Needs, Pair, Weights


class HSMix(Method):
    """Hard and soft mixing by superpixels [1]_.

    References
    ----------
    .. [1] Sun, Dornaika, Barrena, "HSMix", arXiv 2511.17614, doi:10.1016/j.inffus.2024.102741.
    """

    paper = (
        "Sun, Dornaika, Barrena, HSMix: Hard and Soft Mixing Data Augmentation for Medical Image Segmentation, "
        "Information Fusion, doi:10.1016/j.inffus.2024.102741, arXiv:2511.17614"
    )
    modes = ("hard", "soft")

    def needs(self, mode: Mode, mix: MixConfig) -> Needs:
        """Return that superpixels are read, and saliency where lambda follows it."""
        return Needs(superpixels=True, saliency=mode == "soft" and mix.weight == "saliency")

    def weigh(self, pair: Pair) -> Weights:
        """Return which pixels are taken from B, or lambda by region."""
        if pair.mode == "hard":
            return _hard_weights(pair)
        return _random_weights(pair) if pair.mix.weight == "random" else _saliency_weights(pair)


def _hard_weights(pair: Pair) -> Weights:
    from_b, flags = _selected_pixels(pair)
    _, n_regions = regions.mixed_regions(pair.a.labels, pair.b.labels, from_b)
    return Weights(from_b, flags, n_regions, pair.mix.select)


def _random_weights(pair: Pair) -> Weights:
    n_regions = int(pair.b.labels.max()) + 1
    drawn = regions.quantise(draw_weights(pair.seed, n_regions), pair.mix.lambda_range)
    return Weights(drawn[pair.b.labels], (), n_regions)


def _saliency_weights(pair: Pair) -> Weights:
    a, b, mix = pair.a, pair.b, pair.mix
    from_b, flags = _selected_pixels(pair)
    if "single_superpixel" in flags:
        return Weights(np.zeros(pair.size, dtype=np.uint8), flags, 1, mix.select)
    region, n_regions = regions.mixed_regions(a.labels, b.labels, from_b)
    flat = [name for name, parent in (("a", a), ("b", b)) if not parent.saliency.any()]
    flags += [f"flat_saliency_{name}" for name in flat]
    # One flat map makes the ratio 0 or 1 everywhere, which says nothing: one half is the honest weight. With A
    # flat the published sum gives lambda by area, which is kept, as it is where both are flat (ratio one half).
    if flat == ["b"] or (flat == ["a"] and mix.aggregate == "mean"):
        half = regions.quantise(np.array([0.5]), mix.lambda_range)
        return Weights(np.full(pair.size, half[0], dtype=np.uint8), flags, n_regions, mix.select)
    ratio = regions.relative_saliency(a.saliency, b.saliency, zero_ratio=regions.zero_ratio_of(mix))
    found = regions.region_weights(ratio, region, n_regions, aggregate=mix.aggregate, lambda_range=mix.lambda_range)
    return Weights(found.weight[region], [*flags, *found.flags], n_regions, mix.select)


def _selected_pixels(pair: Pair) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Return which pixels of B are selected, (H, W) bool, and flags."""
    b, mix = pair.b, pair.mix
    n_b = int(b.labels.max()) + 1
    if n_b <= 1:
        return np.zeros(b.labels.shape, dtype=bool), ["single_superpixel"]
    selected = draw_selection(pair.seed, n_b, mix.select)
    if not mix.small_object_guard:
        return selected[b.labels], []
    guarded = guard.guard_selection(selected, b.labels, pair.a.mask, b.mask, ratio=mix.small_object_ratio)
    return guarded[b.labels], [] if np.array_equal(guarded, selected) else ["guarded"]


METHOD = HSMix()
