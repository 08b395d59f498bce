"""From mask values to classes: names, ids, and for multi-label channels, by configuration, layout or convention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.records import IGNORE, Labelling
from hsmix_gen.stages.labels.mask_values import MAX_CLASSES, describe, understand_values

IGNORE_CHANNELS = -1
"""What stands for ignore where values are sums of 2**channel."""


@dataclass(frozen=True)
class Classes:
    """Classes of a source.

    Attributes
    ----------
    names : tuple of str
        By class id, background first; in multi-label by channel, without background.
    values : dict
        Mask value to class id (255 = ignore); in multi-label to the sum of 2**channel (-1 = ignore).
    """

    names: tuple[str, ...]
    values: dict[int, int]
    multilabel: bool = False


def understand_classes(masks: Sequence[Mapping[int, int]], config: SourceConfig, labelling: Labelling) -> Classes:
    """Return the classes: as configured, else as the layout tells, else as most masks suggest.

    Parameters
    ----------
    masks : sequence of mapping
        Value to pixels of each mask.
    config : SourceConfig
        What the user says of labels.
    labelling : Labelling
        What the layout tells.

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
    found = sorted({value for mask in masks for value in mask})
    if labelling.bits and config.mask_values is None:
        return _by_bits(found, config, labelling)
    values = _exclusive_values([frozenset(mask) for mask in masks], config, labelling)
    names = _names(values, config.classes, labelling.classes)
    if config.labels == "multilabel":
        return _as_channels(Classes(names, values))
    return Classes(names, values)


def _regions(config: SourceConfig, labelling: Labelling) -> dict[str, tuple[int, ...]] | None:
    """Return the regions that are channels, if labels are such."""
    if config.labels == "exclusive":
        if config.label_regions is not None:
            raise ConfigError("label_regions make channels of their own; drop --labels exclusive or --label-regions")
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
    return Classes(_names(values, config.classes, labelling.classes), values)


def _as_channels(classes: Classes) -> Classes:
    values = {
        value: IGNORE_CHANNELS if class_id == IGNORE else (1 << class_id) >> 1
        for value, class_id in classes.values.items()
    }
    return Classes(classes.names[1:], values, multilabel=True)


def _exclusive_values(masks: Sequence[frozenset[int]], config: SourceConfig, labelling: Labelling) -> dict[int, int]:
    ignored = {} if config.ignore is None else {config.ignore: IGNORE}
    if config.mask_values is not None:
        return _checked(config.mask_values | ignored)
    instances = labelling.instances if config.instances is None else config.instances
    if instances:
        return {0: 0, 1: 1} | ignored
    told = dict(labelling.values)
    if told and all(value in told for _, members in labelling.regions for value in members):
        return told | ignored
    # Regions name no classes; what is ignored is known all the same.
    ignored |= {value: class_id for value, class_id in told.items() if class_id == IGNORE}
    return understand_values([mask - ignored.keys() for mask in masks]) | ignored


def _checked(values: dict[int, int]) -> dict[int, int]:
    ids = sorted(set(values.values()) - {IGNORE})
    if ids != list(range(len(ids))) or min(values) < 0 or len(ids) > MAX_CLASSES:
        raise ConfigError(
            "mask_values must map values from 0 to class ids 0..K-1 without gaps (255 = ignore), "
            f"got {describe(values)}"
        )
    return values


def _names(values: Mapping[int, int], given: tuple[str, ...] | None, told: tuple[str, ...]) -> tuple[str, ...]:
    n_classes = max(2, len(set(values.values()) - {IGNORE}))
    if given is None:
        if len(told) == n_classes:
            return told
        rest = ("foreground",) if n_classes == 2 else tuple(f"class_{i}" for i in range(1, n_classes))
        return ("background", *rest)
    if len(given) != n_classes or len(set(given)) != len(given):
        raise ConfigError(
            f"classes must name each of the {n_classes} classes once, background first, got {', '.join(given)}"
        )
    return given


def _channel_names(told: tuple[str, ...], given: tuple[str, ...] | None) -> tuple[str, ...]:
    if given is None:
        return told
    if len(given) != len(told) or len(set(given)) != len(given):
        raise ConfigError(f"classes must name each of the {len(told)} channels once, got {', '.join(given)}")
    return given
