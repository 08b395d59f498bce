"""What was understood of a source, for people and programs; no work is done."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.inventory import Inventory, take_inventory
from hsmix_gen.pipeline.progress import Reporter
from hsmix_gen.pipeline.running import SerialRunner
from hsmix_gen.pipeline.scanning import value_counts
from hsmix_gen.pipeline.sources import refusals_of
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import IGNORE, SPLITS

_SHOWN_PROBLEMS = 20


def inspect_source(source: Path, config: RunConfig, reporter: Reporter) -> dict[str, Any]:
    """Look at every file of a source and return what was understood, as plain JSON values."""
    inventory = take_inventory(source, config, SerialRunner(has_gpu=False), reporter)
    return describe(source, inventory)


def describe(source: Path, inventory: Inventory) -> dict[str, Any]:
    """Return an inventory as plain JSON values."""
    usable = [record for record in inventory.records if record.refusal is None]
    sizes = Counter((record.height, record.width) for record in usable)
    problems = [*inventory.unpaired, *refusals_of(inventory.records)]
    return {
        "source": str(source),
        "layout": inventory.discovery.layout,
        "pairs": len(inventory.records),
        "usable": len(usable),
        "sizes": {
            "different": len(sizes),
            "height": _range([height for height, _ in sizes]),
            "width": _range([width for _, width in sizes]),
            "most_common": [[*size, count] for size, count in sizes.most_common(3)],
        },
        "channels": inventory.facts.channels,
        "dtype": inventory.facts.dtype,
        "mask_values": {str(value): class_id for value, class_id in inventory.facts.mask_values},
        "classes": _classes(inventory),
        "groups": len({record.group for record in usable}),
        "splits": {split: sum(record.split == split for record in usable) for split in SPLITS},
        "notes": list(inventory.discovery.notes),
        "problems": [{"id": p.id, "path": p.path, "stage": p.stage, "reason": p.reason} for p in problems],
    }


def inspection_text(found: dict[str, Any]) -> str:
    """Return an inspection as some lines for people."""
    sizes = found["sizes"]
    common = ", ".join(f"{count} of {width} x {height}" for height, width, count in sizes["most_common"])
    values = ", ".join(f"{value} = {class_id}" for value, class_id in found["mask_values"].items())
    lines = [
        f"{found['source']}: layout {found['layout']}, {found['pairs']} pairs, {found['usable']} usable",
        f"  sizes    {sizes['different']} different, width {_span(sizes['width'])}, height {_span(sizes['height'])}; "
        f"most: {common}",
        f"  images   {found['channels']} channel(s), {found['dtype']}",
        f"  masks    value = class: {values}",
        *(
            f"           class {c['id']} {c['name']}: {c['pixels']} pixels ({c['share']:.1%}) in {c['masks']} masks"
            for c in found["classes"]
        ),
        f"  groups   {found['groups']}",
        "  splits   " + ", ".join(f"{name} {count}" for name, count in found["splits"].items()),
        *(f"  note     {note}" for note in found["notes"]),
    ]
    problems = found["problems"]
    lines += [f"  problem  {p['id']}: {p['reason']}" for p in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > _SHOWN_PROBLEMS:
        lines.append(f"  and {len(problems) - _SHOWN_PROBLEMS} more problems; --json lists all")
    return "\n".join(lines)


def _classes(inventory: Inventory) -> list[dict[str, Any]]:
    mapping = dict(inventory.facts.mask_values)
    good = [scan for scan, record in zip(inventory.scans, inventory.records, strict=True) if record.refusal is None]
    pixels: Counter[int] = Counter()
    for value, count in value_counts(good).items():
        pixels[mapping[value]] += count
    masks: dict[int, int] = defaultdict(int)
    for scan in good:
        for class_id in {mapping[value] for value, _ in scan.mask_counts}:
            masks[class_id] += 1
    total = max(1, sum(pixels.values()))
    names = {**dict(enumerate(inventory.facts.classes)), IGNORE: "ignore"}
    return [
        {
            "id": class_id,
            "name": name,
            "pixels": pixels[class_id],
            "share": pixels[class_id] / total,
            "masks": masks[class_id],
        }
        for class_id, name in names.items()
        if class_id != IGNORE or pixels[class_id]
    ]


def _range(values: list[int]) -> list[int]:
    return [min(values), max(values)] if values else []


def _span(bounds: list[int]) -> str:
    return " to ".join(str(bound) for bound in bounds)
