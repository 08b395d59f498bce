"""The compiled loops; each array is C-contiguous and of exactly the type named.

Built with the package where there is a compiler; all that calls them does without. Arrays that do not fit, or hold
what would lead beside a table, raise a ValueError that names the rule and the number.
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

def pieces(
    ids: npt.NDArray[np.uint8],
    held: npt.NDArray[np.bool_] | bytes,
    areas: npt.NDArray[np.int64],
    kept: npt.NDArray[np.int64],
    shape: tuple[int, int],
    /,
) -> int:
    """Write the area of each piece of the classes in `ids` (H, W) and how much of it is `held` (H, W, or empty).

    `areas` and `kept` have room for as many as there can be: H times half of W, rounded up. Returns their number.
    """

def region_sums(
    labels_a: npt.NDArray[np.uint16],
    labels_b: npt.NDArray[np.uint16],
    from_b: npt.NDArray[np.bool_],
    saliency_a: npt.NDArray[np.uint8],
    saliency_b: npt.NDArray[np.uint8],
    ratios: npt.NDArray[np.float64],
    offset: int,
    regions: npt.NDArray[np.int32],
    totals: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.int64],
    /,
) -> None:
    """Write `regions` (H, W), labels of B and those of A plus `offset`, and add up ratios and pixels of each.

    `ratios` (65536,) has that of each pair of saliencies, A in the upper byte; sums are taken in the pixels' order.
    """

def seam(
    plane: npt.NDArray[np.uint8],
    ids: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.uint8],
    shape: tuple[int, int],
    least: int,
    thin: int,
    rank: int,
    /,
) -> tuple[int, int, int]:
    """Count the pixels of the seam of `weights`, those on or beside a contour of `plane` or `ids`, and all of these.

    Neighbouring weights of a seam differ by `least`. All are (H, W); slopes of the plane are contours where they are
    above the one of a `rank` among those of every `thin`-th row and column.
    """

def histograms(values: npt.NDArray[np.uint8], ids: npt.NDArray[np.uint8], counts: npt.NDArray[np.int64], /) -> None:
    """Count each value over background, over classes and over what is ignored, into `counts` (3, 256)."""

def gather(
    table: npt.NDArray[np.uint8] | npt.NDArray[np.bool_],
    numbers: npt.NDArray[np.uint16] | npt.NDArray[np.int32],
    out: npt.NDArray[np.uint8] | npt.NDArray[np.bool_],
    /,
) -> None:
    """Write the byte of a table at each number to `out`."""

def blend(
    a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], weights: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8], /
) -> None:
    """Write ``((255 - weights) * a + weights * b) / 255``, rounded to nearest, to `out`."""

def mix_labels(
    a: npt.NDArray[np.uint8],
    b: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.uint8],
    classes: int,
    halves: npt.NDArray[np.float16],
    soft: npt.NDArray[np.float16],
    mask: npt.NDArray[np.uint8],
    /,
) -> None:
    """Write the shares of the classes of two masks to `soft` (C, H, W), which is 0, and the greatest to `mask`.

    `halves` (256,) is what stands for each share in 255ths.
    """

def difference_lines(picture: npt.NDArray[np.uint8], lines: npt.NDArray[np.uint8], /) -> None:
    """Write the lines of a PNG file, 2 and the differences to the line above, to `lines` (H, 1 + W C).

    `picture` (H, W, C) may lie in memory in any order.
    """

def grow(
    labels: npt.NDArray[np.uint16],
    shape: tuple[int, int],
    sizes: npt.NDArray[np.int64],
    draws: npt.NDArray[np.float64],
    start: int,
    areas: tuple[float, float],
    selected: npt.NDArray[np.bool_],
    /,
) -> None:
    """Write which of the R superpixels in `labels` (H, W) are part of a piece grown from one, its holes filled.

    `sizes` (R,) are those of the superpixels, `draws` (R,) of [0, 1) decide which joins next; `areas` are the number of
    pixels to grow to and the most there may be. `selected` is (R,).
    """
