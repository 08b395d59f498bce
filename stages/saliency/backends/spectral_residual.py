"""Spectral residual: what deviates from the smooth spectrum of natural images."""

import numpy as np
import numpy.typing as npt
import scipy

from hsmix_gen.stages.saliency.backend import Backend
from hsmix_gen.stages.saliency.grey_maps import mean_map

_SPECTRUM_SIDE = 64
# Rounding leaves about 1e-9 where the spectrum of an integer image is zero; the phase there is noise.
_NO_AMPLITUDE = 1e-6


def spectral_residual(image: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Mark what deviates from the smooth spectrum of natural images (Hou & Zhang [1]_).

    The definition is that of OpenCV's ``StaticSaliencySpectralResidual``: at 64 x 64 pixels the log amplitude
    loses its 3 x 3 mean and the phase is kept; the amplitude of the image this gives is blurred, then squared
    (the paper squares first). Frequencies that the image does not hold get no weight here; OpenCV gives
    them a phase made of rounding errors, which matters only for synthetic images.

    Argument and errors are those of `mean_map`. Returns (H, W) float32 in [0, 1].

    References
    ----------
    .. [1] Hou & Zhang, "Saliency detection: a spectral residual approach", CVPR 2007,
       doi:10.1109/CVPR.2007.383267.
    """
    return mean_map(image, _spectral_residual_of_grey)


def _spectral_residual_of_grey(grey: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return the (H, W) map of grey values 0 to 255."""
    small = np.floor(_resize(grey, (_SPECTRUM_SIDE, _SPECTRUM_SIDE)) + 0.5)
    if small.min() == small.max():
        return np.zeros(grey.shape, np.float32)
    spectrum = np.fft.fft2(small)
    amplitude = np.abs(spectrum)
    log_amplitude = np.log1p(amplitude)
    residual = log_amplitude - scipy.ndimage.uniform_filter(log_amplitude, 3, mode="mirror")
    held = amplitude > _NO_AMPLITUDE
    phase = np.divide(spectrum, amplitude, out=np.zeros_like(spectrum), where=held)
    response = np.abs(np.fft.ifft2(np.exp(residual) * phase))
    response = scipy.ndimage.gaussian_filter(response, sigma=8, radius=2, mode="mirror") ** 2
    return _resize(response / response.max(), grey.shape).astype(np.float32)


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


BACKEND = Backend(lambda subject: spectral_residual(subject.image()))
