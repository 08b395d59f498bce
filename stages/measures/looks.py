"""How an image looks as a whole: mean and spread of its channels, and how far two images are apart in them."""

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.arrays import Image

_STEP = 8
_WHITE = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}


def look_vector(image: Image) -> npt.NDArray[np.float64]:
    """Return means, then standard deviations of the channels, (2 C,) float64, over every eighth row and column.

    Whole numbers are scaled so that white is 1; float32, whose range says nothing, stays as it is.
    """
    # Channels first: sums along the last axis are many times as fast.
    some = image[::_STEP, ::_STEP].transpose(2, 0, 1).reshape(image.shape[-1], -1).astype(np.float64)
    mean = some.sum(axis=1) / some.shape[1]
    some -= mean[:, None]
    spread = np.sqrt(np.einsum("cn,cn->c", some, some) / some.shape[1])
    return np.concatenate([mean, spread]) / _WHITE.get(image.dtype, 1.0)


def look_distance(image_a: Image, image_b: Image) -> float:
    """Return how far two images are apart: the root mean square difference of their channels' means and spreads.

    0 for equal looks, 1 for black and white; of float32 images in units of their own spread.
    """
    a, b = look_vector(image_a), look_vector(image_b)
    n_channels = image_a.shape[-1]
    distance = float(np.sqrt(((a - b) ** 2).sum() / n_channels))
    if image_a.dtype in _WHITE:
        return distance
    spread = float(a[n_channels:].mean() + b[n_channels:].mean()) / 2
    return distance / spread if spread else distance
