"""Records that travel between the stages of a run; each is plain, frozen and small."""

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from hsmix_gen.schemas.errors import one_line

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Split = Literal["train", "val", "test"]
Mode = Literal["none", "hard", "soft"]
_Record = TypeVar("_Record")

SPLITS: tuple[Split, ...] = ("train", "val", "test")
MODES: tuple[Mode, ...] = ("none", "hard", "soft")
IGNORE = 255
"""Value of pixels in a mask that belong to no class and are left out of losses and counts."""
LEFT_OUT = "left out: "
"""How the refusal of an image begins that belongs to a prepared cache and not to the part of it that was chosen."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A source or sample that is left out, and why."""

    id: str
    path: str
    stage: str
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", one_line(self.reason))


@dataclass(frozen=True, slots=True)
class Content:
    """Where the pixels of one side of an item lie, image or mask, and what decodes them."""

    format: str
    """Name of the decoder, registered in ``pipeline.decoders.registry`` (``picture``, ``nifti``, ``array`` and so
    on)."""
    paths: tuple[str, ...]
    """Files, in the order of the channels, modalities or classes; an empty text stands for an absent file."""
    key: str = ""
    """What is meant inside the files: an array's name, a row, a member, an image's number; as its format reads it."""
    body: str = ""
    """File of the mask of the body or brain; outside of it an image is background. Empty: there is none."""

    @property
    def uri(self) -> str:
        """How people and tables name it: the first file, and what is meant inside."""
        first = next((path for path in self.paths if path), "")
        return f"{first}#{self.key}" if self.key else first


def picture(path: str) -> Content:
    """Return the content of a single picture file."""
    return Content("picture", (path,))


def without_names(text: str, names: Iterable[str], stand_in: str) -> str:
    """Return a text in which something stands for names, the longest first, but not for parts of other words."""
    longest_first = sorted(filter(None, names), key=len, reverse=True)
    pattern = "|".join(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])" for name in longest_first)
    return re.sub(pattern, stand_in, text) if pattern else text


@dataclass(frozen=True, slots=True)
class SourceItem:
    """A picture or a volume with its mask, as a reader found it; nothing has been decoded yet.

    `hidden` holds the names that must not be shown, where ids are hashes.
    """

    id: str
    image: Content
    mask: Content
    group: str | None = None
    split: Split | None = None
    hidden: tuple[str, ...] = ()

    def without_hidden(self, text: str) -> str:
        """Return a text about the item; where names are hidden its id stands for them and for its files."""
        if not self.hidden:
            return text
        paths = [path for content in (self.image, self.mask) for path in (*content.paths, content.body) if path]
        return without_names(text, {*self.hidden, *paths, *(PurePath(path).name for path in paths)}, self.id)


@dataclass(frozen=True, slots=True)
class Labelling:
    """What a layout states about its masks; whatever it leaves open is understood from the values themselves."""

    classes: tuple[str, ...] = ()
    """Names by class id, background first."""
    values: tuple[tuple[int, int], ...] = ()
    """Value in mask files and its class id, where classes exclude each other; 255 = ignore."""
    regions: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """For multi-label: name of each channel and the values that belong to it."""
    void: tuple[int, ...] = ()
    """Those values that a table calls void or unlabelled, which may be the background."""
    instances: bool = False
    """Values are numbers of objects: whatever is not 0 is class 1."""
    bits: bool = False
    """Values are sums of 2**k over the foreground classes that hold a pixel (one mask per class): a lone 2**k is class
    k + 1."""


@dataclass(frozen=True, slots=True)
class Part:
    """What of an item makes one image: a plane of its stack, whole or a tile of it."""

    plane: int = 0
    """Index along the slicing axis; 0 for a picture."""
    tile: tuple[int, int, int, int] | None = None
    """Top, left, height and width in pixels."""


