"""Readers of source layouts: what each must offer, and which one a source belongs to.

A layout is a module with a class that keeps `Reader`; it is listed in `readers` and nothing else knows of it.
"""

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from hsmix_gen.pipeline.readers.arrays_reader import ArraysReader
from hsmix_gen.pipeline.readers.brats_reader import BratsReader
from hsmix_gen.pipeline.readers.coco_reader import CocoReader
from hsmix_gen.pipeline.readers.dicom_reader import DicomReader
from hsmix_gen.pipeline.readers.folder_reader import FolderReader
from hsmix_gen.pipeline.readers.glas_reader import GlasReader
from hsmix_gen.pipeline.readers.isic_reader import IsicReader
from hsmix_gen.pipeline.readers.list_reader import ListReader
from hsmix_gen.pipeline.readers.monuseg_reader import MonusegReader
from hsmix_gen.pipeline.readers.msd_reader import MsdReader, NnunetReader
from hsmix_gen.pipeline.readers.parquet_reader import ParquetReader
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.pipeline.readers.synapse_reader import SynapseReader
from hsmix_gen.pipeline.readers.webdataset_reader import WebdatasetReader
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import ConfigError, SourceError


class Reader(Protocol):
    """A layout of source data."""

    name: str
    options: frozenset[str]
    """Those options of `SourceConfig` that only some layouts have, and this one has."""

    def recognises(self, source: Path) -> bool:
        """Return whether a source looks like this layout; folders that cannot be opened may raise an `OSError`."""
        ...

    def find(self, source: Path, config: SourceConfig) -> Found:
        """Return all items of a source, without decoding any."""
        ...


def readers() -> tuple[Reader, ...]:
    """Return the known readers in the order in which they are tried."""
    return (
        CocoReader(),
        ParquetReader(),
        WebdatasetReader(),
        ListReader(),
        IsicReader(),
        GlasReader(),
        MonusegReader(),
        SynapseReader(),
        BratsReader(),
        NnunetReader(),
        MsdReader(),
        DicomReader(),
        ArraysReader(),
        FolderReader(),
    )


def reader_for(source: Path, layout: str) -> Reader:
    """Return the reader of a layout, or of ``auto`` the first that recognises the source."""
    known = readers()
    if layout != "auto":
        return next(reader for reader in known if reader.name == layout)
    for reader in known:
        # A folder below that cannot be opened tells nothing of the layout; the reader that is taken tells of it.
        with suppress(OSError):
            if reader.recognises(source):
                return reader
    raise SourceError(f"{source} is of no known layout; known are {', '.join(r.name for r in known)}")


def check_options(reader: Reader, source: Path, config: SourceConfig) -> None:
    """Refuse what would be set without any effect."""
    for name in sorted(frozenset[str]().union(*(known.options for known in readers())) - reader.options):
        if getattr(config, name) != SourceConfig.model_fields[name].default:
            having = ", ".join(known.name for known in readers() if name in known.options)
            raise ConfigError(
                f"{name} is an option of the layouts {having}, and {source} was read as {reader.name}; "
                f"leave --{name.replace('_', '-')} away, or choose one of those with --layout"
            )
