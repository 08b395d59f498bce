"""The samples that a run wrote, as a trainer gets them."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from tests.written import members_of


@dataclass(frozen=True)
class StoredSample:
    """A sample as a trainer gets it."""

    image: npt.NDArray[Any]
    mask: npt.NDArray[Any]
    soft: npt.NDArray[Any]
    provenance: dict[str, Any]
    members: frozenset[str]


def read_samples(output: Path) -> dict[str, StoredSample]:
    """Return all samples of the WebDataset shards of a dataset by key."""
    return {key: _decoded(parts) for key, parts in members_of(output).items()}


def _decoded(parts: dict[str, bytes]) -> StoredSample:
    name = "image.png" if "image.png" in parts else "image.npy"
    array = _picture if name == "image.png" else _array
    image = array(parts[name])
    with np.load(io.BytesIO(parts["soft.npz"]), allow_pickle=False) as archive:
        soft = archive["soft"]
    return StoredSample(
        image[..., None] if image.ndim == 2 else image,
        _picture(parts["mask.png"]),
        soft,
        json.loads(parts["json"]),
        frozenset(parts),
    )


def _picture(data: bytes) -> npt.NDArray[Any]:
    with Pillow.open(io.BytesIO(data)) as opened:
        return np.asarray(opened)


def _array(data: bytes) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array
