"""What the values of mask files mean: conventions, weighed over the pixels of all masks; doubt is a question.

A convention gives a class to each of some values. It is judged by the share of foreground that it explains in each
mask, every mask counting alike, so that neither a few pixels in many masks nor a large area in one decide.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import IGNORE, ScanResult
from hsmix_gen.stages.labels.mask_areas import speck_pixels
from hsmix_gen.stages.labels.mask_values import MAX_CLASSES, describe, listed

_MOST_GREYS = 8
_WHITES = (255, 65535)
# Mean width in pixels up to which an area is an edge that resampling made.
_THIN = 1.6
# The same of values one beside a usual grey.
_NOISE = 3
_MOSTLY = 0.95
# Share of the masks with foreground in which a second reading makes doubt, and in which one that fails ends the run.
_DOUBT = 0.25
_FAILURE = 0.5
_FEWEST_BACKGROUNDS = 0.25
_FEW_MASKS = 4
_FEWEST_OBJECTS = 5
_MOST_AREAS_EACH = 1.1
_SHOWN_MAP = 8
# Objects that reach the end of the image hide that masks are inverted.
_MOST_INVERTED = 0.5
# Greys that are not black, white or edges, and the share of pixels that makes one a level.
_SHADE = 16
_LEVEL = 0.01


@dataclass(frozen=True)
class MaskValues:
    """What a mask holds, as conventions see it."""

    counts: Mapping[int, int]
    """Value to pixels."""
    sides: Mapping[int, int]
    """Value to sides of its pixels towards other values; empty where unknown, and all areas count as thick then."""
    outline: int = 0
    """Pixels of 255 that lie in specks and slender parts."""
    areas: int = 0
    """Connected areas of all values above 0; 0 where not counted."""
    around: int = 0
    """Value of nearly all pixels at the end of the mask; 0 also where none is."""

    @classmethod
    def of(cls, scan: ScanResult) -> "MaskValues":
        """Return what a scan has seen of a mask."""
        form = scan.mask_form
        sides = dict(zip((value for value, _ in scan.mask_counts), form.sides, strict=False))
        return cls(dict(scan.mask_counts), sides, form.outline, form.areas, form.around)

    @cached_property
    def foreground(self) -> int:
        """Pixels that are not 0."""
        return sum(count for value, count in self.counts.items() if value)

    @cached_property
    def pixels(self) -> int:
        """All pixels."""
        return sum(self.counts.values())

    @cached_property
    def is_soft(self) -> bool:
        """Whether it has many values, most of them only as edges: a blurred mask, or probabilities."""
        return len(self.counts) > _MOST_GREYS and 2 * sum(map(self.is_thin, self.counts)) > len(self.counts)

    def without(self, values: Collection[int]) -> "MaskValues":
        """Return the mask as if it did not hold some values."""
        kept = {value: count for value, count in self.counts.items() if value not in values}
        return replace(self, counts=kept)

    def is_thin(self, value: int) -> bool:
        """Return whether the areas of a value are edges that resampling makes, or specks."""
        return self._width(value) <= _THIN

    def is_speck(self, value: int) -> bool:
        """Return whether all pixels of a value together are no more than a speck."""
        return self.counts[value] <= speck_pixels(self.pixels)

    def allows(self, value: int, class_id: int) -> bool:
        """Return whether a value can be a shade of a class, or ignore, here: it has no area of its own."""
        if self.is_speck(value) and self.sides:
            return True
        if class_id != IGNORE:
            # Noise lies beside the class that it is noise of; alone it may be vessels of another convention.
            return self._width(value) <= _NOISE and 2 * self.counts[value] <= self.foreground
        return self.foreground > self.counts[value] and self.outline >= _MOSTLY * self.counts[value]

    def _width(self, value: int) -> float:
        """Return the mean width in pixels of the areas of a value; infinite where unknown."""
        sides = self.sides.get(value, 0)
        return 2 * self.counts[value] / sides if sides else math.inf


@dataclass(frozen=True)
class Reading:
    """What mask values mean."""

    values: dict[int, int]
    """Mask value to class id; 255 = ignore."""
    shades: frozenset[int] = frozenset()
    """Those values that are read so only where they have no area of their own (`MaskValues.allows`)."""
    notes: tuple[str, ...] = ()
    """What was chosen, for the user."""


@dataclass(frozen=True)
class _Convention:
    """Classes of some values, and of others that hold only where they have no area of their own."""

    classes: dict[int, int]
    shades: dict[int, int]

    @property
    def n_classes(self) -> int:
        return len(set(self.classes.values()))

    def unexplained(self, mask: MaskValues) -> list[int]:
        """Return the values of a mask that this convention does not explain."""
        return [
            value
            for value in mask.counts
            if value not in self.classes and not (value in self.shades and mask.allows(value, self.shades[value]))
        ]

    def explained(self, mask: MaskValues) -> float:
        """Return the share of the foreground of a mask that is explained; shades count neither way."""
        of_class = sum(count for value, count in mask.counts.items() if value and value in self.classes)
        strange = sum(mask.counts[value] for value in self.unexplained(mask) if value)
        return of_class / (of_class + strange) if of_class + strange else 1.0


def understand_values(masks: Sequence[MaskValues], *, numbered: bool | None = None) -> Reading:
    """Return what the values of all masks mean.

    Known are ids 0 to K - 1, also with 255 where it is no more than outlines and specks (ignore), and K greys evenly
    spread over 0 to 255 or 65535 (0/255, 0/128/255, 0/85/170/255 and so on). A class needs an area of its own
    somewhere: what is but an edge between two greys was made by resampling.

    Parameters
    ----------
    masks : sequence of MaskValues
    numbered : bool or None
        Whether values may be numbers of objects: None where nobody has said so, and what looks like it is a question.

    Raises
    ------
    SourceError
        If no convention explains the masks, or two do; the text names both readings and their options.
    """
    if not masks:
        raise SourceError("no mask could be read, so that classes are unknown; see refused.csv")
    holding = [mask for mask in masks if mask.foreground]
    if not holding and all(0 in mask.counts for mask in masks):
        return Reading({0: 0})
    if numbered is None:
        _check_numbers(holding)
    found = sorted({value for mask in masks for value in mask.counts})
    candidates = list(_candidates(found, holding))
    if not candidates:
        raise SourceError(_unknown_convention(found, holding))
    scores = [sum(candidate.explained(mask) for mask in holding) / len(holding) for candidate in candidates]
    # A class that adds nothing to what fewer classes explain is none.
    best, score = max(zip(candidates, scores, strict=True), key=lambda pair: (round(pair[1], 9), -pair[0].n_classes))
    best = _pruned(best, masks)
    refused = [mask for mask in masks if best.unexplained(mask)]
    _check_doubt(best, candidates, holding, found)
    if score < _FAILURE or len(refused) > _FAILURE * len(masks):
        raise SourceError(_unknown_convention(found, holding))
    return _reading(best, masks)


def nearest_ranges(classes: Mapping[int, int]) -> str:
    """Return the option that gives every value from 0 to the greatest the class of the nearest known value."""
    known = sorted(value for value in classes if classes[value] != IGNORE)
    changes = [pair for pair in pairwise(known) if classes[pair[0]] != classes[pair[1]]]
    tops = [*((value + after) // 2 for value, after in changes), known[-1]]
    ids = [*(classes[value] for value, _ in changes), classes[known[-1]]]
    starts = [0, *(top + 1 for top in tops[:-1])]
    return ",".join(f"{start}-{top}={class_id}" for start, top, class_id in zip(starts, tops, ids, strict=True))


def is_grey_scale(classes: Mapping[int, int]) -> bool:
    """Return whether values are greys up to white, between which others can be given to the nearest."""
    greatest = max((value for value, class_id in classes.items() if class_id != IGNORE), default=0)
    return greatest in _WHITES or greatest + 1 in _WHITES


def _candidates(found: Sequence[int], masks: Sequence[MaskValues]) -> Iterator[_Convention]:
    # Where 0 is no background, ids that begin at 1 would be classes without any.
    if sum(0 in mask.counts for mask in masks) < _FEWEST_BACKGROUNDS * len(masks):
        return
    void = {IGNORE: IGNORE} if IGNORE in found else {}
    # The darkest greys of soft masks run from 0 as ids do.
    k = MAX_CLASSES if 2 * sum(mask.is_soft for mask in masks) > len(masks) else 1
    while k in found and k < MAX_CLASSES and not _is_stray(k, masks):
        k += 1
        if not (k > _MOST_GREYS and _mostly_edges(range(1, k), masks)):
            yield _Convention({value: value for value in range(k)}, void)
    for white in _WHITES:
        for k in range(2, _MOST_GREYS + 1):
            greys = _greys(found, masks, white, k)
            if greys is not None:
                yield greys


def _greys(found: Sequence[int], masks: Sequence[MaskValues], white: int, k: int) -> _Convention | None:
    """Return the convention of k greys up to white, or None if one of them has no area in any mask."""
    exact: dict[int, int] = {}
    shades: dict[int, int] = {}
    for class_id in range(k):
        level = class_id * 255 / (k - 1)
        for value in found:
            apart = abs(value * 255 / white - level)
            if apart < 1:
                exact[value] = class_id
            elif apart == 1 or (white != _WHITES[0] and apart <= 1):
                shades[value] = class_id
    for class_id in range(1, k):
        values = [value for value in exact if exact[value] == class_id and not _is_stray(value, masks)]
        thick = [value for value in values if any(value in mask.counts and not mask.is_thin(value) for mask in masks)]
        # White is thin where all objects are, such as vessels.
        if not (values if class_id == k - 1 else thick):
            return None
    return _Convention({0: 0} | exact, shades)


def _is_stray(value: int, masks: Sequence[MaskValues]) -> bool:
    """Return whether a value is but a speck in one of several masks."""
    holding = [mask for mask in masks if value in mask.counts]
    return len(masks) >= _FEW_MASKS and len(holding) == 1 and bool(holding[0].sides) and holding[0].is_speck(value)


def _mostly_edges(values: Sequence[int], masks: Sequence[MaskValues]) -> bool:
    """Return whether most values have no area of their own in any mask: greys of soft edges, and no ids."""
    thick = {value for mask in masks for value in mask.counts if not mask.is_thin(value)}
    return sum(value in thick for value in values) * 2 < len(values)


def _pruned(best: _Convention, masks: Sequence[MaskValues]) -> _Convention:
    """Return a convention of ids without the last ones that only masks hold which are refused for other values."""
    kept = dict(best.classes)
    if any(value != class_id for value, class_id in kept.items()):
        return best
    good = {value for mask in masks if not best.unexplained(mask) for value in mask.counts}
    while len(kept) > 2 and max(kept) not in good:
        del kept[max(kept)]
    return _Convention(kept, best.shades)


def _check_doubt(
    best: _Convention, candidates: Sequence[_Convention], masks: Sequence[MaskValues], found: Sequence[int]
) -> None:
    """Raise an error if values that mean nothing in the best reading mean something in another, in many masks."""
    others = {value for candidate in candidates for value in candidate.classes if value} | {IGNORE}
    doubted: Counter[int] = Counter()
    for mask in masks:
        doubted.update(value for value in best.unexplained(mask) if value in others and not mask.is_thin(value))
    many = [value for value, count in doubted.items() if count >= _DOUBT * len(masks)]
    if many:
        raise SourceError(_two_readings(best, max(many), masks, found))


def _two_readings(best: _Convention, value: int, masks: Sequence[MaskValues], found: Sequence[int]) -> str:
    known = {v: c for v, c in best.classes.items() if v in found}
    holding = [mask for mask in masks if value in mask.counts]
    white = max(value, *known)
    readings = [f"{white} as pixels of no class (--ignore {white})"]
    if best.n_classes == 2 and all(mask.counts.keys() <= {0, value} for mask in holding):
        both = describe(known | {value: 1})
        readings.append(f"{white} as the foreground and other values refused (--mask-values 0=0,{white}=1)")
        readings.append(f"both as the foreground (--mask-values {both})")
    else:
        classes = describe({v: class_id for class_id, v in enumerate(sorted({*known, value}))})
        dark = describe({v: int(v > white / 2) for v in found})
        readings.append(f"as classes each (--mask-values {classes})")
        readings.append(f"only {white} as the foreground (--mask-values {dark})")
    return (
        f"mask values {listed(found)} can be read in more than one way, {value} has areas in {len(holding)} of "
        f"{len(masks)} masks: {'; '.join(readings)}; choose one"
    )


def _check_numbers(masks: Sequence[MaskValues]) -> None:
    """Raise an error if values look like numbers of objects: 1 to n without gaps, one area each, n always another."""
    highest = {max(mask.counts) for mask in masks}
    gapless = all(len(mask.counts.keys() - {0}) == max(mask.counts) for mask in masks)
    if gapless and len(highest) >= 3 and max(highest) >= _FEWEST_OBJECTS and _has_one_area_each(masks):
        raise SourceError(
            f"mask values 1 to {max(highest)} look like numbers of objects, each has one area: add --instances if they "
            "number objects of one class, --no-instances if each is a class of its own"
        )


def _has_one_area_each(masks: Sequence[MaskValues]) -> bool:
    counted = [mask for mask in masks if mask.areas]
    values = sum(len(mask.counts.keys() - {0}) for mask in counted)
    return bool(counted) and sum(mask.areas for mask in counted) <= _MOST_AREAS_EACH * values


def _unknown_convention(found: Sequence[int], masks: Sequence[MaskValues]) -> str:
    start = f"mask values {listed(found)} follow no known convention (0/255, 0/128/255, 0..K-1); "
    if len(found) == 1:
        return start + (
            f"all pixels of {len(masks)} masks have the one value, so that none is background; see whether these are "
            f"the masks, or map it with --mask-values 0=0,{found[0]}=1"
        )
    thick: Counter[int] = Counter()
    for mask in masks:
        thick.update({value: count for value, count in mask.counts.items() if not mask.is_thin(value)})
    each = describe({value: class_id for class_id, value in enumerate(found)})
    example = each if len(found) <= _SHOWN_MAP else f"0-{max(found) // 2}=0,{max(found) // 2 + 1}-{max(found)}=1"
    if max(found) == _WHITES[0] and len(found) > 2 and min(thick, default=1) == 0:
        areas = [v for v in thick if _SHADE < v < _WHITES[0] - _SHADE and thick[v] >= _LEVEL * sum(thick.values())]
        if not areas:
            mapped = each if len(found) <= _SHOWN_MAP else "0-127=0,128-255=1"
            return start + (
                "they look like black and white with soft edges: cut them with --threshold 128, or map them with "
                f"--mask-values {mapped}"
            )
        levels = {value: class_id for class_id, value in enumerate([0, *sorted(areas), _WHITES[0]])}
        if len(levels) <= min(_MOST_GREYS, len(found) - 1):
            return start + f"give each value the nearest class with --mask-values {nearest_ranges(levels)}"
    if _has_one_area_each(masks):
        return start + "they look like numbers of objects: add --instances, or map them with --mask-values"
    return start + f"map them with --mask-values, for example {example}"


def _reading(best: _Convention, masks: Sequence[MaskValues]) -> Reading:
    """Return the chosen convention with those shades that some mask allows, and notes on them."""
    pixels: Counter[int] = Counter()
    holding: Counter[int] = Counter()
    for mask in masks:
        for value, class_id in best.shades.items():
            if value in mask.counts and mask.allows(value, class_id):
                pixels[value] += mask.counts[value]
                holding[value] += 1
    shades = {value: best.shades[value] for value in sorted(pixels)}
    notes = []
    if IGNORE in shades and shades[IGNORE] == IGNORE:
        own = describe(best.classes | {IGNORE: best.n_classes})
        notes.append(
            f"mask value {IGNORE} is read as ignore: it is outlines or specks, {pixels[IGNORE]} pixels in "
            f"{holding[IGNORE]} of {len(masks)} masks; --ignore {IGNORE} says so, --mask-values {own} makes it a class"
        )
    elif shades:
        shown = ", ".join(f"{value} = class {class_id}" for value, class_id in shades.items())
        notes.append(f"mask values beside the usual greys are thin edges or specks and read as the nearest: {shown}")
    notes += _inversion_notes(best.classes, masks)
    return Reading(dict(sorted((best.classes | shades).items())), frozenset(shades), tuple(notes))


def _inversion_notes(classes: Mapping[int, int], masks: Sequence[MaskValues]) -> list[str]:
    """Return a note where a class lies around and background inside, as in masks of black objects on white."""
    parted = [mask for mask in masks if mask.foreground and 0 in mask.counts]
    around = Counter(mask.around for mask in parted if classes.get(mask.around, 0))
    value, count = around.most_common(1)[0] if around else (0, 0)
    if count <= _MOST_INVERTED * len(parted):
        return []
    order = sorted(set(classes.values()), key=lambda class_id: abs(class_id - classes[value]))
    swapped = describe({known: order.index(class_id) for known, class_id in classes.items()})
    return [
        f"mask value 0 is read as background, yet {value} lies around it in {count} of {len(parted)} masks: "
        f"if {value} is the background, as in inverted masks, map them with --mask-values {swapped}"
    ]
