"""What runs on small twins of layouts share: what a run has to give, the run itself, and masks as they are stored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.command_line import run_cli

Numbers = npt.NDArray[Any]
Read = Callable[[Path], dict[str, Any]]
HALF = ("--split", "0.5/0.25/0.25")
UNMIXED = ("--control", "none", "-o", "mix.geometry=none")


@dataclass(frozen=True)
class Twin:
    """What a run on a source has to give.

    Attributes
    ----------
    images, masks : dict
        By id, as they are to be stored: (H, W, C) and (H, W) class ids, or (H, W, K) channels of multi-label.
    names : tuple of str
        Of the classes, or channels.
    stated : mapping
        Entries of ``inspect --json``.
    """

    layout: str
    images: dict[str, Numbers]
    masks: dict[str, Numbers]
    names: tuple[str, ...]
    stated: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[object, ...] = HALF

    @property
    def image(self) -> Numbers:
        """One of the images."""
        return next(iter(self.images.values()))


@dataclass(frozen=True)
class Made:
    """A twin, where it lies, and the dataset that a run made of it."""

    source: Path
    twin: Twin
    output: Path


def run_twin(write: Callable[[Path], Twin], folder: Path, *options: object) -> Made:
    """Return the dataset of a twin, in both formats; the options of the twin count more than those given."""
    (folder / "source").mkdir()
    twin = write(folder / "source")
    source = folder / "source" / "pairs.csv" if twin.layout == "list" else folder / "source"
    formats = ("--format", "webdataset", "--format", "parquet")
    run_cli("run", source, folder / "output", *options, *formats, *twin.options)
    return Made(source, twin, folder / "output")


def soft_of(mask: Numbers, n_classes: int) -> Numbers:
    """Return a mask of class ids as one-hot channels, or channels as they are; ignored pixels are 0."""
    if mask.ndim == 3:
        return np.asarray((mask == 1).transpose(2, 0, 1), np.float16)
    return np.asarray(np.stack([mask == number for number in range(n_classes)]), np.float16)


def innermost_of(mask: Numbers) -> Numbers:
    """Return class ids as they are, of channels 1 + the last one, and 255 where a pixel is ignored."""
    if mask.ndim == 2:
        return mask
    ranks = np.where(mask == 1, np.arange(1, mask.shape[2] + 1), 0).max(axis=2)
    return np.asarray(np.where((mask == 255).any(axis=2), 255, ranks))
