"""Superpixels: SLIC regions that follow contours, and a square grid as their control."""

import itertools

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import slic

from hsmix_gen.stages import randomness

MAX_REGIONS = np.iinfo(np.uint16).max
# Rounds of k-means; scikit-image's default, which the published code uses too.
_ITERATIONS = 10


def segment(
    image: npt.NDArray[np.generic],
    *,
    n_regions: int,
    compactness: float,
    sigma: float,
    mask: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.uint16]:
    """Cut an image into SLIC [1]_ regions that follow its contours.

    Parameters
    ----------
    image : (H, W, C) uint8, uint16 or float32
        Channels last; the axes are taken as they are. The published scripts of HSMix hand SLIC a reshaped
        (C, H, W) array, a mosaic of thumbnails whose regions follow no contour of the image.
    n_regions : int
        Regions asked for, at least 1; SLIC returns about as many, see `region_count`.
    compactness : float
        Weight of distance against colour, above 0. The values are first stretched to [0, 1]; three channels
        are then read as RGB and turned into CIELab (0 to 100), any other number of channels is used as it is,
        each stretched by itself, so that no modality outweighs the others by its unit.
        The same number is therefore about 100 times weaker for C = 3: 10 there acts like 0.1 elsewhere.
    sigma : float
        Width in pixels of the Gaussian that smooths the image beforehand; 0 for none.
    mask : (H, W) bool, optional
        If given, maskSLIC [2]_ cuts only the pixels that are True, for instance a brain without the air, and
        the values are stretched by the range of these; see `body_of`.

    Returns
    -------
    (H, W) uint16
        Labels 0 to R - 1, each in use. With `mask` the pixels that are False form one region of their own,
        label 0, and so do the pixels inside, if any, that maskSLIC leaves over.

    Raises
    ------
    ValueError
        If `n_regions` is below 1, there are more than 65 535 regions, or the image is not finite.

    References
    ----------
    .. [1] Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods", TPAMI 2012,
       doi:10.1109/TPAMI.2012.120.
    .. [2] Irving, "maskSLIC: regional superpixel generation with application to local pathology
       characterisation in medical images", 2016, arXiv:1606.09518.
    """
    _check_n_regions(n_regions)
    if image.ndim != 3:
        raise ValueError(f"image must be (H, W, C), got {image.shape}; add the channel axis last")
    if mask is not None and mask.shape != image.shape[:2]:
        raise ValueError(f"mask must have the shape of the image {image.shape[:2]}, got {mask.shape}")
    if mask is not None and not mask.any():
        return np.zeros(mask.shape, np.uint16)
    labels = slic(
        _stretch_channels(image, mask),
        n_segments=n_regions,
        compactness=compactness,
        max_num_iter=_ITERATIONS,
        sigma=sigma,
        mask=mask,
        start_label=1,
        channel_axis=-1,
    )
    if mask is not None:
        # maskSLIC writes 0 outside, and also inside where it finds no step between its centres (one region).
        labels[mask & (labels == 0)] = labels.max() + 1
    return _renumber(labels)


def body_of(image: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_] | None:
    """Return the body in an image whose background is 0, or None where there is none to tell apart.

    Parameters
    ----------
    image : (H, W, C) uint8, uint16 or float32
        Channels last.

    Returns
    -------
    (H, W) bool or None
        True where any channel is not 0, and in the holes of that; None if it is everything or nothing.
    """
    body: npt.NDArray[np.bool_] = ndimage.binary_fill_holes((image != 0).any(axis=2))
    return body if body.any() and not body.all() else None


