"""From mask values to classes: names, ids, and for multi-label channels, by configuration, layout or convention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.records import IGNORE, Labelling
from hsmix_gen.stages.labels.conventions import MaskValues, Reading, understand_values
from hsmix_gen.stages.labels.mask_values import MAX_CLASSES, describe, listed

IGNORE_CHANNELS = -1
"""What stands for ignore where values are sums of 2**channel."""
_MOST_VOID = 0.5
"""Share of all pixels up to which a colour that a table calls void is taken for ignore."""


@dataclass(frozen=True)
class Classes:
    """Classes of a source."""

    names: tuple[str, ...]
    """By class id, background first; in multi-label by channel, without background."""
    values: dict[int, int]
    """Mask value to class id (255 = ignore); in multi-label to the sum of 2**channel (-1 = ignore)."""
    multilabel: bool = False
    shades: frozenset[int] = frozenset()
    """Those values that are read so only where they are edges, outlines or specks."""
    notes: tuple[str, ...] = ()
    """What was chosen, for the user."""


def is_open(config: SourceConfig, labelling: Labelling) -> bool:
    """Return whether nobody has said what mask values mean, so that they have to be understood from the files."""
    stated = dict(labelling.values)
    whole = stated and all(value in stated for _, members in labelling.regions for value in members)
    instances = labelling.instances if config.instances is None else config.instances
    said = config.mask_values is not None or config.threshold is not None or instances or whole or labelling.bits
    return not said and _regions(config, labelling) is None


def understand_classes(masks: Sequence[MaskValues], config: SourceConfig, labelling: Labelling) -> Classes:
    """Return the classes: as configured, else as the layout states, else as most masks suggest.

    Parameters
    ----------
    masks : sequence of MaskValues
    config : SourceConfig
        What the user says of labels.
    labelling : Labelling
        What the layout states.

    Raises
    ------
    SourceError
        If the values follow no convention.
    ConfigError
        If the configuration contradicts itself or the values.
    """
    regions = _regions(config, labelling)
    if regions is not None:
        return _by_regions(regions, config, labelling)
    found = sorted({value for mask in masks for value in mask.counts})
    if labelling.bits and config.mask_values is None:
        return _by_bits(found, config, labelling)
    reading = _exclusive_values(masks, config, labelling)
    names = _names(reading.values, config.classes, labelling.classes, found)
    classes = Classes(names, reading.values, shades=reading.shades, notes=reading.notes)
    return _as_channels(classes) if config.labels == "multilabel" else classes


def _regions(config: SourceConfig, labelling: Labelling) -> dict[str, tuple[int, ...]] | None:
    """Return the regions that are channels, if labels are such."""
    if config.labels == "exclusive":
        if config.label_regions is not None:
            raise ConfigError("--label-regions make channels of their own; drop --labels exclusive or --label-regions")
        return None
    if config.label_regions is not None:
        return dict(config.label_regions)
    exclusive = any(class_id not in (0, IGNORE) for _, class_id in labelling.values)
    if labelling.regions and (config.labels == "multilabel" or not exclusive):
        return dict(labelling.regions)
    return None


def _by_regions(regions: dict[str, tuple[int, ...]], config: SourceConfig, labelling: Labelling) -> Classes:
    known = {0, *(value for values in regions.values() for value in values), *dict(labelling.values)}
    values = {
        value: sum(1 << channel for channel, members in enumerate(regions.values()) if value in members)
        for value in sorted(known)
    }
    ignored = [value for value, class_id in labelling.values if class_id == IGNORE]
    for value in [*ignored, *([] if config.ignore is None else [config.ignore])]:
        values[value] = IGNORE_CHANNELS
    return Classes(_channel_names(tuple(regions), config.classes), values, multilabel=True)


def _by_bits(found: Sequence[int], config: SourceConfig, labelling: Labelling) -> Classes:
    if config.labels == "multilabel":
        names = _channel_names(labelling.classes[1:], config.classes)
        return Classes(names, {0: 0, **{value: value for value in found}}, multilabel=True)
    values = {0: 0, **{1 << k: k + 1 for k in range(len(labelling.classes) - 1)}}
    return Classes(_names(values, config.classes, labelling.classes, found), values)


def _as_channels(classes: Classes) -> Classes:
    values = {
        value: IGNORE_CHANNELS if class_id == IGNORE else (1 << class_id) >> 1
        for value, class_id in classes.values.items()
    }
    return replace(classes, names=classes.names[1:], values=values, multilabel=True)


def _exclusive_values(masks: Sequence[MaskValues], config: SourceConfig, labelling: Labelling) -> Reading:
    ignored = {} if config.ignore is None else {config.ignore: IGNORE}
    if config.mask_values is not None:
        return Reading(_checked(config.mask_values | ignored))
    instances = labelling.instances if config.instances is None else config.instances
    if instances or config.threshold is not None:
        return Reading({0: 0, 1: 1} | ignored)
    stated = dict(labelling.values)
    if stated and not is_open(config, labelling):
        _check_void(masks, config, labelling)
        return Reading(stated | ignored)
    # Regions name no classes; what is ignored is known all the same.
    ignored |= {value: class_id for value, class_id in stated.items() if class_id == IGNORE}
    # Whoever names classes says that values are no numbers of objects.
    numbered = False if config.classes or labelling.classes else config.instances
    reading = understand_values([mask.without(ignored) for mask in masks], numbered=numbered)
    return replace(reading, values=reading.values | ignored)


def _check_void(masks: Sequence[MaskValues], config: SourceConfig, labelling: Labelling) -> None:
    """Refuse a colour that a table calls void and that covers most pixels: it may as well be the background."""
    if any(name.lower() == "background" for name in labelling.classes):
        return
    pixels = sum(mask.pixels for mask in masks)
    for value in labelling.void:
        share = sum(mask.counts.get(value, 0) for mask in masks) / max(pixels, 1)
        if share > _MOST_VOID and value != config.ignore:
            classes = sorted((class_id, colour) for colour, class_id in labelling.values if class_id != IGNORE)
            names = [f"#{colour:06X}={labelling.classes[class_id]}" for class_id, colour in classes]
            raise SourceError(
                f"the colour table calls #{value:06X} void or unlabelled, and it covers {share:.0%} of all pixels: if "
                f"it is the background, say so with --colours '#{value:06X}=background,{','.join(names)}'; if these "
                f"pixels are of no class, with --ignore {value}"
            )


def _checked(values: dict[int, int]) -> dict[int, int]:
    ids = sorted(set(values.values()) - {IGNORE})
    if ids != list(range(len(ids))) or min(values) < 0 or len(ids) > MAX_CLASSES:
        raise ConfigError(
            "--mask-values must map values from 0 to class ids 0..K-1 without gaps (255 = ignore), "
            f"got {describe(values)}"
        )
    return values


def _names(
    values: Mapping[int, int], given: tuple[str, ...] | None, stated: tuple[str, ...], found: Sequence[int]
) -> tuple[str, ...]:
    n_classes = max(2, len(set(values.values()) - {IGNORE}))
    if given is None:
        if len(stated) == n_classes:
            return stated
        rest = ("foreground",) if n_classes == 2 else tuple(f"class_{i}" for i in range(1, n_classes))
        return ("background", *rest)
    if len(given) != n_classes or len(set(given)) != len(given):
        raise ConfigError(
            f"--classes must name each of the {n_classes} classes once, background first, got {', '.join(given)}; "
            f"masks hold the values {listed(found)}, read as {describe(values)}"
        )
    return given


def _channel_names(stated: tuple[str, ...], given: tuple[str, ...] | None) -> tuple[str, ...]:
    if given is None:
        return stated
    if len(given) != len(stated) or len(set(given)) != len(given):
        raise ConfigError(f"--classes must name each of the {len(stated)} channels once, got {', '.join(given)}")
    return given
