"""Images, volumes and masks in npy, npz and HDF5 files (format ``array``).

A content's key is ``NAME``, ``NAME;axes=AXES`` or ``NAME;axes=AXES;plane=NUMBER``. NAME is the member of an npz or the
path of an HDF5 dataset, empty for the only array of a file. AXES has one letter for each axis, out of ``z`` (slices of
a volume), ``y``, ``x`` and ``c`` (channels): ``label;axes=zyx``. Readers that know both shapes of a pair name the axes;
where nobody does, two axes are ``yx``, and of three an image has channels last (at most 16) or first (at most 4) if
they are fewer than both other sides, and slices first otherwise; a mask follows its image. NUMBER names one picture of
a stack, counted from 0.
"""

import math
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.decoders.array_containers import ArrayForm, OpenArray, open_array
from hsmix_gen.pipeline.decoders.refusal_errors import refusing
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions, Stack, check_plane, is_small, small_labels
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content

MAX_CHANNELS = 16
_MAX_FIRST_CHANNELS = 4
_KEPT_STACKS = 2
"""A stack of images and one of masks, from which many pictures are taken in turn."""
_KEY = re.compile(r"(?P<name>.*?)(?:;axes=(?P<axes>[zyxc]{2,4})(?:;plane=(?P<plane>\d+))?)?", re.DOTALL)
_AXES_SHOWN = {"z": "slices", "y": "rows", "x": "columns", "c": "channels"}

_Shape = tuple[int, ...]


def open_image(content: Content, how: ReadOptions) -> Stack:
    """Return an image or a volume, (Z, H, W, C); floats as float32, other types as they are.

    Raises
    ------
    SourceError
        If the file is damaged, too large, has no such array, or values that are not finite.
    """
    path = Path(content.paths[0])
    with refusing(path):
        values, axes = _read(path, content.key, "--image-key", _image_axes, how)
        planes = _ordered(_as_pixels(values), axes)
    return ArrayStack(planes, is_volume="z" in axes)


def open_mask(content: Content, image: Stack, how: ReadOptions) -> Stack:
    """Return a mask, (Z, H, W), in the smallest unsigned integers that hold its values.

    Raises
    ------
    SourceError
        If the file is damaged, too large, has no such array, one channel per class, or values that are no labels.
    """
    path = Path(content.paths[0])
    take = _read_labels if how.threshold is None else None
    with refusing(path):
        values, axes = _read(path, content.key, "--mask-key", lambda shape: _mask_axes(shape, image), how, take)
        if "c" in axes and values.shape[axes.index("c")] > 1:
            raise SourceError(_one_hot(values.shape))
    return ArrayStack(_ordered(small_labels(values, str(path), how), axes)[..., 0], is_volume="z" in axes)


def array_key(name: str, axes: str = "", plane: int | None = None) -> str:
    """Return the key of a content for an array, its axes and one picture in it; ``yx`` goes without saying."""
    picture = "" if plane is None else f";plane={plane}"
    return name if axes in ("", "yx") else f"{name};axes={axes}{picture}"


def axes_of(key: str) -> str:
    """Return the axes that a key names; empty where it goes without saying."""
    match = _KEY.fullmatch(key)
    return (match["axes"] or "") if match else ""


def is_picture(key: str) -> bool:
    """Return whether a key names one picture of a stack."""
    match = _KEY.fullmatch(key)
    return match is not None and match["plane"] is not None


def pair_axes(image: _Shape, mask: _Shape) -> tuple[str, str]:
    """Return the axes of an image and its mask; the mask decides: (H, W) is a picture, (Z, H, W) a volume.

    Volumes have slices first, or last where only the first two sides are equal. The image may have channels, at most
    16, before or behind the axes of the mask, or behind the slices; the mask may have a channel of length 1.

    Raises
    ------
    SourceError
        If the shapes do not belong together, or the mask has one channel per class; the text names no file.
    """
    for axes in _possible_mask_axes(mask):
        sides = tuple(size for size, axis in zip(mask, axes, strict=True) if axis != "c")
        found = _axes_beside(image, axes.replace("c", ""), sides)
        if found:
            return found, axes
    # More planes than an image has channels in front are slices, of which the mask has another number.
    slices = len(image) == len(mask) > 2 and image[1:] == mask[1:] and image[0] > _MAX_FIRST_CHANNELS
    beside = (_axes_beside(image, plain, rest) for rest in (mask[:-1], mask[1:]) for plain in ("yx", "zyx"))
    one_hot = not slices and any(beside)
    if one_hot or (image == mask and len(mask) > 2):
        raise SourceError(_one_hot(mask))
    raise SourceError(f"image has the shape {image}, its mask {mask}; export the mask at the size of the image")


def _possible_mask_axes(shape: _Shape) -> list[str]:
    if len(shape) == 2:
        return ["yx"]
    if len(shape) == 3:
        # A lone channel comes before a lone slice: tensors of pictures are saved so.
        lone = [axes for axes, size in (("cyx", shape[0]), ("yxc", shape[2])) if size == 1]
        return lone + ([] if _has_channels_last(shape) else [_volume_axes(shape)])
    if len(shape) == 4:
        return [axes for axes, size in (("czyx", shape[0]), ("zyxc", shape[3]), ("zcyx", shape[1])) if size == 1]
    return []


def _axes_beside(image: _Shape, plain: str, sides: _Shape) -> str:
    """Return the axes of an image of which `sides` are those named by `plain`; empty if it does not fit."""
    if len(plain) != len(sides):
        return ""
    if image == sides:
        return plain
    if len(image) != len(sides) + 1:
        return ""
    for position in (len(sides), 0, 1):
        rest = image[:position] + image[position + 1 :]
        if rest == sides and image[position] <= MAX_CHANNELS:
            return plain[:position] + "c" + plain[position:]
    return ""


