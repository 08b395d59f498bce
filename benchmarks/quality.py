"""Whether superpixels follow contours and saliency finds the object. Takes two to four minutes on one core."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from region_kinds import compare_kinds
from region_measures import achievable_accuracy, leak
from report import Claim, conclude, print_table
from synthetic import write_source

from hsmix_gen.pipeline.cli.config_resolution import resolve
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.features.cache_description import Prepared
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.precomputed_maps import read_map
from hsmix_gen.pipeline.jobs.run import run_prepare
from hsmix_gen.schemas.families import BACKENDS
from hsmix_gen.stages.saliency import quality
from hsmix_gen.stages.saliency.backend import Backend, Map, Subject
from hsmix_gen.stages.superpixels.grid_regions import square_grid

SYNTHETIC_IMAGES = 96
SYNTHETIC_SPLIT = "0.6/0.15/0.25"
TOLERANCE = 2
"""Pixels within which a contour counts as followed."""
LEAST_RECALL = 0.55
LEAST_OVER_GRID = 1.5
LEAST_AUC = 0.9
LEAST_OVER_SLIC = 1.05
MOST_COMPARED = 24
"""Images on which kinds of superpixels are compared."""

Measure = Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]


def main() -> int:
    """Prepare a source with the product and measure what is in the cache."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        source = options.source or write_source(Path(folder) / "source", SYNTHETIC_IMAGES)
        split = options.split or (None if options.source else SYNTHETIC_SPLIT)
        config = resolve(
            options={"size": options.size, "regions": options.regions, "split": split, "backend": "serial"}
        )
        (prepared,) = run_prepare(source, Path(folder) / "cache", config, Reporter(SilentDisplay()))
        usable = [row for row, record in enumerate(prepared.records) if record.refusal is None]
        tested = [row for row in usable if prepared.records[row].split == "test"]
        print(f"{len(usable)} usable images of {len(prepared.records)}, {len(tested)} of them in the test split")
        recall, grid_recall = _measure_superpixels(prepared, usable)
        gain = _compare_kinds(prepared, usable, sum(options.regions) // 2)
        auc = _measure_saliency(prepared, tested)
    return conclude(
        [
            Claim(f"boundary recall at {TOLERANCE} pixels", recall, least=LEAST_RECALL),
            Claim("boundary recall over that of a square grid", recall / grid_recall, least=LEAST_OVER_GRID),
            Claim("boundary recall of hierarchical over that of slic at equal count", gain, least=LEAST_OVER_SLIC),
            Claim("AUC of Grad-CAM against the masks of the test split", auc, least=LEAST_AUC),
        ]
    )


def _measure_superpixels(prepared: Prepared, rows: list[int]) -> tuple[float, float]:
    """Print how well superpixels and a grid of equal count fit the masks; return both boundary recalls."""
    measures: dict[str, Measure] = {
        f"boundary recall at {TOLERANCE} px": lambda labels, mask: quality.boundary_recall(
            labels, mask, tolerance=TOLERANCE
        ),
        "leak (lower is better)": leak,
        "achievable accuracy (ASA)": achievable_accuracy,
    }
    cells = list(_with_grids(prepared, rows))
    table: list[list[str]] = []
    recalls = (float("nan"), float("nan"))
    for name, measure in measures.items():
        slic = _mean(measure(labels, mask) for labels, _, mask in cells)
        grid = _mean(measure(squares, mask) for _, squares, mask in cells)
        if not table:
            recalls = (slic, grid)
        table.append([name, f"{slic:.3f}", f"{grid:.3f}", f"{slic / grid:.2f}"])
    count = _mean(float(labels.max()) + 1 for labels, _, _ in cells)
    title = f"superpixels of {len(rows)} images, {len(cells)} maps of {count:.0f} regions on average"
    print_table(title, ["", "superpixels", "square grid", "ratio"], table)
    return recalls


def _compare_kinds(prepared: Prepared, rows: list[int], n_regions: int) -> float:
    """Print all kinds of superpixels side by side; return the gain of the nested ones over SLIC."""
    cache, layers = FeatureCache(prepared.layers.root), prepared.layers
    chosen = rows[:: -(-len(rows) // MOST_COMPARED)]
    pairs = ((cache.read(layers.images, "image", row), cache.read(layers.images, "mask", row)) for row in chosen)
    return compare_kinds(pairs, n_regions, tolerance=TOLERANCE)


def _with_grids(
    prepared: Prepared, rows: list[int]
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]]:
    """Yield every cached map of superpixels, the grid of equal region count, and the mask."""
    layers = prepared.layers
    cache = FeatureCache(layers.root)
    for row in rows:
        mask = cache.read(layers.images, "mask", row)
        for variant in range(layers.variants):
            labels = cache.read(layers.superpixels, "labels", row, variant)
            yield labels, square_grid(mask.shape, n_regions=int(labels.max()) + 1), mask


def _mapped(map_of: Callable[[Subject], Map], prepared: Prepared, row: int) -> Map:
    """Return the map of a cached image by a backend that needs no network."""
    layers = prepared.layers
    image = partial(FeatureCache(layers.root).read, layers.images, "image", row)
    brought = partial(read_map, layers.root, prepared.records[row].id)
    return map_of(Subject(prepared.records[row].id, layers.facts.size, image, brought))


def _measure_saliency(prepared: Prepared, rows: list[int]) -> float:
    """Print the AUC of every backend over some images; return that of Grad-CAM."""
    layers = prepared.layers
    cache = FeatureCache(layers.root)
    backends: dict[str, Callable[[int], npt.NDArray[Any]]] = {
        "gradcam": lambda row: cache.read(layers.saliency, "saliency", row)
    }
    for name in BACKENDS.names:
        backend: Backend = BACKENDS.module(name).BACKEND
        if backend.map_of is not None and not backend.takes_maps:
            backends[name] = partial(_mapped, backend.map_of, prepared)
    masks = {row: cache.read(layers.images, "mask", row) for row in rows}
    aucs = {}
    for name, make_map in backends.items():
        values = [quality.saliency_auc(make_map(row), masks[row]) for row in rows]
        aucs[name] = [value for value in values if not np.isnan(value)]
    table = [[name, f"{_mean(iter(v)):.3f}", f"{min(v, default=float('nan')):.3f}"] for name, v in aucs.items()]
    print_table(f"saliency of {len(rows)} test images: AUC against their masks", ["backend", "mean", "worst"], table)
    made = prepared.saliency
    print(
        f"  Grad-CAM at layer {made['layer']} of the {made['network']} (validation Dice {made['validation_dice']}), "
        f"chosen by its AUC {made['layer_auc']} on training images"
    )
    return _mean(iter(aucs["gradcam"]))


def _mean(values: Iterator[float]) -> float:
    """Return the mean of those values that are defined; NaN if none is."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--source", type=Path, help="folder of images and masks; none: a synthetic set")
    parser.add_argument("--split", help="as for hsmix-gen; none: what the source states, else a draw")
    parser.add_argument("--size", type=int, nargs=2, default=(224, 224), metavar=("H", "W"), help="pixels")
    parser.add_argument("--regions", type=int, nargs=2, default=(30, 80), metavar=("MIN", "MAX"), help="superpixels")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
