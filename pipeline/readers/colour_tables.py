"""Colour tables of coloured masks: which colour is which class, from an option or a file."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from hsmix_gen.pipeline.decoders.packed_members import COLOURED, has_colours
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import IGNORE, Labelling

TABLE_NAMES = ("class_dict.csv", "labelmap.txt", "label_colors.txt")
"""Files that are taken for a colour table wherever they lie in a source."""
_IGNORED = frozenset({"ignore", "ignored", "void", "unlabelled", "unlabeled"})
_BACKGROUND = "background"
_HEX = re.compile(r"#?([0-9A-Fa-f]{6})$")
_NUMBERS_FIRST = re.compile(r"(?P<numbers>\d+\s+\d+\s+\d+)\s+(?P<name>[^\d\s,:][^,:]*)")
_MAX_BYTES = 1_000_000
_PEEKED_AT = 8
_Row = tuple[str, int]


def classes_of_colours(
    config: SourceConfig, folder: Path, files: Iterable[str], are_coloured: Callable[[], bool]
) -> tuple[Labelling | None, tuple[str, ...]]:
    """Return the classes of colours if a table is given, or lies in the source and masks have colours; and a note.

    Names of tables are relative to `folder`. Of `files` that are tables the one nearest to it counts; `are_coloured` is
    asked only where there is one. Raises SourceError if the colour table cannot be read.
    """
    if config.colours is not None:
        return read_colours(config.colours, folder), ()
    tables = [path for path in files if PurePosixPath(path).name.lower() in TABLE_NAMES]
    if not tables:
        return None, ()
    table = min(tables, key=lambda path: (path.count("/"), path))
    if not are_coloured():
        return None, (f"colour table {table} was left alone: the masks have no colours",)
    labelling = read_table(folder / table)
    ignored = ", ".join(f"#{colour:06X}" for colour in labelling.void)
    of_no_class = f"; pixels of {ignored} are of no class (ignore)" if ignored else ""
    return labelling, (f"colours of masks are those of {table}{of_no_class}",)


def with_colours(found: Found, source: Path, config: SourceConfig) -> Found:
    """Return what was found in a packed file or a folder of them, its masks as colours where they are coloured.

    Items have masks of the format ``member``. Raises SourceError as `classes_of_colours`.
    """
    folder, files = source.parent, list[str]()
    if source.is_dir():
        folder, files = source, [path.name for path in source.iterdir()]
    first = [item.mask for item in found.items[:_PEEKED_AT]]
    labelling, notes = classes_of_colours(
        config, folder, files, lambda: any(has_colours(mask, ReadOptions()) for mask in first)
    )
    found = replace(found, notes=(*found.notes, *notes))
    if labelling is None:
        return found
    items = tuple(replace(item, mask=replace(item.mask, format=COLOURED)) for item in found.items)
    return replace(found, items=items, labelling=labelling)


def read_colours(given: str, source: Path) -> Labelling:
    """Return the classes of a colour table: a file, also relative to the source, or ``#RRGGBB=NAME,...``.

    Raises
    ------
    SourceError
        If it cannot be read, or names a colour or class twice.
    """
    if "=" in given and given.lstrip().startswith("#"):
        return _labelling("the colour table", list(_inline_rows(given)), first_is_background=True)
    for path in (Path(given), source / given):
        if path.is_file():
            return read_table(path)
    raise SourceError(
        f"colour table {given} does not exist; give a file, or colours such as '#000000=background,#FF0000=lesion'"
    )


def read_table(path: Path) -> Labelling:
    """Return the classes of a file with lines ``name,r,g,b``, ``name:r,g,b::`` or ``r g b name``.

    They are those of class_dict.csv, labelmap.txt and CamVid's label_colors.txt.

    Raises
    ------
    SourceError
        If it cannot be read, or names a colour or class twice.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}); check its permissions") from None
    if len(data) > _MAX_BYTES:
        raise SourceError(f"{path} is larger than {_MAX_BYTES} bytes and no colour table; give another with --colours")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceError(f"{path} is no text in UTF-8; save the colour table as such") from None
    return _labelling(str(path), list(_file_rows(path, text)), first_is_background=False)


def _inline_rows(given: str) -> Iterator[_Row]:
    for part in given.split(","):
        colour, _, name = part.strip().partition("=")
        match = _HEX.match(colour.strip())
        if match is None or not name.strip():
            raise SourceError(f"--colours must be #RRGGBB=NAME with commas between, got {part.strip() or given}")
        yield name.strip(), int(match[1], 16)


def _file_rows(path: Path, text: str) -> Iterator[_Row]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        row = _file_row(line)
        if row is not None:
            yield row
        elif number > 1:
            # The first line may name the columns.
            raise SourceError(
                f"{path} line {number} must be name,r,g,b or name:r,g,b:: with 0 to 255, got {line.strip()[:80]}"
            )


def _file_row(line: str) -> _Row | None:
    numbered = _NUMBERS_FIRST.fullmatch(line.strip())
    if numbered:
        name, numbers = numbered["name"], numbered["numbers"].split()
    elif ":" in line:
        name, _, rest = line.strip().partition(":")
        numbers = rest.partition(":")[0].split(",")
    else:
        name, *numbers = (part.strip().strip('"') for part in line.strip().split(","))
    values = [int(number) for number in numbers if number.strip().isdecimal() and len(number.strip()) <= 3]
    if not name.strip() or len(numbers) != 3 or len(values) != 3 or max(values) > 255:
        return None
    return name.strip(), values[0] << 16 | values[1] << 8 | values[2]


def _labelling(table: str, rows: list[_Row], *, first_is_background: bool) -> Labelling:
    """Return the classes with the background first, the rest in the order of the table."""
    _check_unique(table, rows)
    classes = [row for row in rows if row[0].lower() not in _IGNORED]
    if len(classes) < 2:
        raise SourceError(f"{table} names {len(classes)} classes, expected the background and at least one more")
    if len(classes) > IGNORE:
        raise SourceError(f"{table} names {len(classes)} classes, at most {IGNORE} are taken")
    background = _background(table, classes, first_is_background=first_is_background)
    classes.sort(key=lambda row: row != background)
    void = tuple(colour for name, colour in rows if name.lower() in _IGNORED)
    values = [(colour, number) for number, (_, colour) in enumerate(classes)]
    values += [(colour, IGNORE) for colour in void]
    return Labelling(classes=tuple(name for name, _ in classes), values=tuple(values), void=void)


def _background(table: str, classes: list[_Row], *, first_is_background: bool) -> _Row:
    named = next((row for row in classes if row[0].lower() == _BACKGROUND), None)
    if named is not None:
        return named
    black = next((row for row in classes if row[1] == 0), None)
    if black is None or black == classes[0]:
        return classes[0]
    if first_is_background:
        raise SourceError(f"{table} has {classes[0][0]} first and black as {black[0]}; call one of them background")
    return black


def _check_unique(table: str, rows: list[_Row]) -> None:
    names: set[str] = set()
    colours: dict[int, str] = {}
    for name, colour in rows:
        if colour in colours:
            raise SourceError(f"{table} gives the colour #{colour:06X} to {colours[colour]} and {name}; correct it")
        if name.lower() in names:
            raise SourceError(f"{table} names {name} twice; give each class one colour")
        colours[colour] = name
        names.add(name.lower())
