"""The embedded set: tiles of the immunohistochemistry picture that ships with scikit-image."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage import color, data

from hsmix_gen.pipeline.dataset.array_bytes import encode_png
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.schemas.arrays import Mask

TILE = 128
DEMO_VALUES: dict[str, Any] = {
    "image.size": (TILE, TILE),
    "source.split": "0.75/0.125/0.125",
    "source.classes": ("background", "stained tissue"),
    "superpixels.regions": (40, 120),
    "mix.copies": 8,
    "mix.select": 0.3,
    "output.formats": ("webdataset", "parquet"),
    "output.shards": 8,
    "output.name": "hsmix-gen demo",
}
_SMOOTHING = 2.0
_LEAST_PIXELS = 60


def write_demo_source(folder: Path) -> None:
    """Write the tiles as images and masks unless they are there."""
    picture = data.immunohistochemistry()  # type: ignore[no-untyped-call]
    mask = stained_mask(picture)
    for top in range(0, picture.shape[0], TILE):
        for left in range(0, picture.shape[1], TILE):
            name = f"tile_{top // TILE}{left // TILE}.png"
            window = (slice(top, top + TILE), slice(left, left + TILE))
            _write_once(folder / "images" / name, picture[window])
            _write_once(folder / "masks" / name, mask[window] * np.uint8(255))


def stained_mask(picture: npt.NDArray[np.uint8]) -> Mask:
    """Return where tissue took up the brown DAB stain, (H, W) uint8 of 0 and 1.

    The stains are separated by colour deconvolution [1]_; what is above the mean of the smoothed DAB channel by
    half a standard deviation is stained, specks are dropped and small holes filled.

    References
    ----------
    .. [1] Ruifrok and Johnston, "Quantification of histochemical staining by color deconvolution", Analytical and
       Quantitative Cytology and Histology 23 (2001) 291-299.
    """
    stain = ndimage.gaussian_filter(color.rgb2hed(picture)[..., 2], _SMOOTHING)
    inside = stain > stain.mean() + 0.5 * stain.std()
    for _ in range(2):  # specks, then holes
        parts, count = ndimage.label(inside)
        area = np.bincount(parts.ravel(), minlength=count + 1)
        inside = ~(inside & (area[parts] >= _LEAST_PIXELS))
    mask: Mask = inside.astype(np.uint8)
    return mask


def _write_once(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    if not path.is_file():
        atomic_files.write_whole(path, encode_png(pixels))
