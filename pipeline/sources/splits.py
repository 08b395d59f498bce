"""Train, validation and test: from files, from the source itself, or by a seeded draw over groups."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar

from hsmix_gen.pipeline.decoders.picture_codec import IMAGE_ENDINGS
from hsmix_gen.pipeline.execution.human_units import counted
from hsmix_gen.pipeline.readers.paths.ids import safe_id
from hsmix_gen.pipeline.readers.paths.kind_words import kind_of
from hsmix_gen.pipeline.readers.paths.stems import ending_of
from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.records import SPLITS, SourceItem, SourceRecord, Split
from hsmix_gen.stages.planning.splitting import DEFAULT_RATIO, draw_groups, parse_ratio, split_groups

_ENDINGS = IMAGE_ENDINGS | {".ome.tif", ".ome.tiff", ".nii", ".nii.gz", ".npz", ".npy", ".h5", ".hdf5"}
"""Endings that names in lists may have, and ids have not."""
_WORDS = {"val": "validation", "test": "testing"}
_Any = TypeVar("_Any")


def assign_splits(
    items: Sequence[SourceItem],
    source: Path,
    split: str,
    *,
    seed: int,
    known: Mapping[str, Split] | None = None,
    pooled: bool = False,
    aside: Collection[str] = (),
) -> tuple[list[SourceItem], list[str]]:
    """Return the items with their split, and a note on where it comes from.

    Groups that a dataset has already keep their split.

    Parameters
    ----------
    items : sequence of SourceItem
        With groups; a split that the layout states is kept unless `split` names another.
    source : Path
        Where ``splits/`` is looked for under ``auto``.
    split : str
        ``auto``, a ratio, a folder with train.txt, val.txt and test.txt, or a file.
    seed : int
        Seed of a drawn split.
    known : mapping
        Split of the groups that a dataset has already.
    pooled : bool
        Whether training and validation are one, as folds are dealt of both.
    aside : collection of str
        Ids that the source has too, and that are left out on purpose.

    Raises
    ------
    ConfigError, SourceError
        If the split cannot be read, or states another one for a known group.
    """
    known = known or {}
    ratio = parse_ratio(split) if split != "auto" else None
    if ratio is not None:
        return _drawn(items, ratio, seed, known)
    assigned, notes, is_given = _given_or_listed(items, source, split, aside)
    if not is_given:
        drawn, notes = _drawn(items, DEFAULT_RATIO, seed, known)
        return drawn, [*notes, *_unread_lists(items, source)]
    moved = [
        item
        for item in assigned
        if (before := known.get(item.group or item.id, item.split)) != item.split
        and not (pooled and "test" not in (before, item.split))
    ]
    if moved:
        group = moved[0].group or moved[0].id
        raise SourceError(
            f"{moved[0].image.uri} is of group {group}, which the dataset has in {known[group]}, and is to go into "
            f"{moved[0].split} now; put it back, choose another folder, or start anew with --fresh"
        )
    return assigned, notes


def few_shot(items: Sequence[SourceItem], count: int, *, seed: int) -> tuple[list[SourceItem], str]:
    """Return the items with some groups of the training split only, and a note on which.

    Raises
    ------
    SourceError
        If the training split has fewer groups.
    """
    training = [item for item in items if item.split == "train"]
    drawn = draw_groups([item.group or item.id for item in training], count, seed=seed)
    kept = [item for item in items if item.split != "train" or (item.group or item.id) in drawn]
    n_kept = len(training) - (len(items) - len(kept))
    groups = counted(count, "group")
    return kept, f"{groups} ({n_kept} of {len(training)} files) are for training, drawn with subset seed {seed}"


def empty_splits(items: Sequence[SourceItem] | Sequence[SourceRecord], split: str, *, pooled: bool) -> list[str]:
    """Return a warning where a split that was not asked to be empty has no image; folds make their own validation."""
    counts = Counter(item.split for item in items)
    ratio = dict(zip(SPLITS, (parse_ratio(split) if split != "auto" else None) or DEFAULT_RATIO, strict=True))
    empty = [name for name in SPLITS[1:] if not counts[name] and ratio[name] > 0 and not (pooled and name == "val")]
    if not empty:
        return []
    groups = counted(len({item.group or item.id for item in items}), "group")
    files = f"{counted(len(items), 'file')} {'is' if len(items) == 1 else 'are'}"
    return [
        f"no image is for {' or '.join(_WORDS[name] for name in empty)} ({files} {groups}); "
        "choose shares or lists with --split, or add groups"
    ]


def _given_or_listed(
    items: Sequence[SourceItem], source: Path, split: str, aside: Collection[str]
) -> tuple[list[SourceItem], list[str], bool]:
    """Return the items with the split that files or the layout state, and whether they do."""
    if split != "auto":
        return (*_listed(items, Path(split), aside), True)
    if (source / "splits" / "train.txt").is_file():
        return (*_listed(items, source / "splits", aside), True)
    # A layout that knows training images only leaves it to us what is validated on.
    splits = {item.split for item in items}
    if splits == {None, "test"}:
        rest = [dataclasses.replace(item, split=item.split or "train") for item in items]
        return rest, ["the test split was taken from the source, all other images are for training"], True
    if splits not in ({None}, {"train"}):
        return (*_given(items), True)
    return [], [], False


def _drawn(
    items: Sequence[SourceItem], ratio: tuple[float, float, float], seed: int, known: Mapping[str, Split]
) -> tuple[list[SourceItem], list[str]]:
    groups = [item.group or item.id for item in items]
    by_group = {**split_groups([group for group in groups if group not in known], ratio, seed=seed), **known}
    assigned = [dataclasses.replace(item, split=by_group[item.group or item.id]) for item in items]
    shares = "/".join(f"{share:g}" for share in ratio)
    return assigned, [f"splits were drawn {shares} by group with seed {seed}"]


def _given(items: Sequence[SourceItem]) -> tuple[list[SourceItem], list[str]]:
    without = [item.id for item in items if item.split is None]
    if without:
        raise SourceError(
            f"{len(without)} items have no split while others have one, first {without[0]}; "
            "complete the list or give --split"
        )
    return list(items), ["splits were taken from the source"]


def _listed(items: Sequence[SourceItem], origin: Path, aside: Collection[str]) -> tuple[list[SourceItem], list[str]]:
    by_id = read_lists(origin, {*(item.id for item in items), *aside}.__contains__)
    kept = [dataclasses.replace(item, split=by_id[item.id]) for item in items if item.id in by_id]
    if not kept:
        raise SourceError(f"{origin} names none of the {len(items)} ids, which look like {items[0].id}")
    notes = [f"splits were read from {origin}"]
    if len(kept) < len(items):
        notes.append(f"{len(items) - len(kept)} pairs stand in no list and are left out")
    absent = len(by_id.keys() - {item.id for item in items} - set(aside))
    if absent:
        notes.append(f"{absent} listed ids have no pair in the source")
    return kept, notes


def _unread_lists(items: Sequence[SourceItem], source: Path) -> list[str]:
    """Return a note on lists that lie in the source itself, such as those of Kvasir-SEG, and name images of it."""
    if not (source / "train.txt").is_file():
        return []
    try:
        by_id = read_lists(source, {item.id for item in items}.__contains__)
    except (ConfigError, SourceError):
        return []
    if 2 * sum(item.id in by_id for item in items) <= len(by_id):  # a log, of which a line looks like an id
        return []
    return [f"train.txt in {source} names a split that was left alone; --split {source} takes it"]


def read_lists(origin: Path, is_known: Callable[[str], bool]) -> dict[str, Split]:
    """Return the split of each id that a folder of lists, or a file of two columns, names.

    Parameters
    ----------
    origin : Path
    is_known : callable
        Whether the source has an id: a path such as ``images/a.png`` is the id that it ends with.

    Raises
    ------
    ConfigError, SourceError
        If they cannot be read, or name an id in two splits.
    """
    by_id: dict[str, Split] = {}
    for split, names in _find_lists(origin).items():
        for name in names:
            item_id = _listed_id(name, is_known)
            if by_id.get(item_id, split) != split:
                raise SourceError(f"{origin} lists {name} in {by_id[item_id]} and in {split}; keep one")
            by_id[item_id] = split
    return by_id


def _listed_id(name: str, is_known: Callable[[str], bool]) -> str:
    # The dot of a name is not the dot of an ending.
    ending = ending_of(name)
    stem = name[: len(name) - len(ending)] if ending in _ENDINGS else name
    parts = PureWindowsPath(stem).parts if "\\" in stem else PurePosixPath(stem).parts
    *folders, last = parts or (stem,)
    ends = [folders[start:] for start in range(len(folders) + 1)]
    # Ids leave out folders that say what all of their files are.
    both = [kept for end in ends for kept in (end, [folder for folder in end if not kind_of(folder)])]
    ids = [safe_id("/".join([*kept, last])) for kept in both]
    return next(filter(is_known, ids), safe_id(stem))


def spread(ordered: Sequence[_Any], limit: int | None) -> list[_Any]:
    """Return `limit` of some things, evenly spread over them."""
    if limit is None or limit >= len(ordered):
        return list(ordered)
    return [ordered[i * len(ordered) // limit] for i in range(limit)]


def of_every_split(chosen: Mapping[str, Split], every: Mapping[str, Split]) -> dict[str, Split]:
    """Return the split of as many ids, some exchanged so that each split of all of them has one where there is room.

    Training keeps two, as one cannot be mixed.

    Parameters
    ----------
    chosen, every : mapping
        Split by id: as few ids are divided, and as all would be.
    """
    least = {split: 2 if split == "train" else 1 for split in SPLITS}
    found = {split: [name for name, home in chosen.items() if home == split] for split in SPLITS}
    for split in SPLITS:
        spare = [name for name, home in every.items() if home == split and name not in chosen]
        while spare and len(found[split]) < least[split]:
            fullest = max(SPLITS, key=lambda name: len(found[name]) - least[name])
            if len(found[fullest]) <= least[fullest]:
                break
            found[fullest].pop()
            found[split].append(spare.pop(0))
    return {name: split for split, names in found.items() for name in names}


def _find_lists(path: Path) -> dict[Split, list[str]]:
    if path.is_dir():
        lists = {split: _lines(path / f"{split}.txt") for split in SPLITS if (path / f"{split}.txt").is_file()}
        if "train" in lists:
            return lists
        raise ConfigError(f"--split folder {path} has no train.txt; expected train.txt, val.txt and test.txt")
    if path.is_file():
        return _two_columns(path)
    raise ConfigError(
        f"--split must be a ratio such as 0.8/0.1/0.1, a folder or a file, got {path}, which does not exist"
    )


def _two_columns(path: Path) -> dict[Split, list[str]]:
    lists: dict[Split, list[str]] = {split: [] for split in SPLITS}
    for number, line in enumerate(_lines(path), start=1):
        parts = line.replace(",", " ").replace("\t", " ").split()
        if number == 1 and parts[-1].lower() == "split":
            continue
        if len(parts) != 2 or parts[1].lower() not in SPLITS:
            raise ConfigError(f"{path} line {number} must be ID SPLIT with split train, val or test, got {line}")
        lists[next(split for split in SPLITS if split == parts[1].lower())].append(parts[0])
    return lists


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"split file {path} cannot be read as text ({error}); save it as UTF-8, or check its permissions"
        ) from None
    return [line.strip() for line in text.splitlines() if line.strip()]