@dataclass(frozen=True, slots=True)
class MaskForm:
    """Form of the areas of each value in a mask, where values have to be understood from the files."""

    sides: tuple[int, ...] = ()
    """For each value in rising order: sides of its pixels that touch another value or the end of the mask."""
    outline: int = 0
    """Pixels of 255 that lie in specks and slender parts."""
    areas: int = 0
    """Connected areas of all values above 0; 0 where not counted."""
    around: int = 0
    """Value of nearly all pixels at the end of the mask; 0 also where none is."""
    palette: tuple[tuple[int, int], ...] = ()
    """Value and its colour (red * 65536 + green * 256 + blue) of masks with a palette."""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What one reading of an image shows; `problem` is set if it cannot be used."""

    id: str
    part: Part = Part()
    image_sha256: str = ""
    mask_sha256: str = ""
    height: int = 0
    width: int = 0
    channels: int = 0
    dtype: str = ""
    """Type of the pixels as they are stored: uint8 and uint16 of pictures, int16, float32 and so on of arrays."""
    picture: bool = True
    """Whether it is a picture file, and not an array of numbers with a meaning."""
    volume: bool = False
    """Whether it is a plane of a volume."""
    chosen: bool = True
    """Whether it is trained on: slices with too little foreground, or between those taken, are evaluated on only."""
    whole: bool = True
    """Whether all slices of its volume are read, also those that are not trained on."""
    range: tuple[float, float] = (0.0, 0.0)
    """Least and greatest pixel of arrays; of pictures it is not looked for."""
    zeros: float = 0.0
    """Share of pixels of arrays that are 0 in all channels, or outside of the body where a file states it."""
    body: bool = False
    """Whether a file states where the body is."""
    spacing: tuple[float, ...] | None = None
    """Millimetres between rows, columns and planes."""
    axis: str = ""
    """Axis across which a volume was cut, ``axial``, ``coronal`` or ``sagittal``; empty where nothing says it."""
    unturned: int = 1
    """Orientation, 1 to 8 as in EXIF, by which the image was turned upright and its mask was not."""
    turned: int = 1
    """Orientation by which the mask was turned upright and its image was not, or was by another one."""
    mask_counts: tuple[tuple[int, int], ...] = ()
    """(value in the mask file, pixels) in rising order of value."""
    mask_form: MaskForm = MaskForm()
    object_share: float | None = None
    """Median area of the objects in the mask as a share of the image; None without objects."""
    look: int | None = None
    """Perceptual hash of 64 bits; None for flat images."""
    problem: str | None = None

    @property
    def blank(self) -> bool:
        """Whether it is a plane of a volume on which all pixels are equal."""
        return self.volume and self.range[0] == self.range[1]


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """Row of ``sources.parquet``; row i describes row i of every array in the cache.

    `fold` is the fold in which an image is validated on; as one fold sees the records
    (`pipeline.sources.source_records.of_fold`) it is the number of that fold.
    """

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
    plane: int = 0
    spacing: tuple[float, ...] | None = None
    """Millimetres between rows, columns and, of volumes, planes, as in the file."""
    refusal: str | None = None
    chosen: bool = True
    """Whether it may be trained on; slices of volumes that are not chosen are evaluated on only."""
    blank: bool = False
    """Whether all pixels are equal, as on planes of volumes beside the body: copies of it say nothing of leakage."""
    whole: bool = False
    """Whether all slices of its volume are in the table; not known of caches that earlier versions made."""

    @property
    def content(self) -> str:
        """What images have in common that are copies of each other."""
        return self.id if self.blank or not self.image_sha256 else self.image_sha256

    @property
    def is_left_out(self) -> bool:
        """Whether a part of a prepared cache was chosen, to which this image does not belong; no fault of it."""
        return self.refusal is not None and self.refusal.startswith(LEFT_OUT)


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
    method: str | None = None
    """The mixing method, where there are several to choose from or the manifest names it."""


UNSAID = {"method": "hsmix", "selection": "bernoulli", "scale_b": None}
"""Values that samples do not state: they are as they were when these columns were not known."""


@dataclass(frozen=True)
class Measures:
    """What is measured of a sample when it is mixed; None where it does not apply or an older version made it."""

    pixels_a: tuple[int, ...] | None = None
    pixels_b: tuple[int, ...] | None = None
    """Pixels of each class in the parents; in multi-label of each channel."""
    pixels: tuple[float, ...] | None = None
    """Pixels of each class in the sample: sums of its soft label."""
    fragments: int | None = None
    fragments_before: int | None = None
    """Connected pieces of foreground below ten pixels, in the sample and in both parents together."""
    objects: int | None = None
    cut: int | None = None
    """Larger pieces in both parents, and those that the mix divides (a tenth to nine tenths of one are in the
    sample)."""
    small: int | None = None
    small_cut: int | None = None
    """Objects below four mean regions of the mix, and those of them that are cut."""
    appearance: float | None = None
    """How far the parents' looks are apart, 0 to 1: means and spreads of their channels."""
    contour: float | None = None
    contour_chance: float | None = None
    """Share of the seam that lies on a contour of B's mask or image, and what a seam by chance has."""
    auc_a: float | None = None
    auc_b: float | None = None
    """Area under the ROC curve of the parents' saliency maps against their masks, where maps were read."""
    lambda_std: float | None = None
    """Spread of lambda over the pixels."""


