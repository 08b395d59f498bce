"""Saliency maps computed from the image alone, without a network.

Each map is an (H, W) float32 array in [0, 1]. An image without contrast has no salient pixel: its map is 0. Grey
and RGB images are seen as grey values; of any other number of channels, such as modalities of MRI, which no weights
make one picture, each is seen alone and the map is the mean of theirs.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

# Half widths, in pixels, of the surrounds that a pixel is compared with.
_SURROUNDS = (12, 24, 28, 48, 56, 112)
_SPECTRUM_SIDE = 64
# ITU-R BT.601 weights in 1/2**15, the integers OpenCV rounds them to: its grey values, bit for bit.
_LUMA = np.array([9798, 19235, 3735])
# Rounding leaves about 1e-9 where the spectrum of an integer image is zero; the phase there is noise.
_NO_AMPLITUDE = 1e-6


def fine_grained(image: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Mark pixels that are brighter or darker than their surroundings at six scales (Montabone & Soto [1]_).

    The definition is that of OpenCV's ``StaticSaliencyFineGrained``, which the published HSMix uses. The
    grey image is smoothed twice; each pixel is compared with the mean of the others in squares of 24 to 224
    pixels; positive (on-centre) and negative (off-centre) differences are cut to integers, summed over the
    scales, stretched to 255 each and added. Sums above 255 are clipped; in OpenCV the byte overflows.

    Parameters
    ----------
    image : (H, W, C) uint8, uint16 or float32
        Grey if C = 1, RGB if C = 3; of other channels each has its map, and their mean is returned. Other types
        than uint8 are stretched to it, from the least to the greatest value: the scripts of HSMix hand OpenCV
        floats, whose bytes it reads as grey values, and get noise.

    Returns
    -------
    (H, W) float32
        In [0, 1]; multiples of 1/255, or means of them.

    Raises
    ------
    ValueError
        If the image is not finite or has no channel axis.

    References
    ----------
    .. [1] Montabone & Soto, "Human detection using a mobile platform and novel features derived from a visual
       saliency mechanism", Image and Vision Computing 2010, doi:10.1016/j.imavis.2009.06.004.
    """
    return _mean_map(image, _fine_grained_of_grey)


