"""What each form of a soft label costs: bytes, writing and reading, over three sizes of image and number of classes.

Labels are mixed as the job mixes them, from masks of ellipses with superpixels as regions. Reading is timed twice: the
stored arrays alone, for loaders that expand them on the GPU, and up to the (C, H, W) label, with numpy on one core.
Numbers are medians. Takes half a minute.
"""

import io
import statistics
import time
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from report import print_table

from hsmix_gen.pipeline.dataset.soft_encoding import SOFT_FORMS
from hsmix_gen.schemas.config import SoftEncoding
from hsmix_gen.stages.labels.labels import SoftLabel, class_shares, soft_label
from hsmix_gen.stages.superpixels.slic_regions import segment

ROUNDS = 25
REGIONS = 100
CASES = ((224, 224, 9), (256, 256, 2), (512, 512, 4))


def draw_mask(rng: np.random.Generator, height: int, width: int, n_classes: int) -> npt.NDArray[np.uint8]:
    """Return class ids of one ellipse for each class."""
    mask = np.zeros((height, width), dtype=np.uint8)
    y, x = np.mgrid[:height, :width]
    for class_id in range(1, n_classes):
        centre_y, centre_x = rng.uniform(0.2, 0.8, 2) * (height, width)
        radius = rng.uniform(0.05, 0.25) * height
        mask[(y - centre_y) ** 2 + rng.uniform(0.5, 2) * (x - centre_x) ** 2 < radius**2] = class_id
    return mask


def draw_label(height: int, width: int, n_classes: int) -> SoftLabel:
    """Return the soft label of two masks, with a weight of its own in each superpixel of a noisy picture."""
    rng = np.random.default_rng(0)
    mask_a, mask_b = (draw_mask(rng, height, width, n_classes) for _ in "ab")
    picture = np.clip(80 + 90 * mask_a + rng.normal(0, 12, mask_a.shape), 0, 255).astype(np.uint8)
    (regions,) = segment(picture[..., None], [REGIONS])
    weights = rng.integers(0, 256, int(regions.max()) + 1).astype(np.uint8)
    return soft_label(class_shares(mask_a, mask_b, weights[regions], n_classes=n_classes))


def read_arrays(data: bytes, form: SoftEncoding) -> list[npt.NDArray[Any]]:
    """Return the arrays of a member as they are stored."""
    if form == "png":
        return [np.asarray(Pillow.open(io.BytesIO(data)))]
    loaded = np.load(io.BytesIO(data), allow_pickle=False)
    return [loaded] if isinstance(loaded, np.ndarray) else [loaded[name] for name in loaded.files]


def milliseconds(call: Callable[[], object]) -> float:
    """Return the median time of a call."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def measured(soft: SoftLabel, form: SoftEncoding) -> list[str]:
    """Return the row of one form in the table."""
    data = SOFT_FORMS[form].encode(soft)
    times = (
        milliseconds(lambda: SOFT_FORMS[form].encode(soft)),
        milliseconds(lambda: read_arrays(data, form)),
        milliseconds(lambda: SOFT_FORMS[form].decode(data, soft.shape)),
    )
    return [form, f"{len(data) / 1024:.1f}", *(f"{value:.2f}" for value in times)]


def main() -> None:
    """Print a table for each size."""
    for height, width, n_classes in CASES:
        soft = draw_label(height, width, n_classes)
        title = f"soft label of {n_classes} classes, {height} x {width}"
        head = ["form", "KiB", "write ms", "read ms", "to (C, H, W) ms"]
        print_table(title, head, [measured(soft, form) for form in get_args(SoftEncoding)])


if __name__ == "__main__":
    main()
