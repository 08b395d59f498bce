"""What was understood of a source, for people and programs; no work is done."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.execution.human_units import counted
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.units import SerialRunner
from hsmix_gen.pipeline.jobs.export_fit import unfit
from hsmix_gen.pipeline.mixing.describe import kind_of_reason
from hsmix_gen.pipeline.readers.paths.kind_words import kind_of
from hsmix_gen.pipeline.readers.paths.split_words import split_of_folder
from hsmix_gen.pipeline.sources.inventory import Inventory, take_inventory
from hsmix_gen.pipeline.sources.palettes import COLOURED_FORMATS
from hsmix_gen.pipeline.sources.scan_notes import axes_of
from hsmix_gen.pipeline.sources.source_records import refusals_of
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.families import EXPORTS
from hsmix_gen.schemas.records import IGNORE, SPLITS, SourceRecord
from hsmix_gen.stages.labels.mask_values import describe as describe_values
from hsmix_gen.stages.labels.objects import SMALL_RATIO, object_report

_SHOWN_PROBLEMS = 20
_SHOWN_VALUES = 12
_SHOWN_SETS = 4
_SHOWN_EMPTY = 5


def inspect_source(
    source: Path, config: RunConfig, reporter: Reporter, *, states_notes: bool = False
) -> dict[str, Any]:
    """Read every file of a source and return what was understood, as plain JSON values.

    Its notes and warnings are reported too, unless the caller states them.
    """
    inventory = take_inventory(source, config, SerialRunner(has_gpu=False), reporter, states_notes=states_notes)
    return describe(source, inventory, config)


def describe(source: Path, inventory: Inventory, config: RunConfig) -> dict[str, Any]:
    """Return an inventory as plain JSON values."""
    facts = inventory.facts
    usable = [record for record in inventory.records if record.refusal is None]
    sizes = Counter((record.height, record.width) for record in usable)
    problems = [*inventory.unpaired, *refusals_of(inventory.records)]
    scans = [scan for scan in inventory.scans if scan.problem is None]
    shares = [scan.object_share for scan in scans if scan.object_share is not None]
    spacings = [record.spacing for record in usable if record.spacing is not None]
    folds = Counter(record.fold for record in usable if record.fold is not None)
    return {
        "source": str(source),
        "layout": inventory.discovery.layout,
        "pairs": len(inventory.discovery.items),
        "images": len(inventory.records),
        "usable": len(usable),
        "sizes": {
            "different": len(sizes),
            "height": _extent(height for height, _ in sizes),
            "width": _extent(width for _, width in sizes),
            "most_common": [[*size, count] for size, count in sizes.most_common(3)],
        },
        "volumes": facts.volumes,
        "spacing": [_extent(along) for along in zip(*spacings, strict=False)],
        "axes": axes_of(inventory.scans, [place.item for place in inventory.places]),
        "channels": facts.channels,
        "dtype": facts.dtype,
        "stored_size": list(facts.size),
        "intensity": asdict(facts.intensity),
        "values": _extent(number for scan in scans if not scan.picture for number in scan.range),
        "label_mode": "multilabel" if facts.multilabel else "exclusive",
        "mask_values": {str(value): class_id for value, class_id in facts.mask_values},
        "coloured": any(place.item.mask.format in COLOURED_FORMATS for place in inventory.places),
        "classes": _classes(inventory),
        "small_objects": object_report(shares, config.superpixels.regions),
        "groups": len({record.group for record in usable}),
        "splits": {split: sum(record.split == split for record in usable) for split in SPLITS},
        "folds": [folds[fold] for fold in sorted(folds)],
        "for": list(config.run.exports),
        "unfit_exports": unfit(facts, str(source), EXPORTS.names),
        "alike": [
            {"a": inventory.records[i].id, "b": inventory.records[j].id, "bits": bits} for i, j, bits in inventory.twins
        ],
        "warnings": [
            *inventory.discovery.warnings,
            *_several_datasets(source, [place.item.image.uri for place in inventory.places]),
            *([] if config.source.folds else _too_few(usable)),
        ],
        "notes": [*inventory.notes, *([] if config.image.tiles else _without_objects(inventory))],
        "problems": [{"id": p.id, "path": p.path, "stage": p.stage, "reason": p.reason} for p in problems],
    }


def inspection_text(found: dict[str, Any]) -> str:
    """Return an inspection as some lines for people."""
    sizes = found["sizes"]
    common = ", ".join(f"{count} of {width} x {height}" for height, width, count in sizes["most_common"])
    axes = ", ".join(f"{axis} of {counted(count, 'volume')}" for axis, count in found["axes"].items())
    spacing = " x ".join(f"{low:.3g}" if low == high else f"{low:.3g}..{high:.3g}" for low, high in found["spacing"])
    lines = [
        f"{found['source']}: layout {found['layout']}, {counted(found['pairs'], 'pair')}, "
        f"{counted(found['images'], 'image')}, {found['usable']} usable",
        f"  sizes    {sizes['different']} different, width {_span(sizes['width'])}, height {_span(sizes['height'])}; "
        f"most: {common}",
        f"  images   {counted(found['channels'], 'channel')}, to be stored as {found['dtype']} of "
        f"{found['stored_size'][1]} x {found['stored_size'][0]}{_intensity_text(found)}",
        *([f"  slices   {axes}"] if axes else []),
        *([f"  spacing  {spacing} mm (row, column, plane)"] if spacing else []),
        f"  masks    {_mask_text(found)}",
        *(
            f"           class {c['id']} {c['name']}: {counted(c['pixels'], 'pixel')} ({c['share']:.1%}) "
            f"in {counted(c['masks'], 'mask')}"
            for c in found["classes"]
        ),
        f"  groups   {found['groups']}",
        "  splits   " + ", ".join(f"{name} {count}" for name, count in found["splits"].items()),
        *([f"  folds    {', '.join(map(str, found['folds']))}"] if found["folds"] else []),
        f"  objects  {_object_text(found['small_objects'])}",
        *(f"  export   {found['unfit_exports'].get(name, f'{name} fits')}" for name in dict.fromkeys(found["for"])),
        *(f"  warning  {warning}" for warning in found["warnings"]),
        *(f"  note     {note}" for note in found["notes"]),
    ]
    problems = found["problems"]
    kinds = _kinds(problems)
    lines += [f"  problem  {text}" for text in kinds[:_SHOWN_PROBLEMS]]
    if len(kinds) > _SHOWN_PROBLEMS:
        lines.append(f"  and {counted(len(kinds) - _SHOWN_PROBLEMS, 'more kind')} of problems")
    if len(kinds) < len(problems) or len(kinds) > _SHOWN_PROBLEMS:
        lines.append(f"  {len(problems)} problems in all; --json lists each")
    return "\n".join(lines)


def _kinds(problems: Sequence[dict[str, str]]) -> list[str]:
    """Return equal problems as one text each, most frequent first: paths and numbers do not make them different."""
    kinds: dict[str, list[dict[str, str]]] = {}
    for problem in problems:
        kinds.setdefault(kind_of_reason(problem["reason"]), []).append(problem)
    found = sorted(kinds.values(), key=len, reverse=True)
    more = [f" and {len(same) - 1} more alike" if len(same) > 1 else "" for same in found]
    return [f"{same[0]['id']}{others}: {same[0]['reason']}" for same, others in zip(found, more, strict=True)]


def _several_datasets(source: Path, uris: Sequence[str]) -> list[str]:
    """Return a warning where folders below the source each have folders of images of their own."""
    own: Counter[str] = Counter()
    for uri in uris:
        if uri.startswith(f"{source}/"):
            first, *inner = uri.removeprefix(f"{source}/").split("/")[:-1] or [""]
            if first and split_of_folder(first) is None and not kind_of(first) and any(map(kind_of, inner)):
                own[first] += 1
    sets = sorted(name for name, count in own.items() if count > 1)
    if len(sets) < 2 or sum(own[name] for name in sets) < len(uris):
        return []
    shown = ", ".join(sets[:_SHOWN_SETS]) + (", …" if len(sets) > _SHOWN_SETS else "")
    return [
        f"{len(sets)} folders have images and masks of their own ({shown}): if they are different datasets, "
        f"name one of them as the source, such as {source / sets[0]}"
    ]


def _too_few(usable: Sequence[SourceRecord]) -> list[str]:
    """Return a warning where `run` would refuse the source, as nothing is there to mix an image with."""
    count = sum(record.split == "train" and record.chosen for record in usable)
    if count > 1 or not usable:
        return []
    return [
        f"run would refuse this: mixing needs 2 training images, {count} can be used; add images, or change --split"
    ]


def _without_objects(inventory: Inventory) -> list[str]:
    """Return a note on pictures whose masks show nothing, where others show something: some were forgotten."""
    seen = [scan for scan in inventory.scans if scan.problem is None and not scan.volume]
    empty = [scan.id for scan in seen if scan.object_share is None]
    if not empty or len(empty) == len(seen):
        return []
    shown = ", ".join(empty[:_SHOWN_EMPTY]) + (", …" if len(empty) > _SHOWN_EMPTY else "")
    return [
        f"{len(empty)} of {counted(len(seen), 'mask')} without foreground ({shown}): kept, as there may be nothing to "
        "find; draw the mask if it was forgotten, or take image and mask out"
    ]


def _intensity_text(found: dict[str, Any]) -> str:
    how = found["intensity"]
    if how["kind"] == "none":
        return ""
    low, high = how["bounds"]
    ends = "" if how["kind"] == "zscore" else f" {low:g} to {high:g}"
    # Where no image can be used, nothing is known of their numbers.
    numbers = f", from numbers {found['values'][0]:g} to {found['values'][1]:g}" if found["values"] else ""
    return f" by {how['kind']}{ends}{numbers}"


def _mask_text(found: dict[str, Any]) -> str:
    """Return the classes of mask values; of multi-label the channels are listed by their number from 0."""
    values = {int(value): class_id for value, class_id in found["mask_values"].items()}
    if found["label_mode"] == "multilabel":
        shown = [f"{value} = {_channels_text(bits)}" for value, bits in list(values.items())[:_SHOWN_VALUES]]
        text, count = "value = channels: " + ", ".join(shown), len(values)
    else:
        parts = describe_values(values).split(",")
        if found["coloured"]:
            parts = [f"#{value:06X}={class_id}" for value, class_id in values.items()]
        text, count = "value = class: " + ", ".join(p.replace("=", " = ") for p in parts[:_SHOWN_VALUES]), len(parts)
    return text + (f", … ({count} in all)" if count > _SHOWN_VALUES else "")


def _channels_text(bits: int) -> str:
    return "ignore" if bits < 0 else "+".join(map(str, _members(bits, multilabel=True))) or "none"


def _object_text(report: dict[str, Any]) -> str:
    if report["median_superpixels"] is None:
        return "none in any mask"
    return (
        f"the median one covers {report['median_superpixels']:.2g} mean superpixels, the pieces that mixing moves; "
        f"in {report['images_small']} of {counted(report['images'], 'image')} it covers less than {SMALL_RATIO:g}"
    )


def _classes(inventory: Inventory) -> list[dict[str, Any]]:
    facts = inventory.facts
    good = [scan for scan, record in zip(inventory.scans, inventory.records, strict=True) if record.refusal is None]
    members = {value: _members(class_id, multilabel=facts.multilabel) for value, class_id in facts.mask_values}
    pixels: Counter[int] = Counter()
    masks: Counter[int] = Counter()
    for scan in good:
        seen: set[int] = set()
        for value, count in scan.mask_counts:
            pixels.update(dict.fromkeys(members[value], count))
            seen.update(members[value])
        masks.update(seen)
    total = max(1, sum(scan.height * scan.width for scan in good))
    names = {**dict(enumerate(facts.classes)), IGNORE: "ignore"}
    return [
        {"id": i, "name": name, "pixels": pixels[i], "share": pixels[i] / total, "masks": masks[i]}
        for i, name in names.items()
        if i != IGNORE or pixels[i]
    ]


def _members(class_id: int, *, multilabel: bool) -> tuple[int, ...]:
    """Return the classes, or in multi-label the channels, that a pixel of one mask value counts for."""
    if not multilabel:
        return (class_id,)
    if class_id < 0:
        return (IGNORE,)
    return tuple(channel for channel in range(class_id.bit_length()) if class_id >> channel & 1)


def _extent(values: Iterable[Any]) -> list[Any]:
    """Return the least and the greatest of some numbers; nothing where there are none."""
    ordered = sorted(values)
    return [ordered[0], ordered[-1]] if ordered else []


def _span(bounds: list[int]) -> str:
    return " to ".join(map(str, bounds))