def square_grid(shape: tuple[int, int], *, n_regions: int) -> npt.NDArray[np.uint16]:
    """Cut a plane into near-square cells of near-equal area that know nothing of the image.

    The control for SLIC: whatever regions of equal number gain over these, they gain by following contours.
    Rows differ by at most one cell, so that the count is exact also for numbers without good factors;
    it falls short by a few only where cells have fewer than about three pixels.

    Parameters
    ----------
    shape : (int, int)
        Height and width in pixels.
    n_regions : int
        Cells, at least 1; where there are fewer pixels than that, each pixel is a cell.

    Returns
    -------
    (H, W) uint16
        Labels 0 to R - 1 in reading order, each in use.

    Raises
    ------
    ValueError
        If `n_regions` is below 1 or there are more than 65 535 cells.
    """
    _check_n_regions(n_regions)
    height, width = shape
    n_cells = min(n_regions, height * width)
    n_rows = round((n_cells * height / width) ** 0.5)
    n_rows = min(max(n_rows, -(-n_cells // width)), height)
    first_cell = np.arange(n_rows + 1) * n_cells // n_rows
    row = np.searchsorted(first_cell, _cell_of_pixel(height, n_cells), side="right") - 1  # (H,)
    row_length = np.diff(first_cell)[row]  # (H,)
    return _renumber(first_cell[row][:, None] + _cell_of_pixel(width, row_length[:, None]))


def region_count(labels: npt.NDArray[np.integer]) -> int:
    """Return how many regions an (H, W) array of contiguous labels 0 to R - 1 holds."""
    return int(labels.max()) + 1


def stratified_counts(minimum: int, maximum: int, variants: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Draw numbers of regions that cover a range: variant g is uniform on the g-th of equal parts of it.

    Parameters
    ----------
    minimum, maximum : int
        Range of the numbers, both included.
    variants : int
        Numbers to draw, at least 1; if the range holds fewer numbers, some parts share one.
    rng : numpy.random.Generator
        Chance; one number is drawn for each variant.

    Returns
    -------
    tuple of int
        Never falling, `variants` long.

    Raises
    ------
    ValueError
        If the range is empty or `variants` is below 1.
    """
    if minimum > maximum:
        raise ValueError(f"minimum must not exceed maximum, got {minimum} and {maximum}; swap them")
    if variants < 1:
        raise ValueError(f"variants must be at least 1, got {variants}")
    size = maximum - minimum + 1
    starts = [minimum + part * size // variants for part in range(variants + 1)]
    return tuple(randomness.integer(rng, low, max(low, end - 1)) for low, end in itertools.pairwise(starts))


def _stretch_channels(image: npt.NDArray[np.generic], mask: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.float64]:
    """Return an image for SLIC, which stretches all channels alike; more than grey or RGB are stretched one by one."""
    values = image.astype(np.float64)
    if image.shape[2] in (1, 3):
        return values
    inside = values.reshape(-1, image.shape[2]) if mask is None else values[mask]  # (P, C)
    if not np.isfinite(inside).all():
        raise ValueError("image must be finite, got NaN or infinity; replace them")
    low, extent = inside.min(axis=0), np.ptp(inside, axis=0)
    # A channel without contrast becomes 0. Clipped, so that what lies outside does not smear far over the rim.
    scale = np.divide(1.0, extent, out=np.zeros_like(extent), where=extent > 0)
    stretched: npt.NDArray[np.float64] = np.clip((values - low) * scale, 0, 1)
    return stretched


def _check_n_regions(n_regions: int) -> None:
    if n_regions < 1:
        raise ValueError(f"n_regions must be at least 1, got {n_regions}")


def _cell_of_pixel(n_pixels: int, n_cells: int | npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return the number of the cell that holds the centre of each pixel of a line of equal cells."""
    return (2 * np.arange(n_pixels) + 1) * n_cells // (2 * n_pixels)


def _renumber(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.uint16]:
    """Return the labels as 0 to R - 1 without gaps, their order kept."""
    used = np.bincount(labels.ravel()) > 0
    if used.sum() > MAX_REGIONS:
        raise ValueError(f"regions must number at most {MAX_REGIONS} to fit uint16, got {used.sum()}; ask for fewer")
    number = (np.cumsum(used) - 1).astype(np.uint16)
    return np.take(number, labels)
