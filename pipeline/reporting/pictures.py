"""Small pictures of stored samples for a page: the image, with the contours of its mask."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from hsmix_gen.pipeline.dataset.formats.base import SampleReader, best_format, format_of
from hsmix_gen.pipeline.dataset.sample_members import decoded
from hsmix_gen.pipeline.files.store_paths import is_remote
from hsmix_gen.pipeline.mixing.panels import as_rgb, contrast_of, with_contour
from hsmix_gen.pipeline.reporting.evidence import Columns
from hsmix_gen.schemas.errors import OutputError

SIDE = 112
"""Longer side of a picture in pixels."""
_QUALITY = 72


class StoredSamples:
    """The samples of a finished dataset by their place in the manifest, whatever format it has.

    The dataset lies on a disk; `described` is its ``dataset.json``, `samples` are the columns of its manifest.
    """

    def __init__(self, root: Path, described: dict[str, Any], samples: Columns) -> None:
        if is_remote(root):
            raise OutputError(
                f"{root} lies in a store, where single samples are not read; copy it to a disk for pictures"
            )
        self._described = described
        self._places: dict[int, tuple[str, int, int]] = {}
        self._readers: dict[str, SampleReader] = {}
        formats = described["formats"]
        form = best_format(formats)
        for split in described["splits"]:
            keys = self._placed(samples, split)
            files = [root / file["path"] for file in formats[form] if file["split"] == split]
            self._readers[split] = format_of(form).reader(root, files, keys, described)

    def _placed(self, samples: Columns, split: str) -> list[list[str]]:
        """Note where the samples of a split lie, and return the keys of its shards."""
        numbers = np.flatnonzero(samples["split"] == split)
        order = numbers[np.lexsort((samples["index"][numbers], samples["shard"][numbers].astype(str)))]
        keys: list[list[str]] = []
        before = None
        for number in order.tolist():
            if samples["shard"][number] != before:
                before = samples["shard"][number]
                keys.append([])
            self._places[number] = (split, len(keys) - 1, len(keys[-1]))
            keys[-1].append(samples["key"][number])
        return keys

    def picture(self, number: int) -> str:
        """Return the picture of a sample as a JPEG in base64.

        Raises OutputError if it cannot be read.
        """
        split, shard, index = self._places[number]
        members = self._readers[split].read(shard, index)
        image = np.moveaxis(decoded("image", members, self._described), 0, -1)
        return jpeg_text(with_contour(as_rgb(image, contrast_of([image])), decoded("mask", members, self._described)))


def jpeg_text(picture: npt.NDArray[np.uint8], side: int = SIDE) -> str:
    """Return an (H, W, 3) picture, made smaller, as a JPEG in base64."""
    shown = Pillow.fromarray(picture)
    shown.thumbnail((side, side), Pillow.Resampling.LANCZOS)
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()


def pictures_of(root: Path, described: dict[str, Any], samples: Columns, numbers: Sequence[int]) -> dict[int, str]:
    """Return the pictures of some samples by their place in the manifest."""
    stored = StoredSamples(root, described, samples)
    return {number: stored.picture(number) for number in numbers}
