"""Findings: each rule with its number, its light and a sentence on what was seen."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.execution.human_units import counted
from hsmix_gen.pipeline.readers.paths.name_groups import guess_groups
from hsmix_gen.pipeline.reporting.evidence import Columns, Evidence
from hsmix_gen.pipeline.reporting.thresholds import RULES, SEVERITY, Light
from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.families import METHODS
from hsmix_gen.schemas.records import SPLITS, Mode, SourceRecord
from hsmix_gen.stages.measures.domains import Domains, two_domains
from hsmix_gen.stages.mixing.method import needs

FLAT_LAMBDA = 0.02
"""Spread of lambda below which a soft mix has no contrast."""
_SQUARES_SUFFICE = 0.95
"""Boundary recall of squares beyond which nothing is left to gain."""
_LEAST_OBJECTS = 20
_SHOWN = 3
_NO_SUPERPIXELS = "no sample is mixed by superpixels"
_NAN = float("nan")


@dataclass(frozen=True)
class Finding:
    """What was found of one rule."""

    rule: str
    """Its name in `thresholds.RULES`."""
    title: str
    light: Light
    value: float
    """NaN where nothing could be measured."""
    text: str
    """What was seen, one sentence."""
    way_out: str
    """Empty where nothing is to be done."""

    def line(self) -> str:
        """Return the finding in one line."""
        return f"{self.light}: {self.title.lower()}: {self.text}" + (f"; {self.way_out}" if self.way_out else "")


Seen = tuple[float, str]
"""Number and sentence."""


def find(evidence: Evidence) -> list[Finding]:
    """Return all findings, the worst first; of equal lights in the order of the rules."""
    found = []
    for rule in RULES:
        value, text = _LOOKS[rule.name](evidence)
        light = rule.light(value)
        way_out = rule.way_out if light in ("red", "amber") else ""
        found.append(Finding(rule.name, rule.title, light, value, text, way_out))
    return sorted(found, key=lambda finding: SEVERITY.index(finding.light))


def verdict(findings: Sequence[Finding]) -> Light:
    """Return the worst light of all findings."""
    return min((finding.light for finding in findings), key=SEVERITY.index, default="grey")


def of_mode(samples: Columns, mode: str) -> npt.NDArray[np.bool_]:
    """Return which samples are training samples of a mode, (N,) bool; none where there are no samples."""
    if not samples:
        return np.zeros(0, np.bool_)
    found: npt.NDArray[np.bool_] = (samples["mode"] == mode) & (samples["split"] == "train")
    return found


def class_shares(evidence: Evidence) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the share of each class in the training images before mixing, and in the samples after it; (K,) each."""
    samples, n_classes = evidence.samples, len(evidence.classes)
    nothing = np.full(n_classes, np.nan)
    if not samples:
        train = [one.measures.pixels for one in evidence.images if one.record.split == "train"]
        return (_shares(np.array(train, np.float64)) if train else nothing), nothing
    train = (samples["split"] == "train") & np.array([pixels is not None for pixels in samples["pixels"]], np.bool_)
    if not train.any():
        return nothing, nothing
    before = np.stack(samples["pixels_a"][train].tolist()).astype(np.float64)
    after = np.stack(samples["pixels"][train].tolist()).astype(np.float64)
    return _shares(before), _shares(after)


def torn_groups(records: Sequence[SourceRecord]) -> dict[str, set[str]]:
    """Return the groups that names of images show in several splits, with these splits.

    Groups that a run parted because a split was given are found by the names that it gave them.
    """
    homes: dict[str, set[str]] = defaultdict(set)
    names = [_plain_name(record) for record in records]
    guess = guess_groups(names)
    for record, shown in zip(records, guess.groups if guess else [None] * len(records), strict=True):
        ending = f"-{record.split}"
        if record.group != record.id and record.group.endswith(ending):
            homes[record.group.removesuffix(ending)].add(record.split)
        elif shown is not None and record.group == record.id:
            homes[shown].add(record.split)
    return {group: splits for group, splits in sorted(homes.items()) if len(splits) > 1}


def domains_of(evidence: Evidence) -> Domains:
    """Return the best division of the measured images into two kinds by their looks."""
    looks = [one.measures.look for one in evidence.images]
    return two_domains(np.stack(looks)) if looks else two_domains(np.empty((0, 2)))


def cut_share(samples: Columns) -> npt.NDArray[np.float64]:
    """Return which share of its parents' objects a sample divides, (N,) float64."""
    return samples["cut"] / np.maximum(samples["objects"], 1)


