"""Kinds of superpixels side by side: how closely they follow contours at equal count and at equal boundary length."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
from region_measures import leak
from report import print_table

from hsmix_gen.stages.saliency import quality
from hsmix_gen.stages.superpixels import (
    felzenszwalb_regions,
    grid_regions,
    hierarchical_regions,
    slic_regions,
    watershed_regions,
)
from hsmix_gen.stages.superpixels.label_maps import region_count

Maps = Sequence[npt.NDArray[np.integer]]
STEPS = 0.35 * 1.18 ** np.arange(14)
"""Numbers of regions tried, in units of the number at which kinds are compared; between them is interpolated."""


KINDS: dict[str, Callable[[npt.NDArray[np.uint8], Sequence[int]], Maps]] = {
    "slic": slic_regions.segment,
    "hierarchical": hierarchical_regions.segment,
    "watershed": watershed_regions.segment,
    "felzenszwalb": felzenszwalb_regions.segment,
    "grid": grid_regions.segment,
}


def compare_kinds(
    pairs: Iterable[tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer]]], n_regions: int, *, tolerance: int
) -> float:
    """Print the kinds, compared where SLIC is asked for `n_regions`; return the gain in recall of the nested ones.

    Parameters
    ----------
    pairs : iterable of ((H, W, 3) uint8, (H, W) integer)
        Images and masks.
    n_regions : int
    tolerance : int
        Pixels within which a contour counts as followed.
    """
    found: dict[str, list[list[float]]] = defaultdict(list)
    counts = []
    for image, mask in pairs:
        (reference,) = slic_regions.segment(image, [n_regions])
        aims = region_count(reference), _length(reference)
        counts.append(aims[0])
        wanted = [max(2, round(step * aims[0])) for step in STEPS]
        for name, make in KINDS.items():
            began = time.process_time()
            maps = make(image, wanted)
            cost = (time.process_time() - began) / len(maps) * 1e3
            found[name].append([*_at(maps, mask, aims, tolerance), cost])
    means = {name: np.nanmean(values, axis=0) for name, values in found.items()}
    title = f"kinds of superpixels on {len(counts)} images, {np.mean(counts):.0f} regions on average"
    head = ["", "recall at equal count", "leak", "recall at equal length", "leak", "ms a map of 14"]
    print_table(title, head, [[name, *(f"{v:.3f}" for v in row[:4]), f"{row[4]:.1f}"] for name, row in means.items()])
    return float(means["hierarchical"][0] / means["slic"][0])


def _at(maps: Maps, mask: npt.NDArray[np.integer], aims: tuple[int, float], tolerance: int) -> list[float]:
    """Return recall and leak where maps have a number of regions, and where they have a length of boundaries."""
    measures = [
        [quality.boundary_recall(labels, mask, tolerance=tolerance) for labels in maps],
        [leak(labels, mask) for labels in maps],
    ]
    values = []
    for measure_size, aim in zip((region_count, _length), aims, strict=True):
        sizes = np.array([measure_size(labels) for labels in maps], np.float64)
        order = np.argsort(sizes, kind="stable")
        values += [float(np.interp(aim, sizes[order], np.array(one)[order])) for one in measures]
    return values


def _length(labels: npt.NDArray[np.integer]) -> float:
    """Return how many pairs of neighbouring pixels a boundary runs between."""
    return float(np.count_nonzero(np.diff(labels.astype(np.int64), axis=0)) + np.count_nonzero(
        np.diff(labels.astype(np.int64), axis=1)
    ))  # fmt: skip
