"""What lies in a source: items with unique ids, groups and splits, and a word for everything left out."""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.pipeline.readers.registry import check_options, reader_for
from hsmix_gen.pipeline.sources.hashed_ids import hidden_items, hidden_refusals, read_key, write_map
from hsmix_gen.pipeline.sources.splits import assign_splits
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.records import Labelling, Refusal, SourceItem, Split


@dataclass(frozen=True)
class Discovery:
    """What lies in a source: items with group and split, sorted by id, and what cannot be used."""

    layout: str
    items: tuple[SourceItem, ...]
    refusals: tuple[Refusal, ...]
    notes: tuple[str, ...] = ()
    labelling: Labelling = field(default_factory=Labelling)


def discover(source: Path, config: RunConfig, known: Mapping[str, Split] | None = None) -> Discovery:
    """Find all pairs of a source and assign groups and splits.

    Parameters
    ----------
    source : Path
    config : RunConfig
    known : mapping
        Split of the groups that a dataset has already, under the names that stand in it.

    Raises
    ------
    SourceError
        If the source does not exist, is of no known layout or holds no pair.
    ConfigError
        If an option is set that the layout does not have.
    """
    if not source.exists():
        raise SourceError(f"{source} does not exist; give a folder of images and masks, or a list of them")
    reader = reader_for(source, config.source.layout)
    check_options(reader, source, config.source)
    found = reader.find(source, config.source)
    items, clashes = _unique(found.items)
    if not items:
        raise SourceError(_nothing_found(source, found, clashes))
    there = {item.id for item in items}
    items = sorted(_limited(items, config.source.limit), key=lambda item: item.id)
    items = [_with_group(item, config.source.group_by) for item in items]
    is_private = config.source.ids == "hashed" or (config.source.ids == "auto" and found.names_persons)
    if known and is_private:
        known = _unhidden(known, items, config)
    pooled = config.source.folds is not None
    assigned, split_notes = assign_splits(
        items, source, config.source.split, seed=config.seed, known=known, pooled=pooled, aside=there
    )
    notes = (*found.notes, *split_notes)
    discovery = Discovery(reader.name, tuple(assigned), (*found.refusals, *clashes), notes, found.labelling)
    return _hidden(discovery, config) if is_private else discovery


def _hidden(found: Discovery, config: RunConfig) -> Discovery:
    """Return what was found under hashed ids, and write the map where one is wanted."""
    key = read_key(config.source)
    if config.run.id_map is not None:
        write_map(Path(config.run.id_map), found.items, found.refusals, key)
    items = sorted(hidden_items(found.items, key), key=lambda item: item.id)
    return dataclasses.replace(found, items=tuple(items), refusals=tuple(hidden_refusals(found.refusals, key)))


def _unhidden(known: Mapping[str, Split], items: Sequence[SourceItem], config: RunConfig) -> dict[str, Split]:
    """Return what is known of groups under the names that the source has for them."""
    key = read_key(config.source)
    hidden = hidden_items(items, key)
    return {
        item.group or item.id: known[hashed.group or hashed.id]
        for item, hashed in zip(items, hidden, strict=True)
        if (hashed.group or hashed.id) in known
    }


def _unique(items: Sequence[SourceItem]) -> tuple[list[SourceItem], list[Refusal]]:
    by_id: dict[str, list[SourceItem]] = defaultdict(list)
    for item in items:
        by_id[item.id.casefold()].append(item)
    kept: list[SourceItem] = []
    clashes: list[Refusal] = []
    for same in by_id.values():
        if len(same) == 1:
            kept.append(same[0])
            continue
        names = ", ".join(item.image.uri for item in same)
        clashes += [
            Refusal(
                item.id,
                item.image.uri,
                "discover",
                f"{len(same)} images share the id {item.id}: {names}; rename them",
            )
            for item in same
        ]
    return kept, clashes


def _limited(items: list[SourceItem], limit: int | None) -> list[SourceItem]:
    if limit is None or limit >= len(items):
        return items
    ordered = sorted(items, key=lambda item: item.id)
    return [ordered[i * len(ordered) // limit] for i in range(limit)]


def _with_group(item: SourceItem, pattern: str | None) -> SourceItem:
    if pattern is None:
        return item if item.group is not None else dataclasses.replace(item, group=item.id)
    try:
        match = re.search(pattern, item.id)
    except re.error as error:
        raise ConfigError(f"group_by must be a regular expression, got {pattern}: {error}") from None
    if match is None:
        raise ConfigError(f"group_by {pattern} does not match the id {item.id}; widen it, for example with '|.*'")
    return dataclasses.replace(item, group=match.group(1) if match.groups() else match.group())


def _nothing_found(source: Path, found: Found, clashes: Sequence[Refusal]) -> str:
    own = next((source / form for form in ("webdataset", "parquet") if (source / form).is_dir()), None)
    if own is not None and (source / "manifest.parquet").is_file():
        return f"{source} is a dataset that hsmix-gen wrote; give {own} to read its samples"
    problems = [*found.refusals, *clashes]
    if problems:
        first = problems[0]
        return (
            f"{source} holds no pair of image and mask; {len(problems)} files were refused, "
            f"first {first.path}: {first.reason}"
        )
    # What was left alone tells which other layout is meant.
    expected = "; ".join(found.notes) or (
        "expected images/ and masks/ with equal names, masks with a suffix such as _mask, "
        "or a list (CSV, Parquet, JSONL) with columns image and mask"
    )
    return f"{source} holds no pair of image and mask; {expected}"
