"""What all images of a source have in common, and which images do not fit: channels, intensities, classes."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hsmix_gen.pipeline.execution.human_units import first_of
from hsmix_gen.pipeline.sources.scan import has_instances
from hsmix_gen.schemas.config import ImageConfig, RunConfig
from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.records import IGNORE, DatasetFacts, Intensity, Labelling, ScanResult
from hsmix_gen.stages.imaging.intensity import choose_intensity
from hsmix_gen.stages.labels.classes import IGNORE_CHANNELS, Classes, understand_classes
from hsmix_gen.stages.labels.conventions import MaskValues, is_grey_scale, nearest_ranges
from hsmix_gen.stages.labels.mask_values import describe, unknown_values
from hsmix_gen.stages.labels.objects import object_report


class Understanding(NamedTuple):
    """What all images will have in common, notes on what was chosen, and values that only edges and specks may hold."""

    facts: DatasetFacts
    notes: list[str]
    shades: frozenset[int] = frozenset()


def understand(scans: Iterable[ScanResult], config: RunConfig, labelling: Labelling) -> Understanding:
    """Return what all images will have in common, from the scans that have no problem.

    Raises
    ------
    SourceError
        If no image can be used, the mask values follow no convention or two, or no mask has any foreground.
    ConfigError
        If the configured classes or mask values do not fit.
    """
    scans = list(scans)
    good = [result for result in scans if result.problem is None]
    if not good:
        first = next((f"; first {result.id}: {result.problem}" for result in scans), "")
        raise SourceError(f"none of {len(scans)} pairs of image and mask can be used{first}")
    classes = understand_classes([MaskValues.of(result) for result in good], config.source, labelling)
    _check_foreground(good, classes)
    pictures = _are_pictures(good)
    fitting = [result for result in good if result.picture == pictures]
    channels = _channels(fitting, config.image.channels, pictures=pictures)
    trained = [result for result in fitting if result.chosen] or fitting
    intensity, dtype, notes = _intensity(trained, config.image, pictures=pictures)
    facts = DatasetFacts(
        size=config.image.size,
        channels=channels,
        dtype=dtype,
        fit=config.image.fit,
        classes=classes.names,
        mask_values=tuple(sorted(classes.values.items())),
        multilabel=classes.multilabel,
        instances=has_instances(config, labelling),
        intensity=intensity,
        volumes=any(result.volume for result in fitting),
        threshold=config.source.threshold,
    )
    notes = [*classes.notes, *notes, *_size_notes(fitting, config.image), *_object_notes(fitting, config)]
    return Understanding(facts, notes, classes.shades)


def with_problems(
    scans: Sequence[ScanResult],
    facts: DatasetFacts,
    masks: Sequence[str],
    *,
    shades: frozenset[int] = frozenset(),
    bits: bool = False,
    coloured: bool = False,
) -> list[ScanResult]:
    """Return the scans, those that do not fit the others turned into problems.

    Parameters
    ----------
    scans : sequence of ScanResult
    facts : DatasetFacts
    masks : sequence of str
        Name of the mask of each scan.
    shades : frozenset of int
        Values that only edges, outlines and specks may hold.
    bits : bool
        Whether mask values are sums of 2**k over classes.
    coloured : bool
        Whether mask values are colours, red * 65536 + green * 256 + blue.
    """
    good = [result for result in scans if result.problem is None]
    pictures = _are_pictures(good) if good else True
    checked = []
    for result, mask in zip(scans, masks, strict=True):
        problem = (
            result.problem
            or _problem(result, facts, mask, pictures=pictures, bits=bits, coloured=coloured)
            or _area_problem(result, facts, mask, shades)
        )
        checked.append(dataclasses.replace(result, problem=problem))
    return checked


def _are_pictures(good: Sequence[ScanResult]) -> bool:
    return sum(result.picture for result in good) * 2 >= len(good)


def _channels(good: Sequence[ScanResult], wanted: str, *, pictures: bool) -> int:
    if not pictures:
        common = Counter(result.channels for result in good).most_common(1)[0][0]
        if wanted not in ("auto", str(common)):
            raise ConfigError(f"--channels must be auto for volumes and arrays, which have {common}, got {wanted}")
        return common
    if wanted != "auto":
        return int(wanted)
    return 3 if any(result.channels == 3 for result in good) else 1


def _intensity(good: Sequence[ScanResult], image: ImageConfig, *, pictures: bool) -> tuple[Intensity, str, list[str]]:
    """Return how numbers become pixels, the type they are stored as, and a note where it was chosen for the user."""
    if not pictures or image.intensity not in ("auto", "none") or image.window is not None:
        chosen, dtype, note = choose_intensity(good, image, has_body=all(result.body for result in good))
        return chosen, dtype, [note]
    if image.dtype == "float32":
        raise ConfigError("--dtype float32 is for volumes and arrays, pictures are stored as uint8 or uint16")
    wide = sum(result.dtype == "uint16" for result in good)
    own = "uint16" if wide * 2 > len(good) else "uint8"
    return Intensity(), own if image.dtype == "auto" else image.dtype, []


def _size_notes(good: Sequence[ScanResult], image: ImageConfig) -> list[str]:
    height, width = image.size
    small = [result for result in good if result.height < height or result.width < width]
    if not small:
        return []
    done = "padded" if image.fit == "crop" else "enlarged"
    return [f"{len(small)} of {len(good)} images are smaller than {width} x {height} and are {done}"]


def _object_notes(good: Sequence[ScanResult], config: RunConfig) -> list[str]:
    """Warn of objects that superpixels cut to pieces (an object below two mean superpixel areas is)."""
    shares = [result.object_share for result in good if result.object_share is not None]
    report = object_report(shares, config.superpixels.regions)
    if config.mix.small_object_guard or report["images_small"] * 2 <= report["images"]:
        return []
    low, high = (2 * count for count in config.superpixels.regions)
    return [
        f"objects are small: the median one covers {report['median_superpixels']:.2g} mean superpixels, the pieces "
        "that mixing moves, so that most are cut or come with much of what is around them; "
        f"ask for smaller pieces (--regions {low} {high}), cut --tiles, or keep them whole with --profile robust"
    ]


def _problem(
    result: ScanResult, facts: DatasetFacts, mask: str, *, pictures: bool, bits: bool, coloured: bool
) -> str | None:
    if result.picture != pictures:
        one, other = ("an array", "pictures") if pictures else ("a picture", "volumes or arrays")
        return f"is {one} where most images are {other}; give them a run of their own"
    if not pictures and result.channels != facts.channels:
        return f"has {result.channels} channel(s), most images have {facts.channels}; complete it or take it out"
    mapping = dict(facts.mask_values)
    unknown = unknown_values((value for value, _ in result.mask_counts), mapping)
    if not unknown:
        return None
    if bits:
        return _overlap_problem(mask, unknown[0], dict(result.mask_counts)[unknown[0]], facts)
    if coloured:
        return (
            f"{mask} has colours {_shortened(unknown, '#{:06X}')} that are no class, expected "
            f"{_shortened(sorted(mapping), '#{:06X}')}; save it without soft edges, or name these colours in the table"
        )
    return (
        f"{mask} has values {_shortened(unknown)} that are no class, expected {_shortened(sorted(mapping))}; "
        f"correct the file, {_ways_out(unknown[0], facts)}"
    )


def _ways_out(value: int, facts: DatasetFacts) -> str:
    """Return the options that would take a value that is no class."""
    mapping = dict(facts.mask_values)
    if is_grey_scale(mapping) and value < max(mapping):
        return f"or give each value the nearest class with --mask-values {nearest_ranges(mapping)}"
    known = {one: class_id for one, class_id in mapping.items() if class_id != IGNORE}
    if value == IGNORE:
        last = max(known.values())
        mapped = f"{describe(known | {value: last})} or {describe(known | {value: last + 1})}"
    else:
        nearest = min(known, key=lambda one: (abs(one - value), -one))
        mapped = describe(known | {value: 1 if facts.multilabel else known[nearest]})
    return f"leave these pixels out with --ignore {value}, or map them with --mask-values {mapped}"


def _area_problem(result: ScanResult, facts: DatasetFacts, mask: str, shades: frozenset[int]) -> str | None:
    """Return what is wrong with a mask in which a value has areas that is ignore, or a shade, in others."""
    if not shades:
        return None
    values, mapping = MaskValues.of(result), dict(facts.mask_values)
    for value in sorted(shades & values.counts.keys()):
        if not values.allows(value, mapping[value]):
            others = {known: class_id for known, class_id in mapping.items() if known not in shades}
            ways = _ways_out(value, dataclasses.replace(facts, mask_values=tuple(others.items())))
            return (
                f"{mask} has areas of {value}, {values.counts[value]} pixels, where other masks have it as edges, "
                f"outlines or specks; correct the file, {ways}"
            )
    return None


def _check_foreground(good: Sequence[ScanResult], classes: Classes) -> None:
    """Refuse masks that are background everywhere: nothing could be learnt, and the labels are probably elsewhere."""
    nothing = (0, IGNORE_CHANNELS if classes.multilabel else IGNORE)
    empty = {value for value, class_id in classes.values.items() if class_id in nothing}
    found = sorted({value for result in good for value, _ in result.mask_counts})
    if not set(found) <= empty:
        return
    raise SourceError(
        f"no mask has any foreground: all pixels of {len(good)} masks have the value {_shortened(found)}, background; "
        "see whether these are the masks, and map their values with --mask-values"
    )


def _overlap_problem(mask: str, value: int, pixels: int, facts: DatasetFacts) -> str:
    names = [name for k, name in enumerate(facts.classes[1:]) if value >> k & 1]
    return (
        f"{mask} has classes {' and '.join(names)} overlapping in {pixels} pixels; "
        "correct the masks, or give each class a channel of its own with --labels multilabel"
    )


def _shortened(values: Sequence[int], form: str = "{}") -> str:
    return first_of([form.format(value) for value in values], 8)