MEASURED = tuple(field.name for field in fields(Measures))
"""Columns of the manifest that hold measures; samples do not carry them, so that their bytes do not depend on them."""
OUTSIDE = ("shard", "index", "bytes", "sha256", *MEASURED, "augment")
"""Columns of the manifest that samples do not hold themselves."""


@dataclass(frozen=True)
class Origin:
    """How a sample came about and where it lies: the first columns of the manifest."""

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
    spacing_a: tuple[float, ...] | None = None
    """Millimetres between rows and columns of parent A as it is stored, before its turn; None where unknown."""
    spacing_b: tuple[float, ...] | None = None
    method: str | None = None
    """The method that mixed it; None where it is unmixed, and in rows of version 1 of the contract."""
    selection: str | None = None
    """How hsmix chose what of B stands in A."""
    scale_b: float | None = None
    """Factor by which B was scaled about its middle, if it was."""


@dataclass(frozen=True, slots=True)
class ManifestRow(Measures, Origin):
    """Row of ``manifest.parquet``: one sample, where it lies and how it came about, what was measured of it."""

    augment: str | None = None
    """What was done to the sample once it was mixed."""

    def provenance(self) -> dict[str, Any]:
        """Return what is stored inside the sample: all but its measures, its place and its checksum.

        Of how it was mixed only what is not said by its absence: hsmix by the Bernoulli draw.
        """
        unsaid = [name for name, value in UNSAID.items() if getattr(self, name) in (None, value)]
        later = {*OUTSIDE, *unsaid}
        stored = {name: value for name, value in columns_of(self).items() if name not in later}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in stored.items()}


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A published file: its path relative to the dataset or cache, size and checksum."""

    path: str
    bytes: int
    sha256: str
    md5: str | None = None
    """Of tar files only, because their wids index names it."""


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """A finished shard in all of its formats, with the rows of its samples; those that failed carry their reason."""

    name: str
    split: str
    files: tuple[FileRecord, ...]
    rows: tuple[ManifestRow, ...]
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A finished block of one layer of the cache; rows that failed carry their reason."""

    layer: str
    block: int
    files: tuple[FileRecord, ...]
    refusals: tuple[Refusal, ...] = ()

    @property
    def name(self) -> str:
        """Where its record lies."""
        return f"{self.layer}/{self.block:06d}"


@dataclass(frozen=True, slots=True)
class Intensity:
    """How the numbers of arrays become stored pixels."""

    kind: Literal["none", "window", "percentile", "zscore"] = "none"
    """``none`` (pictures: values as they are), ``window`` (clip to `bounds`, scale to [0, 1]), ``percentile`` (the same
    with percentiles `bounds` of the volume's own voxels) or ``zscore`` (mean 0, deviation 1)."""
    bounds: tuple[float, float] = (0.0, 0.0)
    """Window in units of the file (HU of CT), or percentiles in 0 to 100."""
    per_channel: bool = True
    """Whether each channel has its own scale, or all have one."""
    background: bool = False
    """Whether voxels of value 0 in all channels, or outside the mask of the body, are background: left out of
    percentiles, mean and deviation, and stored as 0."""


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What all standardised images of a source have in common."""

    size: tuple[int, int]
    channels: int
    dtype: str
    classes: tuple[str, ...]
    """Names by class id, background first; in multi-label the names of the channels, without background."""
    mask_values: tuple[tuple[int, int], ...]
    """(value in mask files, class id) in rising order of value; in multi-label the id is a sum of 2**channel,
    or -1 for ignore."""
    multilabel: bool = False
    instances: bool = False
    intensity: Intensity = Intensity()
    fit: Literal["stretch", "pad", "crop"] = "stretch"
    volumes: bool = False
    """Whether images are planes of volumes."""
    threshold: float | None = None
    """Value in mask files from which on a pixel is class 1, where masks are cut."""

    @property
    def n_classes(self) -> int:
        """Channels of the soft label: the classes with background, or in multi-label without."""
        return len(self.classes)


def columns_of(record: Any) -> dict[str, Any]:
    """Return the fields of a record by name, its values as they are; `asdict` copies them all, which takes a while."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def record_of(kind: type[_Record], value: Any) -> _Record:
    """Return a record, or a list of them, of plain values, as tables and JSON hold them: lists become tuples.

    Raises
    ------
    ValueError
        Naming the first field that is missing or of another type.
    """
    # Imported here, so that stages run with torch and numpy alone, as on a bare machine with a GPU.
    from pydantic import ValidationError

    try:
        return cast(_Record, _adapter(cast(Hashable, kind)).validate_python(value))
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


@cache
def _adapter(kind: Hashable) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    return TypeAdapter(cast(Any, kind))
