"""Arrays written into files of each kind, and what is opened or said of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.pipeline.decoders.arrays import open_image, open_mask
from hsmix_gen.pipeline.decoders.stack import ReadOptions, Stack
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content

HOW = ReadOptions()
# 2 rows, 3 columns; 2 slices of it; all values differ, so that every wrong turn shows.
PICTURE = np.arange(6, dtype=np.uint8).reshape(2, 3)
VOLUME = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def npy(folder: Path, values: npt.NDArray[Any], **options: Any) -> Path:
    """Write an npy file."""
    np.save(folder / "a.npy", values, **options)
    return folder / "a.npy"


def npz(folder: Path, **arrays: Any) -> Path:
    """Write an npz file of named arrays."""
    np.savez_compressed(folder / "a.npz", **arrays)
    return folder / "a.npz"


def h5(folder: Path, **arrays: Any) -> Path:
    """Write an HDF5 file of named arrays; two underscores in a name stand for a slash."""
    with h5py.File(folder / "a.npy.h5", "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name.replace("__", "/"), data=values)
    return folder / "a.npy.h5"


every_kind = pytest.mark.parametrize(
    "write",
    [npy, lambda folder, values: npz(folder, image=values), lambda folder, values: h5(folder, image=values)],
    ids=["npy", "npz", "h5"],
)
"""Run a test with what writes an image into a file of each kind."""


def image(path: Path, key: str = "", how: ReadOptions = HOW) -> Stack:
    """Open a file as an image."""
    return open_image(Content("array", (str(path),), key), how)


def mask(path: Path, key: str = "", beside: npt.NDArray[Any] | None = None, how: ReadOptions = HOW) -> Stack:
    """Open a file as the mask of an image, which is `PICTURE` if not stated otherwise."""
    beside = PICTURE if beside is None else beside
    other = path.parent / "beside.npy"
    np.save(other, beside)
    return open_mask(Content("array", (str(path),), key), image(other, "" if beside.ndim == 2 else ";axes=zyx"), how)


def refusal(call: Callable[[], object], path: Path) -> str:
    """Return what is reported of a file, without its path, which comes first; it is one line."""
    with pytest.raises(SourceError) as refused:
        call()
    text = str(refused.value)
    assert text.startswith(f"{path} ")
    assert "\n" not in text
    return text.removeprefix(f"{path} ")
