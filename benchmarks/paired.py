"""What the product takes now and took before: whole jobs in turn, by processor time, and reading of the cache.

``python benchmarks/paired.py --before FOLDER``, with a checkout of the commit to compare with, say by ``git worktree
add FOLDER HEAD~5`` and ``python setup.py build_ext --inplace`` there. Without it only reading is compared, with Zarr's.
"""

import argparse
import ctypes
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from report import Claim, conclude, print_table
from synthetic import write_source

from hsmix_gen.pipeline.features.feature_cache import ArraySpec, FeatureCache

SIDE, VARIANTS, BLOCK = 224, 4, 16
SMALL = 16
_SUBREAPER = 36
ROOT = Path(__file__).resolve().parents[1]

Job = tuple[str, Path, tuple[str, ...]]
Reader = Callable[..., Any]


def main() -> int:
    """Print both tables."""
    options = _options()
    claims = []
    with tempfile.TemporaryDirectory() as scratch:
        claims.append(_print_reading(Path(scratch), options.rounds))
        if options.before is not None:
            jobs = _jobs(options, Path(scratch))
            times = {job[0]: _rounds(job, options, Path(scratch)) for job in jobs}
            claims += _print_jobs(times, options.rounds)
    return conclude(claims)


def _print_reading(scratch: Path, rounds: int) -> Claim:
    """Compare reading the features of a soft sample, nothing of them in memory, with Zarr's own reading."""
    ours, theirs = readers(scratch)
    pairs = [(_sample_ms(theirs), _sample_ms(ours)) for _ in range(4 * rounds)]
    by_zarr, by_cache = (statistics.median(side) for side in zip(*pairs, strict=True))
    rows = [["by Zarr", f"{by_zarr:.2f}"], ["by the cache", f"{by_cache:.2f}"]]
    print_table("reading the features of a soft sample, processor time", ["", "ms"], rows)
    ratio = statistics.median(now / before for before, now in pairs)
    return Claim("reading by the cache over reading by Zarr", ratio, most=1 / 6)


def readers(folder: Path) -> tuple[Reader, Reader]:
    """Return how the cache and how Zarr reads an array by name and index, of a layer that is written to a folder."""
    arrays = {
        "image": ((SIDE, SIDE, 3), "uint8", None),
        "mask": ((SIDE, SIDE), "uint8", None),
        "labels": ((VARIANTS, SIDE, SIDE), "uint16", (1, SIDE, SIDE)),
        "saliency": ((SIDE, SIDE), "uint8", None),
    }
    specs = [ArraySpec(name, row, dtype, chunk) for name, (row, dtype, chunk) in arrays.items()]
    cache = FeatureCache(folder)
    cache.create("layer", specs, n_rows=BLOCK, block=BLOCK)
    # As smooth as features are: noise would not be compressed, and hide the rest behind its decoding.
    coarse = np.random.default_rng(0).integers(0, 60, (SIDE // 8, SIDE // 8))
    plane = np.kron(coarse, np.ones((8, 8), int))
    planes = {"image": plane[..., None]}
    values = {spec.name: np.broadcast_to(planes.get(spec.name, plane), (BLOCK, *spec.row)) for spec in specs}
    cache.write_block("layer", 0, range(BLOCK), values)
    opened: dict[str, Any] = {name: zarr.open_array(folder / "layer.zarr", path=name, mode="r") for name in arrays}
    return lambda name, *index: cache.read("layer", name, *index), lambda name, *index: np.asarray(opened[name][index])


def _sample_ms(read: Reader) -> float:
    started = time.process_time()
    for row in range(BLOCK):
        for index in (("image", row), ("mask", row), ("labels", row, 1), ("saliency", row)):
            read(*index)
    return 2 * (time.process_time() - started) / BLOCK * 1e3


def _jobs(options: argparse.Namespace, scratch: Path) -> list[Job]:
    source = options.source or write_source(scratch / "source", options.images, side=256)
    size = tuple(map(str, (options.side, options.side)))
    plain = ("--size", *size, "--backend", options.backend, "--progress", "none")
    small: Job = (f"job on {SMALL} images", source, (*plain, "--limit", str(SMALL)))
    whole: Job = (f"job on {options.images} images", source, (*plain, "--limit", str(options.images)))
    return [small, whole] if options.images > SMALL else [small]


def _rounds(job: Job, options: argparse.Namespace, scratch: Path) -> list[tuple[float, float]]:
    """Return processor seconds of the job before and now, a pair for each round."""
    name, source, words = job
    pairs = []
    for number in range(options.rounds):
        pair = []
        for side, tree in (("before", options.before), ("now", ROOT)):
            output = scratch / f"{side}-{number}-{name.replace(' ', '-')}"
            pair.append(processor_seconds(tree, ["run", str(source), str(output), *words]))
        pairs.append((pair[0], pair[1]))
    return pairs


def processor_seconds(tree: Path, words: list[str]) -> float:
    """Return the processor time of a command of a checkout, that of all processes it leaves to themselves too."""
    environment = {**os.environ, "PYTHONPATH": str(tree / ".typing"), "OMP_NUM_THREADS": "1"}
    before = _used()
    command = [sys.executable, "-m", "hsmix_gen.pipeline", *words]
    subprocess.run(command, env=environment, check=True, cwd=tempfile.gettempdir(), stdout=subprocess.DEVNULL)
    while True:  # what Ray started is this process's to wait for, see main
        try:
            os.wait()
        except ChildProcessError:
            return _used() - before


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _print_jobs(times: dict[str, list[tuple[float, float]]], rounds: int) -> list[Claim]:
    rows, claims = [], []
    for name, pairs in times.items():
        before, now = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(n / b for b, n in pairs)
        rows.append([name, f"{before:.1f}", f"{now:.1f}", f"1/{1 / ratio:.2f}"])
        claims.append(Claim(f"{name}: time now over time before", ratio, most=1 / 1.6))
    print_table(f"processor seconds of whole jobs, medians of {rounds}", ["", "before", "now", "now / before"], rows)
    return claims


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument("--source", type=Path, help="real data; by default a synthetic set is made")
    parser.add_argument("--images", type=int, default=120)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--backend", default="serial", help="ray or serial")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)  # orphans of a run become children of this process
    sys.exit(main())
