"""The compiled loops; each array is C-contiguous and of exactly the type named.

Built with the package where there is a compiler. `slic`, `ward` and `mixing.distance` do without it.
"""

import numpy as np
import numpy.typing as npt

def kmeans(
    planes: npt.NDArray[np.float64],
    mask: npt.NDArray[np.bool_] | bytes,
    places: npt.NDArray[np.float64],
    colours: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int32],
    shape: tuple[int, int, int, int],
    reach: tuple[int, int],
    weight: float,
    count: int,
    rounds: int,
    by_colour: bool,
    /,
) -> None:
    """Move the K centres, `places` (2, K) and `colours` (K, C), and write `labels` (H, W) from 1, 0 for none.

    `planes` (C, H, S) have rows padded to S, a multiple of 16; `shape` is (C, H, W, S). An empty `mask` stands for all
    pixels. A centre takes pixels up to `reach` lines and columns away; `weight` is that of squared pixels.
    """

def spread(points: npt.NDArray[np.int32], centres: npt.NDArray[np.float64], rounds: int, /) -> None:
    """Move `centres` (K, 2) to the means of the `points` (P, 2) that are nearest to them, `rounds` times."""

def connect(
    labels: npt.NDArray[np.int32],
    connected: npt.NDArray[np.int32],
    shape: tuple[int, int],
    least: int,
    most: int,
    /,
) -> None:
    """Write one label from 1 for each connected piece of `labels` (H, W); 0 stays.

    Pieces below `least` pixels join a neighbour, larger ones than `most` are cut.
    """

def smooth(
    planes: npt.NDArray[np.float64], shape: tuple[int, int, int, int], kernel: npt.NDArray[np.float64], /
) -> None:
    """Smooth `planes` (C, H, S) in place along an axis of length 1, down and across, mirrored at the rim.

    `shape` is (C, H, W, S); the columns from W on stay.
    """

def ward(
    sizes: npt.NDArray[np.int64],
    sums: npt.NDArray[np.int64],
    edges: npt.NDArray[np.int32],
    joins: npt.NDArray[np.int32],
    /,
) -> int:
    """Join the R regions with `sizes` (R,) and `sums` (R, C), both changed, along `edges` (E, 2), the cheapest first.

    Writes the pairs to `joins` (R, 2) and returns how many there are.
    """

def distance(area: npt.NDArray[np.bool_], squared: npt.NDArray[np.int64], shape: tuple[int, int], /) -> None:
    """Write to `squared` (H, W) the squared distance of each pixel to the nearest one of `area`, which has some."""
