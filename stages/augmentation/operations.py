"""Operations of torchvision by name and strength, as the automatic augmentations draw them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as of_torchvision

from hsmix_gen.schemas.arrays import Image
from hsmix_gen.stages.augmentation.augment import moved
from hsmix_gen.stages.mixing.mixing import Mixed
from hsmix_gen.stages.randomness import integer
from hsmix_gen.stages.saliency.torch_context import torch_threads

LIBRARIES = ("torch", "torchvision")
LAST_LEVEL = 30
"""Strengths of an operation are evenly spaced, from level 0, none, to this, the greatest."""

Space = dict[str, tuple[float, float]]
"""Operations with their least and their greatest strength."""
_Change = Callable[[torch.Tensor, float], torch.Tensor]

PHOTOMETRIC: dict[str, _Change] = {
    "brightness": lambda image, share: of_torchvision.adjust_brightness(image, 1 + share),
    "color": lambda image, share: of_torchvision.adjust_saturation(image, 1 + share),
    "contrast": lambda image, share: of_torchvision.adjust_contrast(image, 1 + share),
    "sharpness": lambda image, share: of_torchvision.adjust_sharpness(image, 1 + share),
    "posterize": lambda image, bits: of_torchvision.posterize(image, int(bits)),
    "solarize": of_torchvision.solarize,
    "autocontrast": lambda image, _: of_torchvision.autocontrast(image),
    "equalize": lambda image, _: of_torchvision.equalize(image),
}
"""From an image, (C, H, W) uint8, and a strength to an image."""
SIGNED = ("brightness", "color", "contrast", "sharpness", "shear_x", "shear_y", "translate_x", "translate_y", "rotate")
"""Operations whose strength is drawn with a sign."""
_STRENGTHLESS = ("identity", "autocontrast", "equalize")
GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")


def of_image(share: float, bits: int) -> Space:
    """Return the operations on the image alone with their strengths.

    These are shares of colour and contrast, bits that are kept, and the grey above which pixels are inverted.
    """
    of_colour = dict.fromkeys(("brightness", "color", "contrast", "sharpness"), (0.0, share))
    return {**of_colour, "posterize": (8, bits), "solarize": (255, 0), "autocontrast": (0, 0), "equalize": (0, 0)}


def of_all(share: float, bits: int, *, shear: float, shift: float, turn: float) -> Space:
    """Return all operations with their strengths; a shift is in pixels or a share of the side, a turn in degrees."""
    shears, shifts = dict.fromkeys(("shear_x", "shear_y"), (0.0, shear)), (0.0, shift)
    moves = {**shears, "translate_x": shifts, "translate_y": shifts, "rotate": (0.0, turn)}
    return {"identity": (0.0, 0.0), **moves, **of_image(share, bits)}


def draw_name(space: Space, rng: np.random.Generator) -> str:
    """Draw an operation, all with the same chance."""
    return tuple(space)[integer(rng, 0, len(space) - 1)]


def draw_strength(space: Space, name: str, level: float, rng: np.random.Generator, side: int = 1) -> float:
    """Return the strength of an operation at a level in [0, 1], with a drawn sign where that means something.

    Strengths of the space are shares of a `side` in pixels, if one is given.
    """
    low, high = space[name]
    strength = side * (low + (high - low) * level)
    return -strength if name in SIGNED and integer(rng, 0, 1) else strength


def apply_operation(mixed: Mixed, name: str, strength: float) -> Mixed:
    """Return a sample under an operation; geometry moves labels too, photometry changes the image alone."""
    if name == "identity":
        return mixed
    if name in GEOMETRIC:
        height, width = mixed.mask.shape
        return moved(mixed, origins((height, width), name, strength))
    return replace(mixed, image=changed_image(mixed.image, name, strength))


def changed_image(image: Image, name: str, strength: float) -> Image:
    """Return an (H, W, C) uint8 image under a photometric operation."""
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    with torch_threads(1):
        changed = PHOTOMETRIC[name](tensor, strength)
    return np.ascontiguousarray(changed.numpy().transpose(1, 2, 0))


def origins(size: tuple[int, int], name: str, strength: float) -> npt.NDArray[np.int64]:
    """Return which pixel stands at each place after a geometric operation, (H, W) in reading order; -1 for none.

    torchvision moves the rows and the columns of the pixels as if they were an image.
    """
    height, width = size
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    places = torch.from_numpy(np.stack([rows, columns]))
    how: dict[str, Any] = {"interpolation": InterpolationMode.NEAREST, "fill": [-1.0, -1.0]}
    angle = float(np.degrees(np.arctan(strength)))
    turn = strength if name == "rotate" else 0.0
    shear = {"shear_x": [angle, 0.0], "shear_y": [0.0, angle]}.get(name, [0.0, 0.0])
    shift = {"translate_x": [round(strength), 0], "translate_y": [0, round(strength)]}.get(name, [0, 0])
    with torch_threads(1):
        found = of_torchvision.affine(places, angle=turn, translate=shift, scale=1.0, shear=shear, **how)
    row, column = found.numpy().astype(np.int64)
    return np.where(row < 0, -1, row * width + column)


def words_of(name: str, strength: float) -> str:
    """Return an operation as the manifest states it: ``rotate -12.5``."""
    return name if name in _STRENGTHLESS else f"{name} {strength:.4g}"
