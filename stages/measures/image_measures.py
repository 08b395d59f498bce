"""Measures of one image with its superpixels and saliency: what a mix of it can be expected to do."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.arrays import AnyMask, Image, Labels, Saliency
from hsmix_gen.stages.labels.objects import median_object_share
from hsmix_gen.stages.measures.looks import look_vector
from hsmix_gen.stages.measures.sample_measures import class_pixels, map_auc
from hsmix_gen.stages.mixing.objects import foreground
from hsmix_gen.stages.saliency.quality import boundary_recall
from hsmix_gen.stages.superpixels.grid_regions import square_grid


@dataclass(frozen=True)
class ImageMeasures:
    """What is measured of one image; NaN where there is nothing to measure."""

    pixels: tuple[int, ...]
    """Of each class, or of each channel of a multi-label mask."""
    object_cells: float
    """Area of the median object in mean superpixel areas."""
    largest: float
    """Area of the largest superpixel in median superpixel areas."""
    recall: float
    grid_recall: float
    """Share of the mask's contours within two pixels of a border of superpixels, and of squares of equal number."""
    auc: float
    """Of the saliency map against the mask."""
    look: npt.NDArray[np.float64]
    """(2 C,) float64; see `looks.look_vector`."""


def measure_image(image: Image, mask: AnyMask, labels: Labels, saliency: Saliency, *, n_classes: int) -> ImageMeasures:
    """Measure an image.

    Parameters
    ----------
    image : (H, W, C)
    mask : (H, W) or (H, W, K) uint8
    labels : (H, W) uint16
        Its superpixels, 0 to R - 1.
    saliency : (H, W) uint8
    n_classes : int
        Classes with background, or channels.
    """
    n_regions = int(labels.max()) + 1
    areas = np.bincount(labels.ravel())
    share = median_object_share(foreground(mask))
    grid = square_grid(labels.shape, n_regions=n_regions)
    return ImageMeasures(
        pixels=class_pixels(mask, n_classes),
        object_cells=math.nan if share is None else share * n_regions,
        largest=float(areas.max() / np.median(areas[areas > 0])),
        recall=boundary_recall(labels, mask),
        grid_recall=boundary_recall(grid, mask),
        auc=map_auc(saliency, mask),
        look=look_vector(image),
    )
