"""Coloured masks in tar members and Parquet rows: by an option, or by a colour table beside the files."""

from dataclasses import replace
from pathlib import Path

from hsmix_gen.pipeline.decoders.packed_members import COLOURED, has_colours
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.pipeline.readers import colour_tables
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Labelling

_PEEKED_AT = 8


def with_colours(found: Found, source: Path, config: SourceConfig) -> Found:
    """Return what was found, its masks as colours if a table is given, or lies in the source and masks have colours.

    Parameters
    ----------
    found : Found
        Items whose masks have the format ``member``.
    source : Path
        A packed file, or the folder of them.
    config : SourceConfig
        Its `colours`.

    Raises
    ------
    SourceError
        If the colour table cannot be read.
    """
    folder = source if source.is_dir() else source.parent
    if config.colours is not None:
        return _coloured(found, colour_tables.read_colours(config.colours, folder))
    table = colour_tables.table_among(path.name for path in folder.iterdir()) if source.is_dir() else None
    if table is None:
        return found
    if not any(has_colours(item.mask, ReadOptions()) for item in found.items[:_PEEKED_AT]):
        return replace(found, notes=(*found.notes, f"colour table {table} was left alone: the masks have no colours"))
    labelling = colour_tables.read_table(folder / table)
    return replace(_coloured(found, labelling), notes=(*found.notes, colour_tables.table_note(table, labelling)))


def _coloured(found: Found, labelling: Labelling) -> Found:
    items = tuple(replace(item, mask=replace(item.mask, format=COLOURED)) for item in found.items)
    return replace(found, items=items, labelling=labelling)