def uses_of_images(samples: Columns) -> list[int]:
    """Return of how many training samples each image is a parent, in no order."""
    train = samples["split"] == "train"
    return list(Counter(filter(None, [*samples["source_a"][train], *samples["source_b"][train]])).values())


def seam_gain(samples: Columns) -> npt.NDArray[np.float64]:
    """Return how much more of the seam lies on contours of B than by chance, (N,) float64."""
    return samples["contour"] - samples["contour_chance"]


def _leakage(evidence: Evidence) -> Seen:
    homes: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record in evidence.records:
        homes["group", record.group].add(record.split)
        homes["image content", record.content].add(record.split)
    for kind in ("source", "group"):
        for side in ("a", "b") if evidence.samples else ():
            pairs = set(
                zip(evidence.samples[f"{kind}_{side}"].tolist(), evidence.samples["split"].tolist(), strict=True)
            )
            for name, split in pairs:
                if name is not None:
                    homes[kind, name].add(split)
    torn = sorted((kind, name) for (kind, name), splits in homes.items() if len(splits) > 1)
    if torn:
        example = ", ".join(f"{kind} {name}" for kind, name in torn[:_SHOWN])
        return len(torn), f"{counted(len(torn), 'thing')} in two splits: {example}"
    counts = Counter(record.split for record in evidence.records)
    return 0, "no group and no image is in two splits: " + ", ".join(f"{counts[split]} {split}" for split in SPLITS)


def _torn(evidence: Evidence) -> Seen:
    found = torn_groups(evidence.records)
    if not found:
        return 0, "names show no patient in two splits"
    first = next(iter(found))
    return len(found), (
        f"{counted(len(found), 'group')} that names show {'is' if len(found) == 1 else 'are'} in several splits, "
        f"such as {first} in {' and '.join(sorted(found[first]))}"
    )


def _twins(evidence: Evidence) -> Seen:
    if not evidence.n_hashed:
        return _NAN, "no images at hand to compare"
    if not evidence.twins:
        return 0, f"none among {counted(evidence.n_hashed, 'image')} compared"
    first = evidence.twins[0]
    return len(evidence.twins), (
        f"{counted(len(evidence.twins), 'pair')}, such as {first.a.id} ({first.a.split}) "
        f"and {first.b.id} ({first.b.split})"
    )


def _empty_class(evidence: Evidence) -> Seen:
    before, _ = class_shares(evidence)
    if np.isnan(before).any():
        return _NAN, "classes were not counted"
    first = 1 if evidence.has_background else 0
    empty = [name for name, share in zip(evidence.classes[first:], before[first:], strict=True) if share == 0]
    if not empty:
        return 0, "every class has pixels in training images"
    return len(empty), f"no training image has a pixel of {', '.join(empty)}"


def _balance(evidence: Evidence) -> Seen:
    before, after = class_shares(evidence)
    known = (before > 0) & (after > 0)
    if not known.any():
        return _NAN, "no mixed samples with counted classes"
    factor = np.where(known, np.maximum(after, 1e-12) / np.maximum(before, 1e-12), 1.0)
    worst = int(np.abs(np.log(factor)).argmax())
    value = float(max(factor[worst], 1 / factor[worst]))
    change = f"from {before[worst]:.2%} to {after[worst]:.2%} of the pixels"
    return value, f"{evidence.classes[worst]} changed most, {change}"


def _object_size(evidence: Evidence) -> Seen:
    if not uses_superpixels(evidence):
        return _NAN, _NO_SUPERPIXELS
    cells = known_numbers([one.measures.object_cells for one in evidence.images])
    if not len(cells):
        return _NAN, "no objects were measured"
    small = float((cells < 2).mean())
    return float(np.median(cells)), (
        f"the median object covers {np.median(cells):.2g} superpixels; "
        f"in {small:.0%} of the images it covers less than 2"
    )


def _recall(evidence: Evidence) -> Seen:
    if not uses_superpixels(evidence):
        return _NAN, _NO_SUPERPIXELS
    pairs = [(one.measures.recall, one.measures.grid_recall) for one in evidence.images]
    known = np.array([pair for pair in pairs if not np.isnan(pair).any()]).reshape(-1, 2)
    if not len(known):
        return _NAN, "no contours were measured"
    ours, grid = known.mean(axis=0)
    if grid > _SQUARES_SUFFICE:
        return _NAN, f"superpixels are so small that squares follow {grid:.2f} of the contours within 2 pixels"
    gain = float((ours - grid) / (1 - grid))
    return gain, f"superpixels follow {ours:.2f} of the contours within 2 pixels, squares {grid:.2f}"


