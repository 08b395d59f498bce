"""What exporters are given: a finished dataset, its samples checked and decoded, and bytes that come out equal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.dataset.formats.base import best_format, format_of, naming_sample
from hsmix_gen.pipeline.dataset.output_folder import MANIFEST, read_dataset
from hsmix_gen.pipeline.dataset.run_history import kept_sources
from hsmix_gen.pipeline.dataset.sample_members import PARTS, decoded
from hsmix_gen.pipeline.execution.human_units import counted
from hsmix_gen.pipeline.files.atomic_files import matches
from hsmix_gen.pipeline.files.tables import read_manifest
from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.digests import sha256_of
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import IGNORE, FileRecord, ManifestRow, SourceRecord
from hsmix_gen.stages.imaging.intensity import ZSCORE_LIMIT
from hsmix_gen.stages.labels.labels import SoftLabel

_WHITE = {"uint8": 255, "uint16": 65535}


@dataclass(frozen=True)
class Shape:
    """What the images of a dataset have in common, of one that is finished or of one to come."""

    name: str
    """Of the dataset, for messages."""
    channels: int
    dtype: str
    """Type of the pixels: uint8, uint16 or float32."""
    intensity: str
    """How numbers became pixels, a kind of `schemas.records.Intensity`."""
    classes: int
    """Channels of the soft label."""
    multilabel: bool = False

    def way_to(self, *channels: int) -> str:
        """Return how a dataset gets one of these numbers of channels; --channels is for pictures alone."""
        wanted = " or ".join(map(str, channels))
        if self.channels in (1, 3) and self.intensity == "none" and self.dtype in _WHITE:
            return f"make it with --channels {wanted}"
        return f"volumes and arrays keep theirs: give {wanted} (a list, CSV, may name one file of several)"


class Dataset:
    """A finished dataset with its manifest.

    Parameters
    ----------
    root : Path
        Its folder.

    Raises
    ------
    OutputError
        If the folder holds none.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        described = self.described = read_dataset(root)
        self.rows = {row.key: row for row in read_manifest(root / MANIFEST)}
        self.classes: list[str] = list(described["classes"])
        """Names by class id, background first; of the channels in multi-label."""
        self.size: tuple[int, int] = (described["size"][0], described["size"][1])
        """Height and width."""
        self.splits = {split: int(facts["samples"]) for split, facts in described["splits"].items()}
        """Samples by split."""
        self.multilabel: bool = described["label_mode"] == "multilabel"
        """Whether each class has a channel of its own."""
        self.has_png: bool = "image.png" in described["members"]
        """Whether images are stored as PNG, and not as npy."""
        self.is_native: bool = described.get("eval_size") == "native"
        """Whether samples that are evaluated on have their own size."""
        form = int(described["channels"]), str(described["dtype"]), str(described["intensity"]["kind"])
        self.shape = Shape(str(root), *form, len(self.classes), multilabel=self.multilabel)
        """What its images have in common."""

    @cached_property
    def sources(self) -> dict[str, SourceRecord]:
        """What is known of each source by its id; empty where the dataset was moved without its state."""
        return {record.id: record for record in kept_sources(self.root)}


@dataclass(frozen=True)
class Sample:
    """A sample as exporters take it."""

    key: str
    """Unique in the export: of a fold it has a prefix."""
    fold: int | None
    """Number of the output among those of the folds."""
    row: ManifestRow
    image_bytes: bytes
    """The PNG or npy file of the image, as it is stored."""
    image: arrays.Image
    """(H, W, C) uint8, uint16 or float32."""
    mask: arrays.Mask
    """(H, W) uint8; class ids, 255 = ignore; of multi-label 1 + the last channel."""
    soft: SoftLabel
    """(C, H, W) float16."""

    @property
    def split(self) -> str:
        """Split of the sample."""
        return self.row.split

    def provenance(self) -> dict[str, Any]:
        """Return what is known of how it was made, as plain JSON values; the key is that of the export."""
        return {**self.row.provenance(), "key": self.key}


@dataclass(frozen=True)
class Options:
    """What a user may choose of an export; a kind takes what it needs."""

    name: str | None = None
    """Of the exported dataset; none: that of the output."""
    dataset_id: int = 501
    side: int = 1024
    """Of square images in pixels."""
    boxes: str = "class"
    """What has a number of its own in medsam, so that a box is drawn around it: a class, or each area (component)."""
    one_tree: bool = False
    """Whether perclass keeps all splits in one tree."""


class Exporter(Protocol):
    """Writes the samples of one export into a folder that is empty at first."""

    @property
    def guide(self) -> str:
        """For README.txt: the layout, how its reader is pointed at it, and what to mind."""
        ...

    def add(self, sample: Sample) -> str | None:
        """Take a sample; a reason is returned where the reader could not use it and it is left out."""
        ...

    def finish(self) -> list[str]:
        """Write what remains; return what the user should know."""
        ...


@dataclass(frozen=True)
class Export:
    """The layout of another trainer.

    Its module is named ``KIND_export`` and holds one as ``EXPORT``; the first line of the module's docstring says what
    it is.
    """

    make: Callable[[Path, Dataset, Options], Exporter]
    """Makes the `Exporter` from folder, dataset and options; an ``OutputError`` states what the format cannot hold."""
    takes_folds: bool = False
    """Whether the folds of an output make one export, made from the first of them; else it is given one dataset."""
    check: Callable[[Shape, str], None] = lambda _shape, _kind: None
    """Raises an ``OutputError`` where a layout, by its name, cannot hold such images; called before `make`."""
    sample_bytes: Callable[[Options], int] = lambda _: 0
    """Returns the bytes of a sample where they are far more than those of the dataset, else 0."""


@dataclass
class DatasetExporter:
    """What the exporters have in common."""

    folder: Path
    dataset: Dataset
    options: Options
    n_ignoring: int = field(default=0, init=False)
    """Samples with ignored pixels, in a layout that cannot mark them."""

    def __post_init__(self) -> None:
        """Make what an exporter needs besides."""

    def _without_ignored(self, mask: arrays.Mask) -> arrays.Mask:
        """Return a mask whose ignored pixels are background, and count it if it has any."""
        ignored = mask == IGNORE
        self.n_ignoring += bool(ignored.any())
        return np.where(ignored, np.uint8(0), mask)

    def _notes(self, place: str) -> list[str]:
        """Return what the user should know of ignored pixels in a place that cannot mark them."""
        if not self.n_ignoring:
            return []
        return [f"{self.n_ignoring} samples have ignored pixels, which this layout cannot mark: {place} 0 there"]


def samples_of(dataset: Dataset, *, fold: int | None = None) -> Iterator[Sample]:
    """Yield the samples of a dataset in the order of its shards, each checked against the manifest.

    Raises OutputError if a file or an image does not match its checksum, or a sample is missing or there twice.
    """
    form = best_format(dataset.described["formats"])
    files = dataset.described["formats"][form]
    left = dict(dataset.rows)
    for file in files:
        path = dataset.root / file["path"]
        if not matches(FileRecord(file["path"], file["bytes"], file["sha256"]), dataset.root):
            raise OutputError(f"{path} is missing or does not match its size and checksum; run the same command again")
        for stored in format_of(form).in_order(dataset.root, file["path"], dataset.described):
            row = left.pop(stored.key, None)
            if row is None or sha256_of(stored.image) != row.sha256:
                raise OutputError(f"{path}: image of sample {stored.key} is not in {MANIFEST}; see hsmix-gen verify")
            with naming_sample(path, stored.key):
                image, mask, soft = (decoded(part, stored.members, dataset.described) for part in PARTS)
            yield Sample(stored.key, fold, row, stored.image, image.transpose(1, 2, 0), mask, soft)
    if left:
        raise OutputError(f"{dataset.root} lacks {len(left)} samples of {MANIFEST}, first {min(left)}; run it again")


def unit_image(image: arrays.Image, shape: Shape) -> npt.NDArray[np.float32]:
    """Return an image as float32 in [0, 1]; of a z-score the 4 deviations to either side of 0 are spread over it."""
    if shape.dtype in _WHITE:
        return image.astype(np.float32) / np.float32(_WHITE[shape.dtype])
    spread = (image / np.float32(ZSCORE_LIMIT) + 1) / 2 if shape.intensity == "zscore" else image
    return np.clip(spread, 0, 1).astype(np.float32)


def check_pictures(shape: Shape, kind: str) -> None:
    """Refuse images that are no 8-bit grey or RGB pictures."""
    if shape.dtype == "uint8" and shape.channels in (1, 3):
        return
    ways = [] if shape.channels in (1, 3) else [shape.way_to(1, 3)]
    if shape.dtype != "uint8":
        ways.append(f"make it with --dtype uint8{' --intensity percentile' if _has_no_unit(shape) else ''}")
    raise OutputError(
        f"{kind} holds 8-bit grey or RGB pictures, {shape.name} has {counted(shape.channels, 'channel')} of "
        f"{shape.dtype}; {' and '.join(ways)}"
    )


def check_unit_image(shape: Shape, kind: str, *channels: int) -> None:
    """Refuse images of other numbers of channels, or whose numbers have no white, so that [0, 1] means nothing."""
    if shape.channels not in channels:
        holds = {(1,): "images of 1 channel", (1, 3): "grey or RGB images"}[channels]
        has = f"{shape.channels}" if channels == (1,) else counted(shape.channels, "channel")
        raise OutputError(f"{kind} holds {holds}, {shape.name} has {has}; {shape.way_to(*channels)}")
    if _has_no_unit(shape):
        raise OutputError(
            f"{kind} wants images in 0 to 1, {shape.name} holds float32 as they were; make it with --intensity "
            "percentile, or --intensity window --window LOW HIGH"
        )


def _has_no_unit(shape: Shape) -> bool:
    return shape.dtype == "float32" and shape.intensity == "none"


def write(path: Path, data: bytes) -> None:
    """Write a file of an export and, where it is the first one there, its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
