"""How long it takes to read images and masks of each layout, against bare calls of the libraries that decode them.

Ours opens an item with all checks and takes every plane of its image and mask. Bare are the calls that give the same
values from the same files: Pillow, tifffile, ElementTree and scikit-image, pycocotools, numpy, h5py, nibabel, pydicom.
Both find the files in the disk cache, and tar, Parquet and COCO files opened. They take turns; ratios are medians over
the rounds. Checksums are no part of reading: what they take stands beside. Takes about a minute.
"""

import argparse
import json
import statistics
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import nibabel
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pydicom
import tifffile
from layouts import LAYOUTS, write_layouts
from PIL import Image
from pycocotools import mask as runs
from pydicom.pixels.processing import apply_rescale
from report import Claim, conclude, print_table
from skimage.draw import polygon

from hsmix_gen.pipeline.cli.config_resolution import resolve
from hsmix_gen.pipeline.decoders.registry import open_pair
from hsmix_gen.pipeline.decoders.stack import ReadOptions, Stack
from hsmix_gen.pipeline.sources.discovery import discover
from hsmix_gen.schemas.errors import HsmixError
from hsmix_gen.schemas.records import Content, SourceItem

MOST = 1.2
_LEAST_ROUNDS = 5
_HOW = ReadOptions()

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Timing:
    """Milliseconds by the clock and of the processor."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Layout:
    """What was measured of one layout.

    Attributes
    ----------
    name : str
    items, files : int
        Read in each round.
    bare, ours : sequence of Timing
        One for each round.
    digest : float
        Milliseconds that the checksums of all planes take.
    """

    name: str
    items: int
    files: int
    bare: Sequence[Timing]
    ours: Sequence[Timing]
    digest: float

    @property
    def ratio(self) -> float:
        """Median of ours over bare."""
        return statistics.median(ours.wall / bare.wall for bare, ours in zip(self.bare, self.ours, strict=True))

    @property
    def best_ratio(self) -> float:
        """Least of ours over least of bare, which other work on the machine disturbs least."""
        return min(ours.wall for ours in self.ours) / min(bare.wall for bare in self.bare)

    @property
    def cpu_ratio(self) -> float:
        """The ratio by processor time."""
        return statistics.median(ours.cpu / bare.cpu for bare, ours in zip(self.bare, self.ours, strict=True))


def read_ours(item: SourceItem) -> tuple[list[Array], list[Array]]:
    """Return all planes of an image and of its mask."""
    image, mask = open_pair(item, _HOW)
    return _planes(image), _planes(mask)


def read_bare(item: SourceItem) -> tuple[list[Array], list[Array]]:
    """Return the arrays of an image and of its mask as their libraries give them."""
    if item.image.format == item.mask.format == "array" and item.image.paths == item.mask.paths:
        image, mask = _arrays(item.image.paths[0], item.image.key, item.mask.key)  # a file is opened once
        return [image], [mask]
    planes = _BARE[item.image.format](item.image, ())
    return planes, _BARE[item.mask.format](item.mask, planes[0].shape[:2])


def _planes(stack: Stack) -> list[Array]:
    return [stack.plane(index) for index in range(stack.n_planes)]


def _bare_picture(content: Content, size: tuple[int, ...]) -> list[Array]:  # noqa: ARG001 - all have one form
    return [
        tifffile.imread(path) if path.lower().endswith((".tif", ".tiff")) else np.asarray(Image.open(path))
        for path in content.paths
        if path
    ]


def _bare_member(content: Content, size: tuple[int, ...]) -> list[Array]:  # noqa: ARG001
    return [np.asarray(Image.open(BytesIO(_packed(content.paths[0])[content.key])))]


def _bare_polygons(content: Content, size: tuple[int, ...]) -> list[Array]:
    mask = np.zeros(size, np.uint8)
    for region in ElementTree.parse(content.paths[0]).iterfind(".//Region"):  # noqa: S314 - the bare call
        points = [(float(one.attrib["X"]), float(one.attrib["Y"])) for one in region.iterfind("Vertices/Vertex")]
        columns, rows = np.array(points).T
        mask[polygon(rows, columns, size)] = 1  # type: ignore[no-untyped-call]
    return [mask]


def _bare_coco(content: Content, size: tuple[int, ...]) -> list[Array]:
    mask = np.zeros(size, np.uint8)
    for annotation in _annotations(content.paths[0])[content.key.split(";")[0]]:
        outline = annotation["segmentation"]
        for one in [outline] if isinstance(outline, dict) else runs.frPyObjects(outline, *size):
            mask[runs.decode(one) > 0] = annotation["category_id"]
    return [mask]


def _bare_array(content: Content, size: tuple[int, ...]) -> list[Array]:  # noqa: ARG001
    return _arrays(content.paths[0], content.key)


def _arrays(path: str, *keys: str) -> list[Array]:
    names = [key.split(";")[0] for key in keys]
    if path.endswith(".npy"):
        return [np.load(path)]
    if path.endswith(".npz"):
        with np.load(path) as arrays:
            return [arrays[name] for name in names]
    with h5py.File(path) as file:
        return [file[name][()] for name in names]


def _bare_nifti(content: Content, size: tuple[int, ...]) -> list[Array]:  # noqa: ARG001
    # A mapped file would be read later, or never.
    loaded: list[Any] = [nibabel.load(path, mmap=False) for path in content.paths]
    return [np.asanyarray(one.dataobj) for one in loaded]


def _bare_dicom(content: Content, size: tuple[int, ...]) -> list[Array]:  # noqa: ARG001
    datasets = [pydicom.dcmread(path) for path in content.paths]
    return [apply_rescale(dataset.pixel_array, dataset) for dataset in datasets]


_BARE: dict[str, Callable[[Content, tuple[int, ...]], list[Array]]] = {
    "picture": _bare_picture,
    "union": _bare_picture,
    "classes": _bare_picture,
    "colours": _bare_picture,
    "member": _bare_member,
    "polygons": _bare_polygons,
    "coco": _bare_coco,
    "array": _bare_array,
    "nifti": _bare_nifti,
    "dicom": _bare_dicom,
}


@cache
def _packed(path: str) -> Mapping[str, bytes]:
    """Return what a tar or Parquet file holds by the keys of contents."""
    if path.endswith(".tar"):
        with tarfile.open(path) as tar:
            return {one.name: file.read() for one in tar if (file := tar.extractfile(one)) is not None}
    cells: dict[str, bytes] = {}
    for name, column in pq.read_table(path).to_pydict().items():
        for row, value in enumerate(column):
            cells[f"{row};{name}"] = value["bytes"] if isinstance(value, dict) else value
    return cells


@cache
def _annotations(path: str) -> Mapping[str, list[Any]]:
    """Return the annotations of a COCO file by image."""
    described = json.loads(Path(path).read_text(encoding="utf-8"))
    found: dict[str, list[Any]] = {str(image["id"]): [] for image in described["images"]}
    for annotation in described["annotations"]:
        found[str(annotation["image_id"])].append(annotation)
    return found


def find_items(source: Path, most: int) -> tuple[str, list[SourceItem]]:
    """Return the layout of a source and some of its items, spread evenly, whose bare calls are known."""
    found = discover(source, resolve())
    items = [item for item in found.items if {item.image.format, item.mask.format} <= _BARE.keys()]
    return found.layout, items[:: max(1, len(items) // most)][:most]


def measure(name: str, items: Sequence[SourceItem], seconds: float) -> Layout:
    """Time both ways in turn for some seconds, after one round that is not counted."""
    files = {path for item in items for path in (*item.image.paths, *item.mask.paths, item.image.body)} - {""}
    bare: list[Timing] = []
    ours: list[Timing] = []
    _timed(read_bare, items)
    _timed(read_ours, items)
    end = time.perf_counter() + seconds
    while len(bare) < _LEAST_ROUNDS or time.perf_counter() < end:
        bare.append(_timed(read_bare, items))
        ours.append(_timed(read_ours, items))
    return Layout(name, len(items), len(files), bare, ours, _digest_time(items))


def _timed(read: Callable[[SourceItem], object], items: Sequence[SourceItem]) -> Timing:
    wall, cpu = time.perf_counter(), time.process_time()
    for item in items:
        read(item)
    return Timing((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3)


def _digest_time(items: Sequence[SourceItem]) -> float:
    """Return the milliseconds that checksums take beyond the planes themselves."""
    total = 0.0
    for item in items:
        for stack in open_pair(item, _HOW):
            _planes(stack)
            started = time.perf_counter()
            for index in range(stack.n_planes):
                stack.digest(index)
            total += time.perf_counter() - started
    return total * 1e3


def main() -> int:
    """Measure all layouts and print the ratios; it names those over the bound, and the exit status is 0."""
    options = _options()
    # pycocotools warns at every call with numpy 2.
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        sources = {source.name: source for source in options.source} or write_layouts(Path(folder), options.layouts)
        measured = []
        for name, source in sources.items():
            try:
                layout, items = find_items(source, options.items)
                if items:
                    title = name if layout in name else f"{name} ({layout})"
                    measured.append(measure(title, items, options.seconds))
                else:
                    print(f"{source} is left out: its formats have no bare call")
            except HsmixError as error:
                print(f"{name} is left out: {error}")
    _print(measured)
    conclude([Claim(f"{layout.name}, times the bare call", layout.ratio, most=MOST) for layout in measured])
    over = [layout.name for layout in measured if layout.ratio > MOST]
    print(f"\nover {MOST} times the bare call: {', '.join(over) or 'none'}")
    return 0


def _print(measured: Sequence[Layout]) -> None:
    rows = [
        [
            layout.name,
            str(layout.items),
            str(layout.files),
            f"{statistics.median(one.wall for one in layout.bare):.1f}",
            f"{statistics.median(one.wall for one in layout.ours):.1f}",
            f"{layout.ratio:.2f}",
            f"{layout.best_ratio:.2f}",
            f"{layout.cpu_ratio:.2f}",
            f"{layout.digest:.1f}",
            str(len(layout.bare)),
        ]
        for layout in measured
    ]
    title = "reading items (image and mask) of each layout: ours against bare calls of the libraries, medians of rounds"
    head = ["", "items", "files", "bare ms", "ours ms", "ratio", "of bests", "of CPU", "digests ms", "rounds"]
    print_table(title, head, rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--source", type=Path, nargs="+", default=[], help="sources of any layout; none: synthetic ones"
    )
    parser.add_argument(
        "--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS), help="synthetic sources to make"
    )
    parser.add_argument("--items", type=int, default=6, help="items that are read of each source, at most")
    parser.add_argument("--seconds", type=float, default=2.5, help="for which each layout is measured")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
