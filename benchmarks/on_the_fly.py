"""The same samples without a cache: as the published method computes them, and as fast as we can.

Both get decoded images of the final size and need not encode or write anything, which favours them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.segmentation import slic

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import SamplePlan
from hsmix_gen.stages.mixing.draws import draw_selection
from hsmix_gen.stages.mixing.geometry import transform
from hsmix_gen.stages.mixing.method import Parent, needs
from hsmix_gen.stages.mixing.sample import Sample, make_sample
from hsmix_gen.stages.superpixels.slic_regions import default_compactness

Pixels = npt.NDArray[Any]
Plane = npt.NDArray[np.float64]
MapSaliency = Callable[[Pixels], npt.NDArray[np.uint8]]
"""(N, H, W, C) images -> (N, H, W) uint8 maps."""

SIGMA = 1.0
OFFSET = 10_000
"""What keeps the labels of A apart from those of B in the map of the mixed image."""


@dataclass(frozen=True)
class Origin:
    """One parent as an online loader has it: decoded, nothing computed; and what the plan says of it."""

    image: Pixels
    mask: Pixels
    n_regions: int
    transform: int


@dataclass(frozen=True)
class Pair:
    """Two parents and the plan of their sample."""

    plan: SamplePlan
    a: Origin
    b: Origin


def vectorised(pair: Pair, map_saliency: MapSaliency, mix: MixConfig, *, n_classes: int) -> Sample:
    """Make a sample with the product's own stages; only what its mode needs is computed."""
    origins = (pair.a, pair.b)
    if needs(pair.plan.mode, mix).saliency:
        maps = list(map_saliency(np.stack([origin.image for origin in origins])))
        labels = [superpixels(origin) for origin in origins]
    else:  # hard mixing asks which superpixels of B are taken and nothing else
        maps = [np.zeros_like(origin.mask) for origin in origins]
        labels = [np.zeros(pair.a.mask.shape, dtype=np.uint16), superpixels(pair.b)]
    a, b = (_parent(*features) for features in zip(origins, labels, maps, strict=True))
    return make_sample(pair.plan, a, b, mix, n_classes=n_classes)


def vectorised_batch(
    pairs: Sequence[Pair], map_saliency: MapSaliency, mix: MixConfig, *, n_classes: int
) -> list[Sample]:
    """Mix a mini-batch of images A among themselves, each with its neighbour: features are computed once per image."""
    maps = map_saliency(np.stack([pair.a.image for pair in pairs]))
    parents = [_parent(pair.a, superpixels(pair.a), one) for pair, one in zip(pairs, maps, strict=True)]
    partners = [*parents[1:], parents[0]]
    return [
        make_sample(pair.plan, a, b, mix, n_classes=n_classes)
        for pair, a, b in zip(pairs, parents, partners, strict=True)
    ]


def looped(pair: Pair, map_saliency: MapSaliency, mix: MixConfig, *, wide: bool) -> tuple[Plane, Plane]:
    """Make the soft sample of a pair as published: a Python loop over regions, a mask of the full frame for each.

    Three quantities are built region by region: the mask of the taken superpixels, the map of the regions of the
    mixed image, and the mean of each region's masked relative saliency over the whole image [1]_.

    Parameters
    ----------
    wide : bool
        Whether masks have the shape of the image, as they multiply images; else they are one plane.

    Returns
    -------
    image : (H, W, C) float64
    mask : (H, W) float64
        Share of the foreground.

    References
    ----------
    .. [1] Sun, Dornaika, Barrena, "HSMix", arXiv 2511.17614, doi:10.1016/j.inffus.2024.102741: hard mixing, soft
       mixing. Written from its formulas.
    """
    maps = map_saliency(np.stack([pair.a.image, pair.b.image]))
    a, b = (_parent(origin, superpixels(origin), one) for origin, one in zip((pair.a, pair.b), maps, strict=True))
    depth = a.image.shape[-1] if wide else 1
    labels_a, labels_b = (_deep(parent.labels.astype(np.int64) + 1, depth) for parent in (a, b))
    saliency_a, saliency_b = (_deep(parent.saliency / 255, depth) for parent in (a, b))

    found = np.unique(labels_b)
    taken = draw_selection(pair.plan.seed, len(found), mix.select)
    from_b = np.zeros(labels_b.shape)
    for label, is_taken in zip(found, taken, strict=True):
        from_b = from_b + is_taken * np.where(labels_b == label, 1.0, 0.0)

    mixed = (1 - from_b) * (labels_a + OFFSET) + from_b * labels_b
    found = np.unique(mixed)
    region = np.zeros(mixed.shape)
    for number, label in enumerate(found):
        region = region + number * np.where(mixed == label, 1.0, 0.0)

    relative = saliency_b / (saliency_a + saliency_b + 1e-4)
    relative = np.where((saliency_a == 0) & (saliency_b == 0), 0.5, relative)
    value = np.array([(np.where(region == number, 1.0, 0.0) * relative).mean() for number in range(len(found))])
    share = ((value - value.min()) / (value.max() - value.min() + 1e-5))[region.astype(np.int64)]
    return (1 - share) * a.image + share * b.image, (1 - share[..., 0]) * a.mask + share[..., 0] * b.mask


def superpixels(origin: Origin) -> npt.NDArray[np.uint16]:
    """Return the superpixels of an image by scikit-image, as anyone has them who mixes without a cache."""
    labels: npt.NDArray[np.integer] = slic(
        origin.image.astype(np.float64),
        n_segments=origin.n_regions,
        compactness=default_compactness(origin.image),
        sigma=SIGMA,
        start_label=0,
        channel_axis=-1,
        convert2lab=origin.image.shape[-1] == 3,
    )
    return labels.astype(np.uint16)


def _parent(origin: Origin, labels: Pixels, saliency: Pixels) -> Parent:
    return Parent(*(transform(array, origin.transform) for array in (origin.image, origin.mask, labels, saliency)))


def _deep(plane: Pixels, depth: int) -> Pixels:
    """Return an (H, W) plane as (H, W, depth)."""
    return np.repeat(plane[..., None], depth, axis=-1)
