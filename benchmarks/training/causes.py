"""What the samples of each arm are like: what may explain why one helps and another harms."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from scipy import ndimage

from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.mixing.sample import Sample
from training.arms import arm_of, is_available, words_of
from training.runner import Place, prepared_for
from training.samples import Samples

COPIES = 5
N_IMAGES = 40


@dataclass(frozen=True)
class Look:
    """Means over the samples of an arm; of the mixed ones alone from `from_b` on.

    Attributes
    ----------
    unmixed : float
        Share of samples with one parent.
    foreground : float
        Share of foreground in the labels, minus that of the images themselves.
    from_b : float
        Share of the image that is the partner's, by weight.
    pieces : float
        Connected pieces of the partner of at least half of the weight.
    largest : float
        Share of the partner's area that its largest piece has.
    soft : float
        Share of pixels whose label is no class of at least 0.95.
    tied : float
        Share of the soft pixels with a chance of 0.45 to 0.55.
    """

    unmixed: float
    foreground: float
    from_b: float
    pieces: float
    largest: float
    soft: float
    tied: float


HEAD = [field.name for field in fields(Look)]


def look_at(samples: Sequence[Sample], foreground: float) -> Look:
    """Return what samples are like, given the share of foreground of the images themselves."""
    mixed = [one for one in samples if one.weight_b.any()]
    rows = [_of_mixed(one) for one in mixed]
    shares = [1 - one.mixed.soft[0].astype(float).mean() for one in samples]
    # A sample without a piece has no largest one; if none has, nothing is said.
    columns = np.array(rows).reshape(-1, 5).T
    means = [column[~np.isnan(column)].mean() if not np.isnan(column).all() else np.nan for column in columns]
    return Look(1 - len(mixed) / len(samples), float(np.mean(shares)) - foreground, *(float(m) for m in means))


def _of_mixed(sample: Sample) -> tuple[float, ...]:
    pieces, count = ndimage.label(sample.weight_b >= 128)
    areas = np.bincount(pieces.ravel())[1:]
    chance = sample.mixed.soft.astype(float).max(axis=0)
    known = sample.mixed.mask != IGNORE
    soft = (chance < 0.95) & known
    tied = soft & (chance < 0.55)
    return (
        sample.area_b,
        float(count),
        float(areas.max() / areas.sum()) if count else np.nan,
        float(soft.sum() / max(1, known.sum())),
        float(tied.sum() / max(1, soft.sum())),
    )


def looks(arms: Sequence[str], dataset: str, size: int, place: Place) -> Iterator[list[str]]:
    """Yield a row of texts for each arm that this version of hsmix-gen has."""
    for name in filter(is_available, arms):
        arm = arm_of(name)
        prepared = prepared_for(arm, dataset, size, place)
        rows = prepared.subset(N_IMAGES, 0)
        samples = Samples(prepared, rows, arm, seed=0, exposures=COPIES * len(rows), saliency=place.work / "saliency")
        made = [samples.sample(place, copy) for place in range(len(rows)) for copy in range(COPIES)]
        masks = prepared.masks[rows]
        foreground = float(((masks > 0) & (masks != IGNORE)).mean())
        yield [
            words_of(name),
            *("-" if np.isnan(value) else f"{value:.2f}" for value in astuple(look_at(made, foreground))),
        ]
