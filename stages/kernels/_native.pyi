"""The compiled loops; each array is C-contiguous and of exactly the type named.

Built with the package where there is a compiler; all that calls them does without. Arrays that do not fit, or hold
what would lead beside a table, raise a ValueError that names the rule and the number.
"""

from typing import Any

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

def blur(
    levels: npt.NDArray[np.uint8],
    shape: tuple[int, int],
    kernel: npt.NDArray[np.uint8],
    blurred: npt.NDArray[np.float32],
    /,
) -> None:
    """Write `levels` (H, W) smoothed in whole numbers, down and across, mirrored at the rim.

    The `kernel` (odd in number) is symmetric, and the sum of its weights at most 255.
    """

def share_levels(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], levels: npt.NDArray[np.uint8], /) -> None:
    """Write b's share of two maps of whole numbers, each over its sum, in 255ths; one half where both are 0."""

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

def within(area: npt.NDArray[np.bool_], shape: tuple[int, int], most: int, marks: npt.NDArray[np.bool_], /) -> None:
    """Write to `marks` (H, W) where the squared distance to the nearest pixel of `area` is at most `most`."""

def deepest(area: npt.NDArray[np.bool_], shape: tuple[int, int], /) -> int:
    """Return the greatest squared distance of a pixel to the nearest one of `area` (H, W), which has some."""

def sum_noise(key: int, terms: int, sums: npt.NDArray[np.float64], /) -> None:
    """Write to `sums` (N,) those of `terms` arrays of random numbers below 2**20, drawn by the Philox of a key."""

def greatest(values: npt.NDArray[np.float64], wanted: int, taken: npt.NDArray[np.bool_], /) -> None:
    """Write to `taken` which `values` are the greatest, `wanted` of them, the first ones of equal values."""

def byte_sum(values: npt.NDArray[np.uint8], /) -> int:
    """Return the sum of values."""

def tally_pieces(
    ids: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.uint8] | bytes,
    shape: tuple[int, int],
    least: int,
    is_b: bool,
    low: float,
    high: float,
    small: float,
    /,
) -> tuple[int, int, int, int, int]:
    """Count the pieces of the classes in `ids` (H, W): fragments, objects, cut ones, small ones, small ones cut.

    Objects have `least` pixels or more, small ones less than `small`. Of one that is cut a share between `low` and
    `high` has `weights` (H, W, or empty: none has) of one half or more, or less than that where it is not `is_b`.
    """

def number_pieces(
    ids: npt.NDArray[np.uint8] | npt.NDArray[np.bool_], shape: tuple[int, int], numbers: npt.NDArray[np.int32], /
) -> int:
    """Return how many pieces of the classes in `ids` (H, W) there are, and write the number of each, from 1.

    They are numbered in the order of their first pixels; `numbers` (H, W) stay where there is no class.
    """

def label_totals(
    labels: npt.NDArray[np.uint16],
    values: npt.NDArray[np.uint8] | npt.NDArray[np.bool_] | bytes,
    totals: npt.NDArray[np.int64],
    /,
) -> None:
    """Add to `totals` (R,) the values of the pixels of each label, which are 1 where none are given."""

def sum_regions(
    labels_a: npt.NDArray[np.uint16],
    labels_b: npt.NDArray[np.uint16],
    from_b: npt.NDArray[np.bool_],
    saliency_a: npt.NDArray[np.uint8],
    saliency_b: npt.NDArray[np.uint8],
    ratio: tuple[float, float],
    offset: int,
    regions: npt.NDArray[np.int32],
    totals: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.int64],
    /,
) -> None:
    """Write `regions` (H, W), labels of B and those of A plus `offset`, and add up ratios and pixels of each.

    A ratio is the saliency of B over that of both and the first number of `ratio`; the second one stands for it where
    both are 0. Sums are taken in the pixels' order.
    """

def regions_seen(
    labels_a: npt.NDArray[np.uint16],
    labels_b: npt.NDArray[np.uint16],
    from_b: npt.NDArray[np.bool_],
    offset: int,
    seen: npt.NDArray[np.bool_],
    /,
) -> None:
    """Mark in `seen` (R,) each region that the mix has; they are numbered as by `sum_regions`."""

def count_seam(
    plane: npt.NDArray[np.uint8],
    ids: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.uint8],
    step: int,
    least: int,
    thin: int,
    share: float,
    /,
) -> tuple[int, int, int]:
    """Count the pixels of the seam of `weights`, those on or beside a contour of `plane` or `ids`, and all of these.

    All are (H, W), in memory in any order, and seen every `step` rows and columns. Neighbouring weights of a seam
    differ by `least`; slopes of the plane are contours where they are above that of a rank, a `share` of all, among
    those of every `thin`-th row and column.
    """

def rank_sums(values: npt.NDArray[np.uint8], ids: npt.NDArray[np.uint8], step: int, /) -> tuple[int, int]:
    """Count the pairs of a pixel of a class and one of the background.

    Those of which the first has the greater value count twice, those of equal values once; then all pairs. Both are
    (H, W), in memory in any order, and seen every `step` rows and columns.
    """

def moments(values: npt.NDArray[np.uint8], step: int, /) -> tuple[int, int]:
    """Return the sum of every `step`-th row and column of (H, W) values in any order, and the sum of their squares."""

def gather(
    table: npt.NDArray[np.uint8] | npt.NDArray[np.bool_],
    numbers: npt.NDArray[np.uint16] | npt.NDArray[np.int32],
    out: npt.NDArray[np.uint8] | npt.NDArray[np.bool_],
    /,
) -> None:
    """Write the byte of a table at each number to `out`."""

def blend_planes(
    a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], weights: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8], /
) -> None:
    """Write ``((255 - weights) * a + weights * b) / 255``, rounded to nearest, to `out`; weights are of one plane."""

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

def label_sums(
    a: npt.NDArray[np.uint8],
    b: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.uint8],
    sums: npt.NDArray[np.int64],
    /,
) -> None:
    """Add to `sums` (256,) the shares in 255ths of each class of a mix of two masks, without what is ignored."""

def lay_out(picture: npt.NDArray[Any], out: npt.NDArray[Any], /) -> None:
    """Write the planes of a picture (C, H, W), which may lie in memory in any order, one after the other to `out`."""

def difference_lines(picture: npt.NDArray[np.uint8], lines: npt.NDArray[np.uint8], /) -> None:
    """Write the lines of a PNG file, 2 and the differences to the line above, to `lines` (H, 1 + W C).

    `picture` (H, W, C) may lie in memory in any order.
    """

def grow_piece(
    labels: npt.NDArray[np.uint16],
    shape: tuple[int, int],
    draws: npt.NDArray[np.float64],
    area: tuple[float, float],
    selected: npt.NDArray[np.bool_],
    /,
) -> None:
    """Write which of the R superpixels in `labels` (H, W) are part of a piece grown from one, its holes filled.

    `draws` (2 + R,) of [0, 1) decide how large it becomes within `area`, the least and greatest share of the image,
    where it begins, and which joins next. `selected` is (R,).
    """
