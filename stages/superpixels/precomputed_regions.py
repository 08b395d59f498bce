"""Label maps that you bring, made by SAM, SPAM or any other segmenter, in one granularity or several."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from skimage.measure import label

from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.stages.superpixels.label_maps import MAX_REGIONS, renumbered

_numbered: Callable[..., npt.NDArray[np.integer]] = label


def segment(
    image: npt.NDArray[np.generic],
    counts: Sequence[int],  # noqa: ARG001 - as all kinds take it
    *,
    brought: Sequence[npt.NDArray[np.integer]],
    **_: object,
) -> list[npt.NDArray[np.uint16]]:
    """Return maps that were brought as superpixels, one for each of them.

    Parameters
    ----------
    image : (H, W, C)
        Its size is that of the maps.
    counts : sequence of int
        Does not matter, like all other settings: the maps are as many and as fine as they are.
    brought : sequence of (H, W) integer
        Any numbers, 0 too, of the regions of each granularity.

    Returns
    -------
    list of (H, W) uint16
        Labels 0 to R - 1, each in use and in one piece: what is numbered alike in several places becomes several
        regions, since a superpixel moves as a whole.

    Raises
    ------
    SourceError
        If a map has another size, one region only, or more than 65 535.
    """
    return [_pieces(labels, image.shape[:2]) for labels in brought]


def _pieces(labels: npt.NDArray[np.integer], size: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    if labels.shape != size:
        raise SourceError(
            f"label map must be {size[1]} x {size[0]} as its image, got {labels.shape[1]} x {labels.shape[0]}"
        )
    # Pixels are neighbours by their sides; 0 would be background.
    pieces = _numbered(labels.astype(np.int64) + 1, connectivity=1)
    n_pieces = int(pieces.max())
    if not 2 <= n_pieces <= MAX_REGIONS:
        raise SourceError(
            f"label map must hold 2 to {MAX_REGIONS} regions, each in one piece, got {n_pieces}; "
            f"{'cut the image into more' if n_pieces < 2 else 'join small ones'}"
        )
    return renumbered(pieces)
