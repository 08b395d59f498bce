"""What lies in a source: items with unique ids, groups and splits, and a word for everything left out."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hsmix_gen.pipeline.decoders.codecs.pointers import refuse_pointer
from hsmix_gen.pipeline.execution.human_units import counted
from hsmix_gen.pipeline.readers.paths.grouped import grouped
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.pipeline.readers.registry import check_options, layout_of, readers
from hsmix_gen.pipeline.sources.groups import assign_groups, part_guessed, possible_groups
from hsmix_gen.pipeline.sources.hashed_ids import hidden_items, hidden_refusals, read_key, write_map
from hsmix_gen.pipeline.sources.layout_trials import note_on_forced, notes_on_left
from hsmix_gen.pipeline.sources.splits import assign_splits, empty_splits, few_shot, of_every_split, spread
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Labelling, Refusal, SourceItem, Split

_ARCHIVES = (".zip", ".rar", ".7z", ".tar.gz", ".tgz", ".tar.xz")


@dataclass(frozen=True)
class Discovery:
    """What lies in a source: items with group and split, sorted by id, and what cannot be used."""

    layout: str
    items: tuple[SourceItem, ...]
    refusals: tuple[Refusal, ...]
    notes: tuple[str, ...] = ()
    labelling: Labelling = field(default_factory=Labelling)
    warnings: tuple[str, ...] = ()
    """What the user should check before anything is made."""
    has_slices: bool = False
    """Whether names show that several images are of one patient or slide."""


def check_there(source: Path) -> None:
    """Refuse a source that does not exist.

    Raises
    ------
    SourceError
    """
    if not source.exists():
        raise SourceError(f"{source} does not exist; give a folder of images and masks, or a list of them")


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
    check_there(source)
    refuse_pointer(str(source))
    forced = config.source.layout if config.source.layout != "auto" else None
    layout = forced or layout_of(source)
    check_options(layout, source, config.source)
    found = readers()[layout].find(source, config.source)
    items, clashes = _unique(found.items)
    if not items:
        other = note_on_forced(source, forced) if forced else ""
        raise SourceError(_nothing_found(source, found, clashes, layout) + other)
    there = {item.id for item in items}
    is_private = config.source.ids == "hashed" or (config.source.ids == "auto" and found.names_persons)
    if known and is_private:
        known = _unhidden(known, possible_groups(items, source), config)
    grouping = assign_groups(
        items,
        source,
        config.source.group_by,
        may_guess=found.free_names and config.source.stacks == "volumes",
        known=known or (),
        private=is_private,
    )
    every = sorted(grouping.items, key=lambda item: item.id)
    items = spread(every, config.source.limit)
    wanted, pooled = config.source.split, config.source.folds is not None
    split_of = partial(
        assign_splits, source=source, split=wanted, seed=config.seed, known=known, pooled=pooled, aside=there
    )
    assigned, split_notes = split_of(items)
    if len(items) < len(every):
        homes = of_every_split(_homes(assigned), _homes(split_of(every)[0]))
        assigned = [dataclasses.replace(item, split=homes[item.id]) for item in every if item.id in homes]
    assigned, torn_notes = part_guessed(assigned, grouping.guessed)
    if config.source.subset is not None:
        assigned, note = few_shot(assigned, config.source.subset, seed=config.source.subset_seed)
        split_notes.append(note)
    discovery = Discovery(
        layout,
        tuple(assigned),
        (*found.refusals, *clashes),
        (*_notes(source, found), *grouping.notes, *split_notes, *torn_notes),
        found.labelling,
        warnings=tuple(empty_splits(assigned, wanted, pooled=pooled)),
        has_slices=bool(grouping.guessed),
    )
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
    by_id = grouped((item.id.casefold(), item) for item in items)
    kept: list[SourceItem] = []
    clashes: list[Refusal] = []
    for same in by_id.values():
        if len(same) == 1:
            kept += same
            continue
        names = ", ".join(item.image.uri for item in same)
        for item in same:
            reason = f"{len(same)} images share the id {item.id}: {names}; rename them"
            clashes.append(Refusal(item.id, item.image.uri, "discover", reason))
    return kept, clashes


def _homes(items: Sequence[SourceItem]) -> dict[str, Split]:
    return {item.id: item.split or "train" for item in items}


def _notes(source: Path, found: Found) -> tuple[str, ...]:
    """Return the notes of a reader, and what is to be said of the files that it left alone."""
    return (*found.notes, *notes_on_left(source, dict(found.left)), *found.hints)


def _nothing_found(source: Path, found: Found, clashes: Sequence[Refusal], layout: str) -> str:
    own = next((source / form for form in ("webdataset", "parquet") if (source / form).is_dir()), None)
    if own is not None and (source / "manifest.parquet").is_file():
        return f"{source} is a dataset that hsmix-gen wrote; give {own} to read its samples"
    problems = [*found.refusals, *clashes]
    notes = _notes(source, found)
    nothing = f"{source} holds no pair of image and mask"
    if problems and not found.hints:
        working = [note for note in notes if "--layout" in note]
        refused = f"{counted(len(problems), 'file')} refused, first {problems[0].path}: {problems[0].reason}"
        return "; ".join([f"{nothing}, read as {layout} (--layout names another)", *working, refused])
    # What was left alone shows which other layout is meant, what tools left shows how masks are made.
    if found.hints or notes:
        return f"{nothing}; {'; '.join(found.hints or notes)}"
    names = [path.name for path in source.iterdir()] if source.is_dir() else []
    packed = sorted(name for name in names if name.lower().endswith(_ARCHIVES))
    if packed:
        return f"{nothing}; {packed[0]} is an archive, unpack it"
    return (
        f"{nothing}; expected images/ and masks/ with equal names, masks with a suffix such as _mask, "
        "or a list (CSV, Parquet, JSONL) with columns image and mask"
    )
