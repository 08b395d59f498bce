"""Splits that come with a dataset: kept where they are a benchmark, forgotten where they are none."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from hsmix_gen.pipeline.execution.human_units import counted
from hsmix_gen.pipeline.readers.paths.grouped import grouped
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import SourceItem


def without_lone_training(items: Sequence[SourceItem]) -> list[SourceItem]:
    """Return the items without their split if all are for training: then validation and test are still to be drawn."""
    if {item.split for item in items} == {"train"}:
        return [replace(item, split=None) for item in items]
    return list(items)


def part_patients(
    items: Sequence[SourceItem], source: Path, config: SourceConfig
) -> tuple[list[SourceItem], list[str]]:
    """Return the items with patients of several splits parted into a group for each, and a note that states it.

    An official split that has one patient on both sides is the benchmark all the same, so it is kept. Where the user
    gives a split, lists or groups of his own, patients stay whole, and whether the split keeps them so is checked.
    """
    if config.split != "auto" or config.group_by or (source / "splits" / "train.txt").is_file():
        return list(items), []
    note = (
        "have images in several parts of the official split, which was kept: results on its test images flatter; "
        "--split 0.8/0.1/0.1 draws one by patient"
    )
    return part_groups(items, {item.group for item in items if item.group}, "patient", note)


def part_groups(
    items: Sequence[SourceItem], groups: Collection[str], word: str, note: str
) -> tuple[list[SourceItem], list[str]]:
    """Return the items, those of some groups that stand in several splits parted, and a note on how many these are.

    `word` is what a group is called, `note` what is to be said of those that are parted.
    """
    splits = grouped((item.group, item.split) for item in items if item.group in groups and item.split)
    torn = {group for group, found in splits.items() if len(set(found)) > 1}
    parted = [replace(item, group=f"{item.group}-{item.split}") if item.group in torn else item for item in items]
    return parted, [f"{len(torn)} of {counted(len(splits), word)} {note}"] if torn else []
