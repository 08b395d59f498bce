"""The multi-organ CT ("Synapse") as TransUNet holds it: slices in npz, test volumes in h5, and lists of both.

``train_npz/caseNNNN_sliceMMM.npz``, ``test_vol_h5/caseNNNN.npy.h5`` and ``lists_Synapse/*.txt``. The folders may lie up
to two levels down. The lists are official: ``train.txt`` names the training slices, ``test_vol.txt`` the test volumes,
and what they do not name is left out, as TransUNet leaves it out. A case is a group, so that its slices never part.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from hsmix_gen.pipeline.decoders.arrays import array_key
from hsmix_gen.pipeline.readers.paths.folder_walk import walk
from hsmix_gen.pipeline.readers.paths.ids import Found, safe_id
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, Labelling, Refusal, SourceItem, Split

OPTIONS = frozenset({"image_key", "mask_key"})
TRIED = 80
READS = "TransUNet's `train_npz`, `test_vol_h5` and `lists`"
RECOGNISED_BY = "these folders"
REFUSES = "files without `image` or `label`"

CLASSES = (
    "background", "aorta", "gallbladder", "left kidney", "right kidney", "liver", "pancreas", "spleen", "stomach",
)  # fmt: skip
"""By label, as TransUNet numbers them."""

_LISTS_FOLDER = "lists_synapse"
_MAX_DEPTH = 2
_SLICE = re.compile(r"(.+?)_slice\d+")
_LISTED_ENDINGS = (".npy.h5", ".npz", ".h5")


@dataclass(frozen=True)
class _Half:
    """One of the two folders, what lies in it, the list that names what counts, and its official split."""

    folder: str
    endings: tuple[str, ...]
    list_name: str
    split: Split
    axes: str


_HALVES = (
    _Half("train_npz", (".npz",), "train.txt", "train", "yx"),
    _Half("test_vol_h5", (".npy.h5", ".h5"), "test_vol.txt", "test", "zyx"),
)


def recognises(source: Path) -> bool:
    """Return whether there is a folder named like one of TransUNet's."""
    return any(_find_folder(source, half.folder) is not None for half in _HALVES)


def find(source: Path, config: SourceConfig) -> Found:
    """Return the slices and volumes that the lists name."""
    if not recognises(source):
        wanted = " or ".join(half.folder for half in _HALVES)
        raise SourceError(f"{source} has no folder {wanted} up to {_MAX_DEPTH} levels down; name the folder above")
    found = [_find_half(source, half, config) for half in _HALVES]
    labels = tuple((label, label) for label in range(len(CLASSES)))
    return Found(
        tuple(item for half in found for item in half.items),
        tuple(refusal for half in found for refusal in half.refusals),
        tuple(note for half in found for note in half.notes),
        Labelling(classes=CLASSES, values=labels),
    )


def _find_folder(source: Path, name: str) -> Path | None:
    """Return the folder of that name, down to the limit, that is nearest; below hidden ones and halves none is."""
    halves = {half.folder for half in _HALVES}
    for depth in range(_MAX_DEPTH + 1):
        # Folders that may not be opened hold nothing for `glob`.
        for path in sorted(source.glob("*/" * depth + name)):
            above = path.relative_to(source).parts[:-1]
            if path.is_dir() and not any(part.startswith(".") or part in halves for part in above):
                return path
    return None


def _find_list(source: Path, name: str) -> Path | None:
    """Return the list of that name in a folder ``lists_Synapse``; another data set's lists are not taken."""
    lists = [source / path for path in walk(source, (name,)).files]
    return next((path for path in lists if path.name == name and path.parent.name.lower() == _LISTS_FOLDER), None)


def _find_half(source: Path, half: _Half, config: SourceConfig) -> Found:
    folder = _find_folder(source, half.folder)
    if folder is None:
        return Found((), notes=(f"there is no folder {half.folder}: nothing for {half.split}",))
    listing = _find_list(source, half.list_name)
    walked = walk(folder, half.endings)
    files: dict[str, str] = {}
    refusals = list(walked.refusals)
    for path in walked.files:
        name = _bare(Path(path).name)
        if name in files:
            reason = f"is named {name} like {files[name]}; keep one of them"
            refusals.append(Refusal(safe_id(name), str(folder / path), "discover", reason))
            continue
        files[name] = path
    listed = None if listing is None else _read_list(listing)
    if listed is None:
        notes = [f"there is no lists_Synapse/{half.list_name}: all of {half.folder} is taken for {half.split}"]
    else:
        notes = _differences(half, files, listed)
    names = [name for name in files if listed is None or name in listed]
    items = tuple(_item(name, folder / files[name], half, config) for name in names)
    return Found(items, tuple(refusals), tuple(notes))


def _read_list(path: Path) -> set[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or "it is no text").lower()
        raise SourceError(f"{path} cannot be read ({reason}); restore it or remove it") from None
    return {_bare(line.strip()) for line in lines if line.strip()}


def _differences(half: _Half, files: dict[str, str], listed: set[str]) -> list[str]:
    notes = []
    absent = sorted(listed - files.keys())
    if absent:
        notes.append(f"{half.list_name} names {len(absent)} that are not in {half.folder}: {absent[0]} first")
    unlisted = sorted(files.keys() - listed)
    if unlisted:
        notes.append(
            f"{half.folder} has {len(unlisted)} that {half.list_name} does not name, left out: {unlisted[0]} first"
        )
    return notes


def _bare(name: str) -> str:
    """Return the name of a case or slice without the endings that files and some lists have."""
    return next((name.removesuffix(ending) for ending in _LISTED_ENDINGS if name.endswith(ending)), name)


def _item(name: str, path: Path, half: _Half, config: SourceConfig) -> SourceItem:
    match = _SLICE.fullmatch(name)
    image, mask = (
        Content("array", (str(path),), array_key(key, half.axes))
        for key in (config.image_key or "image", config.mask_key or "label")
    )
    return SourceItem(safe_id(name), image, mask, match[1] if match else name, half.split)
