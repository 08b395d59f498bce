"""A square grid, the control for regions that follow contours."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hsmix_gen.stages.superpixels.label_maps import renumbered


def segment(image: npt.NDArray[np.generic], counts: Sequence[int], **_: object) -> list[npt.NDArray[np.uint16]]:
    """Cut an (H, W, C) image into `square_grid` for each number of regions; other settings do not matter."""
    return [square_grid(image.shape[:2], n_regions=n_regions) for n_regions in counts]


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
        If there are more than 65 535 cells.
    """
    height, width = shape
    n_cells = min(n_regions, height * width)
    n_rows = round((n_cells * height / width) ** 0.5)
    n_rows = min(max(n_rows, -(-n_cells // width)), height)
    first_cell = np.arange(n_rows + 1) * n_cells // n_rows
    row = np.searchsorted(first_cell, _cell_of_pixel(height, n_cells), side="right") - 1  # (H,)
    row_length = np.diff(first_cell)[row]  # (H,)
    return renumbered(first_cell[row][:, None] + _cell_of_pixel(width, row_length[:, None]))


def _cell_of_pixel(n_pixels: int, n_cells: int | npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return the number of the cell that holds the centre of each pixel of a line of equal cells."""
    return (2 * np.arange(n_pixels) + 1) * n_cells // (2 * n_pixels)
