"""How an image looks as a whole: mean and spread of its channels, and how far two images are apart in them."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.arrays import Image
from hsmix_gen.stages.kernels.compiled import has, native

_STEP = 8
_WHITE = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}


def look_vector(image: Image) -> npt.NDArray[np.float64]:
    """Return means, then standard deviations of the channels, (2 C,) float64, over every eighth row and column.

    Whole numbers are scaled so that white is 1; float32, whose range says nothing, stays as it is.
    """
    return np.array(_look(image))


def look_distance(image_a: Image, image_b: Image) -> float:
    """Return how far two images are apart: the root mean square difference of their channels' means and spreads.

    0 for equal looks, 1 for black and white; of float32 images in units of their own spread.
    """
    a, b = _look(image_a), _look(image_b)
    n_channels = image_a.shape[-1]
    distance = math.sqrt(sum((one - other) * (one - other) for one, other in zip(a, b, strict=True)) / n_channels)
    if image_a.dtype in _WHITE:
        return distance
    spread = sum(a[n_channels:] + b[n_channels:]) / n_channels / 2
    return distance / spread if spread else distance


def moments(values: npt.NDArray[Any], step: int) -> tuple[int, int]:
    """Return the sum of every `step`-th row and column of an (H, W) plane, and the sum of their squares."""
    if values.dtype == np.uint8 and has("moments"):
        return native.moments(values, step)
    some = values[::step, ::step].astype(np.int64).ravel()
    return int(some.sum()), int(some @ some)


def _look(image: Image) -> list[float]:
    white = _WHITE.get(image.dtype)
    planes = [image[..., channel] for channel in range(image.shape[-1])]
    if white is None:
        # Sums along the last axis are many times as fast.
        some = np.stack(planes)[:, ::_STEP, ::_STEP].reshape(len(planes), -1).astype(np.float64)
        mean = some.sum(axis=1) / some.shape[1]
        some -= mean[:, None]
        spread = np.sqrt(np.einsum("cn,cn->c", some, some) / some.shape[1])
        return [*mean.tolist(), *spread.tolist()]
    count = planes[0][::_STEP, ::_STEP].size
    found = [moments(plane, _STEP) for plane in planes]  # whole numbers, so that no order of the sums matters
    means = [total / count / white for total, _ in found]
    return means + [math.sqrt(count * squares - total * total) / count / white for total, squares in found]
