"""Readers of source layouts: what each must offer, and which one a source belongs to.

A layout is a module ``NAME_reader`` in this folder that holds a `Reader` as ``READER``; nothing else names it.
"""

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.families import READERS


class Reader(Protocol):
    """A layout of source data."""

    name: str
    options: frozenset[str]
    """Those options of `SourceConfig` that only some layouts have, and this one has."""
    tried: int
    """Place in the order in which readers are tried: special layouts before those that take nearly anything."""
    reads: str
    """For people: what is read."""
    recognised_by: str
    """For people: what shows that a source is of this layout."""
    refuses: str
    """For people: what is left out, by name."""

    def recognises(self, source: Path) -> bool:
        """Return whether a source looks like this layout; folders that cannot be opened may raise an `OSError`."""
        ...

    def find(self, source: Path, config: SourceConfig) -> Found:
        """Return all items of a source, without decoding any."""
        ...


def readers() -> tuple[Reader, ...]:
    """Return all readers in the order in which they are tried."""
    return tuple(sorted((READERS.module(name).READER for name in READERS.names), key=lambda reader: reader.tried))


def reader_for(source: Path, layout: str) -> Reader:
    """Return the reader of a layout, or of ``auto`` the first that recognises the source."""
    known = readers()
    if layout != "auto":
        return next(reader for reader in known if reader.name == layout)
    for reader in known:
        # A folder below that cannot be opened says nothing of the layout; the reader that is taken reports it.
        with suppress(OSError):
            if reader.recognises(source):
                return reader
    raise SourceError(
        f"{source} is of no known layout; known are {', '.join(r.name for r in known)}: choose one with --layout, or "
        "name the pairs in a list with columns image and mask"
    )


def check_options(reader: Reader, source: Path, config: SourceConfig) -> None:
    """Refuse what would be set without any effect."""
    for name in sorted(frozenset[str]().union(*(known.options for known in readers())) - reader.options):
        if getattr(config, name) != SourceConfig.model_fields[name].default:
            having = ", ".join(known.name for known in readers() if name in known.options)
            raise ConfigError(
                f"{name} is an option of the layouts {having}, and {source} was read as {reader.name}; "
                f"leave --{name.replace('_', '-')} away, or choose one of those with --layout"
            )
