"""HSMix: superpixels of B stand in A (hard), or regions of both are blended by their saliency (soft)."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import Mode
from hsmix_gen.stages.mixing import regions
from hsmix_gen.stages.mixing.draws import draw_weights
from hsmix_gen.stages.mixing.method import SELECTING, Method, Needs, Pair, Weights, selecting
from hsmix_gen.stages.mixing.selection import take


class HSMix(Method):
    """Hard and soft mixing by superpixels."""

    paper = (
        "Sun, Dornaika, Barrena, HSMix: Hard and Soft Mixing Data Augmentation for Medical Image Segmentation, "
        "Information Fusion, doi:10.1016/j.inffus.2024.102741, arXiv:2511.17614"
    )
    modes = ("hard", "soft")
    formula = (
        "hard: M = 1 on the selected superpixels of B; soft: lambda of each region r of the hard mix = "
        "minmax(sum over r of S_B / (S_A + S_B))"
    )
    follows_weight = True
    options = (*SELECTING, "area", "weight", "lambda_range", "aggregate", "zero_ratio")

    def options_of(self, mode: Mode, mix: MixConfig) -> Collection[str]:
        """Return the fields that have an effect; a drawn lambda chooses nothing unless its area is matched."""
        if mode == "hard":
            return selecting(mix)
        area = ("area",) if mix.weight == "random" else ()
        by_saliency = (*selecting(mix), "aggregate", "zero_ratio") if self.needs(mode, mix).saliency else ()
        return ("weight", "lambda_range", *area, *by_saliency)

    def needs(self, mode: Mode, mix: MixConfig) -> Needs:
        """Return that superpixels are read, and saliency where lambda follows it."""
        return Needs(superpixels=True, saliency=mode == "soft" and (mix.weight == "saliency" or mix.area == "matched"))

    def weigh(self, pair: Pair) -> Weights:
        """Return which pixels are taken from B, or lambda by region."""
        mix = pair.mix
        if pair.mode == "hard":
            from_b, flags = take(pair)
            weights = Weights(from_b, flags, regions.count_mixed_regions(pair.a.labels, pair.b.labels, from_b))
        elif mix.weight == "saliency":
            weights = _saliency_weights(pair)
        elif mix.area == "matched":
            weights = _matched_weights(pair)
        else:
            return _random_weights(pair)
        return replace(weights, select_p=mix.select if mix.selection == "bernoulli" else None, selection=mix.selection)


def _random_weights(pair: Pair) -> Weights:
    n_regions = int(pair.b.labels.max()) + 1
    drawn = regions.quantise(draw_weights(pair.seed, n_regions), pair.mix.lambda_range)
    return Weights(drawn[pair.b.labels], (), n_regions)


def _matched_weights(pair: Pair) -> Weights:
    """Return a drawn lambda for each region of the mix, scaled so that B takes as much as saliency would give it."""
    by_saliency = _saliency_weights(pair)
    wanted = float(by_saliency.weight_b.mean(dtype=np.float64)) / 255
    region, n_regions = regions.mixed_regions(pair.a.labels, pair.b.labels, take(pair)[0])
    matched = regions.with_mean(draw_weights(pair.seed, n_regions), np.bincount(region.ravel()), wanted)
    return replace(by_saliency, weight_b=regions.quantise(matched, pair.mix.lambda_range)[region])


def _saliency_weights(pair: Pair) -> Weights:
    a, b, mix = pair.a, pair.b, pair.mix
    from_b, taken_flags = take(pair)
    if "single_superpixel" in taken_flags:
        return Weights(np.zeros(pair.size, dtype=np.uint8), taken_flags, 1)
    flat = [name for name, parent in (("a", a), ("b", b)) if not parent.saliency.any()]
    flags = [*taken_flags, *(f"flat_saliency_{name}" for name in flat)]
    # One flat map makes the ratio 0 or 1 everywhere, which says nothing: one half is the honest weight. With A
    # flat the published sum gives lambda by area, which is kept, as it is where both are flat (ratio one half).
    if flat == ["b"] or (flat == ["a"] and mix.aggregate == "mean"):
        half = regions.quantise(np.array([0.5]), mix.lambda_range)
        even = np.full(pair.size, half[0], dtype=np.uint8)
        n_regions = regions.count_mixed_regions(a.labels, b.labels, from_b)
        return Weights(even, flags, n_regions)
    weight_b, found = regions.weigh_regions((a.labels, b.labels), from_b, (a.saliency, b.saliency), mix)
    return Weights(weight_b, [*flags, *found.flags], len(found.weight))


METHOD = HSMix()
