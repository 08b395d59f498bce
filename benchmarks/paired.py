"""What the product takes now and took before: jobs and a warm sample in turn, by processor time; and reading the cache.

``python benchmarks/paired.py --before FOLDER``, with a checkout of the commit to compare with, say by ``git worktree
add FOLDER HEAD~5`` and ``python setup.py build_ext --inplace`` there. Without it only reading is compared, with Zarr's.
"""

import argparse
import contextlib
import ctypes
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import zarr
from report import Claim, conclude, print_table
from synthetic import write_source

from hsmix_gen.pipeline.features.feature_cache import ArraySpec, FeatureCache

SIDE, VARIANTS, BLOCK = 224, 4, 16
SMALL = 16
_SUBREAPER = 36
_LOOK_S = 0.1
_TICKS = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).resolve().parents[1]

SERIAL = ("--backend", "serial")
COPIES = (3, 43)
Job = tuple[str, Path, tuple[str, ...], float]
"""Name, source, options, and how many times less it is to take."""
Reader = Callable[..., Any]


def main() -> int:
    """Print both tables."""
    options = _options()
    claims = []
    with tempfile.TemporaryDirectory() as scratch:
        claims.append(_print_reading(Path(scratch), options.rounds))
        if options.before is not None:
            head = ["", "before", "now", "now / before"]
            row, claim = _row("a warm soft sample, ms", _warm_rounds(options, Path(scratch)), 2.0, 2)
            print_table(f"encoded and written, serial, medians of {options.rounds} rounds", head, [row])
            measured = [
                _row(job[0], _rounds(job, options, Path(scratch)), job[3], 1) for job in _jobs(options, Path(scratch))
            ]
            title = f"processor seconds of whole jobs, all processes, medians of {options.rounds} rounds"
            print_table(title, head, [row for row, _ in measured])
            claims += [claim, *(claim for _, claim in measured)]
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
    """Return the small job, with Ray, and whole jobs on every source at every size."""
    sources = options.source or [write_source(scratch / "source", options.images, side=256)]
    small: Job = (f"job on {SMALL} images, Ray", sources[0], (*_sized(options.sides[0]), "--limit", str(SMALL)), 2.5)
    whole: list[Job] = [
        (f"{source.name}, {side} x {side}", source, (*_sized(side), *SERIAL, "--limit", str(options.images)), least)
        for source in sources
        for side, least in zip(options.sides, (1.6 if source == sources[0] else 2.0, *[2.0] * 9), strict=False)
    ]
    return [small, *whole] if options.images > SMALL else [small]


def _sized(side: int) -> tuple[str, ...]:
    return ("--size", str(side), str(side), "--progress", "none")


def _rounds(job: Job, options: argparse.Namespace, scratch: Path) -> list[tuple[float, float]]:
    """Return processor seconds of the job before and now, a pair for each round."""
    name, source, words, _ = job
    pairs = []
    for number in range(options.rounds):
        outputs = [scratch / f"{side}-{number}-{source.name}" for side in ("before", "now")]
        before, now = (
            processor_seconds(tree, ["run", str(source), str(output), *words])
            for tree, output in zip((options.before, ROOT), outputs, strict=True)
        )
        print(f"  {name}, round {number + 1}: {before:.1f} s before, {now:.1f} s now", flush=True)
        pairs.append((before, now))
        for output in outputs:
            shutil.rmtree(output)
    return pairs


def _warm_rounds(options: argparse.Namespace, scratch: Path) -> list[tuple[float, float]]:
    """Return the milliseconds of a warm soft sample before and now, encoded and written, a pair for each round.

    It is what more copies of the same images cost, so that start and reading cancel out.
    """
    source = options.source[0] if options.source else write_source(scratch / "warm", SMALL, side=256)
    plain = (*_sized(options.sides[0]), *SERIAL)
    caches = {}
    for side, tree in (("before", options.before), ("now", ROOT)):
        caches[side] = tree, scratch / f"cache-{side}"
        words = [*plain, "--limit", str(SMALL), "--saliency", "spectral_residual"]
        processor_seconds(tree, ["prepare", str(source), "--cache", str(caches[side][1]), *words])
    return [
        (_warm_ms(*caches["before"], scratch / "out"), _warm_ms(*caches["now"], scratch / "out"))
        for _ in range(options.rounds)
    ]


def _warm_ms(tree: Path, cache: Path, output: Path) -> float:
    seconds, samples = [], []
    for copies in COPIES:
        words = ["--copies", str(copies), "--shards", "4", "--probabilities", "0", "0", "1", "--progress", "none"]
        seconds.append(processor_seconds(tree, ["generate", "--cache", str(cache), str(output), *words, *SERIAL]))
        samples.append(pq.read_metadata(output / "manifest.parquet").num_rows)
        shutil.rmtree(output)
    return float((seconds[1] - seconds[0]) / (samples[1] - samples[0]) * 1e3)


def processor_seconds(tree: Path, words: list[str]) -> float:
    """Return the processor time of a command of a checkout, that of all processes that it starts too.

    They are looked at while they run: Ray's end without anybody who waits for them, so that the system counts them for
    nobody.
    """
    path = os.pathsep.join([str(tree / ".typing"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "hsmix_gen.pipeline", *words]
    with subprocess.Popen(command, env=environment, cwd=tempfile.gettempdir(), stdout=subprocess.DEVNULL) as process:
        used: dict[tuple[str, str], float] = {}
        while seen := _used_below(os.getpid()):
            used.update(seen)
            time.sleep(_LOOK_S)
            process.poll()
            with contextlib.suppress(ChildProcessError):  # orphans are this process's to bury, see main
                while process.returncode is not None and os.waitpid(-1, os.WNOHANG)[0]:
                    pass
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return sum(used.values())


def _used_below(ancestor: int) -> dict[tuple[str, str], float]:
    """Return the processor time so far of each process below one, by its number and start."""
    children: dict[str, list[str]] = {}
    used: dict[str, tuple[tuple[str, str], float]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            children.setdefault(fields[1], []).append(folder.name)
            used[folder.name] = (folder.name, fields[19]), (int(fields[11]) + int(fields[12])) / _TICKS
    found: dict[tuple[str, str], float] = {}
    pending = [str(ancestor)]
    while pending:
        below = children.get(pending.pop(), [])
        found.update(used[name] for name in below)
        pending += below
    return found


def _row(name: str, pairs: list[tuple[float, float]], least: float, digits: int) -> tuple[list[str], Claim]:
    before, now = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(n / b for b, n in pairs)
    row = [name, f"{before:.{digits}f}", f"{now:.{digits}f}", f"1/{1 / ratio:.2f}"]
    return row, Claim(f"{name}: time now over time before", ratio, most=1 / least)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument("--source", type=Path, nargs="+", help="real data; by default a synthetic set is made")
    parser.add_argument("--images", type=int, default=120, help="of each source; 16: the small job alone")
    parser.add_argument("--sides", type=int, nargs="+", default=[224], help="pixels")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)  # orphans of a run become children of this process
    sys.exit(main())
