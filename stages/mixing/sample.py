"""One sample from its plan and its parents' features: draws, mixing and provenance put together."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import SamplePlan
from hsmix_gen.stages.mixing import draws, guard, regions
from hsmix_gen.stages.mixing.geometry import transform
from hsmix_gen.stages.mixing.mixing import Mixed, mix, paste_weights, unmixed


@dataclass(frozen=True)
class Parent:
    """The features of one source, turned and flipped as drawn for one sample.

    Attributes
    ----------
    image : (H, W, C)
    mask : (H, W) or (H, W, K) uint8
        Class ids, or the channels of a multi-label mask.
    labels : (H, W) uint16
        Superpixels of the drawn variant; zeros where `needs` says that they are not used.
    saliency : (H, W) uint8
        Zeros where it is not used.
    """

    image: arrays.Image
    mask: arrays.AnyMask
    labels: arrays.Labels
    saliency: arrays.Saliency

    def turned(self, number: int) -> "Parent":
        """Return the same parent under transform `number`."""
        if number == 0:
            return self
        return Parent(
            transform(self.image, number),
            transform(self.mask, number),
            transform(self.labels, number),
            transform(self.saliency, number),
        )


@dataclass(frozen=True)
class Weights:
    """Where and how much of B enters, with what provenance keeps of it."""

    weight_b: npt.NDArray[np.uint8]
    flags: list[str] = field(default_factory=list)
    n_regions: int | None = None
    select_p: float | None = None


@dataclass(frozen=True)
class Sample:
    """A mixed picture and the numbers of its provenance.

    Attributes
    ----------
    mixed : Mixed
    weight_b : (H, W) uint8
        Lambda of every pixel in 255ths (0 and 255 only in hard samples).
    area_b : float
        Share of pixels from B (hard) or mean lambda (soft), in [0, 1].
    """

    mixed: Mixed
    weight_b: npt.NDArray[np.uint8]
    area_b: float
    flags: tuple[str, ...]
    n_regions: int | None = None
    select_p: float | None = None


def needs(mode: str, config: MixConfig) -> tuple[bool, bool]:
    """Return whether samples of a mode need the superpixels, and the saliency, of their parents."""
    superpixels = mode != "none" and config.method == "superpixel"
    return superpixels, superpixels and mode == "soft" and config.weight == "saliency"


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
    weigh = _hard_weights if plan.mode == "hard" else _soft_weights
    weights = weigh(plan.seed, a, b, config)
    mixed = mix(a.image, a.mask, b.image, b.mask, weights.weight_b, n_classes=n_classes)
    return Sample(
        mixed,
        weights.weight_b,
        float(weights.weight_b.mean(dtype=np.float64) / 255),
        tuple(sorted(set(weights.flags))),
        weights.n_regions,
        weights.select_p,
    )


def _hard_weights(seed: int, a: Parent, b: Parent, config: MixConfig) -> Weights:
    if config.method == "cutmix":
        from_b = draws.draw_rectangle(seed, a.mask.shape[:2])
        return Weights(paste_weights(from_b), _identity_flags(from_b))
    from_b, flags = _selected_pixels(seed, a, b, config)
    _, n_regions = regions.mixed_regions(a.labels, b.labels, from_b)
    return Weights(paste_weights(from_b), flags + _identity_flags(from_b), n_regions, config.select)


def _identity_flags(from_b: npt.NDArray[np.bool_]) -> list[str]:
    """Return the flag of a hard mix that is one of its parents."""
    return ["hard_identity"] if from_b.all() or not from_b.any() else []


def _soft_weights(seed: int, a: Parent, b: Parent, config: MixConfig) -> Weights:
    if config.method == "mixup":
        level = regions.quantise(np.array([draws.draw_lambda(seed)]), config.lambda_range)
        return Weights(np.full(a.mask.shape[:2], level[0], dtype=np.uint8))
    if config.weight == "random":
        n_regions = int(b.labels.max()) + 1
        drawn = regions.quantise(draws.draw_weights(seed, n_regions), config.lambda_range)
        return Weights(drawn[b.labels], [], n_regions)
    return _saliency_weights(seed, a, b, config)


def _saliency_weights(seed: int, a: Parent, b: Parent, config: MixConfig) -> Weights:
    from_b, flags = _selected_pixels(seed, a, b, config)
    if "single_superpixel" in flags:
        return Weights(np.zeros(a.mask.shape[:2], dtype=np.uint8), flags, 1, config.select)
    region, n_regions = regions.mixed_regions(a.labels, b.labels, from_b)
    flat = [name for name, p in (("a", a), ("b", b)) if not p.saliency.any()]
    flags += [f"flat_saliency_{name}" for name in flat]
    # One flat map makes the ratio 0 or 1 everywhere, which tells nothing: one half is the honest weight. With A
    # flat the published sum gives lambda by area, which is kept, as it is where both are flat (ratio one half).
    if flat == ["b"] or (flat == ["a"] and config.aggregate == "mean"):
        half = regions.quantise(np.array([0.5]), config.lambda_range)
        return Weights(np.full(a.mask.shape[:2], half[0], dtype=np.uint8), flags, n_regions, config.select)
    ratio = regions.relative_saliency(a.saliency, b.saliency, zero_ratio=regions.zero_ratio_of(config))
    found = regions.region_weights(
        ratio, region, n_regions, aggregate=config.aggregate, lambda_range=config.lambda_range
    )
    return Weights(found.weight[region], flags + list(found.flags), n_regions, config.select)


def _selected_pixels(seed: int, a: Parent, b: Parent, config: MixConfig) -> tuple[npt.NDArray[np.bool_], list[str]]:
    n_b = int(b.labels.max()) + 1
    if n_b <= 1:
        return np.zeros(b.labels.shape, dtype=bool), ["single_superpixel"]
    selected = draws.draw_selection(seed, n_b, config.select)
    flags: list[str] = []
    if config.small_object_guard:
        guarded = guard.guard_selection(selected, b.labels, a.mask, b.mask, ratio=config.small_object_ratio)
        if not np.array_equal(guarded, selected):
            flags.append("guarded")
        selected = guarded
    return selected[b.labels], flags
