"""Headers of DICOM files: places, sizes and stored frames, with damage stated in words and sizes checked first."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from warnings import catch_warnings, simplefilter

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.utils import iter_pixels, pixel_array
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from hsmix_gen.pipeline.decoders.dicom_codecs import PLUGIN, coded_size, is_available
from hsmix_gen.pipeline.decoders.geometry.dicom_geometry import PlanePosition
from hsmix_gen.pipeline.decoders.refusal_errors import Reasons, first_bytes, refusing
from hsmix_gen.pipeline.decoders.stack import ReadOptions, check_plane
from hsmix_gen.schemas.errors import SourceError

_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_GROUPS_PER_FRAME, _SHARED_GROUPS = Tag("PerFrameFunctionalGroupsSequence"), Tag("SharedFunctionalGroupsSequence")
_EMPTY = Dataset()
_STRANGE: Reasons = {InvalidDicomError: "is no DICOM file; remove it or store it with its header"}
_UNCOMPRESS = "store it uncompressed, for example with `gdcmconv --raw`"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever pydicom and its decoders raise for a damaged file into a refusal that begins with its path."""
    # pydicom warns of each value that breaks the standard; what matters is checked here.
    with refusing(path, reasons=_STRANGE), catch_warnings():
        simplefilter("ignore")
        yield


def read_dataset(path: Path) -> Dataset:
    """Return a file with its pixels still encoded."""
    check_form(path)
    return dcmread(path)


def check_form(path: Path) -> None:
    """Refuse what is no DICOM file, and deflated ones: pydicom inflates them without a bound."""
    head = first_bytes(path, 1024)
    if head[128:132] != b"DICM":
        raise InvalidDicomError
    # The syntax stands in the first kilobyte, unless somebody hides it.
    known = b"\x02\x00\x10\x00UI" in head
    deflated = DeflatedExplicitVRLittleEndian.encode()
    if deflated in (head if known else read_file_meta_info(path).TransferSyntaxUID.encode()):
        raise SourceError(f"is deflated, which is not read; {_UNCOMPRESS}")


def frame_count(dataset: Dataset, file_bytes: int) -> int:
    """Return the number of frames, checked against the size of the file."""
    count = int(dataset.get("NumberOfFrames") or 1)
    if not 1 <= count <= file_bytes:
        raise SourceError(f"has {count} frames in {file_bytes} bytes; copy it again")
    return count


def functional_group(dataset: Dataset, frame: int, name: str) -> Dataset:
    """Return a functional group of a multi-frame file, of the frame itself or shared by all; empty if absent."""
    for groups, index in ((_GROUPS_PER_FRAME, frame), (_SHARED_GROUPS, 0)):
        if groups not in dataset:
            continue
        items = dataset[groups].value or []
        found = items[index].get(name) if index < len(items) else None
        if found:
            return cast(Dataset, found[0])
    return _EMPTY


def place_of(dataset: Dataset, frame: int, *, lone: bool) -> PlanePosition:
    """Return where a frame lies; `lone` = the file has no other, so its header may state it as well."""
    fallback = dataset if lone else _EMPTY
    position = functional_group(dataset, frame, "PlanePositionSequence") or fallback
    directions = functional_group(dataset, frame, "PlaneOrientationSequence") or fallback
    point = numbers_of(position, "ImagePositionPatient", 3)
    vectors = numbers_of(directions, "ImageOrientationPatient", 6)
    number = int(dataset.get("InstanceNumber") or 0)
    return PlanePosition(point, None if vectors is None else vectors.reshape(2, 3), number if lone else frame)


def spacing_of(dataset: Dataset, frame: int = 0) -> tuple[float, float] | None:
    """Return the millimetres between rows and between columns."""
    for source in (functional_group(dataset, frame, "PixelMeasuresSequence"), dataset):
        for name in _SPACINGS:
            found = numbers_of(source, name, 2)
            if found is not None:
                if found.min() <= 0:
                    raise SourceError(f"has the {name} {found.tolist()}, expected millimetres above 0; export it again")
                return float(found[0]), float(found[1])
    return None


def stored_frames(dataset: Dataset, frames: int) -> Iterator[npt.NDArray[Any]]:
    """Yield the frames as they are stored, (H, W) or (H, W, 3); colours as RGB."""
    syntax = dataset.file_meta.TransferSyntaxUID
    plugin = ""
    if syntax.is_compressed and syntax != RLELossless:  # pydicom itself expands run lengths; they claim no size
        if not is_available(syntax):
            raise SourceError(f"is stored as {syntax.name}, which cannot be decoded; {_UNCOMPRESS}")
        _check_codestreams(dataset, frames)
        plugin = PLUGIN
    if frames == 1:
        yield pixel_array(dataset, decoding_plugin=plugin)
    else:
        yield from iter_pixels(dataset, decoding_plugin=plugin)


def check_size(dataset: Dataset, how: ReadOptions) -> None:
    """Refuse files without pixels and planes that are too large to be decoded."""
    if not any(name in dataset for name in PIXELS) or not dataset.get("Rows") or not dataset.get("Columns"):
        kind = dataset.get("SOPClassUID")
        raise SourceError(
            f"holds no pixels ({kind.name if kind else 'unknown kind'}); give the files of an image series"
        )
    check_plane(int(dataset.Columns), int(dataset.Rows), how.max_pixels)


def thickness_of(dataset: Dataset) -> float:
    """Return the millimetres from plane to plane as the header has it; 1 if it states nothing."""
    measures = functional_group(dataset, 0, "PixelMeasuresSequence") or dataset
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        found = numbers_of(measures, name, 1)
        if found is not None and found[0] > 0:
            return float(found[0])
    return 1.0


def numbers_of(dataset: Dataset, name: str, count: int) -> npt.NDArray[np.float64] | None:
    """Return finite numbers of a header; None if absent or empty."""
    try:
        value = dataset.get(name)
        if value is None or (isinstance(value, str) and not value.strip()) or (hasattr(value, "__len__") and not value):
            return None
        numbers = np.atleast_1d(np.array(value, np.float64))
    except (TypeError, ValueError, OverflowError):
        stored = dataset.get_item(name)
        raise SourceError(f"has the {name} {_text(stored):.60}, expected {count} number(s); correct it") from None
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise SourceError(f"has the {name} {numbers.tolist()}, expected {count} finite numbers; export it again")
    return numbers


def _text(stored: Any) -> str:
    """Return the value of an element as its file has it."""
    value = getattr(stored, "value", "")
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip()
    return str(value) if isinstance(value, str) else "\\".join(map(str, value))


def _check_codestreams(dataset: Dataset, frames: int) -> None:
    """Refuse compressed frames that claim another size than the header, before they are decoded."""
    expected = int(dataset.Rows), int(dataset.Columns)
    for data in generate_frames(dataset.PixelData, number_of_frames=frames):
        coded = coded_size(data)
        if coded is not None and coded != expected:
            raise SourceError(
                f"is coded as {coded[1]} x {coded[0]} pixels, its header says {expected[1]} x {expected[0]}; "
                "copy it again"
            )
