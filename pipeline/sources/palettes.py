"""Masks with palettes: indices mean the same only where every file has its colours in the same order."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

from hsmix_gen.pipeline.readers.paths.grouped import grouped
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Labelling, MaskForm, ScanResult, SourceItem
from hsmix_gen.stages.labels.conventions import MaskValues, understand_values
from hsmix_gen.stages.labels.grey_bands import colour_table

_BLACK = 0
_GREY = 0x010101
_COLOURED = {"picture": "colours", "member": "colourmember"}
COLOURED_FORMATS = frozenset(_COLOURED.values())
"""Formats of masks whose values are colours, 0xRRGGBB."""
_MOST_SHOWN = 8

_Palette = Mapping[int, int]


class _Use:
    """Which colours each index has over all files, and which indices each colour has."""

    def __init__(self, palettes: Sequence[_Palette]) -> None:
        pairs = {pair for palette in palettes for pair in palette.items()}
        self.colours = grouped(pairs)
        self.indices = grouped((colour, index) for index, colour in pairs)
        self.files = Counter(colour for palette in palettes for colour in set(palette.values()))
        """How many files have a colour."""
        self.repeated = any(len(set(palette.values())) < len(palette) for palette in palettes)
        """Whether a file has one colour under two indices, so that colours say nothing."""

    @property
    def are_of_files(self) -> bool:
        """Whether most colours are in one file only, as where a tool draws them anew for each file."""
        coloured = [count for colour, count in self.files.items() if colour != _BLACK]
        return 2 * coloured.count(1) > len(coloured)

    @property
    def is_steady(self) -> bool:
        """Whether each index has one colour, and, unless a file repeats one, each colour one index."""
        one_colour = all(len(colours) == 1 for colours in self.colours.values())
        return one_colour and (self.repeated or all(len(indices) == 1 for indices in self.indices.values()))


def colour_classes(scans: Sequence[ScanResult], config: SourceConfig) -> tuple[Labelling, str] | None:
    """Return the classes of colours, and a note, where masks with palettes have to be read by colour; else None.

    That is where the order of colours differs from file to file, or black is no index 0 and index 0 is not used. Black
    is the background; greys follow the conventions of grey masks; other colours are numbered in their order.

    Raises
    ------
    SourceError
        If indices do not mean the same in all files and colours do not say what is meant, or index 0 is not black and
        another is.
    """
    good = [scan for scan in scans if scan.problem is None]
    palettes = [dict(scan.mask_form.palette) for scan in good]
    use = _Use(palettes)
    if not use.colours:
        return None
    if use.is_steady:
        _check_background(use)
        if use.repeated or _BLACK not in use.indices or 0 in use.colours:
            return None
    colours = sorted(use.indices)
    if use.are_of_files and not use.is_steady:
        if config.mask_values is not None:
            return None
        raise SourceError(
            f"masks have palettes with colours of their own in each file ({_difference(use)}): if their indices are "
            f"the classes, say so with --mask-values {_by_index(use)}; if colours are, name them{_example(colours)}"
        )
    unsaid = config.mask_values is None and config.ignore is None
    if not all(palettes) or use.repeated or _BLACK not in use.indices or not unsaid:
        raise SourceError(
            f"masks have palettes whose order differs from file to file ({_difference(use)}), so that indices do not "
            f"mean the same: name the colours{_example(colours)}"
        )
    if all(colour % _GREY == 0 for colour in colours):
        labelling = _by_greys(good, palettes)
    else:  # black, the least, is 0
        labelling = Labelling(values=tuple((colour, class_id) for class_id, colour in enumerate(colours)))
    shown = ", ".join(f"#{colour:06X} = {class_id}" for colour, class_id in labelling.values[:_MOST_SHOWN])
    return labelling, (
        f"palettes of masks differ in their order ({_difference(use)}): masks are read by colour, {shown}; "
        "name them with --colours"
    )


def by_colour(scan: ScanResult) -> ScanResult:
    """Return a scan with the values of its mask as colours."""
    if scan.problem is not None:
        return scan
    palette = dict(scan.mask_form.palette)
    counts = sorted((palette[index], count) for index, count in scan.mask_counts)
    return dataclasses.replace(scan, mask_counts=tuple(counts), mask_form=MaskForm())


def with_coloured_mask(item: SourceItem) -> SourceItem:
    """Return an item whose mask is read as colours."""
    mask = item.mask
    return dataclasses.replace(item, mask=dataclasses.replace(mask, format=_COLOURED.get(mask.format, mask.format)))


def _check_background(use: _Use) -> None:
    """Refuse masks of one order in which index 0 is not black and another index is: either may be the background."""
    if use.repeated or not use.colours.get(0) or use.colours[0] == [_BLACK] or _BLACK not in use.indices:
        return
    raise SourceError(
        f"masks have a palette in which index 0 is #{min(use.colours[0]):06X} and index {min(use.indices[_BLACK])} is "
        f"black, so that the background may be either: black{_example(sorted(use.indices))}, or index 0 with "
        f"--mask-values {_by_index(use)}"
    )


def _by_greys(good: Sequence[ScanResult], palettes: Sequence[_Palette]) -> Labelling:
    masks = []
    for scan, palette in zip(good, palettes, strict=True):
        greys = {index: palette[index] // _GREY for index, _ in scan.mask_counts}
        sides = dict(zip(greys.values(), scan.mask_form.sides, strict=False))
        masks.append(MaskValues({greys[index]: count for index, count in scan.mask_counts}, sides))
    reading = understand_values(masks)
    return Labelling(values=tuple((value * _GREY, class_id) for value, class_id in reading.values.items()))


def _by_index(use: _Use) -> str:
    return ",".join(f"{index}={class_id}" for class_id, index in enumerate(sorted(use.colours)))


def _difference(use: _Use) -> str:
    for index, colours in sorted(use.colours.items()):
        if len(colours) > 1:
            one, other, *_ = sorted(colours)
            return f"index {index} is #{one:06X} in one and #{other:06X} in another"
    colour, indices = next((pair for pair in sorted(use.indices.items()) if len(pair[1]) > 1), (_BLACK, [0]))
    return f"#{colour:06X} has the indices {', '.join(map(str, sorted(indices)))}"


def _example(colours: Sequence[int]) -> str:
    return " with --colours" + (f" '{colour_table(colours)}'" if len(colours) <= _MOST_SHOWN else "")
