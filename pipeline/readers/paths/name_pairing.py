"""Which mask files belong to which image file, decided by the names of folders and files alone."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os.path import commonprefix
from pathlib import PurePosixPath

from hsmix_gen.pipeline.readers.paths import kind_words
from hsmix_gen.pipeline.readers.paths.grouped import grouped
from hsmix_gen.pipeline.readers.paths.split_words import split_of_name
from hsmix_gen.pipeline.readers.paths.stems import stem_of
from hsmix_gen.schemas.config import SourceConfig

_OBJECTS = "/"
"""Stands for the suffix of masks of single objects; no name holds it."""


@dataclass(frozen=True)
class FolderPlace:
    """Where a file lies: its folders without the one that says "image" or "mask", what else that one says, where."""

    folders: tuple[str, ...]
    rest: str = ""
    depth: int = 0

    @property
    def fine(self) -> tuple[str, ...]:
        """The folders with the rest of the naming one at its place: ``train_images/p1`` is ``train/p1``."""
        if not self.rest:
            return self.folders
        return (*self.folders[: self.depth], self.rest, *self.folders[self.depth :])

    @property
    def splits(self) -> frozenset[str]:
        """The splits that any of its folders names."""
        return frozenset(split for name in self.fine if (split := split_of_name(name)))


@dataclass(frozen=True)
class NamedFile:
    """A picture file and what its name says."""

    path: str
    """Relative to the source."""
    place: FolderPlace
    is_mask: bool
    stems: tuple[tuple[str, str, str], ...]
    """What the stem of the image may be, with the suffix and number that were taken off; the likeliest first."""
    label: str = ""
    """Class that the folder of a mask names, if masks of several classes lie in folders of their own."""

    @property
    def stem(self) -> str:
        """The stem that pairs."""
        return self.stems[-1][0]

    @property
    def suffix(self) -> str:
        """What was taken off the stem, without a number."""
        return self.stems[-1][1]

    @property
    def number(self) -> str:
        """What distinguishes it from other masks of the image, if there are several."""
        return self.stems[-1][2]

    def with_stem(self, stem: str, suffix: str = "", number: str = "") -> "NamedFile":
        """Return it with one stem, settled."""
        return replace(self, stems=((stem, suffix, number),))


@dataclass(frozen=True)
class Candidate:
    """Files that belong together: images, which should be one, and masks."""

    place: FolderPlace
    stem: str
    images: tuple[NamedFile, ...]
    masks: tuple[NamedFile, ...]


def name_files(paths: Sequence[str], config: SourceConfig, unread: Sequence[str] = ()) -> list[NamedFile]:
    """Return what the names of picture files say; folders that hold all of them, and those `unread`, say nothing."""
    parents = [PurePosixPath(path).parent.parts for path in paths]
    every = [*parents, *(PurePosixPath(path).parent.parts for path in unread)]
    shared = len(commonprefix(every)) if len(every) > 1 else 0  # noqa: RUF071 - of folders, not of letters
    stems = grouped((parts, stem_of(path).lower()) for path, parts in zip(paths, parents, strict=True))
    beside = {parts: set(same) for parts, same in stems.items()}
    return [_named(path, parts[shared:], beside[parts], config) for path, parts in zip(paths, parents, strict=True)]


def _named(path: str, folders: tuple[str, ...], beside: set[str], config: SourceConfig) -> NamedFile:
    stem = stem_of(path)
    kinds = [kind_words.kind_of(folder) for folder in folders]
    depths = [depth for depth, kind in enumerate(kinds) if kind in ("image", "mask")]
    depths = depths or [depth for depth, kind in enumerate(kinds) if kind == "faint"]
    kind = kinds[depths[-1]] if depths else ""
    place = FolderPlace(folders)
    if depths:
        depth = depths[-1]
        place = FolderPlace(folders[:depth] + folders[depth + 1 :], kind_words.rest_of(folders[depth]), depth)
    suffixed = list(kind_words.mask_stems(stem, config))
    if kind == "mask":
        # The whole stem may be the image's; below a mask folder the suffix is decoration.
        return NamedFile(path, place, True, ((stem, "", ""), *reversed(suffixed)))
    called = kind_words.image_beside(stem, beside)
    if called:
        return NamedFile(path, place, True, ((called, "", ""),))
    image_end = config.image_suffix
    for base, suffix, number in suffixed:
        # In a folder of images, or with a number, a suffix may belong to a name like any other.
        alone = kind == "image" or number
        partners = {(base + image_end).lower(), (base + suffix).lower()} - {stem.lower()}
        if not alone or config.mask_suffix or beside & partners:
            return NamedFile(path, place, True, ((base, suffix, number),))
    if image_end and stem.endswith(image_end):
        stem = stem[: -len(image_end)]
    return NamedFile(path, place, False, ((stem, "", ""),))


_Key = tuple[tuple[str, ...], str]


def pair(files: Iterable[NamedFile]) -> list[Candidate]:
    """Return the files in groups that belong together, sorted; one without images or masks has no partner."""
    by_kind = grouped((file.is_mask, ((file.place.folders, file.place.rest), file)) for file in files)
    images, masks = (grouped(by_kind.get(is_mask, [])) for is_mask in (False, True))
    homes = _Homes(same[0].place for same in images.values())
    stems = {key: {file.stem for file in same} for key, same in images.items()}
    only = next(iter(stems)) if len(stems) == 1 else None
    groups: dict[tuple[_Key, str], list[NamedFile]] = defaultdict(list)
    alone: list[NamedFile] = []
    for same in masks.values():
        home, label = _home(same[0].place, homes)
        if home is None and only and _are_of(same, images[only]):
            groups[only, same[0].place.rest] += [replace(file, label=same[0].place.rest) for file in same]
        elif home is None:
            alone += same
        elif label in stems[home]:
            groups[home, ""] += [file.with_stem(label, _OBJECTS, file.stems[0][0]) for file in same]
        else:
            groups[home, label] += [replace(file, label=label) for file in same]
    single = all(len(same) == 1 for same in images.values()) and len(images) > 1
    settled: dict[_Key, list[NamedFile]] = defaultdict(list)
    for (home, _), same in groups.items():
        settled[home] += _settled(same, images[home], single=single)
    found = [one for home, same in images.items() for one in _by_stem(same[0].place, same, settled[home])]
    places = grouped((file.place, file) for file in alone)
    found += [one for place, same in places.items() for one in _by_stem(place, [], same)]
    return sorted(found, key=lambda one: (one.place.fine, one.stem))


def _are_of(masks: Sequence[NamedFile], images: Sequence[NamedFile]) -> bool:
    """Return whether masks are of the only images there are: their folders say nothing else, and all names agree."""
    place, home = masks[0].place, images[0].place
    if _silent(place.folders) or (place.splits and home.splits and place.splits != home.splits):
        return False
    stems = {file.stem for file in images}
    return all(stems.intersection(stem for stem, *_ in file.stems) for file in masks)


class _Homes:
    """The places of images, to be found for the place of a mask."""

    def __init__(self, places: Iterable[FolderPlace]) -> None:
        self._by: dict[tuple[str, tuple[str, ...]], list[FolderPlace]] = defaultdict(list)
        for place in places:
            self._by["fine", _lower(place.fine)].append(place)
            self._by["folders", place.folders].append(place)
            self._by["silent", _silent(place.folders)].append(place)
            for depth, name in enumerate(place.folders):
                if split_of_name(name) is None:
                    self._by["shorter", place.folders[:depth] + place.folders[depth + 1 :]].append(place)

    def of(self, mask: FolderPlace, *, strict: bool = False) -> FolderPlace | None:
        """Return the place of the images of a mask, if the names give exactly one; the nearest likeness wins.

        `strict` leaves out images that lie in a folder which the masks do not have.
        """
        same = self._by.get(("folders", mask.folders), [])
        for alike in (
            [place for place in same if place.rest == mask.rest],
            self._by.get(("fine", _lower(mask.fine)), []),
            _likest(mask, same),
            self._by.get(("silent", _silent(mask.folders)), []),
            [] if strict else self._by.get(("shorter", mask.folders), []),
        ):
            fitting = [place for place in alike if not (mask.splits and place.splits and mask.splits != place.splits)]
            if fitting:
                return fitting[0] if len(fitting) == 1 else None
        return None


def _likest(mask: FolderPlace, places: list[FolderPlace]) -> list[FolderPlace]:
    """Return the places whose naming folders are most like the mask's: of one split, or with words in common."""
    if len(places) < 2:
        return places
    same_split = [place for place in places if mask.splits and place.splits == mask.splits]
    said = set(mask.rest.split())
    nested = [
        place for place in same_split or places if set(place.rest.split()) <= said or said <= set(place.rest.split())
    ]
    return nested or same_split or places