def _volume_axes(shape: _Shape) -> str:
    return "yxz" if shape[0] == shape[1] != shape[2] else "zyx"


def _has_channels_last(shape: _Shape) -> bool:
    return shape[2] <= MAX_CHANNELS and shape[2] < min(shape[:2])


def _one_hot(shape: _Shape) -> str:
    return (
        f"mask has the shape {shape}, one channel per class; save class numbers instead, as numpy.argmax gives them "
        "(volumes: slices first)"
    )


def _image_axes(shape: _Shape) -> str:
    if len(shape) == 2:
        return "yx"
    if len(shape) == 3:
        if _has_channels_last(shape):
            return "yxc"
        first_few = shape[0] <= _MAX_FIRST_CHANNELS and shape[0] < min(shape[1:])
        return "cyx" if first_few else _volume_axes(shape)
    raise SourceError(f"has the shape {shape}, expected (H, W), (H, W, C), (C, H, W) or (Z, H, W); save it so")


def _mask_axes(shape: _Shape, image: Stack) -> str:
    if not image.is_volume:
        return pair_axes(image.size, shape)[1]
    sides = (image.n_planes, *image.size)
    if len(shape) == 3:
        return "yxz" if shape != sides == (shape[2], *shape[:2]) else "zyx"
    return pair_axes(sides, shape)[1]


def _read(
    path: Path,
    key: str,
    option: str,
    guess: Callable[[_Shape], str],
    how: ReadOptions,
    take: Callable[[OpenArray], npt.NDArray[Any]] | None = None,
) -> tuple[npt.NDArray[Any], str]:
    """Return the values that a key names, and their axes."""
    match = _KEY.fullmatch(key)
    assert match is not None  # any text is a name
    with open_array(path, match["name"], option) as array:
        axes = match["axes"] or guess(array.form.shape)
        _check_form(array.form, axes)
        _check_bounds(array.form.shape, array.step, axes, how)
        if not match["plane"]:
            return take(array) if take else array.read(), axes
        axis, number = axes.index("z"), int(match["plane"])
        if number >= array.form.shape[axis]:
            raise SourceError(f"has {array.form.shape[axis]} pictures, lacks number {number}; it was changed meanwhile")
        if axis == 0 and array.row is not None:
            return array.row(number), axes.replace("z", "")
    status = path.stat()
    whole = _read_stack(path, (status.st_mtime_ns, status.st_size), match["name"], option)
    return whole.take(number, axis), axes.replace("z", "")


@lru_cache(maxsize=_KEPT_STACKS)
def _read_stack(path: Path, _version: tuple[int, int], name: str, option: str) -> npt.NDArray[Any]:
    """Return a whole stack, of which the next pictures are taken: what is compressed is read from its begin."""
    with open_array(path, name, option) as array:
        return array.read()


def _check_form(form: ArrayForm, axes: str) -> None:
    if form.dtype.kind not in "biuf":
        what = "Python objects, which are never unpickled" if form.dtype.hasobject else f"type {form.dtype}"
        raise SourceError(f"holds {what}; save it as numbers")
    if len(form.shape) != len(axes):
        shown = ", ".join(_AXES_SHOWN.get(axis, axis) for axis in axes)
        raise SourceError(f"has the shape {form.shape}, expected {len(axes)} axes ({shown}); save it so")
    if min(form.shape) < 1:
        raise SourceError(f"has the shape {form.shape}, there are no pixels; save it again")


def _check_bounds(shape: _Shape, step: int, axes: str, how: ReadOptions) -> None:
    sides = dict(zip(axes, shape, strict=True))
    if sides.get("c", 1) > MAX_CHANNELS:
        raise SourceError(f"has {sides['c']} channels, at most {MAX_CHANNELS} are read; leave some out")
    check_plane(sides["x"], sides["y"], how.max_pixels)
    voxels = max(math.prod(shape), step)
    if voxels > how.max_voxels:
        raise SourceError(
            f"has {voxels} voxels, more than source.max_voxels = {how.max_voxels}; raise it if the file is genuine"
        )


def _as_pixels(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.dtype.kind != "f":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    # What is too large for float32 becomes infinite and is refused below.
    with np.errstate(over="ignore"):
        values = values.astype(np.float32, copy=False)
    # A sum of squares is infinite or NaN if one of them is; it may also be so for finite, enormous ones.
    flat = values.ravel("K")
    if not np.isfinite(np.vdot(flat, flat)):
        finite = np.isfinite(values)
        if not finite.all():
            bad = values.size - np.count_nonzero(finite)
            raise SourceError(f"has {bad} NaN or infinite pixels (as float32); replace them")
    return values


def _read_labels(array: OpenArray) -> npt.NDArray[Any]:
    """Return labels as uint8 if all are whole and below 256, piece by piece; else the values as they are."""
    if array.pieces is not None and array.form.dtype != np.uint8:
        labels = np.empty(array.form.shape, np.uint8)
        if all(is_small(values, labels[rows]) for rows, values in array.pieces()):
            return labels
    return array.read()


def _ordered(values: npt.NDArray[Any], axes: str) -> npt.NDArray[Any]:
    """Return an array as (Z, Y, X, C); axes that it lacks have length 1."""
    wanted = "zyxc"
    turned = values.transpose([axes.index(axis) for axis in wanted if axis in axes])
    lacking = tuple(position for position, axis in enumerate(wanted) if axis not in axes)
    return np.ascontiguousarray(np.expand_dims(turned, lacking))
