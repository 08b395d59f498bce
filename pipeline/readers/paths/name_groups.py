"""Which images names put together: slices of one patient, both eyes of a person, tiles of a slide; a guess."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from hsmix_gen.pipeline.readers.paths.grouped import grouped
from hsmix_gen.pipeline.readers.paths.kind_words import kind_of
from hsmix_gen.pipeline.readers.paths.split_words import split_of_name

# A person's number, wherever it stands in a name.
_PERSON = re.compile(
    r"(?:^|(?<=[\W_]))(?:patient|pat|subject|subj|sub|participant|volunteer|case|pt)s?[ _.-]?[A-Za-z]{0,2}\d+"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_BEFORE_PERSON = re.compile(r"(?:[A-Za-z]*[ _.-]?\d+[ _.-]+)?", re.IGNORECASE)
# Numbers that words say to count planes or moments of something, and pieces of a picture.
_PLANE = r"slices?|sl|z|frames?|fr|planes?|sections?|sec"
_PIECE = (
    r"[stfixyrcp]|time|img|image|im|pages?|views?|tiles?|patch|patches|crops?|rois?|fov|field|rows?|cols?|aug|augmented|"
    r"copy|rot|flip|part|no|nr"
)
_NAMED = re.compile(
    rf"(?P<base>.*?)(?:[ _.(-]+(?:(?P<plane>{_PLANE})|{_PIECE})[ _.-]*|(?<=\d)(?:(?P<joined>{_PLANE})|{_PIECE}))"
    r"\(?(?P<number>\d+)\)?",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"(?P<base>.*?\w\)?)[ _.-]*[ _.(-](?P<number>\d+)\)?")
_SIDE = re.compile(
    r"(?P<base>.*\d)[ _-]*(?P<letter>[lrabcdef])|(?P<longer>.*\w)[ _-]+(?P<word>left|right|l|r|od|os|cc|mlo)",
    re.IGNORECASE,
)
# With a number they are places, machines, years or choices, but nobody's name.
_NOBODY = re.compile(
    r"(?:sites?|cent(?:er|re)s?|hospitals?|scanners?|cameras?|cam|vendors?|devices?|batch|parts?|class|grade|stage|"
    r"level|type|category|cohort|folds?|sets?|data|datasets?|db|version|v|years?|day|week|month|zoom|mag|channels?|"
    r"ch|modality|t|round|splits?|train|training|val|valid|validation|test|testing|\d+x)",
    re.IGNORECASE,
)
_WORD_OF_NUMBER = re.compile(r"(?<![^\W\d_])([^\W\d_]*)[ _.-]?(\d+)(x(?![^\W\d_]))?", re.IGNORECASE)
_EDGES = re.compile(r"[ _.(-]+")
_YEAR = re.compile(r"(?:19|20)\d\d")
_LISTED = re.compile(r"\d{1,2}[ _.-]+[^\W\d_]{3,}")
# Numbers run if they leave out at most so many on the average, after what they all have in common as a factor.
_STRIDE = 64
# Coordinates of tiles are multiples of their size.
_LEAST_TILE = 16
_MANY = 2
# What is taken off a name stands in its last letters; the expressions take the square of their number.
_TAIL = 32


@dataclass(frozen=True)
class _Reading:
    """What one name may be: a number of something; `clear` = a word says so, `paired` = the first of two numbers."""

    key: str
    number: int
    clear: bool = False
    paired: bool = False


@dataclass(frozen=True)
class Guess:
    """Groups that names show, and by what: ``folders`` or ``names``; `example` is a name and its group."""

    groups: tuple[str | None, ...]
    by: str
    example: tuple[str, str]


def guess_groups(names: Sequence[str]) -> Guess | None:
    """Return the group of each name, None where it shows none; None if names show no groups at all.

    A group is believed in where several are alike: names with the number of a person in them, several folders with
    several images each that are numbered like cases, or several stems each of which has several running numbers.
    A stem that all names have is no group: ``image_001`` to ``image_100`` are a hundred images.

    Parameters
    ----------
    names : sequence of str
        Relative paths without their ending.
    """
    stems = [PurePosixPath(name).name for name in names]
    persons = [_person(stem) for stem in stems]
    if not all(persons):
        persons = []
    for by, groups in (("names", persons), ("folders", _folders(names)), ("names", _stems(stems))):
        sizes = Counter(group for group in groups if group is not None)
        if max(sizes.values(), default=0) > 1 and len(sizes) + (None in groups) > 1:
            found = next(i for i, group in enumerate(groups) if group is not None and sizes[group] > 1)
            return Guess(tuple(groups), by, (names[found], str(groups[found])))
    return None


def candidate_groups(name: str) -> list[str]:
    """Return what the group of a name may be, whatever other names there are."""
    stem = PurePosixPath(name).name
    cases = [_case_folder(PurePosixPath(name).parent.parts), _person(stem)]
    return [key for key in (*cases, *(reading.key for reading in _readings(stem))) if key is not None]


def _person(stem: str) -> str | None:
    """Return a name up to the number of the person, without numbers of something else before it."""
    match = _PERSON.search(stem)
    if match is None:
        return None
    start = _BEFORE_PERSON.match(stem, 0, match.start())
    return stem[start.end() if start else 0 : match.end()]


def _folders(names: Sequence[str]) -> list[str | None]:
    parents = [PurePosixPath(name).parent.parts for name in names]
    cases = [_case_folder(parts) for parts in parents]
    sizes = Counter(case for case in cases if case is not None)
    several = {case for case, size in sizes.items() if size >= _MANY}
    # Two folders 0 and 1 are two classes.
    is_flag = {PurePosixPath(case).name for case in sizes} <= {"0", "1"}
    return [None] * len(names) if len(several) < _MANY or is_flag or _are_years(several) else list(cases)


def _case_folder(parts: Sequence[str]) -> str | None:
    """Return the folders down to the first that is numbered as a case; kinds and splits are no part of it."""
    kept: list[str] = []
    for part in parts:
        if kind_of(part) in ("image", "mask") or split_of_name(part) is not None:
            continue
        kept.append(part)
        # "1_benign" and "2_malignant" are classes in a list.
        if _PERSON.search(part) or (_is_somebody(part) and not _LISTED.match(part)):
            return "/".join(kept)
    return None


def _stems(stems: Sequence[str]) -> list[str | None]:
    """Return the groups of names by their beginnings; copies go with what they were made of, all of them at once."""
    sources = _sources(stems)
    plain = [stem for stem in stems if stem not in sources]
    group_of = dict(zip(plain, _by_beginnings(plain), strict=True))
    for source in sources.values():
        group_of[source] = group_of[source] or source
    return [group_of[sources.get(stem, stem)] for stem in stems]


def _sources(stems: Sequence[str]) -> dict[str, str]:
    """Return of each name that goes on where others end the shortest of these: ``im07`` of ``im07_hflip``."""
    whole = Counter(stems)
    starts = {stem: [stem[: edge.start()] for edge in _EDGES.finditer(stem)] for stem in whole}
    begun: Counter[str] = Counter()
    for stem, found in starts.items():
        begun.update({start: whole[stem] for start in found if start in whole})
    # What holds everything is no patient.
    believed = {start for start, n in begun.items() if n + whole[start] < len(stems) and _is_somebody(start)}
    if _are_years(believed):
        return {}
    sources = {stem: next((start for start in found if start in believed), "") for stem, found in starts.items()}
    return {stem: source for stem, source in sources.items() if source}


def _by_beginnings(stems: Sequence[str]) -> list[str | None]:
    """Return the groups of names none of which begins with another one, the shortest that is plausible for each."""
    readings = [_readings(stem) for stem in stems]
    members = grouped((reading.key, reading) for found in readings for reading in found)
    for stem in stems:
        # "a1z3" is a plane of "a1".
        if stem in members:
            members[stem].append(members[stem][0])
    believed = {key for key, same in members.items() if len(same) >= _MANY and _are_running(same)}
    # What holds everything is no patient.
    believed = {key for key in believed if len(members[key]) < len(stems)}
    chosen = [next((one.key for one in reversed(found) if one.key in believed), None) for found in readings]
    several = {key for key in chosen if key is not None}
    if len(several) < _MANY or _are_years(several):
        return [None] * len(stems)
    return [
        key or (stem if stem in several else found[0].key if found and len(members[found[0].key]) == 1 else None)
        for key, stem, found in zip(chosen, stems, readings, strict=True)
    ]


def _readings(stem: str) -> list[_Reading]:
    """Return what a name may be a number of, the longest beginning first."""
    found = list(_all_readings(stem))
    return [reading for reading in found if reading.clear or _is_somebody(reading.key)]


def _all_readings(stem: str) -> Iterator[_Reading]:
    plain = 0
    while stem:
        head, tail = stem[:-_TAIL], stem[-_TAIL:]
        side, named, number = (pattern.fullmatch(tail) for pattern in (_SIDE, _NAMED, _PLAIN))
        is_clear = is_paired = False
        if side:
            base, count = side["base"] or side["longer"], ord((side["letter"] or side["word"])[0].lower())
        elif named:
            base, count, is_clear = named["base"], int(named["number"]), bool(named["plane"] or named["joined"])
            # Planes are of something, whose own number is not to be taken off.
            plain = _MANY if is_clear else plain
        elif number and plain < _MANY:
            base, count, is_paired = number["base"], int(number["number"]), plain > 0
            plain += 1
        else:
            return
        stem = (head + base).rstrip(" _.-(")
        if stem:
            yield _Reading(stem, count, is_clear, is_paired)


def _is_somebody(key: str) -> bool:
    """Return whether a beginning has a number that may be somebody's."""
    numbers = list(_WORD_OF_NUMBER.finditer(key))
    return any(not match[3] and not _NOBODY.fullmatch(match[1]) for match in numbers)


def _are_years(keys: set[str]) -> bool:
    """Return whether few beginnings have no number but a year."""
    numbers = [re.findall(r"\d+", key) for key in keys]
    return len(keys) <= 5 and all(found and all(map(_YEAR.fullmatch, found)) for found in numbers)


def _are_running(readings: Sequence[_Reading]) -> bool:
    """Return whether numbers count something; of two, whether both are coordinates."""
    numbers = [reading.number for reading in readings]
    least = min(numbers)
    step = math.gcd(*(number - least for number in numbers))
    if any(reading.paired for reading in readings):
        return step >= _LEAST_TILE
    return (max(numbers) - least) // (step or 1) <= _STRIDE * len(numbers)
