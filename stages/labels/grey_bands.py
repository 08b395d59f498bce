"""The one band of numbers in a mask of several: equal channels, an opaque alpha; colours and cut-outs are refused."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.errors import SourceError

COLOURED = (
    "mask is coloured; store class ids or grey values, one number a pixel, or name its colours, "
    "for example --colours '#000000=background,#FF0000=lesion'"
)
_MOST_COLOURS = 8
# Colours of soft edges have less of the pixels.
_OWN_SHARE = 0.02


def colour_numbers(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Return the colours of an (H, W, C) picture as (H, W) numbers: red * 65536 + green * 256 + blue; grey as such."""
    packed = image[..., 0].astype(np.int32)
    if image.shape[2] == 1:
        return packed * 0x010101
    for channel in (1, 2):
        packed <<= 8
        packed |= image[..., channel]
    return packed


def common_channel(array: npt.NDArray[Any], *, has_alpha: bool = False) -> npt.NDArray[Any]:
    """Return the first channel of (H, W, C) values if all but alpha, the last, are equal."""
    if array.ndim == 2:
        return array
    if array.shape[2] > 4:
        raise SourceError(f"mask has {array.shape[2]} channels, expected one; store class ids, one number a pixel")
    colours = array[..., :-1] if has_alpha else array[..., :3]
    if colours.shape[2] > 1 and (colours != colours[..., :1]).any():
        raise SourceError(coloured_text(colours))
    if has_alpha:
        check_alpha(colours[..., 0], array[..., -1])
    return np.ascontiguousarray(colours[..., 0])


def check_alpha(grey: npt.NDArray[Any], alpha: npt.NDArray[Any], *, indexed: bool = False) -> None:
    """Refuse a mask whose label is its transparency: one grey under it, or a cut-out with values that nobody sees."""
    if alpha.min() == alpha.max():
        return
    hidden = np.unique(grey[alpha == 0])
    is_cut = not indexed and ((alpha == 0) | (alpha == alpha.max())).all()
    if grey.min() == grey.max() or (is_cut and hidden.any()):
        what = f"of the one value {grey.min()}" if grey.min() == grey.max() else f"with the value {hidden[-1]}"
        raise SourceError(
            f"mask has an alpha channel of values {alpha.min()} to {alpha.max()} over pixels {what}, so that its "
            "labels are the transparency; save the alpha channel as a grey mask"
        )


def coloured_text(colours: npt.NDArray[Any], *, is_lossy: bool = False) -> str:
    """Return why a coloured mask is refused, with its own colours for `--colours` if there are few."""
    store = f"{COLOURED.partition(',')[0]}, one number a pixel"
    if is_lossy:
        return f"{store}, or export it as PNG (colours are blurred in this file) and name its colours with --colours"
    few: list[int] = []
    is_soft = False
    if colours.dtype == np.uint8 and colours.shape[-1] == 3:
        found, counts = np.unique(colour_numbers(colours), return_counts=True)
        order = np.argsort(-counts, kind="stable")
        is_soft = len(found) > _MOST_COLOURS
        own = order[counts[order] >= _OWN_SHARE * counts.sum()] if is_soft else order
        few = found[own][: _MOST_COLOURS + 1].tolist()
    if not 2 <= len(few) <= _MOST_COLOURS:
        return COLOURED
    name = "export it without soft edges (as PNG) and name its colours" if is_soft else "name its colours"
    return f"{store}, or {name}, for example --colours '{colour_table(few)}'"


def colour_table(colours: Sequence[int]) -> str:
    """Return what `--colours` takes, with names to be replaced: black is the background, else the first colour."""
    ordered = sorted(colours, key=lambda colour: colour != 0)
    names = ["background", *(f"class_{number}" for number in range(1, len(ordered)))]
    return ",".join(f"#{colour:06X}={name}" for colour, name in zip(ordered, names, strict=True))
