"""Small sources that are sound, or have five faults planted at once."""

from pathlib import Path

import numpy as np
from PIL import Image as Pillow

SIZE = (48, 64)
TRAIN, VAL = 16, 4
OPTIONS = (
    *("--size", *map(str, SIZE), "--variants", "2", "--backend", "serial", "--progress", "none", "--copies", "2"),
    *("--saliency", "precomputed"),
)


def write_planted(root: Path, *, sound: bool) -> Path:
    """Write images, masks, maps and splits; return the folder of the source.

    Planted unless `sound`: p00 has slices in two splits, class 2 is in validation masks only, maps show the
    background, and half of the images are dark. What remains, a coarse grid, is an option.
    """
    rng = np.random.default_rng(11)
    for folder in ("source/images", "source/masks", "source/splits", "maps"):
        (root / folder).mkdir(parents=True)
    names = []
    for number in range(TRAIN + VAL):
        is_val = number >= TRAIN
        patient = number // 2 if sound or number != TRAIN else 0
        names.append(f"p{patient:02d}_slice{number:02d}")
        image, mask = draw(rng, dark=not sound and number % 2 == 1, second=sound or is_val)
        Pillow.fromarray(image).save(root / "source/images" / f"{names[-1]}.png")
        Pillow.fromarray(mask).save(root / "source/masks" / f"{names[-1]}.png")
        shown = np.where((mask > 0) == sound, 220, 30) + rng.integers(0, 20, SIZE)
        Pillow.fromarray(shown.astype(np.uint8)).save(root / "maps" / f"{names[-1]}.png")
    (root / "source/splits/train.txt").write_text("\n".join(names[:TRAIN]) + "\n")
    (root / "source/splits/val.txt").write_text("\n".join(names[TRAIN:]) + "\n")
    return root / "source"


def draw(rng: np.random.Generator, *, dark: bool, second: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of one or two discs on an even ground, and its mask of classes 0, 1 and 2."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    mask = np.zeros(SIZE, np.uint8)
    mask[(y - rng.integers(14, 34)) ** 2 + (x - rng.integers(12, 24)) ** 2 < 81] = 1
    if second:
        mask[(y - rng.integers(14, 34)) ** 2 + (x - rng.integers(42, 54)) ** 2 < 81] = 2
    ground = 30 if dark else 170 + rng.integers(-8, 9)
    image = ground + 55 * mask[..., None] * np.array((0.4, 0.7, 1.0)) - 30 * (mask[..., None] == 2)
    return np.clip(image + rng.normal(0, 4, (*SIZE, 3)), 0, 255).astype(np.uint8), mask
