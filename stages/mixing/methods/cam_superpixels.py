"""CAM superpixels: superpixels of B stand in A, drawn the likelier the more salient they are."""

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import Mode
from hsmix_gen.stages.mixing.draws import draw_regions
from hsmix_gen.stages.mixing.method import Method, Needs, Pair, Weights
from hsmix_gen.stages.mixing.regions import count_mixed_regions
from hsmix_gen.stages.superpixels.label_maps import looked_up, region_totals


class CamSuperpixels(Method):
    """Hard mixing by superpixels of B that a class activation map points at, after OcCaMix.

    There the superpixels are taken that the strongest cells of the map fall on. Here each is drawn with a chance in
    proportion to its mean saliency, so that the share of B is `mix.select` on average as long as no chance exceeds 1.
    """

    paper = (
        "after Dornaika et al., Object-centric Contour-aware Data Augmentation Using Superpixels of Varying "
        "Granularity (OcCaMix), Pattern Recognition 139 (2023) 109481, doi:10.1016/j.patcog.2023.109481"
    )
    modes = ("hard",)
    formula = "M = 1 on superpixels r of B, each drawn with chance min(1, p mean_r(S_B) / mean(S_B)), p = mix.select"
    options = ("select",)

    def needs(self, mode: Mode, mix: MixConfig) -> Needs:  # noqa: ARG002 - it has one mode
        """Return that superpixels and saliency are read."""
        return Needs(superpixels=True, saliency=True)

    def weigh(self, pair: Pair) -> Weights:
        """Return whether each pixel lies in a drawn superpixel."""
        labels = pair.b.labels
        flags = () if pair.b.saliency.any() else ("flat_saliency_b",)
        chances = chances_of(labels, pair.b.saliency, pair.mix.select)
        if len(chances) == 1:
            return Weights(np.zeros(pair.size, dtype=bool), ("single_superpixel", *flags), 1)
        drawn = draw_regions(pair.generator("cam-superpixels"), chances)
        from_b = looked_up(drawn, labels)
        return Weights(from_b, flags, count_mixed_regions(pair.a.labels, labels, from_b))


def chances_of(
    labels: npt.NDArray[np.uint16], saliency: npt.NDArray[np.uint8], share: float
) -> npt.NDArray[np.float64]:
    """Return the chance of each superpixel, (R,) float64 in [0, 1]; of a map of zeros all have `share`."""
    areas, sums = region_totals(labels), region_totals(labels, saliency).astype(np.float64)
    total = sums.sum()
    if not total:
        return np.full(len(areas), share)
    chances: npt.NDArray[np.float64] = np.minimum(1.0, share * (sums * labels.size) / (total * areas))
    return chances


METHOD = CamSuperpixels()
