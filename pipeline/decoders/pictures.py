"""Picture files as stacks of one plane: images, and masks that lie in one file, several, or colours.

It decodes the formats ``picture``, ``union``, ``classes`` and ``colours`` of ``schemas.records.Content``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.decoders import picture_codec
from hsmix_gen.pipeline.decoders.refusal_errors import refusing
from hsmix_gen.pipeline.decoders.stack import ReadOptions, Stack, whole_numbers
from hsmix_gen.schemas.digests import sha256_of
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content

MAX_CLASSES = 62
"""Most foreground classes of one mask a class: their bits have to fit an integer of 64 bits."""
_WIDTHS = ((8, np.uint8), (16, np.uint16), (32, np.uint32), (MAX_CLASSES, np.uint64))


@dataclass(frozen=True)
class _OnePlane:
    """What pictures and their masks have in common: they lie nowhere in space."""

    @property
    def n_planes(self) -> int:
        """A picture is one plane."""
        return 1

    @property
    def is_picture(self) -> bool:
        """Pixels are those of a picture file."""
        return True

    @property
    def is_volume(self) -> bool:
        """A picture is no volume."""
        return False

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Picture files tell nothing that could be trusted."""
        return None

    @property
    def frame(self) -> npt.NDArray[np.float64] | None:
        """A picture has none."""
        return None

    def body(self, index: int) -> npt.NDArray[np.bool_] | None:
        """Return None: a picture has no mask of the body."""
        _check_index(index)
        return None


class PictureStack(_OnePlane):
    """An image file of any usual format, in memory; it is decoded when its plane is asked for.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        How errors name it.
    how : ReadOptions
        Its `max_pixels` bounds the size.

    Raises
    ------
    SourceError
        If its header cannot be read or tells of too many pixels.
    """

    def __init__(self, data: bytes, name: str, how: ReadOptions) -> None:
        self._data = data
        self._name = name
        with refusing(name):
            self._header, self._opened = picture_codec.open_picture(data, max_pixels=how.max_pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, upright."""
        return self._header.height, self._header.width

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return self._header.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels: uint8 or uint16."""
        return np.dtype(np.uint16 if self._header.bits > 8 else np.uint8)

    def plane(self, index: int) -> npt.NDArray[Any]:
        """Return the pixels, (H, W, 1 or 3) uint8 or uint16."""
        _check_index(index)
        with refusing(self._name):
            opened, self._opened = self._opened, None
            return picture_codec.decode_image(self._data, opened)

    def digest(self, index: int) -> str:
        """Return the sha256 of the file."""
        _check_index(index)
        return sha256_of(self._data)


class MaskStack(_OnePlane):
    """A mask that is decoded.

    Parameters
    ----------
    values : (H, W) whole numbers
    digest : callable
        Returns the digest of the files they come from; to make it may take as long as to decode them.
    """

    def __init__(self, values: npt.NDArray[Any], digest: Callable[[], str]) -> None:
        self._values = values
        self._digest = digest

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self._values.shape[0], self._values.shape[1]

    @property
    def channels(self) -> int:
        """A mask has one channel."""
        return 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self._values.dtype

    def plane(self, index: int) -> npt.NDArray[Any]:
        """Return the values, (H, W) whole numbers."""
        _check_index(index)
        return self._values

    def digest(self, index: int) -> str:
        """Return the sha256 of the file, or over those of several files."""
        _check_index(index)
        return self._digest()


def open_image(content: Content, how: ReadOptions) -> Stack:
    """Open an image file.

    Raises
    ------
    SourceError
        If it cannot be read; the text begins with its path.
    """
    (path,) = content.paths
    return PictureStack(_file(path), path, how)


def open_mask(content: Content, image: Stack, how: ReadOptions) -> Stack:  # noqa: ARG001
    """Open the mask of a picture: one file, one for each object (``union``) or class (``classes``), or colours.

    Raises
    ------
    SourceError
        If a file cannot be read, or files differ in size; the text begins with the path.
    """
    if content.format == "union":
        return _union(content.paths, how)
    if content.format == "classes":
        return _classes(content.paths, how)
    (path,) = content.paths
    data = _file(path)
    return colours_of(data, path, how) if content.format == "colours" else mask_of(data, path, how)


def mask_of(data: bytes, name: str, how: ReadOptions) -> MaskStack:
    """Return the mask in a picture file with its values as they are stored; of lossy files 0 and 255.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        How errors name it.
    how : ReadOptions
        Its `max_pixels` bounds the size.

    Raises
    ------
    SourceError
        If it is damaged, coloured, holds no whole numbers, or is lossy and not of two values.
    """
    return MaskStack(_values(data, name, how), lambda: sha256_of(data))


def colours_of(data: bytes, name: str, how: ReadOptions) -> MaskStack:
    """Return the colours in a picture file as numbers, red * 65536 + green * 256 + blue; parameters as `mask_of`."""
    with refusing(name):
        picture_codec.read_header(data, max_pixels=how.max_pixels)
        return MaskStack(picture_codec.decode_colours(data), lambda: sha256_of(data))


def _union(paths: Sequence[str], how: ReadOptions) -> MaskStack:
    """Return 1 where any file is not 0."""
    joined: npt.NDArray[np.bool_] | None = None
    digests = []
    for path in paths:
        data = _file(path)
        covered = _values(data, path, how) != 0
        if joined is None:
            joined = covered
        else:
            _check_size(path, covered, joined)
            joined |= covered
        digests.append(sha256_of(data))
    assert joined is not None
    return MaskStack(joined.view(np.uint8), lambda: _joint_digest(digests))


def _classes(paths: Sequence[str], how: ReadOptions) -> MaskStack:
    """Return the sum of 2**k over the files k that are not 0 at a pixel; an empty path is a class without pixels."""
    dtype = next((dtype for bits, dtype in _WIDTHS if len(paths) <= bits), None)
    if dtype is None:
        first = next(path for path in paths if path)
        raise SourceError(f"{first} is one of {len(paths)} masks of one image, at most {MAX_CLASSES} are taken")
    summed: npt.NDArray[Any] | None = None
    digests = []
    for number, path in enumerate(paths):
        data = _file(path) if path else b""
        digests.append(sha256_of(data))
        if not path:
            continue
        covered = _values(data, path, how) != 0
        if summed is None:
            summed = np.zeros(covered.shape, dtype)
        _check_size(path, covered, summed)
        summed |= covered.astype(dtype) << dtype(number)
    assert summed is not None
    return MaskStack(summed, lambda: _joint_digest(digests))


def _values(data: bytes, name: str, how: ReadOptions) -> npt.NDArray[Any]:
    with refusing(name):
        _, opened = picture_codec.open_picture(data, max_pixels=how.max_pixels, any_type=True)
        stored = picture_codec.decode_mask(data, opened)
    return whole_numbers(stored, name)


def _file(path: str) -> bytes:
    with refusing(path):
        return picture_codec.read_bytes(Path(path))


def _check_size(path: str, values: npt.NDArray[Any], first: npt.NDArray[Any]) -> None:
    if values.shape != first.shape:
        raise SourceError(
            f"{path} is {values.shape[1]} x {values.shape[0]}, the masks beside it {first.shape[1]} x "
            f"{first.shape[0]}; export all masks of an image at its size"
        )


def _joint_digest(digests: Sequence[str]) -> str:
    return digests[0] if len(digests) == 1 else sha256_of("\n".join(digests).encode())


def _check_index(index: int) -> None:
    if index != 0:
        raise ValueError(f"a picture has plane 0 only, got {index}")
