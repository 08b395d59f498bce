"""Samples per second of loaders over our shards against bare decoding, and what each way to store a sample costs.

Bare is decoding the same bytes from memory: the two PNG files and the npz of a sample to arrays, nothing else. Each
reader has to give these arrays and uses the decoders of its bare row: Pillow and numpy, as the card's snippets do, or
those of our reading helper. All run in this process on one core and take turns, each just after its bare row; ratios
are medians over the rounds, and those by processor time are claimed, as other work disturbs them less. Programs that
leave the hard mask alone decode less for the same reading: `--without-masks`. The second part encodes the images,
masks and soft labels of the same shards in other ways. Takes about two minutes.
"""

import argparse
import io
import os
import statistics
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import click.testing
import datasets
import imagecodecs
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch
import webdataset
from PIL import Image
from report import Claim, conclude, print_table
from synthetic import write_source

from hsmix_gen.pipeline.cli.commands import cli
from hsmix_gen.pipeline.dataset.array_bytes import encode_photograph, read_npz
from hsmix_gen.pipeline.dataset.sample_members import decode_image, decode_mask, decode_soft_of
from hsmix_gen.pipeline.loading import HsmixDataset, HsmixStream

LEAST = 0.85
Array = npt.NDArray[Any]
Members = dict[str, bytes]
Way = tuple[Callable[[Array], bytes | bytearray], Callable[[bytes], Any]]
"""Encoder and decoder."""
Times = tuple[float, float]
"""Milliseconds by the clock and of the processor."""
_DECODERS = {"image": decode_image, "mask": decode_mask, "soft": decode_soft_of}
_NOT_CLAIMED = "webdataset with these decoders"
"""Its own 0.17 ms for a sample stay the same where decoding is faster."""


def write_shards(folder: Path, source: Path | None, n_images: int, n_classes: int) -> Path:
    """Make an output in both formats by the program itself and return its folder."""
    if source is None:
        source = write_source(folder / f"source-{n_classes}", n_images)
        if n_classes > 2:
            for path in (source / "masks").glob("*.png"):
                _cut_into_sectors(path, n_classes)
    output = folder / f"output-{n_classes}"
    result = click.testing.CliRunner().invoke(cli, [
        *("run", str(source), str(output), "--limit", str(n_images), "--saliency", "fine_grained"),
        *("--backend", "serial", "--progress", "none", "--variants", "1", "--regions", "50", "50"),
        *("--copies", "5", "--shards", "4", "--size", "224", "224", "--format", "webdataset", "--format", "parquet"),
    ])  # fmt: skip
    if result.exit_code:
        raise SystemExit(result.stderr)
    return output


def _cut_into_sectors(path: Path, n_classes: int) -> None:
    """Turn a mask of 0 and 255 into one of as many classes, the sectors around the middle of its objects."""
    inside = np.asarray(Image.open(path)) > 0
    down, right = np.nonzero(inside)
    y, x = np.indices(inside.shape)
    turn = (np.arctan2(y - down.mean(), x - right.mean()) / (2 * np.pi) + 0.5) * (n_classes - 1)
    sector = 1 + np.minimum(turn.astype(np.uint8), n_classes - 2)
    Image.fromarray((inside * sector).astype(np.uint8)).save(path)


def members_of(output: Path) -> list[Members]:
    """Return the encoded members of all training samples."""
    found: dict[str, Members] = {}
    for path in sorted((output / "webdataset").glob("train-*.tar")):
        for name, data in _entries(path):
            key, _, member = name.partition(".")
            found.setdefault(key, {})[member] = data
    return list(found.values())


