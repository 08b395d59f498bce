"""SLIC as scikit-image computes it, four times faster: the same labels, by loops that are compiled with the package.

scikit-image turns an image into Lab and smooths it for every number of regions anew, and measures every pixel against
some sixteen centres. Here the first is done once per image, and most of the distances are ruled out by bounds (see
``native/kmeans.c``). Sums, products and ties keep scikit-image's order, so that labels are equal, not just alike.
Compiled C needs nothing at run time and is one file for all versions of Python; numba would bring LLVM (100 MB), hold
numpy back and be half as fast. Where nothing could be compiled, scikit-image itself gives the labels.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.kernels.compiled import has, native
from hsmix_gen.stages.superpixels.colours import colour_planes, gaussian_weights

# Rounds of k-means; scikit-image's default, which the published code uses too.
_ROUNDS = 10
_LEAST_SIZE, _MOST_SIZE = 0.5, 3  # of a connected region, in mean sizes
_SPREAD_ROUNDS = 5
_POINTS_PER_CENTRE = 100


class Slic:
    """One image, ready to be cut into any number of regions.

    Parameters
    ----------
    image : (H, W, C) uint8, uint16, float32 or float64
    compactness, sigma : float
    mask : (H, W) bool, optional
        Where regions may lie; maskSLIC is used.
    lab : bool
        Whether the three channels are RGB and are compared as CIELab.

    Raises
    ------
    ValueError
        If the image is not finite.
    """

    def __init__(
        self,
        image: npt.NDArray[np.generic],
        *,
        compactness: float,
        sigma: float,
        mask: npt.NDArray[np.bool_] | None = None,
        lab: bool,
    ) -> None:
        self._shape: tuple[int, int] = image.shape[:2]
        self._mask = None if mask is None else np.ascontiguousarray(mask)
        self._compiled = has("kmeans")
        if self._compiled:
            self._planes = _prepared(colour_planes(image, self._mask, lab=lab), image.shape[1], compactness, sigma)
            self._points = None if mask is None else _Points(mask)
        else:
            self._image = image.astype(np.float64)
            self._settings: dict[str, Any] = {
                "compactness": compactness, "sigma": sigma, "convert2lab": lab, "mask": self._mask
            }  # fmt: skip

    def cut(self, n_regions: int) -> npt.NDArray[np.integer]:
        """Return about `n_regions` regions, labels (H, W) from 1, or 0 outside the mask.

        What maskSLIC leaves over inside is a region of its own, the last; it does so where it finds no step between
        its centres, as with a single region.
        """
        labels = self._by_loops(n_regions) if self._compiled else self._by_scikit_image(n_regions)
        if self._mask is not None:
            labels[self._mask & (labels == 0)] = labels.max() + 1
        return labels

    def _by_scikit_image(self, n_regions: int) -> npt.NDArray[np.integer]:
        from skimage.segmentation import slic

        return slic(  # type: ignore[no-any-return]
            self._image, n_segments=n_regions, max_num_iter=_ROUNDS, start_label=1, channel_axis=-1, **self._settings
        )

    def _by_loops(self, n_regions: int) -> npt.NDArray[np.integer]:
        if self._points is None:
            places, step = _grid(self._shape, n_regions)
        else:
            places, step = self._points.spread(n_regions)
        channels, height, stride = self._planes.shape
        count = places.shape[1]
        (_, down), (_, across) = _regular_grid(self._shape, count)
        single = np.float32(step)  # as scikit-image keeps it
        with np.errstate(divide="ignore"):
            weight = float(np.float64(1.0) / np.float64(single * single))
        colours = np.zeros((count, channels))
        labels = np.empty(self._shape, np.int32)
        for by_colour in (True,) if self._points is None else (False, True):  # moves centres and writes labels
            native.kmeans(
                self._planes,
                b"" if self._mask is None else self._mask,
                places,
                colours,
                labels,
                (channels, height, self._shape[1], stride),
                (2 * down, 2 * across),
                weight,
                count,
                _ROUNDS,
                by_colour,
            )
        connected = np.empty_like(labels)
        mean_size = (labels.size if self._mask is None else int(self._mask.sum())) / count
        native.connect(labels, connected, self._shape, int(_LEAST_SIZE * mean_size), int(_MOST_SIZE * mean_size))
        return connected


class _Points:
    """The pixels inside a mask, and two draws of them, from which maskSLIC spreads its centres."""

    def __init__(self, mask: npt.NDArray[np.bool_]) -> None:
        self._points = np.argwhere(mask).astype(np.int32)
        # The old generator and its seed are scikit-image's; a draw is the beginning of a permutation.
        rng = np.random.RandomState(123)
        self._first, self._second = (rng.permutation(len(self._points)) for _ in range(2))

    def spread(self, n_regions: int) -> tuple[npt.NDArray[np.float64], float]:
        """Return (2, K) centres, as evenly spread as k-means makes them, and the greatest mean step between them."""
        centres = self._points[np.sort(self._first[:n_regions])].astype(np.float64)
        points = self._points
        if len(points) > _POINTS_PER_CENTRE * n_regions:
            points = points[np.sort(self._second[: _POINTS_PER_CENTRE * n_regions])]
        native.spread(np.ascontiguousarray(points), centres, _SPREAD_ROUNDS)
        from scipy.spatial.distance import pdist, squareform

        distances = squareform(pdist(centres))
        np.fill_diagonal(distances, np.inf)
        steps = abs(centres - centres[distances.argmin(-1)]).mean(0)
        return np.ascontiguousarray(centres.T), float(max(steps))


def _prepared(planes: npt.NDArray[np.float64], width: int, compactness: float, sigma: float) -> npt.NDArray[np.float64]:
    """Return planes smoothed and in units of `compactness`; they are overwritten."""
    if sigma > 0:
        channels, height, stride = planes.shape
        native.smooth(planes, (channels, height, width, stride), gaussian_weights(sigma))
    planes *= 1.0 / compactness
    return planes


def _grid(shape: tuple[int, int], n_regions: int) -> tuple[npt.NDArray[np.float64], float]:
    """Return (2, K) centres on a regular grid in reading order, and its greatest step."""
    axes = _regular_grid(shape, n_regions)
    lines = (np.arange(start, length, step) for length, (start, step) in zip(shape, axes, strict=True))
    y, x = np.meshgrid(*lines, indexing="ij")
    return np.array([y.ravel(), x.ravel()], np.float64), float(max(step for _, step in axes))


def _regular_grid(shape: tuple[int, int], n_points: int) -> tuple[tuple[int, int], ...]:
    """Return where about `n_points` points begin on each axis, and their step: as square as the shape allows."""
    short, long = sorted(shape)
    if short * long <= n_points:
        return (0, 1), (0, 1)
    step = (float(short * long) / n_points) ** 0.5
    of_short, of_long = (step, step) if short >= step else (float(short), long / n_points)
    steps = (of_short, of_long) if shape[0] <= shape[1] else (of_long, of_short)
    return tuple((int(one // 2), round(one)) for one in steps)
