"""What superpixels cost: compiled SLIC against scikit-image with the same labels, and nested regions. Half a minute."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt
from PIL import Image
from report import Claim, conclude, print_table
from synthetic import draw_pair

from hsmix_gen.stages.kernels import compiled
from hsmix_gen.stages.superpixels import hierarchical_regions, slic_regions

SIDES = (224, 512)
ONE = (50,)
FOUR = (36, 50, 62, 75)
MOST_OF_SCIKIT_IMAGE = 1 / 3.8
"""Share of scikit-image's time that a map may take where an image is cut into four granularities, as by default."""

Maps = list[npt.NDArray[np.uint16]]


def main() -> int:
    """Time both in turn, so that whatever else the machine does slows both."""
    options = _options()
    if not compiled.COMPILED:
        print("no kernels: there was no compiler when the package was installed")
        return 1
    claims, table = [], []
    for side in SIDES:
        images = _images(options.source, options.images, side)
        for counts in (ONE, FOUR):
            theirs, ours, nested = _rounds(images, counts, options.rounds)
            ratio = float(np.median(ours / theirs))
            name = f"{side} x {side}, {len(counts)} of an image"
            table.append([name, *(f"{np.median(ms):.1f}" for ms in (theirs, ours, nested)), f"1/{1 / ratio:.2f}"])
            if counts == FOUR:
                claims.append(Claim(f"time of scikit-image at {side}", ratio, most=MOST_OF_SCIKIT_IMAGE))
    head = ["", "scikit-image", "compiled", "hierarchical", "compiled / scikit-image"]
    print_table("processor time of a map in ms, medians", head, table)
    return conclude(claims)


def _rounds(
    images: list[npt.NDArray[np.uint8]], counts: tuple[int, ...], rounds: int
) -> tuple[npt.NDArray[np.float64], ...]:
    """Return the ms per map of scikit-image, of compiled SLIC and of nested regions, one for each image and round."""
    times = []
    for image in images * rounds:
        # Without kernels each map is made from the image anew, as a caller of scikit-image does.
        with mock.patch.object(compiled, "native", None):
            theirs, expected = _timed(lambda: slic_regions.segment(image, counts))  # noqa: B023
        ours, found = _timed(lambda: slic_regions.segment(image, counts))  # noqa: B023
        nested, _ = _timed(lambda: hierarchical_regions.segment(image, counts))  # noqa: B023
        assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True)), "labels differ"
        times.append([theirs, ours, nested])
    return tuple(np.array(times).T * 1e3 / len(counts))


def _timed(make: Callable[[], Maps]) -> tuple[float, Maps]:
    began = time.process_time()
    maps = make()
    return time.process_time() - began, maps


def _images(source: Path | None, n_images: int, side: int) -> list[npt.NDArray[np.uint8]]:
    """Return RGB images of one size, from a folder or drawn."""
    if source is None:
        return [draw_pair(np.random.default_rng([0, number]), side)[0] for number in range(n_images)]
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".tif", ".tiff"})
    images = []
    for path in paths[:: max(1, len(paths) // n_images)][:n_images]:
        with Image.open(path) as picture:
            images.append(np.asarray(picture.convert("RGB").resize((side, side))))
    return images


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--source", type=Path, help="folder with photographs (JPEG or TIFF); none: drawn ones")
    parser.add_argument("--images", type=int, default=4, help="images of each size")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over the images")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