def _outweighed(evidence: Evidence) -> Seen:
    """Judge the size of superpixels, where the area of a hard mix or the lambda of a soft one goes by it."""
    mixes = [("hard", "mix.selection", "bernoulli"), ("soft", "mix.aggregate", "sum")]
    by_size = [
        mode
        for mode, option, value in mixes
        if evidence.options[option] == value and (not evidence.samples or of_mode(evidence.samples, mode).any())
    ]
    largest = known_numbers([one.measures.largest for one in evidence.images])
    # A cache may be mixed by any method; a dataset of the first version was made by this one.
    methods = evidence.described.get("method", "hsmix").split(",")
    if not len(largest) or not by_size or not {"", "hsmix"} & set(methods):
        return _NAN, "no mix goes by the size of superpixels, or none were measured"
    value = float(np.median(largest))
    return value, f"the largest superpixel of an image has {value:.0f} times the area of its median one"


def image_aucs(evidence: Evidence) -> dict[str, float]:
    """Return the AUC of the map of each image: from the cache, else from the samples that read it."""
    found = {one.record.id: one.measures.auc for one in evidence.images if not np.isnan(one.measures.auc)}
    if found or not evidence.samples:
        return found
    for side in ("a", "b"):
        auc = evidence.samples[f"auc_{side}"]
        read = ~np.isnan(auc)
        found |= dict(zip(evidence.samples[f"source_{side}"][read].tolist(), auc[read].tolist(), strict=True))
    return found


def uses_saliency(evidence: Evidence) -> bool:
    """Return whether lambda follows saliency: of an output only where samples read maps."""
    if not evidence.samples:
        return str(evidence.options.get("saliency.backend")) not in ("none", "uniform", "random")
    return bool((~np.isnan(evidence.samples["auc_a"])).any())


def uses_superpixels(evidence: Evidence) -> bool:
    """Return whether pieces are superpixels: of an output only where samples were mixed by them."""
    return not evidence.samples or any(_by(evidence.samples, mode, "superpixels").any() for mode in ("hard", "soft"))


def _by(samples: Columns, mode: Mode, *features: Literal["superpixels", "saliency"]) -> npt.NDArray[np.bool_]:
    """Return which samples are training samples of a mode whose method follows any of some features, (N,) bool.

    A control that takes from superpixels how large its area is does not follow them.
    """
    chosen = of_mode(samples, mode)
    if not chosen.any():
        return chosen
    plain = MixConfig()
    following = [
        name for name in METHODS.names if any(getattr(needs(mode, plain, name), feature) for feature in features)
    ]
    # Samples without a method are of hsmix.
    return chosen & np.isin(samples["method"], ["", *following])


def _auc(evidence: Evidence) -> Seen:
    found = image_aucs(evidence)
    if not found or not uses_saliency(evidence):
        return _NAN, "no sample follows a saliency map with a mask beside it"
    worst = min(found, key=lambda name: (found[name], name))
    median = float(np.median(list(found.values())))
    return median, f"median AUC {median:.2f} over {counted(len(found), 'image')}; {worst} has {found[worst]:.2f}"


def _inverted(evidence: Evidence) -> Seen:
    found = image_aucs(evidence)
    if not found or not uses_saliency(evidence):
        return _NAN, "no sample follows a saliency map with a mask beside it"
    share = float((np.array(list(found.values())) < 0.5).mean())
    return share, f"{share:.0%} of {counted(len(found), 'map')} rank background above foreground"


def _cut(evidence: Evidence) -> Seen:
    hard = of_mode(evidence.samples, "hard")
    names = ("objects", "cut", "small", "small_cut")
    objects, cut, small, small_cut = (
        float(np.nansum(evidence.samples[name][hard])) if hard.any() else 0.0 for name in names
    )
    if not objects:
        return _NAN, "no hard mixes with objects"
    whole = f"{cut:.0f} of {objects:.0f} objects of the parents are divided"
    if small < _LEAST_OBJECTS:
        return _NAN, f"{small:.0f} objects are small, too few to judge; {whole}"
    return small_cut / small, f"{small_cut:.0f} of {small:.0f} small objects are torn; {whole}"


