"""Maps of images of any channels and type by functions of grey values."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

# ITU-R BT.601 weights in 1/2**15, the integers OpenCV rounds them to: its grey values, bit for bit.
_LUMA = np.array([9798, 19235, 3735])


def mean_map(
    image: npt.NDArray[np.generic], saliency: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]
) -> npt.NDArray[np.float32]:
    """Return the map of a grey or RGB image's grey values, or the mean map of the single channels of any other.

    Of channels such as modalities of MRI no weights make one picture.

    Parameters
    ----------
    image : (H, W, C) uint8, uint16 or float32
        Other types than uint8 are stretched to it, from the least to the greatest value: the scripts of HSMix hand
        OpenCV floats, whose bytes it reads as grey values, and get noise.
    saliency : callable
        From (H, W) int64 grey values 0 to 255 to an (H, W) float32 map in [0, 1].

    Raises
    ------
    ValueError
        If the image is not finite or has no channel axis.
    """
    if image.ndim != 3 or image.shape[2] == 0:
        raise ValueError(f"image must be (H, W, C), got {image.shape}; add the channel axis last")
    if image.shape[2] in (1, 3):
        return saliency(_grey(image))
    maps = [saliency(_grey(image[..., channel : channel + 1])) for channel in range(image.shape[2])]
    mean: npt.NDArray[np.float32] = np.stack(maps).mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def _grey(image: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """Return the (H, W) grey values, 0 to 255, of an (H, W, 1) or (H, W, 3) image."""
    values = _stretch_to_bytes(image).astype(np.int64)
    if image.shape[2] == 1:
        return values[..., 0]
    total = int(_LUMA.sum())
    grey: npt.NDArray[np.int64] = (2 * (values @ _LUMA) + total) // (2 * total)
    return grey


def _stretch_to_bytes(image: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Return whole numbers 0 to 255: a uint8 image's own values, others stretched over all of them."""
    values = image.astype(np.float64)
    if image.dtype == np.uint8:
        return values
    low, high = values.min(), values.max()
    if not np.isfinite(high - low):
        raise ValueError(f"image must be finite, got values from {low} to {high}; replace NaN and infinity")
    scale = 255 / (high - low) if high > low else 0.0
    stretched: npt.NDArray[np.float64] = np.floor((values - low) * scale + 0.5)
    return stretched
