"""Readers of source layouts: what each must offer, and which one a source belongs to.

A layout is a module ``NAME_reader`` in this folder that is a `Reader`; nothing else names it.
"""

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig, named_key
from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.families import READERS


class Reader(Protocol):
    """A layout of source data, as a module."""

    OPTIONS: frozenset[str]
    """Those options of `SourceConfig` that only some layouts have, and this one has."""
    TRIED: int
    """Place in the order in which readers are tried: special layouts before those that take nearly anything."""
    READS: str
    """For people: what is read."""
    RECOGNISED_BY: str
    """For people: what shows that a source is of this layout."""
    REFUSES: str
    """For people: what is left out, by name."""

    def recognises(self, source: Path) -> bool:
        """Return whether a source looks like this layout; folders that cannot be opened may raise an `OSError`."""
        ...

    def find(self, source: Path, config: SourceConfig) -> Found:
        """Return all items of a source, without decoding any."""
        ...


def readers() -> dict[str, Reader]:
    """Return all readers by the names of their layouts, in the order in which they are tried."""
    known: dict[str, Reader] = {name: READERS.module(name) for name in READERS.names}
    return dict(sorted(known.items(), key=lambda named: named[1].TRIED))


def layout_of(source: Path) -> str:
    """Return the layout of the first reader that recognises a source."""
    known = readers()
    for name, reader in known.items():
        # A folder below that cannot be opened says nothing of the layout; the reader that is taken reports it.
        with suppress(OSError):
            if reader.recognises(source):
                return name
    raise SourceError(
        f"{source} is of no known layout; known are {', '.join(known)}: choose one with --layout, or "
        "name the pairs in a list with columns image and mask"
    )


def check_options(layout: str, source: Path, config: SourceConfig) -> None:
    """Refuse what would be set without any effect."""
    options = {name: reader.OPTIONS for name, reader in readers().items()}
    for option in sorted(frozenset[str]().union(*options.values()) - options[layout]):
        if getattr(config, option) != SourceConfig.model_fields[option].default:
            having = ", ".join(name for name, known in options.items() if option in known)
            raise ConfigError(
                f"{named_key(f'source.{option}')} is an option of the layouts {having}, and {source} was read as "
                f"{layout}; leave it away, or choose one of those with --layout"
            )
