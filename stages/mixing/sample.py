"""One sample from its plan and its parents' features: the mix by a method, and its provenance."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import SamplePlan
from hsmix_gen.stages.mixing.method import Pair, Parent, method_named
from hsmix_gen.stages.mixing.mixing import Mixed, byte_sum, mix, paste_weights, unmixed


@dataclass(frozen=True)
class Sample:
    """A mixed picture and the numbers of its provenance."""

    mixed: Mixed
    weight_b: npt.NDArray[np.uint8]
    """(H, W) uint8; lambda of every pixel in 255ths (0 and 255 only in hard samples)."""
    area_b: float
    """Share of pixels from B (hard) or mean lambda (soft), in [0, 1]."""
    flags: tuple[str, ...]
    n_regions: int | None = None
    select_p: float | None = None
    method: str | None = None
    """Name of the method; None of unmixed samples."""
    selection: str | None = None
    scale_b: float | None = None


def make_sample(plan: SamplePlan, a: Parent, b: Parent | None, config: MixConfig, *, n_classes: int) -> Sample:
    """Make one sample; equal arguments give equal bytes.

    Parameters
    ----------
    plan : SamplePlan
        Mode and key of the draws.
    a, b : Parent
        The parents, already turned; `b` is None for mode ``none``.
    config : MixConfig
    n_classes : int
        Number of channels of the soft label: classes, background included, or of a multi-label mask K.
    """
    if b is None:
        nothing = np.zeros(a.mask.shape[:2], dtype=np.uint8)
        return Sample(unmixed(a.image, a.mask, n_classes=n_classes), nothing, 0.0, ())
    name = plan.method or config.methods[0]
    weights = method_named(name).weigh(Pair(a, b, plan.mode, plan.seed, config, n_classes))
    b = weights.moved_b or b
    given = weights.weight_b
    weight_b = paste_weights(given.view(bool)) if given.dtype == bool else given.astype(np.uint8, copy=False)
    flags = set(weights.flags)
    total, most = byte_sum(weight_b), 255 * weight_b.size
    if plan.mode == "hard" and total in (0, most):  # the sample is one of its parents
        flags.add("hard_identity")
    return Sample(
        mix(a.image, a.mask, b.image, b.mask, weight_b, n_classes=n_classes),
        weight_b,
        total / weight_b.size / 255,
        tuple(sorted(flags)),
        weights.n_regions,
        weights.select_p,
        name,
        weights.selection,
        weights.scale_b,
    )
