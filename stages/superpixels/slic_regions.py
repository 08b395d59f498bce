"""SLIC regions, which follow the contours of the image."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.superpixels.label_maps import renumbered
from hsmix_gen.stages.superpixels.slic import Slic


def segment(
    image: npt.NDArray[np.generic],
    counts: Sequence[int],
    *,
    compactness: float | None = None,
    sigma: float = 1.0,
    mask: npt.NDArray[np.bool_] | None = None,
) -> list[npt.NDArray[np.uint16]]:
    """Cut an image into SLIC [1]_ regions that follow its contours, once for each number of regions.

    Parameters
    ----------
    image : (H, W, C) uint8, uint16 or float32
        Channels last; the axes are taken as they are. The published scripts of HSMix hand SLIC a reshaped
        (C, H, W) array, a mosaic of thumbnails whose regions follow no contour of the image.
    counts : sequence of int
        Regions asked for, at least 1; SLIC returns about as many, see `region_count`.
    compactness : float or None
        Weight of distance against colour, above 0. The values are first stretched to [0, 1]; three channels
        are then read as RGB and turned into CIELab (0 to 100), any other number of channels is used as it is,
        each stretched by itself, so that no modality outweighs the others by its unit.
        The same number is therefore about 100 times weaker for C = 3: 10 there acts like 0.1 elsewhere, and these
        two are taken for None.
    sigma : float
        Width in pixels of the Gaussian that smooths the image beforehand; 0 for none.
    mask : (H, W) bool, optional
        If given, maskSLIC [2]_ cuts only the pixels that are True, of which there are some, for instance a brain
        without the air, and the values are stretched by the range of these; see `body_of`.

    Returns
    -------
    list of (H, W) uint16
        Labels 0 to R - 1, each in use. With `mask` the pixels that are False form one region of their own,
        label 0, and so do the pixels inside, if any, that maskSLIC leaves over.

    Raises
    ------
    ValueError
        If there are more than 65 535 regions, or the image is not finite.

    References
    ----------
    .. [1] Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods", TPAMI 2012,
       doi:10.1109/TPAMI.2012.120.
    .. [2] Irving, "maskSLIC: regional superpixel generation with application to local pathology
       characterisation in medical images", 2016, arXiv:1606.09518.
    """
    slic = Slic(
        stretched_channels(image, mask),
        compactness=compactness or default_compactness(image),
        sigma=sigma,
        mask=mask,
        lab=image.shape[2] == 3,
    )
    return [renumbered(slic.cut(n_regions)) for n_regions in counts]


def default_compactness(image: npt.NDArray[np.generic]) -> float:
    """Return the weight of distance for an (H, W, C) image."""
    return 10.0 if image.shape[2] == 3 else 0.1


def stretched_channels(image: npt.NDArray[np.generic], mask: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.generic]:
    """Return an image for SLIC, which stretches all channels alike; more than grey or RGB are stretched one by one."""
    if image.shape[2] in (1, 3):
        return image
    values = image.astype(np.float64)
    inside = values.reshape(-1, image.shape[2]) if mask is None else values[mask]  # (P, C)
    if not np.isfinite(inside).all():
        raise ValueError("image must be finite, got NaN or infinity; replace them")
    low, extent = inside.min(axis=0), np.ptp(inside, axis=0)
    # A channel without contrast becomes 0. Clipped, so that what lies outside does not smear far over the rim.
    scale = np.divide(1.0, extent, out=np.zeros_like(extent), where=extent > 0)
    stretched: npt.NDArray[np.float64] = np.clip((values - low) * scale, 0, 1)
    return stretched
