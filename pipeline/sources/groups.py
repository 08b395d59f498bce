"""Who belongs together: the group of each item, from the layout, an expression, or a guess by names that is stated."""

import dataclasses
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from hsmix_gen.pipeline.execution.human_units import counted
from hsmix_gen.pipeline.readers.paths.ids import safe_id
from hsmix_gen.pipeline.readers.paths.name_groups import candidate_groups, guess_groups
from hsmix_gen.pipeline.readers.paths.official_splits import part_groups
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.records import SourceItem

NO_GROUPS = "none"
"""Value of ``group_by`` that makes each item a group of its own."""
_FILES = ("picture", "nifti")
_UNDO = "--group-by none makes each its own group, --group-by REGEX names other groups"


@dataclass(frozen=True)
class Grouping:
    """Items with a group each."""

    items: tuple[SourceItem, ...]
    notes: tuple[str, ...] = ()
    guessed: frozenset[str] = frozenset()
    """Groups of several items that names alone show."""


def assign_groups(
    items: Sequence[SourceItem],
    source: Path,
    pattern: str | None,
    *,
    may_guess: bool = True,
    known: Collection[str] = (),
    private: bool = False,
) -> Grouping:
    """Return the items with their groups: by `pattern`, else as the layout has them, else as their names show.

    Parameters
    ----------
    items : sequence of SourceItem
    source : Path
        What their paths are relative to.
    pattern : str or None
        An expression on the id, or ``none``: each item is its own group.
    may_guess : bool
        Whether names of files may show groups.
    known : collection of str
        Groups that a dataset has: its items stay in them, whatever new names show.
    private : bool
        Whether names are left out of the notes.

    Raises
    ------
    ConfigError
        If the expression is none, or does not match an id.
    """
    if pattern is not None:
        matched = tuple(_by_pattern(item, pattern) for item in items)
        return Grouping(matched, _alone(matched))
    if not may_guess or any(item.group is not None for item in items):
        return Grouping(tuple(item if item.group else dataclasses.replace(item, group=item.id) for item in items))
    names = [_name(item, source) for item in items]
    guess = guess_groups(names)
    keys = guess.groups if guess else [None] * len(items)
    grouped = tuple(
        dataclasses.replace(item, group=_group(item, name, key, known))
        for item, name, key in zip(items, names, keys, strict=True)
    )
    sizes = Counter(item.group for item in grouped)
    guessed = frozenset(group for group, size in sizes.items() if group is not None and size > 1)
    if not guessed or guess is None:
        return Grouping(grouped, _alone(grouped), guessed)
    example = "" if private else f", such as {guess.example[1]} of {guess.example[0]}"
    groups = counted(len(sizes), "group")
    start = f"{len(grouped)} images were taken as {groups} (patients, slides) by the {guess.by} of files"
    return Grouping(grouped, (f"{start}{example}; {_UNDO}",), guessed)


def possible_groups(items: Sequence[SourceItem], source: Path) -> list[SourceItem]:
    """Return the items under each group that a dataset may have them in: their own, and what their names show."""
    return [
        dataclasses.replace(item, group=group)
        for item in items
        for group in dict.fromkeys(
            (item.group or item.id, item.id, *map(safe_id, candidate_groups(_name(item, source))))
        )
    ]


def part_guessed(items: Sequence[SourceItem], guessed: Collection[str]) -> tuple[list[SourceItem], list[str]]:
    """Return the items, guessed groups that stand in several splits parted, and a note on them.

    A split that somebody made is kept: what names show is a guess.
    """
    note = (
        "that names show have images in several splits, which were kept: if they are patients, results flatter; "
        "--split 0.8/0.1/0.1 draws splits by group"
    )
    return part_groups(items, guessed, "group", note)


def _by_pattern(item: SourceItem, pattern: str) -> SourceItem:
    if pattern == NO_GROUPS:
        return dataclasses.replace(item, group=item.id)
    try:
        match = re.search(pattern, item.id)
    except re.error as error:
        raise ConfigError(f"--group-by must be a regular expression, got {pattern}: {error}") from None
    if match is None:
        raise ConfigError(f"--group-by {pattern} does not match the id {item.id}; widen it, for example with '|.*'")
    return dataclasses.replace(item, group=match.group(1) if match.groups() else match.group())


def _alone(items: Sequence[SourceItem]) -> tuple[str, ...]:
    """Return a note where no item shares its group."""
    if len(items) < 2 or len({item.group or item.id for item in items}) < len(items):
        return ()
    return ("each image is its own group; where several are of one patient, name it in the id with --group-by REGEX",)


def _group(item: SourceItem, name: str, key: str | None, known: Collection[str]) -> str:
    if item.id in known:
        return item.id
    candidates = map(safe_id, candidate_groups(name)) if known else ()
    before = next((group for group in candidates if group in known), None)
    return before or (safe_id(key) if key else item.id)


def _name(item: SourceItem, source: Path) -> str:
    """Return the relative path of an image without its ending; the id of what shares its file with others."""
    if item.image.format not in _FILES or item.image.key or not item.image.paths:
        return item.id
    path = Path(item.image.paths[0])
    base = source if source.is_dir() else source.parent
    relative = path.relative_to(base) if path.is_relative_to(base) else Path(path.name)
    whole = relative.with_suffix("")
    return (whole.with_suffix("") if whole.suffix.lower() == ".nii" else whole).as_posix()
