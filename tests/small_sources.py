"""Small seeded sources: pictures and masks of which every wrong turn or flip shows."""

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

SIZE = (48, 64)


def draw_pair(
    number: int, size: tuple[int, int], *, classes: int, grey: bool
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return an image and its mask, both asymmetric, so that every wrong turn or flip shows.

    Noise on every pixel makes pictures differ everywhere, so that "this pixel is B's" can be known from values.
    """
    rng = np.random.default_rng([2741, number])
    height, width = size
    y, x = np.mgrid[:height, :width]
    radius = ((y / height - rng.uniform(0.3, 0.5)) * 1.4) ** 2 + (x / width - rng.uniform(0.5, 0.7)) ** 2
    mask = np.where(radius < 0.08, 255, 0)
    if classes == 3:
        mask = np.where((radius < 0.08) & (radius >= 0.03), 128, mask)
    tint = rng.uniform(-0.4, 0.4, 3)
    planes = [
        90 + 0.9 * x * (1 - share) + 1.1 * y * share + tint[plane] * mask + rng.normal(0, 14, size)
        for plane, share in enumerate((0.2, 0.5, 0.8))
    ]
    image = np.clip(np.rint(np.stack(planes, axis=-1)), 0, 255).astype(np.uint8)
    return (image[..., 0] if grey else image), mask.astype(np.uint8)


def make_source(
    folder: Path,
    *,
    train: int = 6,
    val: int = 1,
    test: int = 1,
    size: tuple[int, int] = SIZE,
    classes: int = 3,
    grey: bool = False,
    splits: bool = True,
) -> Path:
    """Write a seeded folder of images and masks.

    Images are named ``case_00``, ``case_01`` and so on; training ids come first, and lists in ``splits/`` name them.
    """
    names = [f"case_{number:02d}" for number in range(train + val + test)]
    for kind in ("images", "masks", "splits"):
        (folder / kind).mkdir(parents=True)
    for number, name in enumerate(names):
        image, mask = draw_pair(number, size, classes=classes, grey=grey)
        Pillow.fromarray(image).save(folder / "images" / f"{name}.png")
        Pillow.fromarray(mask).save(folder / "masks" / f"{name}.png")
    lists = {"train": names[:train], "val": names[train : train + val], "test": names[train + val :]}
    for split, members in lists.items():
        (folder / "splits" / f"{split}.txt").write_text("".join(f"{name}\n" for name in members))
    if not splits:
        shutil.rmtree(folder / "splits")
    return folder
