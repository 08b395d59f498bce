"""Files that a reader left alone: which other layout really reads them, found by trying."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from hsmix_gen.pipeline.decoders.picture_codec import UNREAD_ENDINGS
from hsmix_gen.pipeline.decoders.registry import open_pair
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.pipeline.readers.registry import layout_of, readers
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import HsmixError

_OTHER_VOLUMES = "convert them to NIfTI"
# All of them are looked into, only to say a word.
_MOST_TRIED = 2000
_VOLUMES = ("nnunet", "msd", "brats")
_LAYOUTS = {
    ".nii.gz": _VOLUMES, ".nii": _VOLUMES, ".npz": ("synapse", "arrays"), ".npy": ("arrays",),
    ".h5": ("synapse", "arrays"), ".hdf5": ("arrays",), ".dcm": ("dicom",), ".xml": ("monuseg",),
    ".parquet": ("parquet",), ".tar": ("webdataset",), ".json": ("coco",),
}  # fmt: skip
"""Ending and the layouts that may read such files."""


def notes_on_left(source: Path, left: Mapping[str, int]) -> list[str]:
    """Return a note on each kind of file that was left alone, with a layout only where it reads a pair.

    Parameters
    ----------
    source : Path
    left : mapping
        Number of files by ending.
    """
    pairs_by = cache(lambda layout: _pairs_of(layout, source))
    return [
        f"{number} {ending} files were left alone{_way(ending, number, pairs_by)}"
        for ending, number in sorted(left.items())
    ]


def note_on_forced(source: Path, layout: str) -> str:
    """Return that the layout which recognises a source reads it, where another was asked for and does not."""
    with suppress(HsmixError):
        own = layout_of(source)
        count = 0 if own == layout else _pairs_of(own, source)
        if count:
            return f"; without --layout {layout} it is read as {own}, {count} pairs"
    return ""


def _way(ending: str, number: int, pairs_by: Callable[[str], int]) -> str:
    if ending not in _LAYOUTS:
        return f"; {UNREAD_ENDINGS.get(ending, _OTHER_VOLUMES)}"
    if number > _MOST_TRIED:
        return ""
    best = max(_LAYOUTS[ending], key=pairs_by)
    if not pairs_by(best):
        return "; no layout reads them as they lie"
    return f"; --layout {best} reads {pairs_by(best)} pairs"


def _pairs_of(layout: str, source: Path) -> int:
    """Return how many pairs are found in a layout, 0 if the first of them cannot be opened."""
    with suppress(HsmixError, OSError):
        items = readers()[layout].find(source, SourceConfig()).items
        if items:
            image, mask = open_pair(items[0], ReadOptions())
            image.plane(0), mask.plane(0)
            return len(items)
    return 0
