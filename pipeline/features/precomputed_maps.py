"""Saliency maps that the user brings: one grey picture or npy array per source, named by its id."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.decoders import picture_codec
from hsmix_gen.pipeline.decoders.refusal_errors import refusing
from hsmix_gen.pipeline.files.local_mirror import ensure_local, mirrored, staged_path
from hsmix_gen.pipeline.files.store_paths import is_remote
from hsmix_gen.schemas.digests import digest_of, sha256_of
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.stages.imaging import standardise

ENDINGS = (".png", ".tif", ".tiff", ".npy")


def read_map(folder: Path, source_id: str) -> npt.NDArray[np.float32]:
    """Return the map of a source as it is, (H, W) float32 in [0, 1].

    Raises SourceError if there is no map, or it is none: pictures are read by their depth, float arrays must lie
    in [0, 1].
    """
    path = _file(folder, source_id)
    if path is None:
        raise SourceError(f"{folder} has no map {source_id}.png or {source_id}.npy; add it")
    with refusing(path):
        data, is_array = picture_codec.read_bytes(path), path.suffix == ".npy"
        grey = _array(data) if is_array else standardise.set_channels(picture_codec.decode_image(data), 1)[..., 0]
    scale = 1.0 if grey.dtype.kind == "f" else float(np.iinfo(grey.dtype).max)
    share = grey.astype(np.float32) / np.float32(scale)
    if share.min() < 0 or share.max() > 1:
        raise SourceError(f"{path} must lie in [0, 1], got {share.min():g} to {share.max():g}; rescale it")
    return share


def folder_digest(folder: Path, ids: list[str]) -> str:
    """Return the digest of the maps of some sources, so that changed maps are computed again."""
    if is_remote(folder):
        folder = mirrored(folder)
    found = ((source_id, _file(folder, source_id)) for source_id in ids)
    return digest_of([(source_id, sha256_of(path.read_bytes()) if path else None) for source_id, path in found])


def _file(folder: Path, source_id: str) -> Path | None:
    paths = [folder / f"{source_id}{ending}" for ending in ENDINGS]
    if is_remote(folder):
        # Fetched for the names of the layers, or where another machine did that, now.
        paths = [staged_path(path) for path in paths if is_remote(path)]
        if not any(path.is_file() for path in paths):
            ensure_local(map(str, paths))
    return next((path for path in paths if path.is_file()), None)


def _array(data: bytes) -> npt.NDArray[Any]:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise SourceError(f"is no npy array: {error}") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fu":
        raise SourceError("must be one (H, W) array of floats or unsigned integers")
    if not np.isfinite(array).all():
        raise SourceError("must be finite, has NaN or infinity")
    return array
