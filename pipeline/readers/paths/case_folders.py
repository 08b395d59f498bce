"""Sibling folders of images and labels (``imagesTr`` and ``labelsTr``) and the cases that their names give."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hsmix_gen.pipeline.readers.paths.grouped import grouped
from hsmix_gen.pipeline.readers.paths.split_words import SHORT_WORDS, SPLIT_WORDS
from hsmix_gen.schemas.records import Split

_IMAGES = re.compile(r"images?(?P<rest>.*)", re.I)
_LABELS = re.compile(r"(labels?|masks?|segmentations?)(?P<rest>.*)", re.I)

NameCase = Callable[[str], tuple[str, int]]
"""From the stem of an image to the name of its case and the number of its channel."""


@dataclass(frozen=True)
class CaseFolders:
    """A folder of images and its sibling of labels, if there is one."""

    images: Path
    labels: Path | None
    split: Split | None
    """``train`` of imagesTr, ``val`` of images_val, ``test`` of imagesTs."""


@dataclass
class Case:
    """Files of a case: images by channel, and labels; of each there should be one."""

    name: str
    folder: str
    """As the files and the folder of images are called."""
    split: Split | None
    images: dict[int, list[Path]] = field(default_factory=lambda: defaultdict(list))
    """Channel to files."""
    labels: list[Path] = field(default_factory=list)

    @property
    def files(self) -> list[Path]:
        """All files, images first."""
        return [path for paths in [*self.images.values(), self.labels] for path in paths]


def root_of(source: Path) -> Path:
    """Return the folder that holds the folders of images: the source, or its only folder, as archives have it."""
    children = _folders(source)
    if len(children) == 1 and case_folders(source / children[0]):
        return source / children[0]
    return source


def case_folders(root: Path) -> list[CaseFolders]:
    """Return the folders of images right in a folder; none if it cannot be read."""
    names = _folders(root)
    labels = {match["rest"].lower(): root / name for name in names if (match := _LABELS.fullmatch(name))}
    images = {match["rest"].lower(): root / name for name in names if (match := _IMAGES.fullmatch(name))}
    splits = SPLIT_WORDS | SHORT_WORDS
    return [CaseFolders(path, labels.get(rest), splits.get(rest.strip("_- "))) for rest, path in images.items()]


def files_by_stem(folder: Path, endings: Sequence[str]) -> dict[str, list[Path]]:
    """Return the files right in a folder by their names without ending, hidden ones (``._a.nii.gz``) left out.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    shown = (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    ended = ((path, ending) for path in shown for ending in endings if path.name.lower().endswith(ending))
    return grouped((path.name[: -len(ending)], path) for path, ending in ended)


def cases_in(folders: CaseFolders, name_case: NameCase, endings: Sequence[str]) -> list[Case]:
    """Return the cases of a pair of folders, sorted by name; a label alone is a case as well.

    Raises
    ------
    OSError
        If a folder cannot be read.
    """
    cases: dict[str, Case] = {}

    def case(name: str) -> Case:
        return cases.setdefault(name, Case(name, folders.images.name, folders.split))

    for stem, paths in files_by_stem(folders.images, endings).items():
        name, channel = name_case(stem)
        case(name).images[channel] += paths
    if folders.labels is not None:
        for stem, paths in files_by_stem(folders.labels, endings).items():
            case(stem).labels += paths
    return [cases[name] for name in sorted(cases)]


def _folders(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []
