"""Records that travel between the stages of a run; each is plain, frozen and small."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Split = Literal["train", "val", "test"]
Mode = Literal["none", "hard", "soft"]

SPLITS: tuple[Split, ...] = ("train", "val", "test")
MODES: tuple[Mode, ...] = ("none", "hard", "soft")
IGNORE = 255
"""Value of pixels in a mask that belong to no class and are left out of losses and counts."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A source or sample that is left out, and why."""

    id: str
    path: str
    stage: str
    reason: str


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One image with its mask, as a reader found them; nothing has been decoded yet."""

    id: str
    image: str
    mask: str
    group: str | None = None
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What one look at the files of an item tells; `problem` is set if it cannot be used."""

    id: str
    image_sha256: str = ""
    mask_sha256: str = ""
    height: int = 0
    width: int = 0
    channels: int = 0
    bits: int = 0
    mask_counts: tuple[tuple[int, int], ...] = ()
    """(value in the mask file, pixels) in rising order of value."""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """Row of ``sources.parquet``; row i describes row i of every array in the cache."""

    id: str
    group: str
    split: Split
    fold: int | None
    image: str
    mask: str
    image_sha256: str
    mask_sha256: str
    height: int
    width: int
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """What one sample of the output will be, decided before any work."""

    key: str
    split: Split
    mode: Mode
    row_a: int
    row_b: int | None
    seed: int
    """Key of the sample's generator; the hard and soft sample of a pair share it."""
    shard: str
    index: int


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """Row of ``manifest.parquet``: one sample, where it lies and how it came about."""

    key: str
    split: str
    fold: int | None
    mode: str
    source_a: str
    source_b: str | None
    group_a: str
    group_b: str | None
    variant_a: int | None
    variant_b: int | None
    transform_a: int
    transform_b: int | None
    seed: int
    select_p: float | None
    area_b: float
    lambda_min: float | None
    lambda_mean: float | None
    lambda_max: float | None
    regions: int | None
    flags: tuple[str, ...]
    shard: str
    index: int
    bytes: int
    sha256: str

    def provenance(self) -> dict[str, Any]:
        """Return what is stored inside the sample: all but its place and checksum, which are known later."""
        row = asdict(self)
        for name in ("shard", "index", "bytes", "sha256"):
            del row[name]
        row["flags"] = list(self.flags)
        return row


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A published file: its path relative to the dataset or cache, size and checksum."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """A finished shard in all of its formats, with the manifest rows of its samples."""

    name: str
    split: str
    files: tuple[FileRecord, ...]
    rows: tuple[ManifestRow, ...]


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A finished block of one layer of the cache; rows that failed carry their reason."""

    layer: str
    block: int
    files: tuple[FileRecord, ...]
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What all standardised images of a source have in common."""

    size: tuple[int, int]
    channels: int
    dtype: str
    classes: tuple[str, ...]
    mask_values: tuple[tuple[int, int], ...]
    """(value in mask files, class id) in rising order of value."""

    @property
    def n_classes(self) -> int:
        """Number of classes, background included."""
        return len(self.classes)
