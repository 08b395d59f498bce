"""The colour of each class, wherever masks are shown: in previews, reports, and palettes of stored masks."""

import colorsys

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.records import IGNORE

# Distinct for colour-blind readers (Okabe and Ito). More classes than these can be distinguished, but not as well.
_FIRST = ((230, 159, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (213, 94, 0), (86, 180, 233), (240, 228, 66))
_GOLDEN = 0.618033988749895
"""Part of a turn by which hues of neighbours differ, so that no two of them are ever near."""
_SHADES = ((0.85, 0.95), (0.55, 0.8), (0.95, 0.6), (0.4, 0.98))
"""Saturation and value, in turn."""


def _colours() -> npt.NDArray[np.uint8]:
    table = np.zeros((256, 3), np.uint8)
    table[1 : 1 + len(_FIRST)] = _FIRST
    for number in range(1 + len(_FIRST), IGNORE):
        shade = colorsys.hsv_to_rgb(number * _GOLDEN % 1, *_SHADES[number % len(_SHADES)])
        table[number] = [round(255 * part) for part in shade]
    table[IGNORE] = 128
    return table


CLASS_COLOURS = _colours()
"""(256, 3) uint8: by the value of a mask. Background is black, ignored pixels are grey."""
