"""Samples of a dataset as the standard library, Pillow and numpy alone read them."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from tests.written import members_of


@dataclass(frozen=True)
class Stored:
    """A sample as it lies in the tar file."""

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    soft: npt.NDArray[np.float16]


def read_stored(output: Path, splits: tuple[str, ...] = ("train",)) -> dict[str, Stored]:
    """Read the samples of some splits from the tar files."""
    found = members_of(output)
    return {key: _decoded(found[key]) for split in splits for key in found if key.startswith(f"{split}-")}


def _decoded(members: dict[str, bytes]) -> Stored:
    image, mask = (np.array(Pillow.open(io.BytesIO(members[f"{part}.png"]))) for part in ("image", "mask"))
    soft = next(data for name, data in members.items() if name.startswith("soft."))
    loaded = np.load(io.BytesIO(soft))
    return Stored(image, mask, loaded["soft"] if isinstance(loaded, np.lib.npyio.NpzFile) else loaded)