def _entries(path: Path) -> Iterable[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for entry in archive:
            file = archive.extractfile(entry)
            assert file is not None
            yield entry.name, file.read()


def plain(pictures: Iterable[bytes], soft: bytes) -> tuple[list[Array], Array]:
    """Decode as the snippets of the card do."""
    decoded = []
    for data in pictures:
        with Image.open(io.BytesIO(data)) as picture:
            decoded.append(np.array(picture))
    return decoded, _array(np.load(io.BytesIO(soft)))


def _array(loaded: Any) -> Array:
    array: Array = loaded["soft"] if isinstance(loaded, np.lib.npyio.NpzFile) else loaded
    return array


def readers(output: Path, members: Sequence[Members], parts: Sequence[str]) -> dict[str, tuple[str, Callable[[], int]]]:
    """Return all readers by name, each with its bare row and a function that reads all samples once.

    `parts` are the pictures that they give beside the soft label: image, or image and mask.
    """
    tars = sorted(map(str, (output / "webdataset").glob("train-*.tar")))
    tables = sorted(map(str, (output / "parquet").glob("train-*.parquet")))
    tar, parquet = (HsmixDataset(output, form=form, parts=(*parts, "soft"), raw=True) for form in (
        "webdataset", "parquet",
    ))  # fmt: skip
    described = {"soft": {"encoding": "npz", "shape": [0]}}
    names = [f"{part}.png" for part in parts]
    hf: Mapping[str, Any] = {"path": "parquet", "data_files": {"train": tables}, "split": "train", "streaming": True}
    rows = datasets.load_dataset(**hf).select_columns(["key", *parts, "soft"])
    encoded = rows
    for part in parts:
        encoded = encoded.cast_column(part, datasets.Image(decode=False))
    pillow, fast = "bare, Pillow and numpy", "bare, decoders of our helper"
    return {
        pillow: (pillow, lambda: sum(len(_plain_members(m, names)) > 0 for m in members)),
        "tarfile": (pillow, lambda: _through_tarfile(tars, names)),
        "webdataset": (pillow, lambda: _through_webdataset(tars, partial(_plain_members, names=names))),
        "pyarrow, row groups of Parquet": (pillow, lambda: _through_pyarrow(tables, parts)),
        "HF datasets, Parquet streaming": (pillow, lambda: _through_datasets(rows, parts)),
        "HF datasets, its images not decoded": (pillow, lambda: _through_datasets(encoded, parts)),
        fast: (fast, lambda: sum(len(_fast(m, described, parts)) > 0 for m in members)),
        _NOT_CLAIMED: (fast, lambda: _through_webdataset(tars, partial(_fast, described=described, parts=parts))),
        "helper, tar by number": (fast, lambda: sum(1 for i in range(len(tar)) if tar[i])),
        "helper, tar stream, shuffled": (fast, lambda: sum(1 for _ in HsmixStream(tar, shuffle_seed=0))),
        "helper, Parquet by number": (fast, lambda: sum(1 for i in range(len(parquet)) if parquet[i])),
        "helper, Parquet stream, shuffled": (fast, lambda: sum(1 for _ in HsmixStream(parquet, shuffle_seed=0))),
    }


def _plain_members(members: Mapping[str, Any], names: Sequence[str]) -> tuple[list[Array], Array]:
    return plain((members[name] for name in names), members["soft.npz"])


def _fast(members: Mapping[str, Any], described: Mapping[str, Any], parts: Sequence[str]) -> list[Array]:
    return [_DECODERS[part](members, described) for part in (*parts, "soft")]


def _through_tarfile(paths: Sequence[str], names: Sequence[str]) -> int:
    count, found = 0, {}
    for path in paths:
        for name, data in _entries(Path(path)):
            found[name.partition(".")[2]] = data
            if name.endswith(".soft.npz"):
                _plain_members(found, names)
                count += 1
    return count


def _through_webdataset(paths: list[str], decode: Callable[[Mapping[str, Any]], object]) -> int:
    return sum(1 for _ in webdataset.WebDataset(paths, shardshuffle=False).map(decode))


def _through_pyarrow(paths: Sequence[str], parts: Sequence[str]) -> int:
    count = 0
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(32, columns=["key", *parts, "soft"], use_threads=False):
                pictures = zip(*(batch.column(part).field("bytes") for part in parts), strict=True)
                for found, label in zip(pictures, batch.column("soft"), strict=True):
                    plain((data.as_py() for data in found), label.as_py())
                    count += 1
    return count


def _through_datasets(rows: Any, parts: Sequence[str]) -> int:
    count = 0
    for row in rows:
        if isinstance(row["image"], dict):
            plain((row[part]["bytes"] for part in parts), row["soft"])
        else:
            for part in parts:
                np.array(row[part])
            _array(np.load(io.BytesIO(row["soft"])))
        count += 1
    return count


def measure(
    ways: Mapping[str, tuple[str, Callable[[], int]]], n_samples: int, n_rounds: int
) -> dict[str, list[tuple[Times, Times]]]:
    """Return, of each way and round, what it takes and what its bare row takes just before it; ways take turns."""
    times: dict[str, list[tuple[Times, Times]]] = {name: [] for name in ways}
    for _ in range(n_rounds):
        for name, (bare, read) in ways.items():
            # Other work on the machine comes and goes: only neighbours in time can be compared.
            times[name].append((_timed(ways[bare][1], n_samples), _timed(read, n_samples)))
    return times


def _timed(read: Callable[[], int], n_samples: int) -> Times:
    """Return milliseconds per sample, by the clock and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    count = read()
    times = (time.perf_counter() - wall) * 1e3 / n_samples, (time.process_time() - cpu) * 1e3 / n_samples
    assert count == n_samples, f"{read} gave {count} samples of {n_samples}"
    return times


def compare_readers(output: Path, n_classes: int, n_rounds: int, parts: Sequence[str]) -> list[Claim]:
    """Print a table of all readers and return a claim for each; it is of processor time, which others disturb less."""
    members = members_of(output)
    ways = readers(output, members, parts)
    times = measure(ways, len(members), n_rounds)
    lines, claims = [], []
    for name, (bare, _) in ways.items():
        wall, cpu = (statistics.median(b[clock] / own[clock] for b, own in times[name]) for clock in (0, 1))
        verdict = "" if name == bare else "PASS" if cpu >= LEAST else "under"
        speeds = [1e3 / statistics.median(own[clock] for _, own in times[name]) for clock in (0, 1)]
        lines.append([name, f"{speeds[0]:.0f}", f"{wall:.2f}", f"{speeds[1]:.0f}", f"{cpu:.2f}", verdict])
        if name not in (bare, _NOT_CLAIMED):
            claims.append(Claim(f"{n_classes} classes, {name}, times the speed of bare decoding", cpu, least=LEAST))
    head = ["", "samples/s", "of bare", "by processor time", "of bare", f"bound {LEAST}"]
    print_table(f"reading {len(members)} samples of {n_classes} classes, one core, medians of {n_rounds}", head, lines)
    return claims


def compare_encodings(members: Sequence[Members], n_samples: int, n_classes: int) -> None:
    """Print what other ways to store images, masks and soft labels cost."""
    chosen = members[:n_samples]
    soft = [read_npz(m["soft.npz"])["soft"] for m in chosen]
    if n_classes == 2:
        images = [imagecodecs.png_decode(m["image.png"]) for m in chosen]
        masks = [imagecodecs.png_decode(m["mask.png"]) for m in chosen]
        print_encodings("images, 224 x 224 RGB", images, {**png_ways(), **lossless_ways()})
        print_encodings("masks, 224 x 224", masks, png_ways())
    print_encodings(f"soft labels, {n_classes} classes, float16", soft, npz_ways())


def png_ways() -> dict[str, Way]:
    """Return encoders and decoders of PNG by name; the one in use is marked."""
    png = imagecodecs.PNG
    ways: dict[str, Way] = {}
    settings = [
        *((level, "DEFAULT", "ALL") for level in (0, 1, 3, 6, 9)),
        *((1, "DEFAULT", name) for name in ("NO", "SUB", "UP")),
        *((1, "RLE", name) for name in ("NO", "SUB", "UP", "ALL")),
        *((1, "HUFFMAN_ONLY", "UP"), (1, "FILTERED", "UP"), (6, "RLE", "UP")),
    ]
    for level, strategy, name in settings:
        mark = " <- in use for masks" if (level, strategy, name) == (1, "RLE", "UP") else ""
        how = {
            "level": level,
            "strategy": getattr(png.STRATEGY, strategy),
            "filter": getattr(png.FILTER, name),
        }
        title = f"png level {level}, {strategy.lower()}, filter {name.lower()}{mark}"
        ways[title] = (partial(imagecodecs.png_encode, **how), imagecodecs.png_decode)
    ways["png by libdeflate, filter up <- in use for images"] = (encode_photograph, imagecodecs.png_decode)
    ways["png by Pillow, level 1"] = (lambda array: _by_pillow(array, "PNG", compress_level=1), _of_pillow)
    ways["png by Pillow, level 6"] = (lambda array: _by_pillow(array, "PNG", compress_level=6), _of_pillow)
    ways["png by libspng, level 1"] = (lambda a: bytes(imagecodecs.spng_encode(a, level=1)), imagecodecs.spng_decode)
    return ways


def lossless_ways() -> dict[str, Way]:
    """Return other lossless encoders, which fewer readers know."""
    return {
        "webp lossless, level 0": (
            lambda a: bytes(imagecodecs.webp_encode(a, level=0, lossless=True, method=0)), imagecodecs.webp_decode,
        ),
        "webp lossless, by Pillow": (lambda a: _by_pillow(a, "WEBP", lossless=True, quality=0, method=0), _of_pillow),
        "jpeg xl lossless, effort 1": (
            lambda a: bytes(imagecodecs.jpegxl_encode(a, lossless=True, effort=1, numthreads=1)),
            lambda data: imagecodecs.jpegxl_decode(data, numthreads=1),
        ),
        "jpeg-ls": (lambda a: bytes(imagecodecs.jpegls_encode(a)), imagecodecs.jpegls_decode),
        "qoi": (lambda a: bytes(imagecodecs.qoi_encode(a)), imagecodecs.qoi_decode),
    }  # fmt: skip


def npz_ways() -> dict[str, Way]:
    """Return ways to store a soft label; all but those of the helper are decoded by ``numpy.load``."""
    ways: dict[str, Way] = {
        "npy": (_npy, _of_numpy),
    }
    for level in (1, 3, 6, 9):
        mark = " <- in use" if level == 1 else ""
        ways[f"npz level {level}{mark}"] = (partial(_npz, level=level), _of_numpy)
    ways["npz level 1, decoded by our helper"] = (lambda array: _npz(array, 1), lambda data: read_npz(data)["soft"])
    ways["npy in zstd level 1, as Parquet pages"] = (
        lambda array: bytes(imagecodecs.zstd_encode(_npy(array), level=1)),
        lambda data: _of_numpy(bytes(imagecodecs.zstd_decode(data))),
    )
    return ways


def _npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _npz(array: Array, level: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("soft.npy", _npy(array), zipfile.ZIP_DEFLATED, level)
    return buffer.getvalue()


def _of_numpy(data: bytes) -> Array:
    return _array(np.load(io.BytesIO(data)))


def _by_pillow(array: Array, form: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form, **how)
    return buffer.getvalue()


def _of_pillow(data: bytes) -> Array:
    return np.array(Image.open(io.BytesIO(data)))


def print_encodings(
    title: str,
    arrays: Sequence[Array],
    ways: Mapping[str, Way],
) -> None:
    """Print milliseconds and bytes of each way; one that does not give the array back is an error."""
    lines = []
    for name, (encode, decode) in ways.items():
        encoded, write_ms = _each(encode, arrays)
        back, read_ms = _each(decode, encoded)
        assert all(np.array_equal(a, b) for a, b in zip(arrays, back, strict=True)), f"{name} is not lossless"
        size = statistics.mean(map(len, encoded))
        lines.append([name, f"{write_ms:.2f}", f"{size / 1024:.1f}", f"{read_ms:.2f}"])
    print_table(f"{title}: mean of {len(arrays)}, least of 2", ["", "encode ms", "KiB", "decode ms"], lines)


def _each(function: Callable[[Any], Any], values: Sequence[Any]) -> tuple[list[Any], float]:
    """Return what a function makes of values, and the processor's milliseconds for one, the best of two rounds."""
    least, made = float("inf"), []
    for _ in range(2):
        started = time.process_time()
        made = [function(value) for value in values]
        least = min(least, (time.process_time() - started) * 1e3 / len(values))
    return made, least


def main() -> int:
    """Measure, print, and return 1 if a claim was missed."""
    options = _options()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    parts = ("image",) if options.without_masks else ("image", "mask")
    claims: list[Claim] = []
    with tempfile.TemporaryDirectory() as name:
        for n_classes in (2, 9) if options.source is None else (2,):
            output = write_shards(Path(name), options.source, options.images, n_classes)
            claims += compare_readers(output, n_classes, options.rounds, parts)
            compare_encodings(members_of(output), options.encoded, n_classes)
    return conclude(claims)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--source", type=Path, help="images with masks of two classes; none: synthetic ones")
    parser.add_argument("--images", type=int, default=36, help="images; there are some four times as many samples")
    parser.add_argument("--rounds", type=int, default=9, help="in which all readers take turns")
    parser.add_argument("--without-masks", action="store_true", help="decode images and soft labels only")
    parser.add_argument("--encoded", type=int, default=12, help="samples that are encoded in each way")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
