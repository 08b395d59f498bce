"""Picture files as stacks of one plane: images, and masks that lie in one file, several, or colours.

It decodes the formats ``picture``, ``union``, ``classes`` and ``colours`` of ``schemas.records.Content``.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.decoders import picture_codec
from hsmix_gen.pipeline.decoders.refusal_errors import refusing
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions, Stack, labels_of
from hsmix_gen.schemas.digests import sha256_of
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content

MAX_CLASSES = 62
"""Most foreground classes of one mask a class: their bits have to fit an integer of 64 bits."""
_WHITE = 255


class PictureStack(Stack):
    """An image file of any usual format, in memory; it is decoded when its plane is asked for.

    Errors call it by its `name`. Raises SourceError if its header cannot be read or states more pixels than
    `how.max_pixels`.
    """

    def __init__(self, data: bytes, name: str, how: ReadOptions) -> None:
        self._data = data
        self._name = name
        with refusing(name):
            header, self._opened = picture_codec.open_picture(data, max_pixels=how.max_pixels)
        self.size = header.height, header.width  # upright
        self.channels = header.channels
        # Other channels of a TIFF are numbers with a meaning.
        self.is_picture = header.channels in (1, 3)
        self.orientation = header.orientation
        self.dtype = np.dtype(np.uint16 if header.bits > 8 else np.uint8)

    def plane(self, index: int) -> npt.NDArray[Any]:
        """Return the pixels, (H, W, C) uint8 or uint16."""
        assert index == 0
        with refusing(self._name):
            opened, self._opened = self._opened, None
            return picture_codec.decode_image(self._data, opened)

    def digest(self, index: int) -> str:  # noqa: ARG002 - there is one plane
        """Return the sha256 of the file."""
        return sha256_of(self._data)


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
    if content.format in ("union", "classes"):
        return _joined(content, how)
    (path,) = content.paths
    data = _file(path)
    return colours_of(data, path, how) if content.format == "colours" else mask_of(data, path, how)


def mask_of(data: bytes, name: str, how: ReadOptions) -> ArrayStack:
    """Return the mask in a picture file with its values as they are stored; of lossy files their levels.

    Errors call it by its `name`. Raises SourceError if it is damaged, coloured, holds no whole numbers, is lossy and
    not of a few levels, or has more pixels than `how.max_pixels`.
    """
    values, orientation = _values(data, name, how)
    palette = picture_codec.palette_of(data) if how.threshold is None else ()
    return replace(mask_of_file(values, data, orientation), palette=palette)


def colours_of(data: bytes, name: str, how: ReadOptions) -> ArrayStack:
    """Return the colours in a picture file as numbers, red * 65536 + green * 256 + blue; parameters as `mask_of`."""
    with refusing(name):
        header, _ = picture_codec.open_picture(data, max_pixels=how.max_pixels)
        return mask_of_file(picture_codec.decode_colours(data), data, header.orientation)


def mask_of_file(values: npt.NDArray[Any], data: bytes, orientation: int = 1) -> ArrayStack:
    """Return the (H, W) values of a mask file, which is digested only when that is asked for, as it takes time.

    `orientation` is that by which they were turned upright, 1 to 8 as in EXIF.
    """
    return ArrayStack(values[None], of_files=lambda: sha256_of(data), orientation=orientation)


def _joined(content: Content, how: ReadOptions) -> ArrayStack:
    """Return several files as one mask: 1 where any is not 0 (``union``), or a bit for each (``classes``).

    Of classes it is the sum of 2**k over the files k that are not 0 at a pixel; an empty path is a class without
    pixels.
    """
    has_bits, n_masks = content.format == "classes", len(content.paths)
    if has_bits and n_masks > MAX_CLASSES:
        first = next(path for path in content.paths if path)
        raise SourceError(f"{first} is one of {n_masks} masks of one image, at most {MAX_CLASSES} are taken")
    dtype = np.min_scalar_type(2**n_masks - 1 if has_bits else 1)
    mask: npt.NDArray[Any] | None = None
    digests = []
    for number, path in enumerate(content.paths):
        data = _file(path) if path else b""
        digests.append(sha256_of(data))
        if not path:
            continue
        values, orientation = _values(data, path, how)
        covered = _covered(values, data, path, how)
        if mask is None:
            mask = np.zeros(covered.shape, dtype)
        if covered.shape != mask.shape:
            raise SourceError(
                f"{path} is {covered.shape[1]} x {covered.shape[0]}, the masks beside it {mask.shape[1]} x "
                f"{mask.shape[0]}; export all masks of an image at its size"
            )
        mask |= covered.astype(dtype) << dtype.type(number if has_bits else 0)
    assert mask is not None
    joint = digests[0] if len(digests) == 1 else sha256_of("\n".join(digests).encode())
    return ArrayStack(mask[None], of_files=lambda: joint, orientation=orientation)


def _values(data: bytes, name: str, how: ReadOptions) -> tuple[npt.NDArray[Any], int]:
    """Return the values of a mask file, and the orientation by which they were turned upright."""
    with refusing(name):
        header, opened = picture_codec.open_picture(data, max_pixels=how.max_pixels, any_type=True)
        decode = picture_codec.decode_mask if how.threshold is None else picture_codec.decode_brightness
        stored = decode(data, opened)
    return labels_of(stored, name, how), header.orientation


def _covered(values: npt.NDArray[Any], data: bytes, name: str, how: ReadOptions) -> npt.NDArray[np.bool_]:
    """Return where the mask of one object or class is: not 0, or of a palette not black if black is used."""
    palette = picture_codec.palette_of(data) if how.threshold is None else ()
    if not palette:
        # Soft edges would add a rim to what is covered; where most is not white, values number objects.
        white = np.count_nonzero(values == _WHITE)
        if white and values.max() == _WHITE and white < np.count_nonzero(values) <= 2 * white:
            raise SourceError(f"{name} has greys between 0 and 255, expected two values; cut it with --threshold 128")
        return values.astype(np.bool_)
    black = [index for index in np.unique(values).tolist() if index < len(palette) and palette[index] == 0]
    # Where several indices are black the palette says nothing.
    return np.asarray(values != (black[0] if len(black) == 1 else 0))


def _file(path: str) -> bytes:
    with refusing(path):
        return picture_codec.read_bytes(Path(path))