def _fragments(evidence: Evidence) -> Seen:
    hard = of_mode(evidence.samples, "hard")
    if not hard.any() or np.isnan(evidence.samples["fragments"][hard]).all():
        return _NAN, "no hard mixes that were measured"
    more = evidence.samples["fragments"][hard] > evidence.samples["fragments_before"][hard]
    text = f"{int(more.sum())} of {len(more)} hard mixes have more pieces below ten pixels than their parents"
    return float(more.mean()), text


def _seam(evidence: Evidence) -> Seen:
    hard = _by(evidence.samples, "hard", "superpixels")  # the seam of others follows none
    gain = known_numbers(seam_gain(evidence.samples)[hard]) if hard.any() else np.empty(0)
    if not len(gain):
        return _NAN, "no hard mixes of superpixels that were measured"
    more, chance = float(np.median(gain)), float(np.nanmedian(evidence.samples["contour_chance"][hard]))
    return more, f"{more + chance:.2f} of the seam lies on contours of B, {chance:.2f} by chance"


def _domains(evidence: Evidence) -> Seen:
    if len(evidence.images) < 8:
        return _NAN, "fewer than 8 images were measured"
    found = domains_of(evidence)
    if found.separation == 0:
        return 0.0, "all images look alike"
    n_second, n_images = int(found.is_second.sum()), len(found.is_second)
    example = next(one.record.id for one, second in zip(evidence.images, found.is_second, strict=True) if second)
    return found.separation, (
        f"the best division by looks is {n_images - n_second} and {n_second} images (such as {example}), "
        f"{found.gap:.2f} apart; between them lies {found.separation:.0%} of the variance"
    )


def _identity(evidence: Evidence) -> Seen:
    hard = of_mode(evidence.samples, "hard")
    if not hard.any():
        return _NAN, "no hard mixes"
    same = np.array(["hard_identity" in flags for flags in evidence.samples["flags"][hard]])
    return float(same.mean()), f"{int(same.sum())} of {len(same)} hard samples are one of their parents"


def _flat_lambda(evidence: Evidence) -> Seen:
    soft = _by(evidence.samples, "soft", "superpixels", "saliency")
    spread = known_numbers(evidence.samples["lambda_std"][soft]) if soft.any() else np.empty(0)
    if not len(spread):
        return _NAN, "no soft mixes by region that were measured"
    flat = spread < FLAT_LAMBDA
    varies = f"lambda hardly varies in {int(flat.sum())} of {len(flat)} soft mixes"
    return float(flat.mean()), f"{varies}; its median spread is {np.median(spread):.2f}"


def _reuse(evidence: Evidence) -> Seen:
    if not evidence.samples:
        return _NAN, "no samples"
    train = evidence.samples["split"] == "train"
    images = len(set(evidence.samples["source_a"][train].tolist()))
    if not images:
        return _NAN, "no training samples"
    count = int(train.sum())
    return count / images, f"{counted(count, 'training sample')} of {counted(images, 'image')}"


def _refused(evidence: Evidence) -> Seen:
    if not evidence.sources:
        return _NAN, "no sources"
    text = f"{evidence.refused} of {counted(evidence.sources, 'source')} were left out"
    return evidence.refused / evidence.sources, text


_LOOKS: dict[str, Callable[[Evidence], Seen]] = {
    "leakage": _leakage,
    "torn_groups": _torn,
    "near_duplicates": _twins,
    "empty_class": _empty_class,
    "class_balance": _balance,
    "object_size": _object_size,
    "boundary_recall": _recall,
    "outweighed": _outweighed,
    "saliency_auc": _auc,
    "saliency_inverted": _inverted,
    "cut_objects": _cut,
    "fragments": _fragments,
    "seam": _seam,
    "domains": _domains,
    "identity": _identity,
    "flat_lambda": _flat_lambda,
    "reuse": _reuse,
    "refused": _refused,
}


def _plain_name(record: SourceRecord) -> str:
    """Return the path of an image without its ending, or the id of one that shares its file with others."""
    if "#" in record.image:
        return record.id
    return PurePosixPath(record.image).with_suffix("").as_posix()


def _shares(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    total = pixels.sum(axis=0)
    shares: npt.NDArray[np.float64] = total / max(1.0, float(pixels.sum()))
    return shares


def known_numbers(values: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return numbers without NaN, (N,) float64."""
    array = np.asarray(values, np.float64)
    return array[~np.isnan(array)]