def _fine_grained_of_grey(values: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return the (H, W) map of grey values 0 to 255."""
    grey = _binomial_blur(_binomial_blur(values))
    if grey.min() == grey.max():
        return np.zeros(grey.shape, np.float32)
    brighter = np.zeros(grey.shape, np.int64)
    darker = np.zeros(grey.shape, np.int64)
    reach = max(_SURROUNDS)
    integral = np.pad(grey.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    integral = np.pad(integral, reach, mode="edge")
    for half_width in _SURROUNDS:
        contrast = _contrast(grey, integral, half_width=half_width, reach=reach)
        brighter += np.maximum(contrast, 0)
        darker += np.maximum(-contrast, 0)
    both = _stretch(brighter) + _stretch(darker)
    saliency: npt.NDArray[np.float32] = (np.minimum(both, 255) / 255).astype(np.float32)
    return saliency


def spectral_residual(image: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Mark what deviates from the smooth spectrum of natural images (Hou & Zhang [1]_).

    The definition is that of OpenCV's ``StaticSaliencySpectralResidual``: at 64 x 64 pixels the log amplitude
    loses its 3 x 3 mean and the phase is kept; the amplitude of the image this gives is blurred, then squared
    (the paper squares first). Frequencies that the image does not hold get no weight here; OpenCV gives
    them a phase made of rounding errors, which matters only for synthetic images.

    Parameters
    ----------
    image : (H, W, C) uint8, uint16 or float32
        Read as by `fine_grained`.

    Returns
    -------
    (H, W) float32
        In [0, 1].

    Raises
    ------
    ValueError
        If the image is not finite or has no channel axis.

    References
    ----------
    .. [1] Hou & Zhang, "Saliency detection: a spectral residual approach", CVPR 2007,
       doi:10.1109/CVPR.2007.383267.
    """
    return _mean_map(image, _spectral_residual_of_grey)


def _spectral_residual_of_grey(grey: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return the (H, W) map of grey values 0 to 255."""
    small = np.floor(_resize(grey, (_SPECTRUM_SIDE, _SPECTRUM_SIDE)) + 0.5)
    if small.min() == small.max():
        return np.zeros(grey.shape, np.float32)
    spectrum = np.fft.fft2(small)
    amplitude = np.abs(spectrum)
    log_amplitude = np.log1p(amplitude)
    residual = log_amplitude - ndimage.uniform_filter(log_amplitude, 3, mode="mirror")
    held = amplitude > _NO_AMPLITUDE
    phase = np.divide(spectrum, amplitude, out=np.zeros_like(spectrum), where=held)
    response = np.abs(np.fft.ifft2(np.exp(residual) * phase))
    response = ndimage.gaussian_filter(response, sigma=8, radius=2, mode="mirror") ** 2
    return _resize(response / response.max(), grey.shape).astype(np.float32)


def uniform(shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return an (H, W) float32 map of ones, a control: all pixels count alike."""
    return np.ones(shape, np.float32)


def random_field(shape: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return an (H, W) float32 map of independent uniform numbers, a control blind to the image."""
    return rng.random(shape).astype(np.float32)


def _mean_map(
    image: npt.NDArray[np.generic], saliency: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]
) -> npt.NDArray[np.float32]:
    """Return the map of a grey or RGB image's grey values, or the mean map of the single channels of any other."""
    if image.ndim != 3 or image.shape[2] == 0:
        raise ValueError(f"image must be (H, W, C), got {image.shape}; add the channel axis last")
    if image.shape[2] in (1, 3):
        return saliency(_grey(image))
    total = np.zeros(image.shape[:2])
    for channel in range(image.shape[2]):
        total += saliency(_grey(image[..., channel : channel + 1]))
    mean: npt.NDArray[np.float32] = (total / image.shape[2]).astype(np.float32)
    return mean


def _grey(image: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """Return the (H, W) grey values, 0 to 255, of an (H, W, 1) or (H, W, 3) image; see `fine_grained` for how."""
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


def _binomial_blur(grey: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return (H, W) integers smoothed by [1, 2, 1] / 4 along both axes, halves rounded up."""
    padded = np.pad(grey, 1, mode="reflect")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    blurred: npt.NDArray[np.int64] = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:] + 8) // 16
    return blurred


def _contrast(
    grey: npt.NDArray[np.int64], integral: npt.NDArray[np.int64], *, half_width: int, reach: int
) -> npt.NDArray[np.int64]:
    """Return how much each pixel exceeds the mean of the others in its window, cut towards zero.

    The window spans ``half_width - 1`` pixels up and left, `half_width` down and right, within the image.

    Parameters
    ----------
    grey : (H, W) int64
        Not constant, so that a window never holds its pixel alone.
    integral : (H + 1 + 2 reach, W + 1 + 2 reach) int64
        Sum of all pixels above and left, padded by its own edge on each side.
    half_width, reach : int
        Pixels; ``half_width <= reach``.

    Returns
    -------
    (H, W) int64
        -255 to 255.
    """
    height, width = grey.shape
    first, last = reach - half_width + 1, reach + half_width + 1
    top, bottom = slice(first, first + height), slice(last, last + height)
    left, right = slice(first, first + width), slice(last, last + width)
    total = integral[bottom, right] - integral[top, right] - integral[bottom, left] + integral[top, left]
    count = np.outer(_extent(height, half_width), _extent(width, half_width))
    # grey - (total - grey) / (count - 1), on one denominator: exact, and the quotient cuts towards zero.
    return ((grey * count - total) / (count - 1)).astype(np.int64)


def _extent(size: int, half_width: int) -> npt.NDArray[np.int64]:
    """Return how many of `size` pixels lie in the window around each, along one axis."""
    position = np.arange(size)
    return np.minimum(position + half_width + 1, size) - np.maximum(position - half_width + 1, 0)


def _stretch(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return integers from 0 scaled so that the largest is 255, cut to integers; zeros stay zeros."""
    return 255 * values // max(int(values.max()), 1)


def _resize(values: npt.NDArray[np.generic], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return (H, W) values at another size, linear between the two nearest pixel centres, edges held."""
    resized = values.astype(np.float64)
    for size in shape:
        resized = _resize_rows(resized, size).T  # the second turn restores the order of the axes
    return resized


def _resize_rows(values: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    last = values.shape[0] - 1
    position = np.clip((np.arange(size) + 0.5) * (last + 1) / size - 0.5, 0, last)
    lower = position.astype(np.int64)
    upper = np.minimum(lower + 1, last)
    share = (position - lower)[:, None]
    resized: npt.NDArray[np.float64] = values[lower] * (1 - share) + values[upper] * share
    return resized