def _lower(folders: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.lower() for name in folders)


def _silent(folders: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in folders if kind_words.kind_of(name) not in ("image", "mask"))


def _home(mask: FolderPlace, homes: _Homes) -> tuple[_Key | None, str]:
    """Return where the images of a mask folder are, and the one folder that only masks have (a class or an image)."""
    home = homes.of(mask)
    if home is not None:
        return (home.folders, home.rest), ""
    for depth in reversed(range(mask.depth, len(mask.folders))):
        label = mask.folders[depth]
        home = homes.of(
            FolderPlace(mask.folders[:depth] + mask.folders[depth + 1 :], mask.rest, mask.depth), strict=True
        )
        if home is not None:
            return (home.folders, home.rest), "" if split_of_name(label) else label
    return None, ""


def _settled(masks: list[NamedFile], images: list[NamedFile], *, single: bool) -> list[NamedFile]:
    """Return the masks of one folder, each with the stem of its image where there is one."""
    stems = {file.stem for file in images}
    settled = [next((file.with_stem(*known) for known in file.stems if known[0] in stems), file) for file in masks]
    if any(file.stem in stems for file in settled):
        return _whatever_the_case(settled, stems)
    ending = kind_words.common_ending([file.stems[0][0] for file in masks], stems)
    if ending:
        return [file.with_stem(file.stems[0][0].removesuffix(ending), ending) for file in masks]
    for of_files in (False, True):
        plain_of = partial(kind_words.without_kind, of_files=of_files)
        plain = {plain_of(stem): stem for stem in stems}
        renamed = [file.with_stem(plain.get(plain_of(file.stems[0][0]), file.stem)) for file in masks]
        if len(plain) == len(stems) and any(file.stem in stems for file in renamed):
            return renamed
    # Data Science Bowl: a folder for each image, and in it the image and a mask for each object.
    (first, *others) = images
    own = first.stem in PurePosixPath(first.path).parent.parts
    if not others and (own or (single and not first.place.splits)):
        return [file.with_stem(first.stem, _OBJECTS, file.stems[0][0]) for file in masks]
    return _whatever_the_case(masks, stems)


def _whatever_the_case(masks: list[NamedFile], stems: set[str]) -> list[NamedFile]:
    """Return the masks, those whose stem differs from one image's only in capitals or accents' form with that stem."""
    folded = grouped((_folded(stem), stem) for stem in stems)
    taken = {file.stem for file in masks}
    result = []
    for file in masks:
        alike = folded.get(_folded(file.stem), [])
        fits = file.stem not in stems and len(alike) == 1 and alike[0] not in taken
        result.append(file.with_stem(alike[0], *file.stems[-1][1:]) if fits else file)
    return result


def _folded(stem: str) -> str:
    # Some file systems take accents apart ("e" and an accent), others keep them whole.
    return unicodedata.normalize("NFC", stem).casefold()


def _by_stem(place: FolderPlace, images: list[NamedFile], masks: list[NamedFile]) -> list[Candidate]:
    of_image, of_mask = (grouped((file.stem, file) for file in files) for files in (images, masks))
    return [
        Candidate(place, stem, tuple(of_image.get(stem, [])), tuple(of_mask.get(stem, [])))
        for stem in of_image.keys() | of_mask.keys()
    ]
